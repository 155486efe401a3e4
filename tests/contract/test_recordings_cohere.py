"""Every recorded Cohere v2 chat, both ways, against a reading of the raw bytes that uses none of our code."""

import json
from typing import Any

import pytest
from tests.support.recordings import Answer, Recording, arguments, hub_answers, hub_stream_answers, recordings, splits, sse_data
from tests.support.wire import ALIAS, Json, buffered, decode_stream, fields_in, said_bytes, shown, streamed, target

from tollkeeper.dialects.cohere_v2 import CohereV2
from tollkeeper.errors import UpstreamAuthFailed, UpstreamProtocolError

DIALECT = CohereV2()
FINISHES = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


# The independent reading


def read_buffered(data: Json) -> Answer:
    message = data["message"]
    answer = Answer(finish=FINISHES[data["finish_reason"]])
    for block in message.get("content") or []:
        answer.text += block.get("text", "")
        answer.reasoning += block.get("thinking", "")
    answer.reasoning += message.get("tool_plan") or ""
    answer.tools = [(call["function"]["name"], arguments(call["function"]["arguments"])) for call in message.get("tool_calls") or []]
    return answer


def read_stream(events: list[tuple[str, Any]]) -> Answer:
    answer = Answer()
    calls: dict[int, list[str]] = {}
    for _, event in events:
        message = event.get("delta", {}).get("message", {})
        answer.reasoning += message.get("tool_plan") or "" if event["type"] == "tool-plan-delta" else ""
        if event["type"] in {"content-start", "content-delta"}:
            answer.text += message["content"].get("text", "")
            answer.reasoning += message["content"].get("thinking", "")
        elif event["type"] == "tool-call-start":
            calls[event["index"]] = [message["tool_calls"]["function"]["name"], message["tool_calls"]["function"]["arguments"]]
        elif event["type"] == "tool-call-delta":
            calls[event["index"]][1] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            answer.finish = FINISHES[event["delta"]["finish_reason"]]
    answer.tools = [(name, arguments(text)) for name, text in calls.values()]
    return answer


def expected_usage(usage: Json) -> tuple[Any, ...]:
    tokens = usage["tokens"]
    return (
        tokens["input_tokens"],
        tokens["output_tokens"],
        tokens["input_tokens"] + tokens["output_tokens"],
        usage.get("cached_tokens", 0),
        tokens.get("reasoning_tokens"),
    )


def told_usage(usage: Json) -> tuple[Any, ...]:
    counts = usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
    return (*counts, usage["prompt_tokens_details"]["cached_tokens"], usage.get("completion_tokens_details", {}).get("reasoning_tokens"))


# Answers


@pytest.mark.parametrize("recording", recordings("cohere.v2", kind="json"))
def test_a_buffered_answer_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = buffered(DIALECT, recording)
    assert hub_answers(answer) == {0: read_buffered(raw)}
    assert told_usage(answer["usage"]) == expected_usage(raw["usage"])
    assert answer["usage"]["billed_units"] == raw["usage"]["billed_units"]
    fields = answer["choices"][0]["message"].get("provider_specific_fields", {})
    assert fields.get("citations", []) == (raw["message"].get("citations") or [])


@pytest.mark.parametrize("recording", recordings("cohere.v2", kind="sse"))
def test_a_stream_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    events = sse_data(recording.body)
    data = streamed(DIALECT, recording)
    assert hub_stream_answers(data) == {0: read_stream(events)}
    assert told_usage(data[-1]["usage"]) == expected_usage(events[-1][1]["delta"]["usage"])
    citations = [event["delta"]["message"]["citations"] for _, event in events if event["type"] == "citation-start"]
    assert fields_in(data, "provider_specific_fields.citations") == citations


@pytest.mark.parametrize("recording", recordings("cohere.v2", kind="sse"))
def test_every_split_gives_the_same_chunks(recording: Recording) -> None:
    whole = decode_stream([recording.body], DIALECT.stream_decoder(target(recording)))
    assert sum(chunk.text_bytes for chunk in whole[0]) == said_bytes([chunk.data for chunk in whole[0]])
    for pieces in splits(recording.body):
        chunks, error = decode_stream(pieces, DIALECT.stream_decoder(target(recording)))
        assert shown(chunks) == shown(whole[0])
        assert repr(error) == repr(whole[1])


@pytest.mark.parametrize("recording", recordings("cohere.v2", kind="sse"))
def test_a_stream_cut_before_its_end_is_an_error(recording: Recording) -> None:
    end = recording.body.index(b"event: message-end")
    for cut in range(0, end, max(1, end // 40)):
        _, error = decode_stream([recording.body[:cut]], DIALECT.stream_decoder(target(recording)))
        assert isinstance(error, UpstreamProtocolError)


@pytest.mark.parametrize("recording", recordings("cohere.v2", failed=True))
def test_an_error_is_typed_and_keeps_its_status(recording: Recording) -> None:
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    assert type(error) is UpstreamAuthFailed
    assert error.upstream_status == recording.status


# Requests


def to_hub(body: Json) -> Json:
    """The recorded request as an OpenAI client would have said it."""
    request: Json = {**body, "messages": [_hub_message(message) for message in body["messages"]], "model": ALIAS}
    for theirs, name in {"stop_sequences": "stop", "p": "top_p"}.items():
        if theirs in request:
            request[name] = request.pop(theirs)
    if "tool_choice" in request:
        request["tool_choice"] = request["tool_choice"].lower()
    if "schema" in request.get("response_format", {}):
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": request["response_format"]["schema"]}}
    return request


def _hub_message(message: Json) -> Json:
    plan = message.get("tool_plan")
    said = {name: value for name, value in message.items() if name != "tool_plan"}
    return {**said, "provider_specific_fields": {"tool_plan": plan}} if plan else said


@pytest.mark.parametrize("recording", recordings("cohere.v2") + recordings("cohere.v2", failed=True))
def test_the_recorded_request_is_what_its_hub_request_becomes(recording: Recording) -> None:
    request = to_hub(recording.request)
    before = json.dumps(request)
    wire = DIALECT.encode(request, target(recording))
    assert json.dumps(request) == before
    assert wire.url == "https://up.example/v2/chat"
    assert json.loads(wire.body) == {**recording.request, "messages": _told(recording.request["messages"]), "model": "upstream-model"}


def _told(messages: list[Json]) -> list[Json]:
    """Without fields that are there and say nothing."""
    return [{name: value for name, value in message.items() if value not in ([], "", None)} for message in messages]


@pytest.mark.parametrize("recording", recordings("cohere.v2", kind="json"))
def test_an_answer_can_be_sent_back_as_it_came(recording: Recording) -> None:
    """Multi-turn: plan, thoughts and calls are Cohere's own again."""
    raw = json.loads(recording.body)["message"]
    message = buffered(DIALECT, recording)["choices"][0]["message"]
    request = {"model": ALIAS, "messages": [{"role": "user", "content": "?"}, message]}
    (_, back) = json.loads(DIALECT.encode(request, target(recording)).body)["messages"]
    content = back.get("content") or []
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    assert blocks == (raw.get("content") or [])
    assert back.get("tool_plan") == raw.get("tool_plan")
    assert [call["id"] for call in back.get("tool_calls", [])] == [call["id"] for call in raw.get("tool_calls") or []]
