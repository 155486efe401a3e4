"""Names that stacks must agree on before any of them exists."""

import aws_cdk as cdk

from infra.settings import Environment

STAGE = "live"


def placed(env: Environment) -> cdk.Environment:
    return cdk.Environment(account=env.account or None, region=env.region)


def stack_name(env: Environment, part: str) -> str:
    return f"tollkeeper-{env.name}-{part}"


def bucket_export(env: Environment, bucket: str) -> str:
    return f"tollkeeper-{env.name}-{bucket}-bucket"


def table_export(env: Environment, table: str) -> str:
    return f"tollkeeper-{env.name}-{table}-table"


def function_name(env: Environment, function: str) -> str:
    return f"tollkeeper-{env.name}-{function}"


def role_name(env: Environment, function: str) -> str:
    """IAM is global, so the region is in it. At most 64 characters."""
    return f"tollkeeper-{env.name}-{env.region}-{function}"[:64]


def role_arn(stack: cdk.Stack, env: Environment, function: str) -> str:
    """Of a role that another stack makes: the two need each other."""
    return f"arn:{stack.partition}:iam::{stack.account}:role/{role_name(env, function)}"
