"""The REST API that callers use: streamed for LLM routes, whole answers for the rest.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
Callers are authenticated in the functions (HMAC of the virtual key), so methods need no authorizer; an allow list, a private endpoint and
a firewall narrow who gets that far.
"""

import json
from collections.abc import Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.function import GatewayFunction
from infra.constructs.nag import acknowledge
from infra.constructs.retention import retention
from infra.settings import LONGEST_BUFFERED_SECONDS, LONGEST_STREAM_SECONDS, Api, Domain, Environment
from infra.stacks.names import STAGE
from infra.stacks.state import StateStack

# Everything travels as bytes: audio, images and archives arrive and leave as they are, whatever `accept` says, and a body's size in the
# event is exactly 4/3 of its own, so that 4.5 MB of any content fit into Lambda's 6 MB (JSON in JSON can double).
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
BINARY = ("*/*",)
# https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html: no body, no header, no query string.
LOGGED = {
    "requestId": "$context.requestId",
    "traceId": "$context.xrayTraceId",
    "ip": "$context.identity.sourceIp",
    "userAgent": "$context.identity.userAgent",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "integrationStatus": "$context.integration.status",
    "error": "$context.error.message",
    "wafStatus": "$context.waf.status",
}
# In the words of the OpenAI API, so that clients can show what API Gateway itself refuses.
_CALLER = "aws:PrincipalArn"
_REFUSAL = '{"error":{"message":$context.error.messageString,"type":"%s","param":null,"code":null}}'


class FrontDoor(Construct):
    """`signers`: patterns of the principals that may call, each call signed (gateway.yaml's `iam_callers`). Empty: whoever has a key may.

    The two are APIs of their own, because one method cannot take a signature and a key.
    """

    def __init__(self, scope: Construct, id: str, *, env: Environment, state: StateStack, signers: Sequence[str] = ()) -> None:
        super().__init__(scope, id)
        self._settings = settings = env.api
        authorization = apigateway.AuthorizationType.IAM if signers else apigateway.AuthorizationType.NONE
        self.log_group = logs.LogGroup(self, "AccessLogs", retention=retention(env.log_days), encryption_key=state.key)
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"tollkeeper-{env.name}{'-signed' if signers else ''}",
            description="Tollkeeper's front door" + (" for AWS principals" if signers else ""),
            endpoint_configuration=_endpoints(self, settings),
            binary_media_types=list(BINARY),
            policy=_policy(settings, signers),
            disable_execute_api_endpoint=settings.domain is not None and not signers,
            cloud_watch_role=False,
            default_method_options=apigateway.MethodOptions(authorization_type=authorization),
            deploy_options=_stage(settings, self.log_group),
        )
        for kind, type_ in (
            (apigateway.ResponseType.DEFAULT_4_XX, "invalid_request_error"),
            (apigateway.ResponseType.DEFAULT_5_XX, "server_error"),
        ):
            self.api.add_gateway_response(type_.title().replace("_", ""), type=kind, templates={"application/json": _REFUSAL % type_})
        if settings.domain and not signers:
            self._domain(settings.domain)
        self._acknowledge()

    def route(self, function: GatewayFunction) -> None:
        """Its paths and everything below them."""
        integration = self._integration(function)
        for path in function.row.paths:
            resource = self.api.root.resource_for_path(path) if path != "/" else self.api.root
            resource.add_method("ANY", integration)
            if "." not in path:
                resource.add_resource("{proxy+}").add_method("ANY", integration)

    def _integration(self, function: GatewayFunction) -> apigateway.LambdaIntegration:
        streamed = function.row.streams and self._settings.stream
        seconds = LONGEST_STREAM_SECONDS if streamed else LONGEST_BUFFERED_SECONDS
        return apigateway.LambdaIntegration(
            function.live,
            response_transfer_mode=apigateway.ResponseTransferMode.STREAM if streamed else apigateway.ResponseTransferMode.BUFFERED,
            timeout=Duration.seconds(min(function.size.timeout, seconds)),
            scope_permission_to_method=False,
        )

    def _domain(self, domain: Domain) -> None:
        certificate = acm.Certificate.from_certificate_arn(self, "Certificate", domain.certificate)
        self.api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=certificate,
            base_path=domain.base_path or None,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            endpoint_type=apigateway.EndpointType.REGIONAL,
        )

    def _acknowledge(self) -> None:
        authenticated = "The functions authenticate every call by its virtual key; an authorizer would add a call and a cold start to each."
        reasons = {
            "AwsSolutions-APIG2": "The functions validate what they are sent; API Gateway's models do not know the LLM APIs' open schemas.",
            "AwsSolutions-APIG4": authenticated,
            "AwsSolutions-COG4": authenticated,
        }
        if self._settings.firewall is None:
            reasons["AwsSolutions-APIG3"] = "A firewall costs $5 a month and more; an environment asks for one with api.firewall."
        acknowledge(self, reasons)


def _endpoints(scope: Construct, settings: Api) -> apigateway.EndpointConfiguration:
    if not settings.private_endpoints:
        return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL])
    endpoints = [
        ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(scope, f"Endpoint{index}", vpc_endpoint_id=endpoint, port=443)
        for index, endpoint in enumerate(settings.private_endpoints)
    ]
    return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.PRIVATE], vpc_endpoints=endpoints)


def _policy(settings: Api, signers: Sequence[str]) -> iam.PolicyDocument | None:
    """Everyone may, except who comes from elsewhere. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-examples.html"""
    denied: list[dict[str, object]] = []
    if settings.allowed_addresses:
        key = "aws:VpcSourceIp" if settings.private_endpoints else "aws:SourceIp"
        denied.append({"NotIpAddress": {key: list(settings.allowed_addresses)}})
    if settings.private_endpoints:
        denied.append({"StringNotEquals": {"aws:SourceVpce": list(settings.private_endpoints)}})
    if signers:
        denied.append({"ArnNotLike": {_CALLER: list(signers)}})
    if not denied:
        return None
    allowed: dict[str, object] | None = {"ArnLike": {_CALLER: list(signers)}} if signers else None
    statements = [_invoke(iam.Effect.ALLOW, allowed), *(_invoke(iam.Effect.DENY, condition) for condition in denied)]
    return iam.PolicyDocument(statements=statements)


def _invoke(effect: iam.Effect, conditions: dict[str, object] | None = None) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        effect=effect, principals=[iam.AnyPrincipal()], actions=["execute-api:Invoke"], resources=["execute-api:/*"], conditions=conditions
    )


def _stage(settings: Api, access_logs: logs.LogGroup) -> apigateway.StageOptions:
    return apigateway.StageOptions(
        stage_name=STAGE,
        access_log_destination=apigateway.LogGroupLogDestination(access_logs),
        access_log_format=apigateway.AccessLogFormat.custom(json.dumps(LOGGED)),
        logging_level=apigateway.MethodLoggingLevel.ERROR,
        data_trace_enabled=False,
        metrics_enabled=True,
        tracing_enabled=True,
        throttling_rate_limit=settings.rate,
        throttling_burst_limit=settings.burst,
    )


def invoke_arn(api_id: str, path: str) -> str:
    """What `execute-api:Invoke` is granted on."""
    return f"arn:{Aws.PARTITION}:execute-api:{Aws.REGION}:{Aws.ACCOUNT_ID}:{api_id}/{STAGE}/{path}"
