"""One function: its own role and log group, layers, size, alias `live`. No managed policy, no permission it does not use."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Aws, Duration, RemovalPolicy, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.arns import ArnGrant
from infra.constructs.grants import XRAY, XRAY_REASON, arn_findings, arn_statements, key_statement, name_findings, statement
from infra.constructs.nag import acknowledge
from infra.constructs.retention import retention
from infra.functions import Function, size_of
from infra.settings import Environment
from infra.stacks.names import function_name, role_name
from infra.stacks.state import StateStack

ALIAS = "live"
WRAPPER = "/opt/tollkeeper-runtime"


class GatewayFunction(Construct):
    """`live` is what triggers call: a published version, so that a deployment switches over at once and back as fast."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        row: Function,
        env: Environment,
        state: StateStack,
        code: Path,
        layers: Sequence[lambda_.ILayerVersion],
        variables: Mapping[str, str],
        derived: Sequence[ArnGrant],
    ) -> None:
        super().__init__(scope, id)
        self.row, self.size = row, size_of(row, env)
        self.log_group_name = f"/aws/lambda/{function_name(env, row.name)}"
        self.log_group = self._logs(env, state)
        self.role = self._role(env, state, derived)
        streamed = row.streams and env.api.stream
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name(env, row.name),
            description=row.description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler="handler.app" if streamed else "handler.handler",
            code=lambda_.Code.from_asset(str(code)),
            layers=list(layers),
            environment={**variables, **({"AWS_LAMBDA_EXEC_WRAPPER": WRAPPER} if streamed else {})},
            memory_size=self.size.memory,
            timeout=Duration.seconds(self.size.timeout),
            ephemeral_storage_size=Size.mebibytes(self.size.temporary_mb),
            reserved_concurrent_executions=self.size.reserved,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if self.size.snap_start else None,
            tracing=lambda_.Tracing.ACTIVE,
            role=self.role,
            log_group=self.log_group,
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
        )
        self.live = lambda_.Alias(
            self,
            "Live",
            alias_name=ALIAS,
            version=self.function.current_version,
            provisioned_concurrent_executions=self.size.provisioned or None,
        )
        if self.size.snap_start:
            acknowledge(self.function, {"Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish": "Only the published version is called."})
        acknowledge(self.function, {"AwsSolutions-L1": "python3.13 is supported until 2029; the layers' wheels are built for it."})

    def _logs(self, env: Environment, state: StateStack) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "Logs",
            log_group_name=self.log_group_name,
            retention=retention(env.log_days),
            encryption_key=state.key,
            removal_policy=RemovalPolicy.RETAIN if env.production else RemovalPolicy.DESTROY,
        )

    def _role(self, env: Environment, state: StateStack, derived: Sequence[ArnGrant]) -> iam.Role:
        own = [statement(grant, env, state) for grant in self.row.grants]
        streams = f"log-group:{self.log_group_name}:log-stream:*"
        written = iam.PolicyStatement(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:{streams}"],
        )
        policies = {"Own": iam.PolicyDocument(statements=[*own, written, *key_statement(state)])}
        if derived:
            policies["Derived"] = iam.PolicyDocument(statements=arn_statements(derived, state))
        role = iam.Role(
            self,
            "Role",
            role_name=role_name(env, self.row.name),
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies=policies,
        )
        own_streams = f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:{streams}]"
        reasons = {XRAY: XRAY_REASON, own_streams: "The streams of its own log group, whose names Lambda makes up."}
        acknowledge(role, {**reasons, **arn_findings(derived, env), **name_findings(self.row.grants, env)})
        return role
