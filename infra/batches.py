"""What the function that works off batches may do where a provider on AWS runs them: jobs of Bedrock, and the buckets they read and write,
as far as gateway.yaml names them and gives no keys of their own.

https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-permissions.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from infra.arns import ACCOUNT, PARTITION, ArnGrant
from infra.models import bedrock_grants, variables_given, with_the_role
from infra.settings import Environment

_CREATE = ("bedrock:CreateModelInvocationJob",)
_FOLLOW = ("bedrock:CreateModelInvocationJob", "bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob")
_LIST = ("bedrock:ListModelInvocationJobs",)
_PASS = ("iam:PassRole",)


def batch_grants(env: Environment, config: bytes) -> list[ArnGrant]:
    """Without duplicates, in a stable order."""
    given = variables_given(env)
    rows: list[dict[str, Any]] = json.loads(config)["deployments"]
    found = {grant for row in rows if _is_bedrocks(row) for grant in _grants(row, env.region, given)}
    return sorted(found)


def _is_bedrocks(row: Mapping[str, Any]) -> bool:
    return row["batch_storage"] is not None and row["provider"] == "bedrock"


def _grants(row: Mapping[str, Any], region: str, given: set[str]) -> Iterator[ArnGrant]:
    params = row["auth"]["params"]
    if "role" in params:
        return  # What that role may is its own matter.
    if with_the_role(row, given):
        yield from _jobs(row, params.get("region", {}).get("value") or region)
    if "access_key" not in params and not row["batch_storage"]["keys"]:
        yield from _objects(row["batch_storage"])


def _jobs(row: Mapping[str, Any], region: str) -> Iterator[ArnGrant]:
    yield from (replace(grant, actions=_CREATE) for grant in bedrock_grants(row["model"], region))
    yield ArnGrant(_FOLLOW, f"arn:{PARTITION}:bedrock:{region}:{ACCOUNT}:model-invocation-job/*")
    yield ArnGrant(_LIST, "*")
    yield ArnGrant(_PASS, row["batch_storage"]["role"], to="bedrock.amazonaws.com")


def _objects(storage: Mapping[str, Any]) -> Iterator[ArnGrant]:
    path = "/".join(part for part in (storage["folder"], "tollkeeper", "*") if part)
    yield ArnGrant(("s3:PutObject",), f"arn:{PARTITION}:s3:::{storage['bucket']}/{path}")
    yield ArnGrant(("s3:GetObject",), f"arn:{PARTITION}:s3:::{storage['output_bucket'] or storage['bucket']}/{path}")
