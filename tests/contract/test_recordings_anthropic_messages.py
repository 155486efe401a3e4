"""Every recorded Messages exchange (Anthropic's own, Azure's, Vertex's), both ways, against a reading that uses none of our code."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.anthropic_requests import meaning, to_hub
from tests.support.recordings import Answer, Recording, arguments, hub_answers, hub_stream_answers, recordings, splits, sse_data

from tollkeeper.catalog.profiles import quirks_for
from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.errors import UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited, UpstreamRejected

DIALECT = AnthropicMessages()
ALIAS = "the-alias"
FINISHES = {"max_tokens": "length", "refusal": "content_filter", "model_context_window_exceeded": "length"}


def both(**wanted: Any) -> list[Any]:
    found = recordings("anthropic.messages", **wanted) + recordings("anthropic.messages(vertex)", **wanted)
    return [param for param in found if param.values[0] is not None] or found[:1]


def target(recording: Recording, **more: Any) -> Target:
    return Target(model="upstream-model", base_url="https://up.example", alias=ALIAS, provider="anthropic", created=1_700_000_000, **more)


def decode_stream(pieces: list[bytes], decoder: AnthropicStreamDecoder) -> tuple[list[Chunk], Exception | None]:
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.close()
    except StreamFailed as failed:
        return chunks + failed.chunks, failed.error
    except UpstreamProtocolError as error:
        return chunks, error
    return chunks, None


def shown(chunks: list[Chunk]) -> list[tuple[Any, ...]]:
    return [(json.loads(chunk.payload()), chunk.has_content, chunk.usage, chunk.text_bytes) for chunk in chunks]


# The independent reading


def read_blocks(blocks: list[dict[str, Any]], stop_reason: str) -> Answer:
    tools = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    return Answer(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tools=tools,
        finish=FINISHES.get(stop_reason) or ("tool_calls" if tools else "stop"),
    )


def read_stream(events: list[tuple[str, Any]]) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """(blocks, stop reason, usage) of a stream, put together."""
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    stop_reason = ""
    for _, event in events:
        if event["type"] == "message_start":
            usage = dict(event["message"]["usage"])
        elif event["type"] == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            for name in ("text", "thinking", "signature"):
                if name in delta:
                    block[name] = block.get(name, "") + delta[name]
            block["json"] += delta.get("partial_json", "")
            if "citation" in delta:
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        elif event["type"] == "message_delta":
            stop_reason = event["delta"]["stop_reason"]
            usage |= event["usage"]
    for block in blocks.values():
        text = block.pop("json")
        if "input" in block:
            block["input"] = arguments(text) if text else block["input"]
    return list(blocks.values()), stop_reason, usage


def check_usage(hub: dict[str, Any], raw: dict[str, Any]) -> None:
    read, write = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    assert hub["prompt_tokens"] == raw["input_tokens"] + read + write
    assert hub["completion_tokens"] == raw["output_tokens"]
    assert hub["total_tokens"] == hub["prompt_tokens"] + hub["completion_tokens"]
    assert hub["prompt_tokens_details"]["cached_tokens"] == hub["cache_read_input_tokens"] == read
    assert hub["prompt_tokens_details"]["cache_creation_tokens"] == hub["cache_creation_input_tokens"] == write
    usage = usage_from_hub(hub)
    assert (usage.input, usage.output, usage.cache_read, usage.cache_creation) == (hub["prompt_tokens"], raw["output_tokens"], read, write)
    assert usage.cache_creation_1h == (raw.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0)
    assert usage.reasoning == (raw.get("output_tokens_details") or {}).get("thinking_tokens", 0)


def check_traces(said: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
    """Thoughts with their signatures, server tools, citations: kept, and kept apart from what the caller is asked to do."""
    assert said.get("thinking_blocks", []) == [block for block in blocks if block["type"] in {"thinking", "redacted_thinking"}]
    fields = said.get("provider_specific_fields", {})
    own = {"text", "tool_use", "thinking", "redacted_thinking"}
    assert fields.get("server_tools", []) == [block for block in blocks if block["type"] not in own]
    cited = [citation for block in blocks if block["type"] == "text" for citation in block.get("citations") or []]
    assert [citation for group in fields.get("citations", []) for citation in group] == cited


# Answers


@pytest.mark.parametrize("recording", both(kind="json"))
def test_a_buffered_answer_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = DIALECT.decode(recording.body, target(recording))
    ChatCompletion.model_validate(answer, strict=True)
    assert (answer["id"], answer["model"], answer["created"]) == ("chatcmpl-" + raw["id"], ALIAS, 1_700_000_000)
    assert hub_answers(answer) == {0: read_blocks(raw["content"], raw["stop_reason"])}
    check_usage(answer["usage"], raw["usage"])
    check_traces(answer["choices"][0]["message"], raw["content"])


STREAMS = [param for param in both(kind="sse") if "midstream-error" not in (param.id or "")]


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    blocks, stop_reason, usage = read_stream(sse_data(recording.body))
    chunks, error = decode_stream([recording.body], AnthropicStreamDecoder(target(recording)))
    assert error is None
    data = [json.loads(chunk.payload()) for chunk in chunks]
    for chunk in data:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert chunk["model"] == ALIAS
    assert hub_stream_answers(data) == {0: read_blocks(blocks, stop_reason)}
    assert data[-1]["choices"] == []
    assert [chunk["usage"] for chunk in data if "usage" in chunk] == [chunks[-1].usage]
    check_usage(data[-1]["usage"], usage)
    check_traces(_traces(data[:-1]), blocks)


def _traces(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    fields = [delta.get("provider_specific_fields", {}) for delta in deltas]
    return {
        "thinking_blocks": [block for delta in deltas for block in delta.get("thinking_blocks", [])],
        "provider_specific_fields": {
            "server_tools": [tool for field in fields for tool in field.get("server_tools", [])],
            "citations": [[field["citation"]] for field in fields if "citation" in field],
        },
    }


@pytest.mark.parametrize("recording", both(kind="sse"))
def test_every_split_gives_the_same_chunks(recording: Recording) -> None:
    whole = decode_stream([recording.body], AnthropicStreamDecoder(target(recording)))
    for pieces in splits(recording.body):
        chunks, error = decode_stream(pieces, AnthropicStreamDecoder(target(recording)))
        assert shown(chunks) == shown(whole[0])
        assert repr(error) == repr(whole[1])


@pytest.mark.parametrize("recording", both(kind="sse"))
def test_the_fast_path_gives_what_the_slow_one_gives(recording: Recording) -> None:
    fast = decode_stream([recording.body], AnthropicStreamDecoder(target(recording)))
    slow = decode_stream([recording.body], AnthropicStreamDecoder(target(recording), fast=False))
    assert shown(fast[0]) == shown(slow[0])
    assert all(chunk.raw is None for chunk in slow[0])


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_cut_before_its_stop_reason_is_an_error(recording: Recording) -> None:
    decoder = AnthropicStreamDecoder(target(recording))
    decoder.feed(recording.body.split(b"event: message_delta")[0])
    with pytest.raises(UpstreamProtocolError):
        decoder.close()


@pytest.mark.parametrize("recording", [param for param in both(kind="sse") if "midstream-error" in (param.id or "")])
def test_an_error_inside_a_stream_is_typed(recording: Recording) -> None:
    chunks, error = decode_stream([recording.body], AnthropicStreamDecoder(target(recording)))
    assert isinstance(error, UpstreamFailed)
    assert (error.message, error.upstream_status, error.status) == ("Overloaded", 529, 503)
    assert "".join(chunk.data["choices"][0]["delta"].get("content", "") for chunk in chunks) == (
        "" if b"text_delta" not in recording.body else read_stream(sse_data(recording.body))[0][0]["text"]
    )


# Errors

KINDS = {400: UpstreamRejected, 404: UpstreamRejected, 429: UpstreamRateLimited, 500: UpstreamFailed, 529: UpstreamFailed}


@pytest.mark.parametrize("recording", both(failed=True))
def test_an_error_is_typed_and_keeps_the_providers_words(recording: Recording) -> None:
    raw = json.loads(recording.body)["error"]
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    assert type(error) is KINDS[recording.status]
    assert error.upstream_status == recording.status
    assert error.message == raw["message"]
    if isinstance(error, UpstreamRejected):
        assert error.type == raw["type"]
    if "retry-after" in recording.headers:
        assert error.retry_after == float(recording.headers["retry-after"])


# Requests


@pytest.mark.parametrize("recording", both() + both(failed=True))
def test_a_request_means_the_same_after_it_went_through_the_hub(recording: Recording) -> None:
    hub = to_hub(recording.request)
    before = json.dumps(hub)
    quirks = quirks_for("anthropic", recording.request.get("model", ""))
    wire = DIALECT.encode(hub, target(recording, quirks=quirks))
    assert json.dumps(hub) == before
    assert wire.url == "https://up.example/v1/messages"
    assert wire.headers["anthropic-version"] == "2023-06-01"
    body = json.loads(wire.body)
    assert body["model"] == "upstream-model"
    assert meaning(body) == meaning(recording.request)
