"""Callers who sign with AWS credentials have an API of their own. Asserted on the templates that `cdk synth` writes."""

import pytest
from infra.signers import iam_signers
from tests.support.assembly import Assembly, text_of

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import dump

API, METHOD = "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Method"
BATCH, NIGHTLY = "arn:aws:iam::123456789012:role/jobs/batch-*", "arn:aws:iam::123456789012:role/nightly"


@pytest.fixture
def full(assemblies) -> Assembly:
    return assemblies["full"]


def methods(assembly: Assembly, door: str):
    api = assembly.one(API, door)
    return [method.properties for method in assembly.all(METHOD, "gateway") if method.properties["RestApiId"] == {"Ref": api.id}]


def test_it_exists_only_where_gateway_yaml_names_such_callers(assemblies):
    assert [api.id for api in assemblies["dev"].all(API) if "Signed" in api.id] == []
    assert "SignedUrl" not in assemblies["dev"].stacks["gateway"]["Outputs"]


def test_every_call_is_signed_there_and_none_needs_to_be_at_the_other(full):
    signed, front = methods(full, "SignedDoor"), methods(full, "FrontDoor")
    assert {method["AuthorizationType"] for method in signed} == {"AWS_IAM"}
    assert {method["AuthorizationType"] for method in front} == {"NONE"}
    assert len(signed) == len(front)
    streamed = [method["Integration"] for method in signed if method["Integration"]["ResponseTransferMode"] == "STREAM"]
    assert {integration["TimeoutInMillis"] for integration in streamed} == {900_000}


def test_only_the_principals_of_gateway_yaml_may_call_it(full):
    statements = full.one(API, "SignedDoor").properties["Policy"]["Statement"]
    allowed = [row["Condition"] for row in statements if row["Effect"] == "Allow"]
    denied = [row["Condition"] for row in statements if row["Effect"] == "Deny"]
    patterns = [BATCH, NIGHTLY, "arn:aws:iam::123456789012:role/*/nightly"]
    assert allowed == [{"ArnLike": {"aws:PrincipalArn": patterns}}]
    assert {"ArnNotLike": {"aws:PrincipalArn": patterns}} in denied
    assert any("aws:SourceIp" in text_of(condition) for condition in denied)


def test_a_role_may_be_named_without_its_path():
    config = compile_config(
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/a}}}}]\n"
        f"tollkeeper: {{iam_callers: [{{principal: '{NIGHTLY}'}}, {{principal: 'arn:aws:iam::1:user/ada'}}]}}\n",
        env=lambda _: None,
    )
    assert iam_signers(dump(config)) == [NIGHTLY, "arn:aws:iam::123456789012:role/*/nightly", "arn:aws:iam::1:user/ada"]


def test_the_role_for_logs_is_there_before_any_api(assemblies):
    """It is the account's: without it the first stage with a log cannot be made."""
    full = assemblies["full"]
    assert [resource.id for resource in full.all("AWS::ApiGateway::Account")] == [
        resource.id for resource in full.all("AWS::ApiGateway::Account", "state")
    ]
    assert full.one("AWS::ApiGateway::Account").body["DeletionPolicy"] == "Retain"
    manifest = (full.folder / "manifest.json").read_text()
    assert manifest.count("tollkeeper-prod-state") >= 3
