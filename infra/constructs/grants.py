"""Rows of infra/functions.py, and what follows from gateway.yaml, → statements of a role's policy.

Wildcards: names that are made at runtime, a model's regions, and actions that take no resource.
"""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.arns import ACCOUNT, FILES, PARTITION, REGION, ArnGrant
from infra.constructs.tables import INDEXES
from infra.functions import Grant
from infra.settings import Environment
from infra.stacks.names import bucket_export, table_export
from infra.stacks.state import StateStack

OBJECTS = "objects:"
EXPORTS = "ledger/exports"
KEPT = "secrets:kept"
"""Credentials that are given at run time, and keys renewed by themselves: `tollkeeper/<environment>/<kind>/…` (store/secrets.py)."""
XRAY = "AwsSolutions-IAM5[Resource::*]"
XRAY_REASON = "xray:PutTraceSegments, xray:PutTelemetryRecords and dynamodb:ListStreams take no resource (service authorization reference)."


def statement(grant: Grant, env: Environment, state: StateStack) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(grant.actions), resources=_resources(grant.resource, env, state))


def key_statement(state: StateStack) -> list[iam.PolicyStatement]:
    """What DynamoDB, Secrets Manager and S3 do with a key of one's own, they do in the caller's name."""
    if state.key is None:
        return []
    return [iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"], resources=[state.key.key_arn])]


def name_findings(grants: Sequence[Grant], env: Environment) -> dict[str, str]:
    """cdk-nag's ids for the wildcards of `objects:`, `secrets:` and `/exports` grants."""
    buckets = [grant.resource.removeprefix(OBJECTS) for grant in grants if grant.resource.startswith(OBJECTS)]
    reason = "Their names are made at runtime; nothing else is in the bucket, under the prefix, or of the table."
    arns = [f"{bucket_export(env, bucket)}/*" for bucket in buckets]
    arns += [_named(_kept(grant.resource, env)) for grant in grants if grant.resource.startswith(KEPT)]
    arns += [f"{table_export(env, 'ledger')}/export/*" for grant in grants if grant.resource == EXPORTS]
    return {f"AwsSolutions-IAM5[Resource::{arn}]": reason for arn in arns}


def arn_statements(grants: Sequence[ArnGrant], state: StateStack) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=list(grant.actions),
            resources=[_placed(grant.arn).replace(FILES, state.bucket_arns["files"])],
            conditions={operator: {key: _placed(value)} for operator, (key, value) in grant.condition.items()} or None,
        )
        for grant in grants
    ]


def arn_findings(grants: Sequence[ArnGrant], env: Environment) -> dict[str, str]:
    """cdk-nag's ids for their wildcards."""
    reason = "A wildcard of gateway.yaml itself, objects of a sink or a batch, jobs, or regions that an inference profile picks from."
    arns = [grant.arn.replace(FILES, bucket_export(env, "files")) for grant in grants if "*" in grant.arn]
    return {f"AwsSolutions-IAM5[Resource::{_named(arn)}]": reason for arn in arns}


def _kept(name: str, env: Environment) -> str:
    kind = name.removeprefix(KEPT)
    return f"arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT}:secret:tollkeeper/{env.name}{kind}/*"


def _named(arn: str) -> str:
    """As cdk-nag writes it."""
    return arn.replace(PARTITION, "<AWS::Partition>").replace(ACCOUNT, "<AWS::AccountId>").replace(REGION, "<AWS::Region>")


def _placed(arn: str) -> str:
    return arn.replace(PARTITION, Aws.PARTITION).replace(ACCOUNT, Aws.ACCOUNT_ID).replace(REGION, Aws.REGION)


def _resources(name: str, env: Environment, state: StateStack) -> list[str]:
    if name == "secret:providers":
        return list(state.secrets.providers.values())
    if name.startswith(KEPT):
        return [_placed(_kept(name, env))]
    if name.startswith("secret:"):
        return [state.secrets.own[name.removeprefix("secret:")]]
    if name.startswith(OBJECTS):
        return [f"{state.bucket_arns[name.removeprefix(OBJECTS)]}/*"]
    if name.startswith("bucket:"):
        return [state.bucket_arns[name.removeprefix("bucket:")]]
    if name == "topic:alerts":
        return [state.alerts.topic_arn]
    if name == EXPORTS:
        return [f"{state.ledger_arn}/export/*"]
    table, _, indexes = name.partition("/")
    arn = state.tables[table].table_arn
    return [f"{arn}/index/{index}" for index in INDEXES[table]] if indexes else [arn]
