"""Every recorded exchange with a Responses API, as an upstream of chat completions, both ways, against an independent reading."""

import json
from typing import Any

import pytest
from tests.support.recordings import Answer, Recording, arguments, hub_answers, hub_stream_answers, recordings, splits, sse_data
from tests.support.responses_requests import comparable, to_hub
from tests.support.wire import ALIAS, Json, buffered, decode_stream, fields_in, said_bytes, shown, streamed, target

from tollkeeper.dialects.responses_api import OpenAIResponses
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.errors import (
    ContextWindowExceeded,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamRejected,
)

DIALECT = OpenAIResponses()
SPECIAL: dict[str, type[UpstreamError]] = {
    "openai/responses/err400-context-length-exceeded-invalid-request-erro--ruby-llm-7c5dca": ContextWindowExceeded,
    "openai/responses/err429-insufficient-quota--pydantic-ai-86f05c": UpstreamQuotaExceeded,
    "xai/responses/err400-invalid-argument--rig-7fe3ba": UpstreamAuthFailed,  # xAI refuses a wrong key with 400
    "xai/responses/err400-invalid-argument--ruby-llm-379f2c": UpstreamAuthFailed,
}


def answers(kind: str) -> list[Any]:
    return recordings("openai.responses", kind=kind)


# The independent reading


def final(recording: Recording) -> Json:
    """The whole response: the body, or what the last event of a stream repeats."""
    if recording.kind == "json":
        return dict(json.loads(recording.body))
    return dict(next(event["response"] for _, event in reversed(sse_data(recording.body)) if "response" in event))


def read(response: Json) -> Answer:
    answer = Answer(finish="stop")
    thoughts = []
    for item in response["output"]:
        if item["type"] == "message":
            answer.text += "".join(part.get("text", "") for part in item["content"])
            answer.refusal += "".join(part.get("refusal", "") for part in item["content"])
        elif item["type"] == "reasoning":
            thoughts += [part["text"] for part in item.get("content") or item["summary"]]
        elif item["type"] == "function_call":
            answer.tools.append((item["name"], arguments(item["arguments"])))
    answer.reasoning = "\n\n".join(thoughts)
    if answer.tools:
        answer.finish = "tool_calls"
    if response["status"] == "incomplete":
        answer.finish = {"max_output_tokens": "length", "content_filter": "content_filter"}[response["incomplete_details"]["reason"]]
    return answer


def server_items(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] not in {"message", "reasoning", "function_call"}]


def counts(response: Json) -> tuple[Any, ...]:
    usage = response["usage"]
    return (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["input_tokens_details"].get("cache_write_tokens", 0),
        usage["output_tokens_details"]["reasoning_tokens"],
    )


def told_counts(usage: Json) -> tuple[Any, ...]:
    told = usage_from_hub(usage)
    return told.input, told.output, told.cache_read, told.cache_creation, told.reasoning


