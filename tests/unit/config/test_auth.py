"""Credentials of more than one part: which are kept as references, which win, and what is found missing."""

import json

import pytest
from tests.support.config import compiled, found, model, only

from tollkeeper.config.snapshot import Auth, Secret, dump, load

REGION = {"region": Secret("literal", "eu-west-1"), "service": Secret("literal", "bedrock")}
BEDROCK = "model: bedrock/amazon.nova-lite-v1:0, aws_region_name: eu-west-1"


def test_aws_keys_stay_references_and_survive_the_compiled_form() -> None:
    snapshot = compiled(model(f"{BEDROCK}, aws_access_key_id: os.environ/A, aws_secret_access_key: 'secret:prod/aws#key'"))
    (deployment,) = snapshot.deployments
    keys = {"access_key": Secret("env", "A"), "secret_key": Secret("aws", "prod/aws#key")}
    assert deployment.auth == Auth("sigv4", keys | REGION)
    assert (deployment.api_key, deployment.body) == (None, {})
    assert load(dump(snapshot)) == snapshot
    assert snapshot.warnings == snapshot.unsupported == ()


def test_without_keys_a_bedrock_api_key_may_turn_up_where_it_runs() -> None:
    deployment = only(model(BEDROCK))
    assert (deployment.api_key, deployment.auth) == (Secret("env", "AWS_BEARER_TOKEN_BEDROCK"), Auth("sigv4", REGION))


def test_a_key_in_the_file_is_warned_of_and_a_role_or_a_path_is_not() -> None:
    (warning,) = compiled(model(f"{BEDROCK}, aws_access_key_id: AKIA1, aws_secret_access_key: os.environ/S")).warnings
    assert "aws_access_key_id" in warning
    assert "AKIA1" not in warning
    assert compiled(model(f"{BEDROCK}, aws_role_name: 'arn:aws:iam::1:role/r', aws_session_name: s")).warnings == ()
    assert compiled(model("model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_credentials: /run/sa.json")).warnings == ()
    assert compiled(model("model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_credentials: {type: service_account}")).warnings


@pytest.mark.parametrize(
    ("params", "env", "region"),
    [
        ("model: bedrock/x, aws_region_name: eu-west-1", {"AWS_REGION": "us-east-1"}, "eu-west-1"),
        ("model: 'bedrock/arn:aws:bedrock:ap-south-1:1:inference-profile/p'", {"AWS_REGION": "us-east-1"}, "ap-south-1"),
        ("model: bedrock/us-west-2/x", {"AWS_REGION": "us-east-1"}, "us-west-2"),
        ("model: bedrock/x", {"AWS_REGION": "us-east-1"}, "us-east-1"),
        ("model: bedrock/x, aws_bedrock_runtime_endpoint: 'https://vpce.example', aws_region_name: eu-west-1", {}, "eu-west-1"),
    ],
)
def test_where_the_region_comes_from(params: str, env: dict[str, str], region: str) -> None:
    deployment = only(model(params), env)
    assert deployment.auth.params["region"] == Secret("literal", region)
    assert deployment.base_url in {f"https://bedrock-runtime.{region}.amazonaws.com", "https://vpce.example"}


def test_a_region_that_is_nowhere_is_found_once_and_not_missed_beside_a_key_and_an_address() -> None:
    (finding,) = found(model("model: bedrock/x"))
    assert "aws_region_name" in finding
    assert "is missing" in finding
    (finding,) = found(model("model: bedrock/x, api_base: 'https://vpce.example'"))
    assert "aws_region_name" in finding
    assert only(model("model: bedrock/x, api_base: 'https://vpce.example', api_key: os.environ/K")).base_url == "https://vpce.example"


def test_vertex_needs_a_project_and_has_a_location() -> None:
    (finding,) = found(model("model: vertex_ai/gemini-2.5-pro"))
    assert "vertex_project" in finding
    deployment = only(model("model: vertex_ai/gemini-2.5-pro"), {"VERTEXAI_PROJECT": "p"})
    assert deployment.base_url == "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google"
    assert deployment.auth == Auth("google", {"credentials": Secret("env", "GOOGLE_APPLICATION_CREDENTIALS")})
    assert deployment.api_key is None


def test_credentials_given_as_a_mapping_are_their_json() -> None:
    deployment = only(model("model: vertex_ai/gemini-2.5-pro, vertex_project: 123, vertex_credentials: {type: service_account, a: b}"))
    secret = deployment.auth.params["credentials"]
    assert (secret.source, json.loads(secret.value)) == ("literal", {"type": "service_account", "a": "b"})


def test_azures_client_wins_over_a_key_in_the_environment_and_its_names_need_not_be_set_here() -> None:
    text = "model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', tenant_id: os.environ/T, client_id: c, client_secret: os.environ/S"
    deployment = only(model(text), {"AZURE_API_KEY": "k"})
    assert deployment.api_key is None
    params = deployment.auth.params
    assert (params["tenant"], params["client"], params["secret"]) == (Secret("env", "T"), Secret("literal", "c"), Secret("env", "S"))
    assert "token" not in params
    given = only(model("model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: os.environ/K"))
    assert (given.api_key, given.auth) == (Secret("env", "K"), Auth("entra", {}))


def test_a_named_credential_may_hold_them() -> None:
    text = """
        credential_list:
          - credential_name: aws
            credential_values: {aws_access_key_id: os.environ/A, aws_secret_access_key: os.environ/B, aws_region_name: eu-west-1}
        model_list:
          - {model_name: a, litellm_params: {model: bedrock/x, litellm_credential_name: aws}}
    """
    assert only(text).auth.params["access_key"] == Secret("env", "A")
