"""Rows of infra/functions.py and infra/models.py → statements of a role's policy. Wildcards: object names, X-Ray, a model's regions."""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.constructs.tables import INDEXES
from infra.functions import Grant
from infra.models import ACCOUNT, PARTITION, ModelGrant
from infra.settings import Environment
from infra.stacks.names import bucket_export
from infra.stacks.state import StateStack

OBJECTS = "objects:"
XRAY = "AwsSolutions-IAM5[Resource::*]"
XRAY_REASON = "xray:PutTraceSegments, xray:PutTelemetryRecords and dynamodb:ListStreams take no resource (service authorization reference)."


def statement(grant: Grant, state: StateStack) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(grant.actions), resources=_resources(grant.resource, state))


def key_statement(state: StateStack) -> list[iam.PolicyStatement]:
    """What DynamoDB, Secrets Manager and S3 do with a key of one's own, they do in the caller's name."""
    if state.key is None:
        return []
    return [iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"], resources=[state.key.key_arn])]


def object_findings(grants: Sequence[Grant], env: Environment) -> dict[str, str]:
    """cdk-nag's ids for the wildcards of `objects:` grants."""
    buckets = [grant.resource.removeprefix(OBJECTS) for grant in grants if grant.resource.startswith(OBJECTS)]
    reason = "Objects have names that are made at runtime; the bucket has nothing else in it."
    return {f"AwsSolutions-IAM5[Resource::{bucket_export(env, bucket)}/*]": reason for bucket in buckets}


def model_statements(grants: Sequence[ModelGrant]) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=list(grant.actions),
            resources=[_placed(grant.arn)],
            conditions={operator: {key: _placed(value)} for operator, (key, value) in grant.condition.items()} or None,
        )
        for grant in grants
    ]


def model_findings(grants: Sequence[ModelGrant]) -> dict[str, str]:
    """cdk-nag's ids for their wildcards."""
    reason = "A wildcard of gateway.yaml itself, or the regions that an inference profile picks from; nothing else is permitted there."
    arns = [grant.arn.replace(PARTITION, "<AWS::Partition>").replace(ACCOUNT, "<AWS::AccountId>") for grant in grants if "*" in grant.arn]
    return {f"AwsSolutions-IAM5[Resource::{arn}]": reason for arn in arns}


def _placed(arn: str) -> str:
    return arn.replace(PARTITION, Aws.PARTITION).replace(ACCOUNT, Aws.ACCOUNT_ID)


def _resources(name: str, state: StateStack) -> list[str]:
    if name == "secret:providers":
        return list(state.secrets.providers.values())
    if name.startswith("secret:"):
        return [state.secrets.own[name.removeprefix("secret:")]]
    if name.startswith(OBJECTS):
        return [f"{state.bucket_arns[name.removeprefix(OBJECTS)]}/*"]
    if name.startswith("bucket:"):
        return [state.bucket_arns[name.removeprefix("bucket:")]]
    if name == "topic:alerts":
        return [state.alerts.topic_arn]
    table, _, indexes = name.partition("/")
    arn = state.tables[table].table_arn
    return [f"{arn}/index/{index}" for index in INDEXES[table]] if indexes else [arn]