def cited(response: Json) -> list[tuple[Any, str]]:
    """(address, the words it is given for) of every web citation."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return [
        (note["url"], part["text"][note["start_index"] : note["end_index"]])
        for part in parts
        for note in part.get("annotations") or []
        if note["type"] == "url_citation"
    ]


# Answers


@pytest.mark.parametrize("recording", answers("json"))
def test_a_buffered_answer_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = final(recording)
    answer = buffered(DIALECT, recording)
    message = answer["choices"][0]["message"]
    assert hub_answers(answer) == {0: read(raw)}
    assert told_counts(answer["usage"]) == counts(raw)
    assert answer["id"] == raw["id"]
    assert message.get("reasoning_items", []) == [item for item in raw["output"] if item["type"] == "reasoning"]
    assert message.get("provider_specific_fields", {}).get("server_tools", []) == server_items(raw)
    notes = [note["url_citation"] for note in message.get("annotations", [])]
    assert [(note["url"], message["content"][note["start_index"] : note["end_index"]]) for note in notes] == cited(raw)


@pytest.mark.parametrize("recording", answers("sse"))
def test_a_stream_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = final(recording)
    data = streamed(DIALECT, recording)
    assert hub_stream_answers(data) == {0: read(raw)}
    assert told_counts(data[-1]["usage"]) == counts(raw)
    assert data[0]["id"] == raw["id"]
    reasoning = {item["id"] for item in raw["output"] if item["type"] == "reasoning"}
    assert {item["id"] for item in fields_in(data, "reasoning_items")} == reasoning
    assert fields_in(data, "provider_specific_fields.server_tools") == server_items(raw)
    notes = [note["url_citation"] for note in fields_in(data, "annotations")]
    text = read(raw).text
    assert [(note["url"], text[note["start_index"] : note["end_index"]]) for note in notes] == cited(raw)


@pytest.mark.parametrize("recording", answers("sse"))
def test_every_split_gives_the_same_chunks(recording: Recording) -> None:
    whole = decode_stream([recording.body], DIALECT.stream_decoder(target(recording)))
    assert sum(chunk.text_bytes for chunk in whole[0]) == said_bytes([chunk.data for chunk in whole[0]])
    for pieces in splits(recording.body, places=10):
        chunks, error = decode_stream(pieces, DIALECT.stream_decoder(target(recording)))
        assert shown(chunks) == shown(whole[0])
        assert repr(error) == repr(whole[1])


@pytest.mark.parametrize("recording", answers("sse"))
def test_a_stream_cut_before_its_end_is_an_error(recording: Recording) -> None:
    end = max(recording.body.find(f'"type":"response.{name}"'.encode()) for name in ("completed", "incomplete"))
    for cut in range(0, max(end, 1), max(1, end // 20)):
        _, error = decode_stream([recording.body[:cut]], DIALECT.stream_decoder(target(recording)))
        assert isinstance(error, UpstreamProtocolError)


@pytest.mark.parametrize("recording", answers("sse"))
def test_the_whole_response_alone_would_be_enough(recording: Recording) -> None:
    """A speaker that streams no deltas, or only the last event, is understood too."""
    events = [event for _, event in sse_data(recording.body)]
    without = [event for event in events if not event["type"].endswith(".delta")]
    for kept in (without, events[-1:]):
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in kept)
        chunks, error = decode_stream([body], DIALECT.stream_decoder(target(recording)))
        assert error is None
        assert hub_stream_answers([chunk.data for chunk in chunks]) == {0: read(final(recording))}


@pytest.mark.parametrize("recording", recordings("openai.responses", failed=True))
def test_an_error_is_typed_and_keeps_the_providers_words(recording: Recording) -> None:
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    assert type(error) is SPECIAL.get(recording.name, UpstreamRejected)
    assert error.upstream_status == recording.status
    raw = json.loads(recording.body)["error"]
    if isinstance(raw, dict):
        assert (error.message, error.code, error.param) == (raw["message"], raw["code"], raw["param"])


# Requests


@pytest.mark.parametrize("recording", recordings("openai.responses") + recordings("openai.responses", failed=True))
def test_the_recorded_request_is_what_its_hub_request_becomes(recording: Recording) -> None:
    if "input" not in recording.request:
        pytest.skip("a stored prompt in place of an input, which a chat completion cannot be without")
    request = to_hub(recording.request)
    before = json.dumps(request)
    wire = DIALECT.encode({**request, "model": ALIAS}, target(recording))
    assert json.dumps(request) == before
    assert wire.url == "https://up.example/responses"
    assert comparable(json.loads(wire.body)) == comparable({**recording.request, "model": "upstream-model"})


@pytest.mark.parametrize("recording", answers("json"))
def test_an_answer_can_be_sent_back_as_it_came(recording: Recording) -> None:
    """Multi-turn without storage: encrypted or plain reasoning, server tools, text and calls, in their order."""
    raw = final(recording)
    message = buffered(DIALECT, recording)["choices"][0]["message"]
    request = {"model": ALIAS, "messages": [{"role": "user", "content": "?"}, message]}
    (_, *back) = json.loads(DIALECT.encode(request, target(recording)).body)["input"]
    lost = any(item["type"] == "reasoning" and not (item.get("encrypted_content") or item.get("content")) for item in raw["output"])
    carried = {"message", "function_call"} if lost else {item["type"] for item in raw["output"]}
    expected = [item for item in raw["output"] if item["type"] in carried]
    assert [item.get("type", "message") for item in back] == [item["type"] for item in expected]
    assert [item.get("encrypted_content") for item in back] == [item.get("encrypted_content") for item in expected]
    assert [item.get("call_id") for item in back] == [item.get("call_id") for item in expected]
