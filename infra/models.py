"""What the functions that call models may do to AWS's own: derived from the compiled gateway.yaml, so that it grows and shrinks with it.

A deployment with keys or a bearer token of its own is called with those and needs no permission. What is added at runtime (`/model/new`)
is not in the file: an environment names it in `model_arns`.
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.arns import ACCOUNT, PARTITION, ArnGrant
from infra.settings import Environment

_INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
_ENDPOINT = ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream")
_MANTLE = ("bedrock-mantle:CreateInference",)
_OF_SERVICE: Mapping[str, tuple[str, ...]] = {"bedrock": _INVOKE, "sagemaker": _ENDPOINT, "bedrock-mantle": _MANTLE}
_LONGEST = 6000
"""Characters of ARNs; a role's inline policies have 10,240 together. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
# us.anthropic.claude-…, global.amazon.nova-…: a profile named after the place it stays in, then the model. No maker has two letters.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
_PROFILE = re.compile(r"(?:[a-z]{2}(?:-gov)?|apac|global)\.(?P<model>.+)")


def model_grants(env: Environment, config: bytes) -> list[ArnGrant]:
    """Without duplicates, in a stable order."""
    given = variables_given(env)
    compiled = json.loads(config)
    rows: list[dict[str, Any]] = compiled["deployments"]
    found = {grant for row in rows if with_the_role(row, given) for grant in _grants(row, env.region)}
    found |= {grant for row in compiled.get("guardrails", ()) for grant in _guardrail(row, env.region)}
    found |= {ArnGrant(_OF_SERVICE[arn.split(":")[2]], arn) for arn in env.model_arns}
    return sorted(found if sum(len(grant.arn) + len(grant.through) for grant in found) < _LONGEST else _summed_up(found))


def variables_given(env: Environment) -> set[str]:
    return {name for names in env.provider_secrets.values() for name in names}


def _summed_up(grants: set[ArnGrant]) -> set[ArnGrant]:
    """More models than a policy has room for: all of Bedrock's in the regions at hand, instead of each by its name."""
    single = {grant for grant in grants if grant.arn.startswith(f"arn:{PARTITION}:bedrock:")}
    regions = {grant.arn.split(":")[3] for grant in single} - {"*"}
    return (grants - single) | {wide for region in regions for wide in bedrock_grants("*", region)}


def with_the_role(row: Mapping[str, Any], given: set[str]) -> bool:
    """Whether it is called with the function's own AWS keys. A variable that no secret of the environment holds is not set."""
    auth, key = row["auth"], row["api_key"]
    own_key = key is not None and (key["source"] != "env" or key["value"] in given)
    return auth["scheme"] == "sigv4" and "access_key" not in auth["params"] and not own_key and row["mock_response"] is None


def _grants(row: Mapping[str, Any], region: str) -> Iterator[ArnGrant]:
    params = {name: secret["value"] for name, secret in row["auth"]["params"].items() if secret["source"] == "literal"}
    if "role" in params:
        # What that role may is its own matter.
        yield ArnGrant(("sts:AssumeRole",), params["role"])
    elif (service := params.get("service")) == "bedrock":
        yield from bedrock_grants(row["model"], params.get("region", region))
    elif service == "sagemaker":
        yield ArnGrant(_ENDPOINT, _arn("sagemaker", params.get("region", region), f"endpoint/{row['model'].lower()}"))
    elif service == "bedrock-mantle":
        yield ArnGrant(_MANTLE, _arn("bedrock-mantle", params.get("region", region), "project/*"))


def bedrock_grants(model: str, region: str) -> Iterator[ArnGrant]:
    if model.startswith("arn:"):
        yield ArnGrant(_INVOKE, model)
        kind, _, name = model.split(":", 5)[5].partition("/")
        if kind == "inference-profile":
            yield _behind(model, name)
        elif kind == "application-inference-profile":
            yield ArnGrant(_INVOKE, _foundation("*", "*"), through=model)
    elif model == "*":
        profiles = _arn("bedrock", region, "inference-profile/*")
        yield from (ArnGrant(_INVOKE, _foundation(region, "*")), ArnGrant(_INVOKE, profiles))
        yield ArnGrant(_INVOKE, _foundation("*", "*"), through=profiles)
    elif _PROFILE.fullmatch(model):
        profile = _arn("bedrock", region, f"inference-profile/{model}")
        yield from (ArnGrant(_INVOKE, profile), _behind(profile, model))
    else:
        yield ArnGrant(_INVOKE, _foundation(region, model))


def _guardrail(row: Mapping[str, Any], region: str) -> Iterator[ArnGrant]:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-permissions-id.html"""
    if row["kind"] != "bedrock" or row["credentials"]:
        return
    name = row["terms"]["guardrailIdentifier"]
    arn = name if name.startswith("arn:") else _arn("bedrock", row["terms"].get("aws_region_name") or region, f"guardrail/{name}")
    yield ArnGrant(("bedrock:ApplyGuardrail",), arn)


def _behind(profile: str, name: str) -> ArnGrant:
    """The model a profile leads to, in whichever region; `*` also stands for none, where a global profile's model is."""
    named = _PROFILE.fullmatch(name)
    return ArnGrant(_INVOKE, _foundation("*", named["model"] if named else "*"), through=profile)


def _foundation(region: str, model: str) -> str:
    return f"arn:{PARTITION}:bedrock:{region}::foundation-model/{model}"


def _arn(service: str, region: str, resource: str) -> str:
    return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{resource}"
