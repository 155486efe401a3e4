"""Addresses on Vertex AI and names on Bedrock."""

import pytest

from tollkeeper.catalog.bedrock import BedrockName, bedrock_name, invoked
from tollkeeper.catalog.vertex import located, vertex_base, vertex_dialect

PLACE = "/v1/projects/{project}/locations/{location}"
HOST = "https://{location}-aiplatform.googleapis.com"


@pytest.mark.parametrize(
    ("model", "path", "dialect"),
    [
        ("gemini-2.5-pro", "/publishers/google", "gemini_generate"),
        ("claude-sonnet-4-5@20250929", "/publishers/anthropic", "vertex_anthropic"),
        ("claude-*", "/publishers/anthropic", "vertex_anthropic"),
        ("mistral-small-2503@001", "/publishers/mistralai", "vertex_openai"),
        ("codestral-2501", "/publishers/mistralai", "vertex_openai"),
        ("jamba-1.5-large@001", "/publishers/ai21", "vertex_openai"),
        ("meta/llama-3.3-70b-instruct-maas", "/endpoints/openapi", "openai_chat"),
        ("deepseek-ai/deepseek-r1-0528-maas", "/endpoints/openapi", "openai_chat"),
    ],
)
def test_each_family_of_vertex_has_its_path_and_its_words(model: str, path: str, dialect: str) -> None:
    base = vertex_base(None, model)
    assert base == HOST + PLACE + path
    assert vertex_dialect(base) == dialect


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://vertex.corp.example", "https://vertex.corp.example" + PLACE + "/publishers/google"),
        ("https://vertex.corp.example/v1/", "https://vertex.corp.example" + PLACE + "/publishers/google"),
        ("https://x.example/v1/projects/p/locations/l/publishers/google", "https://x.example/v1/projects/p/locations/l/publishers/google"),
    ],
)
def test_an_api_base_of_ones_own(given: str, base: str) -> None:
    assert vertex_base(given, "gemini-2.5-pro") == base


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
    ],
)
def test_locations_that_are_no_region_have_another_host(location: str, host: str) -> None:
    url = located(vertex_base(None, "gemini-2.5-pro").replace("{location}", location))
    assert url == f"https://{host}/v1/projects/{{project}}/locations/{location}/publishers/google"


@pytest.mark.parametrize(
    ("name", "meant", "dialect"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", BedrockName("anthropic.claude-3-haiku-20240307-v1:0"), ""),
        ("invoke/us.anthropic.claude-x", BedrockName("us.anthropic.claude-x", "invoke"), "bedrock_invoke"),
        ("invoke/arn:aws:bedrock:eu-west-1:1:x/y", BedrockName("arn:aws:bedrock:eu-west-1:1:x/y", "invoke", "eu-west-1"), "bedrock_invoke"),
        ("invoke/amazon.nova-lite-v1:0", BedrockName("amazon.nova-lite-v1:0", "invoke"), "bedrock_family"),
        ("us-gov-west-1/invoke/anthropic.claude-x", BedrockName("anthropic.claude-x", "invoke", "us-gov-west-1"), "bedrock_invoke"),
        ("converse/ap-northeast-1/x", BedrockName("x", "converse", "ap-northeast-1"), ""),
        (
            "llama/arn:aws:bedrock:us-east-1:1:m/x",
            BedrockName("arn:aws:bedrock:us-east-1:1:m/x", "", "us-east-1", "llama"),
            "bedrock_family",
        ),
        ("arn:aws-us-gov:bedrock:us-gov-east-1:1:prompt-router/a/b", None, ""),
        ("eu-west-1", BedrockName("eu-west-1"), ""),
        ("*", BedrockName("*"), ""),
    ],
)
def test_what_a_bedrock_name_says(name: str, meant: BedrockName | None, dialect: str) -> None:
    found = bedrock_name(name)
    assert found == (meant or BedrockName(name, region="us-gov-east-1"))
    assert invoked(found) == dialect
