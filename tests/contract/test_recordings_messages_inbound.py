"""The Messages API for our callers, against recordings: passed through where the provider speaks it, translated where it does not.

Pass-through is checked against the provider's own bytes, translation against a reading that uses none of our code and against the official
package's types.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from anthropic.types import Message
from tests.support.anthropic_requests import meaning
from tests.support.cloud_recordings import exchanges, frames
from tests.support.recordings import Answer, Recording, arguments, hub_answers, hub_stream_answers, recordings, splits, sse_data

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.base import Chunk, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.native_messages import NativeInvoke, NativeMessages
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.anthropic_answer import MessagesFrames, message_of
from tollkeeper.edge.anthropic_request import messages_to_hub
from tollkeeper.errors import BadRequest, UpstreamError

ALIAS = "the-alias"
TARGET = Target(model="upstream-model", base_url="https://up.example", alias=ALIAS, provider="anthropic", created=1_700_000_000)
NATIVE = NativeMessages()
OTHERS = {"openai.chat": "openai_chat", "openai.responses": "openai_responses", "cohere.v2": "cohere_v2", "ollama.native": "ollama_chat"}
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "refusal"}


def messages(**wanted: Any) -> list[Any]:
    found = recordings("anthropic.messages", **wanted) + recordings("anthropic.messages(vertex)", **wanted)
    return [param for param in found if param.values[0] is not None] or found[:1]


def whole(**wanted: Any) -> list[Any]:
    return [param for param in messages(**wanted) if "midstream-error" not in (param.id or "")]


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


def renamed(events: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (name, {**event, "message": {**event["message"], "model": ALIAS}} if name == "message_start" else event) for name, event in events
    ]


# Pass-through


@pytest.mark.parametrize("recording", messages() + messages(failed=True))
def test_a_request_arrives_as_it_was_sent(recording: Recording) -> None:
    sent = json.loads(NATIVE.encode({**recording.request, "num_retries": 1}, TARGET).body)
    own = {name: value for name, value in recording.request.items() if name != "anthropic_version"}
    assert {name: value for name, value in sent.items() if name != "anthropic_version"} == {**own, "model": "upstream-model"}


@pytest.mark.parametrize("recording", messages(kind="json"))
def test_a_buffered_answer_is_the_providers_but_for_the_model(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = NATIVE.decode(recording.body, TARGET)
    assert answer == {**raw, "model": ALIAS}
    usage = NATIVE.usage(answer)
    assert usage == registry.get("anthropic_messages").decode(recording.body, TARGET)["usage"]


@pytest.mark.parametrize("recording", whole(kind="sse"))
def test_a_stream_is_the_providers_but_for_the_model(recording: Recording) -> None:
    expected = renamed(sse_data(recording.body))
    hub, _ = read(registry.get("anthropic_messages").stream_decoder(TARGET), [recording.body])
    for pieces in splits(recording.body, places=5):
        decoder = NATIVE.stream_decoder(TARGET)
        chunks, error = read(decoder, pieces)
        assert error is None
        assert sse_data(b"".join(chunk.raw or b"" for chunk in chunks)) == expected
        assert decoder.usage == hub[-1].usage
        assert sum(chunk.text_bytes for chunk in chunks) >= sum(chunk.text_bytes for chunk in hub) * 0.9
        assert any(chunk.has_content for chunk in chunks) >= any(chunk.has_content for chunk in hub)


@pytest.mark.parametrize("recording", whole(kind="sse"))
def test_a_stream_that_is_cut_is_an_error(recording: Recording) -> None:
    _, error = read(NATIVE.stream_decoder(TARGET), [recording.body.split(b"event: message_delta")[0]])
    assert error is not None
    assert "before the answer was finished" in error.message


@pytest.mark.parametrize("recording", [param for param in messages(kind="sse") if "midstream-error" in (param.id or "")])
def test_an_error_inside_a_stream_comes_after_what_was_said(recording: Recording) -> None:
    chunks, error = read(NATIVE.stream_decoder(TARGET), [recording.body])
    assert error is not None
    assert (error.message, error.upstream_status) == ("Overloaded", 529)
    said = [event for event in sse_data(recording.body) if event[0] != "error"]
    assert sse_data(b"".join(chunk.raw or b"" for chunk in chunks)) == renamed(said)
    failed = sse_data(MessagesFrames({"model": ALIAS}).fail(error, "call"))
    assert [(name, event["error"]["type"]) for name, event in failed] == [("error", "overloaded_error")]


INVOKED = [
    param
    for param in exchanges("invoke-stream")
    if param.values and "anthropic_version" in (getattr(param.values[0], "request", None) or {})
]


@pytest.mark.parametrize(
    "exchange", INVOKED or [pytest.param(None, marks=pytest.mark.skip(reason="no recordings at ../shared/recordings"))]
)
def test_an_event_stream_of_bedrock_becomes_server_sent_events(exchange: Any) -> None:
    expected = [json.loads(base64.b64decode(frame["bytes"])) for _, frame in frames(exchange.body)]
    for event in expected:
        event.pop("amazon-bedrock-invocationMetrics", None)
    chunks, error = read(NativeInvoke().stream_decoder(TARGET), [exchange.body])
    assert error is None
    events = sse_data(b"".join(chunk.raw or b"" for chunk in chunks))
    assert [name for name, _ in events] == [event["type"] for event in expected]
    assert events == renamed([(event["type"], event) for event in expected])


# Translation: answers


@dataclass
class Understood:
    """What a client makes of a Messages stream."""

    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    stop_reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> Answer:
        blocks = list(self.blocks.values())
        return Answer(
            text="".join(block["text"] for block in blocks if block["type"] == "text"),
            reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
            tools=[(block["name"], arguments(block["json"]) if block["json"] else block["input"]) for block in blocks if "name" in block],
            finish=self.stop_reason,
        )


def understand(events: list[tuple[str, Any]]) -> Understood:
    """Insists on Anthropic's order: one block open at a time, each event where it may be."""
    found, opened = Understood(), None
    names = [name for name, _ in events]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    for name, event in events:
        assert name == event["type"]
        if name == "content_block_start":
            assert opened is None
            assert event["index"] == len(found.blocks)
            opened = event["index"]
            found.blocks[opened] = {**event["content_block"], "json": ""}
        elif name == "content_block_delta":
            assert event["index"] == opened
            block, delta = found.blocks[event["index"]], event["delta"]
            for key in ("text", "thinking", "signature"):
                if key in delta:
                    block[key] += delta[key]
            block["json"] += delta.get("partial_json", "")
        elif name == "content_block_stop":
            assert event["index"] == opened
            opened = None
        elif name == "message_delta":
            assert opened is None
            found.stop_reason, found.usage = event["delta"]["stop_reason"], event["usage"]
    return found


