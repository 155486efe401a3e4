"""The fast path against the slow one: whatever a stream does, both give the same chunks."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Chunk, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import UpstreamProtocolError

TARGET = Target("up", "https://up.example/v1", 'an "alias"', provider="acme", created=1_700_000_000)
TEXTS = st.sampled_from(
    ["a", "", " ", '"', "\\", '\\"', "\n", "é", "\u2028", "😀", '","content":"x', '"}', "content", "‹tollkeeper-hole›", "\x7f"]
) | st.text(max_size=8)
PADDINGS = st.sampled_from([None, "", "abc123", 'with "quote', "with space", "é"])
KEYS = st.sampled_from(["content", "content", "content", "reasoning", "reasoning_content", "refusal"])


@st.composite
def openai_events(draw: st.DrawFn) -> list[bytes]:
    """Streams like a provider's, with every field that may move or vary."""
    shape = draw(st.integers(0, 3))
    ascii_only = draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    padding_key = draw(st.sampled_from(["obfuscation", "p"]))
    events = []
    for _ in range(draw(st.integers(1, 12))):
        delta: dict[str, Any] = {draw(KEYS): draw(TEXTS)}
        kind = draw(st.integers(0, 12))
        if kind == 0:
            delta["role"] = "assistant"
        if kind == 1:
            delta = {
                "tool_calls": [
                    {
                        "index": draw(st.integers(0, 1)),
                        "id": draw(st.sampled_from(["a", "b"])),
                        "function": {"name": "f", "arguments": draw(TEXTS)},
                    }
                ]
            }
        if kind in {2, 3}:
            delta = {"tool_calls": [{"index": draw(st.integers(0, 1)), "function": {"arguments": draw(TEXTS)}}]}
        choice: dict[str, Any] = {"index": draw(st.sampled_from([0, 0, 0, 1])), "delta": delta, "finish_reason": None}
        if kind == 4:
            choice["finish_reason"] = draw(st.sampled_from(["stop", "eos", "length"]))
        event: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "model": "real", "choices": [choice], "usage": None}
        if kind == 5:
            event["usage"] = {"prompt_tokens": 1, "completion_tokens": draw(st.integers(0, 9)), "total_tokens": 5}
        if kind == 6:
            event["id"] = draw(st.sampled_from(["c2", "", 7]))
        if (padding := draw(PADDINGS)) is not None:
            event[padding_key] = padding
        keys = list(event) if shape < 2 else sorted(event) if shape == 2 else list(reversed(event))
        text = json.dumps({key: event[key] for key in keys}, ensure_ascii=ascii_only, separators=separators)
        events.append(b"data: " + text.encode("utf-8", "surrogatepass") + b"\n\n")
    if draw(st.integers(0, 9)) == 0:
        events.append(
            draw(
                st.sampled_from(
                    [
                        b'data: {"id":"c1","choices":[{"delta":{"content":"cut\n\n',
                        b'data: {"error":{"message":"x"}}\n\n',
                        b'event: error\ndata: {"error":{"message":"x"}}\n\n',
                    ]
                )
            )
        )
    return events


def outcome(decoder: StreamDecoder, body: bytes) -> tuple[list[Any], str]:
    chunks: list[Chunk] = []
    error = ""
    try:
        chunks += decoder.feed(body)
        chunks += decoder.close()
    except StreamFailed as failed:
        chunks += failed.chunks
        error = repr(failed.error)
    except UpstreamProtocolError as cut:
        error = repr(cut)
    return [(json.loads(chunk.payload()), chunk.has_content, chunk.usage, chunk.text_bytes) for chunk in chunks], error


@given(openai_events())
@example(
    [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"b\tc"}}]}\n\n',
    ]
)
@example(
    [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\ud800"}}]}\n\n',
    ]
)
@example(
    [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n',
    ]
)
@example(
    [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"","content":"b"}}]}\n\n',
    ]
)
def test_openai_streams(events: list[bytes]) -> None:
    body = b"".join(events)
    assert outcome(OpenAIStreamDecoder(TARGET), body) == outcome(OpenAIStreamDecoder(TARGET, fast=False), body)


@st.composite
def anthropic_events(draw: st.DrawFn) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}}]
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["text", "text", "thinking", "tool_use", "server_tool_use"]))
        block = {"type": kind, "id": f"t{index}", "name": draw(st.sampled_from(["f", "json_tool_call"])), "text": ""}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        name, key = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}.get(
            kind, ("input_json_delta", "partial_json")
        )
        events += [
            {"type": "content_block_delta", "index": index, "delta": {"type": name, key: draw(TEXTS)}}
            for _ in range(draw(st.integers(0, 5)))
        ]
        events.append({"type": "content_block_stop", "index": index})
    return [
        *events,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]


@given(anthropic_events(), st.data())
def test_anthropic_streams(events: list[dict[str, Any]], data: st.DataObject) -> None:
    body = b""
    for event in events:
        text = json.dumps(event, ensure_ascii=data.draw(st.booleans()))[:-1] + " " * data.draw(st.integers(0, 3)) + "}"
        body += b"event: " + event["type"].encode() + b"\ndata: " + text.encode("utf-8", "surrogatepass") + b"\n\n"
    assert outcome(AnthropicStreamDecoder(TARGET), body) == outcome(AnthropicStreamDecoder(TARGET, fast=False), body)


def test_an_error_event_is_one_even_if_it_looks_like_content() -> None:
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    chunks, error = outcome(OpenAIStreamDecoder(TARGET), chunk + b"event: error\n" + chunk)
    assert len(chunks) == 1
    assert error


def test_the_fast_path_is_taken() -> None:
    event = '{{"id":"c1","choices":[{{"index":0,"delta":{{"content":"{}"}}}}],"model":"real","obfuscation":"{}"}}'
    body = b"".join(b"data: " + event.format(f"word {number}", "x" * number).encode() + b"\n\n" for number in range(10))
    chunks = OpenAIStreamDecoder(TARGET).feed(body)
    assert [chunk.raw is not None for chunk in chunks] == [False] + [True] * 9
    assert chunks[9].data["choices"][0]["delta"]["content"] == "word 9"
    assert chunks[9].data["model"] == 'an "alias"'
    assert "obfuscation" not in chunks[9].data


def test_a_stream_that_varies_in_every_chunk_is_not_studied_for_ever() -> None:
    decoder = OpenAIStreamDecoder(TARGET)
    events = [{"id": f"c{number}", "choices": [{"index": 0, "delta": {"content": "x"}}]} for number in range(50)]
    chunks = [chunk for event in events for chunk in decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n")]
    assert [chunk.data["id"] for chunk in chunks] == [f"c{number}" for number in range(50)]
