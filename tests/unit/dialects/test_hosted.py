"""Known formats in another envelope: Claude and Mistral on Vertex, OpenAI's chat on SageMaker and watsonx."""

import json
from typing import Any

import pytest
from tests.support.recordings import hub_answers, hub_stream_answers, splits
from tests.support.upstream import completion, text_stream

from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.eventstream import encode_message
from tollkeeper.errors import (
    ContextWindowExceeded,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
)

ASK: dict[str, Any] = {"model": "alias", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def target(model: str, base_url: str, **more: Any) -> Target:
    return Target(model=model, base_url=base_url, alias="alias", provider="p", **more)


def encoded(dialect: str, at: Target, **fields: Any) -> tuple[str, dict[str, Any], dict[str, str]]:
    wire = registry.get(dialect).encode({**ASK, **fields}, at)
    return wire.url, json.loads(wire.body), dict(wire.headers)


# Vertex

CLAUDE = target("claude-sonnet-4-5@20250929", "https://h/v1/projects/p/locations/l/publishers/anthropic")
MISTRAL = target("mistral-small-2503@001", "https://h/v1/projects/p/locations/l/publishers/mistralai", quirks=frozenset({"max_tokens"}))


def test_betas_travel_in_the_header_and_the_model_in_the_address() -> None:
    url, body, headers = encoded("vertex_anthropic", CLAUDE, stream=True, anthropic_beta=["a-1"], extra_headers={"anthropic-beta": "b-2"})
    assert url.endswith("/models/claude-sonnet-4-5@20250929:streamRawPredict")
    assert headers["anthropic-beta"] == "b-2,a-1"
    assert body["stream"] is True
    assert not {"model", "anthropic_beta"} & body.keys()


@pytest.mark.parametrize(
    ("status", "said", "kind", "message"),
    [
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            ContextWindowExceeded,
            "prompt",
        ),
        (429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}, UpstreamRateLimited, "Quota exceeded"),
        (401, [{"error": {"code": 401, "message": "No credential", "status": "UNAUTHENTICATED"}}], UpstreamAuthFailed, "No credential"),
        (503, "<html>busy</html>", UpstreamFailed, ""),
    ],
)
def test_errors_of_both_houses_are_understood(status: int, said: Any, kind: type[UpstreamError], message: str) -> None:
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    error = registry.get("vertex_anthropic").decode_error(status, {}, body, CLAUDE)
    assert type(error) is kind
    assert message in error.message


def test_mistral_on_vertex_is_openais_chat_behind_raw_predict() -> None:
    url, body, _ = encoded("vertex_openai", MISTRAL, max_completion_tokens=3, stream=True)
    assert url.endswith("/publishers/mistralai/models/mistral-small-2503@001:streamRawPredict")
    assert (body["model"], body["max_tokens"], body["messages"]) == ("mistral-small-2503", 3, ASK["messages"])
    url, *_ = encoded("vertex_openai", MISTRAL)
    assert url.endswith(":rawPredict")
    answer = registry.get("vertex_openai").decode(json.dumps(completion("Bonjour")).encode(), MISTRAL)
    assert hub_answers(answer)[0].text == "Bonjour"


# SageMaker

ENDPOINT = target("my-endpoint", "https://runtime.sagemaker.eu-west-1.amazonaws.com")


def payload(data: bytes) -> bytes:
    return encode_message({":message-type": "event", ":event-type": "PayloadPart"}, data)


def framed(*events: Any, every: int = 11) -> bytes:
    """The container's events, cut into parts wherever it pleases SageMaker."""
    text = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    return b"".join(payload(text[start : start + every]) for start in range(0, len(text), every))


def read(pieces: list[bytes]) -> list[Chunk]:
    decoder = registry.get("sagemaker_chat").stream_decoder(ENDPOINT)
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


