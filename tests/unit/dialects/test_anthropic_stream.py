import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk
from tests.support.recordings import Answer, hub_stream_answers

from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Json, StreamFailed, Target
from tollkeeper.errors import UpstreamFailed, UpstreamProtocolError

TARGET = Target("claude", "https://up.example", "alias", provider="anthropic", created=1_700_000_000)
START = {
    "type": "message_start",
    "message": {"id": "msg_1", "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


def end(stop_reason: str = "end_turn", **usage: Any) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": usage or {"output_tokens": 9}}


def block(content_block: Json, *deltas: Json, index: int = 0) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content_block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(*words: str, **more: Any) -> list[Json]:
    return block({"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words), **more)


def tool(*pieces: str, name: str = "f", identifier: str = "t1", kind: str = "tool_use", input_: Json | None = None) -> list[Json]:
    opening = {"type": kind, "id": identifier, "name": name, "input": input_ or {}}
    return block(opening, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def sse(*events: Json) -> bytes:
    return b"".join(b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)


def run(*events: Json) -> list[Json]:
    decoder = AnthropicStreamDecoder(TARGET)
    chunks = decoder.feed(sse(*events)) + decoder.close()
    data = [json.loads(chunk.payload()) for chunk in chunks]
    for item in data:
        ChatCompletionChunk.model_validate(item, strict=True)
    return data


def deltas(data: list[Json], name: str) -> list[Any]:
    return [item["choices"][0]["delta"][name] for item in data if item["choices"] and name in item["choices"][0]["delta"]]


def test_a_plain_stream() -> None:
    data = run(START, {"type": "ping"}, *text("Hel", "lo"), end(), STOP)
    assert hub_stream_answers(data) == {0: Answer(text="Hello", finish="stop")}
    assert {(item["id"], item["created"], item["model"]) for item in data} == {("chatcmpl-msg_1", 1_700_000_000, "alias")}
    assert data[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("final", "prompt", "completion"),
    [
        ({"output_tokens": 9}, 7, 9),
        ({"output_tokens": 9, "input_tokens": 30, "cache_read_input_tokens": 4}, 34, 9),
        ({"output_tokens": 9, "input_tokens": 0, "cache_read_input_tokens": None}, 7, 9),
    ],
)
def test_usage_is_put_together_and_comes_last(final: Json, prompt: int, completion: int) -> None:
    data = run(START, *text("x"), end(**final), STOP)
    assert [item.get("usage") is not None for item in data] == [False] * (len(data) - 1) + [True]
    assert data[-1]["choices"] == []
    assert (data[-1]["usage"]["prompt_tokens"], data[-1]["usage"]["completion_tokens"]) == (prompt, completion)


def test_parallel_tool_calls() -> None:
    data = run(START, *text("ok"), *tool("", '{"a"', ":1}"), *tool("", identifier="t2", name="g"), end("tool_use"), STOP)
    assert hub_stream_answers(data) == {0: Answer(text="ok", tools=[("f", {"a": 1}), ("g", {})], finish="tool_calls")}
    calls = [call for found in deltas(data, "tool_calls") for call in found]
    assert [(call["index"], call.get("id")) for call in calls] == [(0, "t1"), (0, None), (0, None), (1, "t2"), (1, None)]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 1) == "{}"


def test_tool_input_that_comes_whole() -> None:
    assert hub_stream_answers(run(START, *tool(input_={"a": 1}), end("tool_use"), STOP))[0].tools == [("f", {"a": 1})]


def test_thoughts_stream_and_their_signed_block_comes_whole() -> None:
    thinking = block(
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "sig"},
    )
    data = run(START, *thinking, *block({"type": "redacted_thinking", "data": "d"}), *text("x"), end(), STOP)
    assert deltas(data, "reasoning_content") == ["h", "m"]
    assert deltas(data, "thinking_blocks") == [
        [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
        [{"type": "redacted_thinking", "data": "d"}],
    ]


def test_anthropics_own_tools_are_a_trace() -> None:
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
    data = run(
        START,
        *tool('{"q":', '"x"}', kind="server_tool_use", identifier="s1", name="web_search"),
        *block(result),
        *text("found"),
        end(),
        STOP,
    )
    assert hub_stream_answers(data) == {0: Answer(text="found", finish="stop")}
    call = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "x"}}
    assert deltas(data, "provider_specific_fields") == [{"server_tools": [call]}, {"server_tools": [result]}]


def test_citations_ride_along() -> None:
    citation = {"type": "char_location", "cited_text": "x"}
    data = run(
        START,
        *block({"type": "text", "text": ""}, {"type": "citations_delta", "citation": citation}, {"type": "text_delta", "text": "x"}),
        end(),
        STOP,
    )
    assert deltas(data, "provider_specific_fields") == [{"citation": citation}]


def test_the_forced_json_tool_is_the_text() -> None:
    data = run(START, *tool("", '{"a"', ":1}", name="json_tool_call"), end("tool_use"), STOP)
    assert hub_stream_answers(data) == {0: Answer(text='{"a":1}', finish="stop")}
    assert hub_stream_answers(run(START, *tool(name="json_tool_call"), end("tool_use"), STOP))[0].text == "{}"


def test_an_empty_answer() -> None:
    assert hub_stream_answers(run(START, end(), STOP)) == {0: Answer(finish="stop")}


def test_what_stopped_it_and_where_it_ran_ride_along() -> None:
    stop = {
        "type": "message_delta",
        "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END", "container": {"id": "c"}},
        "usage": {},
    }
    data = run(START, *text("x"), stop, STOP)
    assert deltas(data, "provider_specific_fields") == [{"stop_sequence": "END", "container": {"id": "c"}}]


def test_when_the_answer_has_begun() -> None:
    decoder = AnthropicStreamDecoder(TARGET)
    assert [chunk.has_content for chunk in decoder.feed(sse(START))] == [False]
    assert [chunk.has_content for chunk in decoder.feed(sse(*text("x")))] == [True]
    assert [chunk.has_content for chunk in decoder.feed(sse(*tool("")))][:1] == [True]


def test_how_much_was_generated_counts_what_the_caller_is_not_told() -> None:
    decoder = AnthropicStreamDecoder(TARGET)
    thinking = block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    events = [START, *text("é", "é"), *thinking, *tool('{"a":1}'), *tool('{"q":1}', kind="server_tool_use", name="web_search")]
    assert sum(chunk.text_bytes for chunk in decoder.feed(sse(*events))) == 4 + 2 + len("f") + 7 + 7


def test_events_of_tomorrow_are_passed_over() -> None:
    data = run(START, {"type": "new_event", "x": 1}, *block({"type": "text", "text": ""}, {"type": "new_delta"}), *text("x"), end(), STOP)
    assert hub_stream_answers(data)[0].text == "x"


def test_an_error_in_the_stream() -> None:
    decoder = AnthropicStreamDecoder(TARGET)
    body = (
        sse(START, *text("a")[:2])
        + b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}    \n\n'
    )
    with pytest.raises(StreamFailed) as caught:
        decoder.feed(body)
    assert type(caught.value.error) is UpstreamFailed
    assert (caught.value.error.status, caught.value.error.upstream_status) == (503, 529)
    assert hub_stream_answers([chunk.data for chunk in caught.value.chunks]) == {0: Answer(text="a")}
    assert decoder.usage is not None
    assert decoder.usage["prompt_tokens"] == 7


