"""The API the proxy calls to reach a pool: IAM-authorised, streamed, through a VPC link V2. The proxy itself stays outside the VPC.

It is apart from the front door, so that it has its own throttling and policy, and no public route leads to it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-private-integration.html
"""

import json
from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.front_door import LOGGED
from infra.constructs.nag import acknowledge
from infra.constructs.retention import retention
from infra.settings import LONGEST_STREAM_SECONDS, Environment, Pool
from infra.stacks.names import STAGE

METHODS = ("GET", "POST")
UPSTREAM_KEY = "x-upstream-authorization"
"""Carries the pool's own credential: `authorization` has the signature."""


class Egress(Construct):
    """`callers` are the ARNs of the only roles that may use it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        pools: Sequence[Pool],
        link: apigatewayv2.VpcLink,
        balancer: elbv2.ApplicationLoadBalancer,
        callers: Sequence[str],
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id)
        self._link, self._balancer = link, balancer
        access_logs = logs.LogGroup(self, "AccessLogs", retention=retention(env.log_days), encryption_key=key)
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"tollkeeper-{env.name}-egress",
            description="Tollkeeper's way to the on-prem pools",
            endpoint_configuration=apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL]),
            cloud_watch_role=False,
            policy=_only(callers),
            default_method_options=apigateway.MethodOptions(authorization_type=apigateway.AuthorizationType.IAM),
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                access_log_destination=apigateway.LogGroupLogDestination(access_logs),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(LOGGED)),
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                metrics_enabled=True,
                tracing_enabled=True,
                throttling_rate_limit=env.api.rate,
                throttling_burst_limit=env.api.burst,
            ),
        )
        for pool in pools:
            self._route(pool)
        reasons = {
            "AwsSolutions-APIG2": "The inference servers validate what they are sent; their schemas are open.",
            "AwsSolutions-APIG3": "Only two roles of this account can call it.",
            "AwsSolutions-COG4": "It is authorised by IAM: its callers are functions, not people.",
        }
        acknowledge(self, reasons)

    def _route(self, pool: Pool) -> None:
        resource = self.api.root.add_resource(pool.name).add_resource("{proxy+}")
        for name in METHODS:
            method = resource.add_method(
                name,
                apigateway.Integration(
                    type=apigateway.IntegrationType.HTTP_PROXY,
                    integration_http_method=name,
                    uri=f"http://{self._balancer.load_balancer_dns_name}/{pool.name}/{{proxy}}",
                    options=apigateway.IntegrationOptions(
                        response_transfer_mode=apigateway.ResponseTransferMode.STREAM,
                        timeout=Duration.seconds(LONGEST_STREAM_SECONDS),
                        request_parameters={
                            "integration.request.path.proxy": "method.request.path.proxy",
                            "integration.request.header.Authorization": f"method.request.header.{UPSTREAM_KEY}",
                        },
                    ),
                ),
                request_parameters={"method.request.path.proxy": True, f"method.request.header.{UPSTREAM_KEY}": False},
            )
            # The library's integration takes a VPC link V1 only (aws-cdk-lib 2.275).
            raw = cast("apigateway.CfnMethod", method.node.default_child)
            raw.add_property_override("Integration.ConnectionType", "VPC_LINK")
            raw.add_property_override("Integration.ConnectionId", self._link.vpc_link_id)
            raw.add_property_override("Integration.IntegrationTarget", self._balancer.load_balancer_arn)


def _only(callers: Sequence[str]) -> iam.PolicyDocument:
    """By condition, not as principals: a role that does not exist yet cannot be named as one."""

    def rule(effect: iam.Effect, operator: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            effect=effect,
            principals=[iam.AnyPrincipal()],
            actions=["execute-api:Invoke"],
            resources=["execute-api:/*"],
            conditions={operator: {"aws:PrincipalArn": list(callers)}},
        )

    return iam.PolicyDocument(statements=[rule(iam.Effect.ALLOW, "ArnEquals"), rule(iam.Effect.DENY, "ArnNotEquals")])
