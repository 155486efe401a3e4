"""What the proxy may call on AWS follows from gateway.yaml: every model it names, and no other."""

import json
from dataclasses import replace

import pytest
from infra.arns import ACCOUNT, PARTITION, ArnGrant
from infra.environments import load
from infra.models import model_grants
from tests.support.assembly import actions_of, as_list, text_of

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import dump

INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
BEDROCK = f"arn:{PARTITION}:bedrock"


def grants(*params, env=None):
    rows = "\n".join(f"  - {{model_name: m{index}, litellm_params: {json.dumps(row)}}}" for index, row in enumerate(params))
    snapshot = compile_config(f"model_list:\n{rows}\n", env=lambda _: None)
    return model_grants(env or load("dev"), dump(snapshot))


def bedrock(model, **more):
    return {"model": f"bedrock/{model}", "aws_region_name": "us-east-1", **more}


def arns(found):
    return {(grant.arn, grant.through) for grant in found}


def test_without_models_on_aws_nothing_is_permitted():
    assert grants({"model": "openai/gpt-4o-mini"}, {"model": "anthropic/claude-sonnet-4-5"}) == []


@pytest.mark.parametrize("name", ["amazon.nova-pro-v1:0", "converse/amazon.nova-pro-v1:0", "invoke/amazon.nova-pro-v1:0"])
def test_a_model_is_permitted_in_its_region_by_name(name):
    assert grants(bedrock(name)) == [ArnGrant(INVOKE, f"{BEDROCK}:us-east-1::foundation-model/amazon.nova-pro-v1:0")]


@pytest.mark.parametrize("place", ["us", "eu", "apac", "global", "jp", "us-gov"])
def test_a_profile_leads_to_its_model_in_other_regions_and_only_the_profile_does(place):
    profile = f"{BEDROCK}:us-east-1:{ACCOUNT}:inference-profile/{place}.anthropic.claude-x-v1:0"
    assert arns(grants(bedrock(f"{place}.anthropic.claude-x-v1:0"))) == {
        (profile, ""),
        (f"{BEDROCK}:*::foundation-model/anthropic.claude-x-v1:0", profile),
    }


@pytest.mark.parametrize("name", ["deepseek.v3.1", "zai.glm-4.7", "ai21.jamba-1-5-large-v1:0"])
def test_a_maker_is_no_place(name):
    assert arns(grants(bedrock(name))) == {(f"{BEDROCK}:us-east-1::foundation-model/{name}", "")}


def test_what_is_named_by_its_arn_is_permitted_as_that():
    imported = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc"
    assert arns(grants(bedrock(imported))) == {(imported, "")}
    profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama-x"
    assert arns(grants(bedrock(profile))) == {(profile, ""), (f"{BEDROCK}:*::foundation-model/meta.llama-x", profile)}


@pytest.mark.parametrize(
    "own",
    [
        {"aws_access_key_id": "os.environ/K", "aws_secret_access_key": "os.environ/S"},
        {"api_key": "secret:keys#bedrock"},
        {"mock_response": "hi"},
    ],
)
def test_a_deployment_with_credentials_of_its_own_needs_no_permission(own):
    assert grants(bedrock("amazon.nova-pro-v1:0", **own)) == []


def test_a_bearer_token_in_a_secret_of_the_environment_is_used_instead_of_the_role():
    env = replace(load("dev"), provider_secrets={"bedrock": ("AWS_BEARER_TOKEN_BEDROCK",)})
    assert grants(bedrock("amazon.nova-pro-v1:0"), env=env) == []


def test_a_role_to_assume_is_all_that_is_permitted_of_a_deployment_in_another_account():
    role = "arn:aws:iam::210987654321:role/models"
    assert grants(bedrock("amazon.nova-pro-v1:0", aws_role_name=role)) == [ArnGrant(("sts:AssumeRole",), role)]


def test_hundreds_of_models_fit_into_a_policy():
    found = grants(*(bedrock(f"us.maker.model-{number}-v1:0") for number in range(300)))
    assert sum(len(grant.arn) + len(grant.through) for grant in found) < 6000
    assert (f"{BEDROCK}:us-east-1::foundation-model/*", "") in arns(found)
    assert not [grant for grant in found if grant.arn.startswith(f"{BEDROCK}:*") and not grant.through]


def test_the_roles_of_those_who_call_models_have_them_and_no_other_role(assemblies):
    statements = [
        (role, statement)
        for role, statement in assemblies["full"].statements()
        if actions_of(statement)[0].startswith(("bedrock", "sage", "sts"))
    ]
    assert {role.partition("Role")[0] for role, _ in statements} == {"Proxy", "Batches", "Janitor"}
    resources = {text_of(resource) for _, statement in statements for resource in as_list(statement["Resource"])}
    for part in ("eu.anthropic.claude-sonnet-4-5", "nova-pro", "abc123", "role/models", "endpoint/my-endpoint", "endpoint/added-later"):
        assert [resource for resource in resources if part in resource], part
    assert not [resource for resource in resources if "titan" in resource]
    for _, statement in statements:
        if any("foundation-model/*" in text_of(resource) for resource in as_list(statement["Resource"])):
            assert "application-inference-profile/abc123" in text_of(statement["Condition"])


def test_environments_without_models_on_aws_have_none_of_it(assemblies):
    assert not any("bedrock" in text_of(statement) for _, statement in assemblies["prod"].statements())


def test_a_guardrail_of_bedrocks_may_be_applied_and_one_with_keys_of_its_own_needs_no_role():
    def found(**params):
        row = {"guardrail_name": "g", "litellm_params": {"guardrail": "bedrock", "guardrailVersion": "1", **params}}
        return model_grants(load("dev"), dump(compile_config(json.dumps({"guardrails": [row]}), env=lambda _: None)))

    apply = ("bedrock:ApplyGuardrail",)
    named = found(guardrailIdentifier="abc123", aws_region_name="eu-west-1")
    assert named == [ArnGrant(apply, f"{BEDROCK}:eu-west-1:{ACCOUNT}:guardrail/abc123")]
    assert found(guardrailIdentifier="arn:aws:bedrock:eu-west-1:1:guardrail/x") == [
        ArnGrant(apply, "arn:aws:bedrock:eu-west-1:1:guardrail/x")
    ]
    assert found(guardrailIdentifier="x", aws_access_key_id="os.environ/A", aws_secret_access_key="os.environ/B") == []