@pytest.mark.parametrize("body", [b"", sse(START), sse(START, *text("a")), sse(START)[:-9], b"<html></html>"])
def test_a_stream_that_ends_too_early(body: bytes) -> None:
    decoder = AnthropicStreamDecoder(TARGET)
    decoder.feed(body)
    with pytest.raises(UpstreamProtocolError, match="anthropic closed the stream"):
        decoder.close()


@pytest.mark.parametrize("event", [b"data: {cut\n\n", b"data: [1]\n\n"])
def test_what_is_no_event(event: bytes) -> None:
    with pytest.raises(StreamFailed) as caught:
        AnthropicStreamDecoder(TARGET).feed(event)
    assert type(caught.value.error) is UpstreamProtocolError


def test_a_stop_reason_without_message_stop_is_complete() -> None:
    data = run(START, *text("x"), end())
    assert hub_stream_answers(data)[0].finish == "stop"
    assert data[-1]["usage"]["completion_tokens"] == 9


def test_a_block_that_was_never_closed_ends_where_the_next_begins() -> None:
    thinking = block(
        {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "s"}
    )
    data = run(START, *thinking[:-1], *text("Hi", index=1), end(), STOP)
    deltas = [item["choices"][0]["delta"] for item in data if item["choices"]]
    thoughts = [delta["thinking_blocks"] for delta in deltas if "thinking_blocks" in delta]
    assert thoughts == [[{"type": "thinking", "thinking": "hm", "signature": "s"}]]
    assert hub_stream_answers(data)[0].text == "Hi"


def test_an_end_without_a_reason_is_a_normal_one() -> None:
    data = run(START, *text("Hi"), STOP)
    assert hub_stream_answers(data)[0].finish == "stop"
    assert [item["choices"][0]["finish_reason"] for item in run(START, *text("Hi"), end("max_tokens"), STOP) if item["choices"]][
        -1
    ] == "length"


def test_a_compaction_comes_whole() -> None:
    pieces = [{"type": "compaction_delta", "content": "Sum"}, {"type": "compaction_delta", "content": "mary"}]
    data = run(START, *block({"type": "compaction", "content": None}, *pieces), *text("Hi", index=1), end(), STOP)
    kept = [item["choices"][0]["delta"].get("provider_specific_fields") for item in data if item["choices"]]
    assert {"server_tools": [{"type": "compaction", "content": "Summary"}]} in kept
