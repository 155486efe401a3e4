"""What a provider would be sent, told without a secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.config import compiled

from tollkeeper.dev.cli import main
from tollkeeper.errors import UnsupportedParams
from tollkeeper.providers.transform import describe

ASK = {"model": "x", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
KEYS = {"api_key": "sk-very-secret"}


def described(params: dict[str, Any], request: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    document = {"model_list": [{"model_name": "m", "litellm_params": params}], **sections}
    return describe(compiled(json.dumps(document)).deployments[0], request or ASK)


@pytest.mark.parametrize(
    ("params", "url", "header"),
    [
        ({"model": "openai/gpt-4o", **KEYS}, "https://api.openai.com/v1/chat/completions", ("authorization", "Bearer ****")),
        ({"model": "anthropic/claude-sonnet-4-5", **KEYS}, "https://api.anthropic.com/v1/messages", ("x-api-key", "****")),
        (
            {"model": "gemini/gemini-2.5-pro"},
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
            ("x-goog-api-key", "****"),
        ),
        (
            {
                "model": "azure/gpt-4o",
                "api_base": "https://r.openai.azure.com",
                "tenant_id": "t",
                "client_id": "c",
                "client_secret": "very-secret",
            },
            "https://r.openai.azure.com/openai/v1/chat/completions",
            ("authorization", "Bearer ****"),
        ),
        (
            {
                "model": "bedrock/amazon.nova-lite-v1:0",
                "aws_region_name": "eu-west-1",
                "aws_access_key_id": "A",
                "aws_secret_access_key": "very-secret",
            },
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse",
            ("authorization", "AWS4-HMAC-SHA256 Credential=****/eu-west-1/bedrock/aws4_request, SignedHeaders=****, Signature=****"),
        ),
        (
            {
                "model": "vertex_ai/gemini-2.5-pro",
                "vertex_project": "p",
                "vertex_credentials": {"type": "service_account", "private_key": "very-secret"},
            },
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent",
            ("authorization", "Bearer ****"),
        ),
    ],
)
def test_method_address_headers_and_body(params: dict[str, Any], url: str, header: tuple[str, str]) -> None:
    shown = described(params)
    assert (shown["method"], shown["url"]) == ("POST", url)
    assert shown["headers"][header[0]] == header[1]
    assert "messages" in shown["body"] or "contents" in shown["body"]
    assert "very-secret" not in json.dumps(shown)


def test_configured_headers_are_shown_and_those_that_look_secret_are_not() -> None:
    params = {"model": "openai/gpt-4o", **KEYS, "extra_headers": {"X-Team": "blue", "X-Api-Token": "very-secret"}}
    shown = described({**params, "api_base": "https://h/v1?api-version=1&subscription-key=very-secret"})
    assert (shown["headers"]["x-team"], shown["headers"]["x-api-token"]) == ("blue", "****")
    assert shown["url"] == "https://h/v1/chat/completions?api-version=1&subscription-key=****"


def test_a_row_of_ones_own_has_its_own_header() -> None:
    row = {"name": "acme", "base_url": "https://acme.example", "auth": {"header": "x-token", "prefix": "Token "}}
    shown = described({"model": "acme/big", **KEYS}, tollkeeper={"providers": [row]})
    assert shown["headers"]["x-token"] == "Token ****"


def test_what_the_provider_cannot_do_is_said_as_in_a_call() -> None:
    with pytest.raises(UnsupportedParams, match="temperature"):
        described({"model": "openai/o3-mini", **KEYS})


# The command line


def written(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "request.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transform", "--model", "anthropic/claude-sonnet-4-5", "--request", written(tmp_path, ASK)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["body"]["model"], shown["url"]) == ("claude-sonnet-4-5", "https://api.anthropic.com/v1/messages")


def test_the_command_finds_the_model_in_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"model_name": "openai/*", "litellm_params": {"model": "openai/*", "api_base": base}} for base in ("http://a/v1", "http://b/v1")
    ]
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"model_list": rows}))
    assert main(["transform", "--model", "openai/gpt-4o", "--request", written(tmp_path, ASK), "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["url"], json.loads(out)["body"]["model"]) == ("http://a/v1/chat/completions", "gpt-4o")
    assert "2 deployments" in err
    assert main(["transform", "--model", "nobody", "--request", written(tmp_path, ASK), "--config", str(config)]) == 1
    assert "there is no model nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "request_body", "said"),
    [
        ("openai/gpt-4o", "not json", "is not JSON"),
        ("openai/gpt-4o", "[]", "must be a JSON object"),
        ("opnai/gpt-4o", ASK, "did you mean"),
        ("openai/o3-mini", ASK, "temperature"),
        ("anthropic/claude-sonnet-4-5", {"messages": "hello"}, "messages"),
    ],
)
def test_the_command_says_what_is_wrong(
    model: str, request_body: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transform", "--model", model, "--request", written(tmp_path, request_body)]) == 1
    out, err = capsys.readouterr()
    assert (out, said in err) == ("", True), err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transform", "--model", "openai/gpt-4o", "--request", "/nowhere.json"]) == 1
    assert "cannot be read" in capsys.readouterr().err