def others(kind: tuple[str, ...]) -> list[Any]:
    found = [param for dialect in OTHERS for each in kind for param in recordings(dialect, kind=each)]
    return [param for param in found if param.values[0] is not None] or found[:1]


def first_choice(answers: dict[int, Answer]) -> Answer:
    """As Messages can say it: a refusal is text, and so is what no other word fits."""
    said = answers.get(0, Answer(finish="stop"))
    tools = [(name, value if isinstance(value, dict) else {}) for name, value in said.tools]
    return Answer(said.text + said.refusal, said.reasoning, "", tools, STOPS[said.finish or "stop"])


@pytest.mark.parametrize("recording", others(("json",)))
def test_another_makes_answer_is_a_message(recording: Recording) -> None:
    try:
        hub = registry.get(OTHERS[recording.dialect]).decode(recording.body, TARGET)
    except UpstreamError:
        pytest.skip("an error under HTTP 200")
    answer = message_of(hub, {"model": ALIAS})
    Message.model_validate(answer)
    assert answer["model"] == ALIAS
    blocks = {place: {**block, "json": ""} for place, block in enumerate(answer["content"])}
    expected = first_choice(hub_answers(hub))
    read_back = Understood(blocks, answer["stop_reason"]).answer()
    assert (read_back.text, read_back.reasoning, read_back.tools) == (expected.text, expected.reasoning, expected.tools)
    assert read_back.finish in {expected.finish, "stop_sequence"}
    check_usage(answer["usage"], hub.get("usage") or {})


