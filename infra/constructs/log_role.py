"""The role with which API Gateway writes logs: one per account and region, needed before the first API that has a log.

It stays when the environment goes, because others in the account may rely on it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.nag import acknowledge

_POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"


class ApiLogRole(Construct):
    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_managed_policy_arn(self, "Policy", f"arn:{Aws.PARTITION}:iam::aws:policy/{_POLICY}")],
        )
        account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        role.apply_removal_policy(RemovalPolicy.RETAIN)
        account.apply_removal_policy(RemovalPolicy.RETAIN)
        finding = f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_POLICY}]"
        acknowledge(role, {finding: "The account's logging role for API Gateway; AWS documents this policy for it."})