def test_an_endpoint_is_invoked_and_streams_the_containers_events_in_any_split() -> None:
    url, body, _ = encoded("sagemaker_chat", ENDPOINT)
    assert url == "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/my-endpoint/invocations"
    assert body["messages"] == ASK["messages"]
    url, *_ = encoded("sagemaker_chat", ENDPOINT, stream=True)
    assert url.endswith("/endpoints/my-endpoint/invocations-response-stream")
    stream = framed(*text_stream("Hello ", "there"))
    expected = [chunk.data for chunk in read([stream])]
    assert hub_stream_answers(expected)[0].text == "Hello there"
    assert expected[-1]["usage"]["completion_tokens"] == 12
    for pieces in splits(stream, everywhere_below=0):
        assert [chunk.data for chunk in read(pieces)] == expected


def test_a_stream_that_breaks_is_typed_after_what_was_complete() -> None:
    frame = encode_message({":message-type": "exception", ":exception-type": "ModelStreamError"}, b'{"Message": "StreamBroken"}')
    decoder = registry.get("sagemaker_chat").stream_decoder(ENDPOINT)
    with pytest.raises(StreamFailed) as caught:
        decoder.feed(payload(half()) + frame)
    assert isinstance(caught.value.error, UpstreamFailed)
    assert "StreamBroken" in caught.value.error.message
    assert "".join(chunk.data["choices"][0]["delta"].get("content") or "" for chunk in caught.value.chunks) == "Hello"
    with pytest.raises(UpstreamProtocolError):
        read([payload(half())])


def half() -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in text_stream("Hello")[:2])


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (
            424,
            {"ErrorCode": "MODEL", "OriginalStatusCode": 422, "OriginalMessage": '{"error": {"message": "bad n"}}'},
            UpstreamRejected,
            "bad n",
        ),
        (424, {"Message": "Received server error (500)", "OriginalStatusCode": 500, "OriginalMessage": "oops"}, UpstreamFailed, "oops"),
        (424, {"Message": "Failed to invoke"}, UpstreamFailed, "Failed to invoke"),
        (429, {"Message": "Rate exceeded"}, UpstreamRateLimited, "Rate exceeded"),
    ],
)
def test_the_containers_own_error_is_what_counts(status: int, body: Any, kind: type[UpstreamError], message: str) -> None:
    error = registry.get("sagemaker_chat").decode_error(status, {}, json.dumps(body).encode(), ENDPOINT)
    assert type(error) is kind
    assert message in error.message


# watsonx

WATSONX = target(
    "ibm/granite-4-h-small", "https://us-south.ml.cloud.ibm.com", extra_body={"project_id": "p-1"}, quirks=frozenset({"max_tokens"})
)


def test_watsonx_has_its_own_names_for_model_stream_and_tool_choice() -> None:
    url, body, _ = encoded("watsonx_chat", WATSONX, tools=[TOOL], tool_choice="auto", max_completion_tokens=9)
    assert url == "https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-10-08"
    assert body == {
        "project_id": "p-1",
        "model_id": "ibm/granite-4-h-small",
        "messages": ASK["messages"],
        "tools": [TOOL],
        "tool_choice_option": "auto",
        "max_tokens": 9,
    }
    named = {"type": "function", "function": {"name": "f"}}
    url, body, _ = encoded("watsonx_chat", WATSONX, tools=[TOOL], tool_choice=named, stream=True)
    assert url.endswith("/ml/v1/text/chat_stream?version=2024-10-08")
    assert body["tool_choice"] == named
    assert not {"stream", "stream_options", "tool_choice_option", "model"} & body.keys()


def test_a_deployment_on_watsonx_knows_its_model_and_its_space() -> None:
    at = target(
        "deployment/my-id", "https://us-south.ml.cloud.ibm.com?version=2025-01-01", extra_body={"project_id": "p-1", "space_id": "s"}
    )
    url, body, _ = encoded("watsonx_chat", at)
    assert url == "https://us-south.ml.cloud.ibm.com/ml/v1/deployments/my-id/text/chat?version=2025-01-01"
    assert body == {"messages": ASK["messages"]}
