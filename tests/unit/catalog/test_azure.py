"""From a gateway.yaml in LiteLLM's words to the address a request goes to."""

import pytest
from tests.support.config import found, model, only

from tollkeeper.catalog.azure import azure_base, foundry_base
from tollkeeper.catalog.providers import auth_headers
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Target, WireRequest

DATED = "2024-12-01-preview"
RESOURCE = "https://res.openai.azure.com"
DEPLOYMENTS = f"{RESOURCE}/openai/deployments"
CHAT = f"chat/completions?api-version={DATED}"
HERE = f"api_base: '{RESOURCE}'"


def wire(params: str, env: dict[str, str] | None = None) -> WireRequest:
    """The request that a caller of this deployment causes."""
    row = only(model(params), {"AZURE_API_KEY": "k", "AZURE_AI_API_KEY": "k", **(env or {})})
    target = Target(model=row.model, base_url=row.base_url, alias="a", provider=row.provider, quirks=frozenset(row.quirks))
    return registry.get(row.dialect).encode({"model": "a", "messages": [{"role": "user", "content": "Hi"}]}, target)


@pytest.mark.parametrize(
    ("params", "url"),
    [
        (f"model: azure/my-gpt, {HERE}, api_version: {DATED}", f"{DEPLOYMENTS}/my-gpt/{CHAT}"),
        (f"model: azure/my gpt, api_base: '{RESOURCE}/', api_version: {DATED}", f"{DEPLOYMENTS}/my%20gpt/{CHAT}"),
        (f"model: azure/o_series/my-o3, {HERE}, api_version: {DATED}", f"{DEPLOYMENTS}/my-o3/{CHAT}"),
        (f"model: azure/my-gpt, {HERE}", f"{RESOURCE}/openai/v1/chat/completions"),
        (f"model: azure/my-gpt, {HERE}, api_version: v1", f"{RESOURCE}/openai/v1/chat/completions"),
        (f"model: azure/my-gpt, api_base: '{RESOURCE}/openai/v1/'", f"{RESOURCE}/openai/v1/chat/completions"),
        (
            f"model: azure/x, api_base: '{RESOURCE}/openai/deployments/dep/chat/completions?api-version={DATED}'",
            f"{DEPLOYMENTS}/dep/{CHAT}",
        ),
        (f"model: azure/responses/my-gpt, {HERE}, api_version: {DATED}", f"{RESOURCE}/openai/responses?api-version={DATED}"),
        (f"model: azure/responses/my-gpt, {HERE}, api_version: preview", f"{RESOURCE}/openai/v1/responses?api-version=preview"),
        (f"model: azure/responses/my-gpt, api_base: '{RESOURCE}/openai/v1'", f"{RESOURCE}/openai/v1/responses"),
        (
            "model: azure_ai/grok-4, api_base: 'https://res.services.ai.azure.com'",
            "https://res.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
        ),
        (
            f"model: azure_ai/grok-4, api_base: 'https://res.services.ai.azure.com/models', api_version: {DATED}",
            f"https://res.services.ai.azure.com/models/chat/completions?api-version={DATED}",
        ),
        (
            "model: azure_ai/claude-opus-4-5, api_base: 'https://res.services.ai.azure.com'",
            "https://res.services.ai.azure.com/anthropic/v1/messages",
        ),
        (
            "model: azure_ai/claude-opus-4-5, api_base: 'https://res.services.ai.azure.com/anthropic/v1/messages'",
            "https://res.services.ai.azure.com/anthropic/v1/messages",
        ),
        (
            "model: azure_ai/x, api_base: 'https://my-endpoint.eastus.models.ai.azure.com'",
            "https://my-endpoint.eastus.models.ai.azure.com/v1/chat/completions",
        ),
        (
            "model: azure_ai/x, api_base: 'https://res.openai.azure.com/openai/v1'",
            "https://res.openai.azure.com/openai/v1/chat/completions",
        ),
    ],
)
def test_every_way_to_write_it_leads_to_its_address(params: str, url: str) -> None:
    assert wire(params).url == url


def test_address_and_version_may_come_from_the_environment() -> None:
    env = {"AZURE_API_BASE": RESOURCE, "AZURE_API_VERSION": DATED}
    assert wire("model: azure/my-gpt", env).url == f"{DEPLOYMENTS}/my-gpt/{CHAT}"


def test_an_address_below_a_gateway_keeps_its_prefix() -> None:
    base = "https://apim.example/team-a"
    assert azure_base(base, DATED, responses=False) == f"{base}/openai/deployments/{{model}}?api-version={DATED}"


def test_a_deployment_address_without_a_version_gets_one_that_is_generally_available() -> None:
    assert azure_base(f"{RESOURCE}/openai/deployments/d", None, responses=False).endswith("?api-version=2024-10-21")


def test_a_wildcard_deployment_has_an_address_for_every_model() -> None:
    text = f"""
        model_list:
          - model_name: "azure/*"
            litellm_params: {{model: "azure/*", api_base: "{RESOURCE}", api_version: {DATED}}}
    """
    row = only(text, {"AZURE_API_KEY": "k"})
    target = Target(model="gpt-4o", base_url=row.base_url, alias="a")
    url = registry.get(row.dialect).encode({"messages": []}, target).url
    assert url == f"{DEPLOYMENTS}/gpt-4o/{CHAT}"


def test_without_an_address_it_is_a_mistake() -> None:
    (finding,) = found(model("model: azure/my-gpt, api_key: k"))
    assert "AZURE_API_BASE" in finding


def test_the_key_goes_in_azures_own_header() -> None:
    assert auth_headers("azure", "k") == auth_headers("azure_ai", "k") == {"api-key": "k"}


def test_a_foundry_address_that_is_whole_stays() -> None:
    assert (
        foundry_base("https://res.services.ai.azure.com/models?api-version=9", None, "m")
        == "https://res.services.ai.azure.com/models?api-version=9"
    )


# The other addresses that name something


def test_bedrocks_address_names_the_region() -> None:
    text = model("model: bedrock/anthropic.claude-3-haiku, aws_region_name: eu-central-1, api_key: k")
    row = only(text, {"AWS_REGION": "us-east-1"})
    assert (row.base_url, row.dialect) == ("https://bedrock-runtime.eu-central-1.amazonaws.com", "bedrock_converse")
    assert row.body == {}
    assert (
        only(model("model: bedrock/x, api_key: k"), {"AWS_REGION": "us-east-1"}).base_url
        == "https://bedrock-runtime.us-east-1.amazonaws.com"
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("model: bedrock/x, api_key: k", "aws_region_name, or set AWS_REGION_NAME"),
        ("model: snowflake/x, api_key: k", "SNOWFLAKE_ACCOUNT_ID"),
    ],
)
def test_a_missing_part_of_an_address_is_a_mistake_that_names_it(params: str, words: str) -> None:
    (finding,) = found(model(params))
    assert words in finding
