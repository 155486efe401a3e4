"""The Responses API for our callers, against recordings: passed through where the provider speaks it, bridged through chat where not."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.recordings import Answer, Recording, hub_answers, hub_stream_answers, recordings, splits, sse_data

from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Chunk, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.native_responses import NativeResponses
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.responses_answer import response_of
from tollkeeper.edge.responses_stream import ResponseFrames
from tollkeeper.errors import UpstreamError

ALIAS = "the-alias"
TARGET = Target(model="upstream-model", base_url="https://up.example", alias=ALIAS, provider="openai", created=1_700_000_000)
NATIVE = NativeResponses()
CHATS = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages", "cohere.v2": "cohere_v2", "ollama.native": "ollama_chat"}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
REQUEST = {"model": ALIAS, "input": "x"}


def read(decoder: StreamDecoder, pieces: list[bytes]) -> tuple[list[Chunk], UpstreamError | None]:
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        return chunks + decoder.close(), None
    except StreamFailed as failed:
        return chunks + failed.chunks, failed.error
    except UpstreamError as error:
        return chunks, error


def natives(**wanted: Any) -> list[Any]:
    found = [param for param in recordings("openai.responses", **wanted) if param.values[0] is not None]
    return found or recordings("openai.responses", **wanted)[:1]


# Pass-through


@pytest.mark.parametrize("recording", natives() + natives(failed=True))
def test_a_request_arrives_as_it_was_sent(recording: Recording) -> None:
    sent = json.loads(NATIVE.encode({**recording.request, "num_retries": 1}, TARGET).body)
    assert sent == {**recording.request, "model": "upstream-model"}


@pytest.mark.parametrize("recording", natives(kind="json"))
def test_a_buffered_answer_is_the_providers_but_for_the_model(recording: Recording) -> None:
    raw = json.loads(recording.body)
    if raw.get("error") or raw["status"] not in {"completed", "incomplete"}:
        return
    answer = NATIVE.decode(recording.body, TARGET)
    assert answer == {**raw, "model": ALIAS}
    usage = NATIVE.usage(answer)
    assert usage is not None
    assert usage["prompt_tokens"] == raw["usage"]["input_tokens"]
    assert usage["completion_tokens"] == raw["usage"]["output_tokens"]


@pytest.mark.parametrize("recording", natives(kind="sse"))
def test_a_stream_is_the_providers_but_for_the_model(recording: Recording) -> None:
    original = [event for _, event in sse_data(recording.body)]
    hub, expected_error = read(registry.get("openai_responses").stream_decoder(TARGET), [recording.body])
    for pieces in splits(recording.body, places=3):
        decoder = NATIVE.stream_decoder(TARGET)
        chunks, error = read(decoder, pieces)
        assert repr(error) == repr(expected_error)
        events = sse_data(b"".join(chunk.raw or b"" for chunk in chunks))
        assert all(name == event["type"] for name, event in events)
        renamed = [{**event, "response": {**event["response"], "model": ALIAS}} if "response" in event else event for event in original]
        assert [event for _, event in events] == renamed[: len(events)]
        assert len(events) == len(renamed) or error is not None
        if error is None:
            # The tier rides along, for its price.
            counted = {name: count for name, count in (decoder.usage or {}).items() if name != "service_tier"}
            assert counted == (hub[-1].usage or {})


# Bridge


def chats(kinds: tuple[str, ...]) -> list[Any]:
    found = [param for dialect in CHATS for kind in kinds for param in recordings(dialect, kind=kind)]
    return [param for param in found if param.values[0] is not None] or found[:1]


def reading(output: list[dict[str, Any]]) -> Answer:
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    calls = [item for item in output if item["type"] == "function_call"]
    thoughts = [part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"]]
    return Answer(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        reasoning="".join(thoughts),
        refusal="".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        tools=[(call["name"], call["arguments"]) for call in calls],
    )


def first_choice(answers: dict[int, Answer]) -> Answer:
    said = answers.get(0, Answer())
    return Answer(said.text, said.reasoning, said.refusal, said.tools)


def same(output: list[dict[str, Any]], expected: Answer) -> None:
    found = reading(output)
    assert (found.text, found.reasoning, found.refusal) == (expected.text, expected.reasoning, expected.refusal)
    assert [name for name, _ in found.tools] == [name for name, _ in expected.tools]
    for (_, text), (_, value) in zip(found.tools, expected.tools, strict=True):
        assert text == value if isinstance(value, str) else json.loads(text or "{}") == value


def check_usage(said: dict[str, Any], hub: dict[str, Any]) -> None:
    usage = usage_from_hub(hub)
    assert (said["input_tokens"], said["output_tokens"]) == (usage.input, usage.output)
    assert said["total_tokens"] == usage.input + usage.output


@pytest.mark.parametrize("recording", chats(("json",)))
def test_a_chats_answer_is_a_response(recording: Recording) -> None:
    try:
        hub = registry.get(CHATS[recording.dialect]).decode(recording.body, TARGET)
    except UpstreamError:
        pytest.skip("an error under HTTP 200")
    answer = response_of(hub, REQUEST)
    Response.model_validate(answer)
    assert answer["model"] == ALIAS
    assert answer["status"] == ("incomplete" if hub["choices"][0]["finish_reason"] in {"length", "content_filter"} else "completed")
    same(answer["output"], first_choice(hub_answers(hub)))
    check_usage(answer["usage"], hub.get("usage") or {})


@pytest.mark.parametrize("recording", chats(("sse", "ndjson")))
def test_a_chats_stream_is_a_stream_of_a_response(recording: Recording) -> None:
    chunks, error = read(registry.get(CHATS[recording.dialect]).stream_decoder(TARGET), [recording.body])
    if error is not None:
        pytest.skip("ends with an error")
    frames = ResponseFrames(REQUEST)
    events = [event for _, event in sse_data(b"".join(frames.feed([chunk]) for chunk in chunks) + frames.end())]
    for number, event in enumerate(events):
        EVENTS.validate_python(event)
        assert event["sequence_number"] == number
    last = events[-1]["response"]
    same(last["output"], first_choice(hub_stream_answers([json.loads(chunk.payload()) for chunk in chunks])))
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == last["output"]
    opened = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert opened == list(range(len(last["output"])))
    words = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert words == reading(last["output"]).text
    check_usage(last["usage"], next((chunk.usage for chunk in reversed(chunks) if chunk.usage), {}))