@pytest.mark.parametrize("recording", others(("sse", "ndjson")))
def test_another_makes_stream_is_a_stream_of_messages(recording: Recording) -> None:
    chunks, error = read(registry.get(OTHERS[recording.dialect]).stream_decoder(TARGET), [recording.body])
    if error is not None:
        pytest.skip("ends with an error")
    stream = MessagesFrames({"model": ALIAS})
    events = sse_data(b"".join(stream.feed([chunk]) for chunk in chunks) + stream.end())
    understood = understand(events)
    hub = [json.loads(chunk.payload()) for chunk in chunks]
    expected = first_choice(hub_stream_answers(hub))
    answer = understood.answer()
    tools = [(name, value if isinstance(value, dict) else {}) for name, value in answer.tools]
    assert (answer.text, answer.reasoning, tools) == (expected.text, expected.reasoning, expected.tools)
    assert answer.finish in {expected.finish, "stop_sequence"}
    check_usage(understood.usage, next((chunk.usage for chunk in reversed(chunks) if chunk.usage), {}))


def check_usage(said: dict[str, Any], hub: dict[str, Any]) -> None:
    usage = usage_from_hub(hub)
    assert said["output_tokens"] == usage.output
    cached = said["cache_read_input_tokens"] + said["cache_creation_input_tokens"]
    assert said["input_tokens"] + cached == max(usage.input, cached)


# Translation: requests


def elsewhere(model: str) -> Deployment:
    return Deployment(id="d", group=ALIAS, provider="openai", dialect="openai_chat", model=model, base_url="https://x")


def plain(body: dict[str, Any]) -> Any:
    """The request as another make can be told it, in Anthropic's words."""

    def bare(value: Any) -> Any:
        if isinstance(value, list):
            return [bare(item) for item in value if not (isinstance(item, dict) and item.get("type") in {"thinking", "redacted_thinking"})]
        if isinstance(value, dict):
            return {
                key: bare(item) for key, item in value.items() if key not in {"cache_control", "citations", "is_error", "caller", "context"}
            }
        return value

    hints = {"thinking", "top_k", "service_tier", "context_management", "output_config", "output_format", "stream", "metadata"}
    return {name: value for name, value in meaning(bare(body)).items() if name not in hints}


@pytest.mark.parametrize("recording", messages())
def test_a_request_means_the_same_to_another_make(recording: Recording) -> None:
    """There and back: what our Anthropic dialect makes of the hub request is what the caller sent, but for hints."""
    request = {**recording.request, "model": ALIAS}
    text = json.dumps(request)
    if _only_anthropics(text):
        return
    hub = messages_to_hub(request, elsewhere("gpt-4o"))
    assert json.dumps(request) == text
    back = json.loads(AnthropicMessages().encode(hub, TARGET).body)
    expected = plain(request)
    for turn in expected["messages"]:
        for block in turn["content"]:
            if block["type"] == "tool_result":
                block["content"] = [part for part in block["content"] if part["type"] == "text"]
    if ('"image"' in text and '"tool_result"' in text) or '"text/plain"' in text:
        return  # pictures of tool results are moved into the user's turn, and a text file is text
    assert plain(back) == {name: value for name, value in expected.items() if name != "anthropic_version"}


def _only_anthropics(text: str) -> bool:
    """Whether the request names what only Anthropic has; then a 400 must say so, unless it is only part of the history."""
    request = json.loads(text)
    tools = [tool for tool in request.get("tools") or [] if tool.get("type") not in {None, "custom"}]
    kinds = {block["type"] for turn in request["messages"] if isinstance(turn["content"], list) for block in turn["content"]}
    sources = {
        str((block.get("source") or {}).get("type"))
        for turn in request["messages"]
        if isinstance(turn["content"], list)
        for block in turn["content"]
    }
    foreign = kinds - {"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"}
    impossible = [tool for tool in tools if not tool["type"].startswith("web_search_")]
    if impossible or request.get("mcp_servers") or request.get("container") or "file" in sources or "container_upload" in kinds:
        with pytest.raises(BadRequest, match="Anthropic"):
            messages_to_hub(request, elsewhere("gpt-4o"))
        return True
    return bool(foreign or tools)
