import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk
from tests.support.recordings import Answer, hub_stream_answers

from tollkeeper.dialects.base import Chunk, Json, StreamFailed, Target
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited, UpstreamRejected

TARGET = Target("up", "https://up.example/v1", "alias", provider="acme", created=1_700_000_000)
ENVELOPE = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "real"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def choice(delta: Any = None, finish: Any = None, index: int = 0, **more: Any) -> Json:
    return {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish, **more}


def chunk(*choices: Json, **more: Any) -> Json:
    return {**ENVELOPE, "choices": list(choices), **more}


def sse(*events: Json | bytes) -> bytes:
    return b"".join(event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


DONE = b"data: [DONE]\n\n"


def run(*events: Json | bytes) -> list[Json]:
    decoder = OpenAIStreamDecoder(TARGET)
    found = decoder.feed(sse(*events)) + decoder.close()
    data = [json.loads(item.payload()) for item in found]
    for item in data:
        ChatCompletionChunk.model_validate(item, strict=True)
    return data


def failed(*events: Json | bytes) -> StreamFailed:
    with pytest.raises(StreamFailed) as caught:
        OpenAIStreamDecoder(TARGET).feed(sse(*events))
    return caught.value


def test_a_plain_stream() -> None:
    data = run(chunk(choice({"role": "assistant", "content": ""})), chunk(choice({"content": "Hi"})), chunk(choice({}, "stop")), DONE)
    assert hub_stream_answers(data) == {0: Answer(text="Hi", finish="stop")}
    assert {item["model"] for item in data} == {"alias"}
    assert [item["choices"][0]["delta"] for item in data] == [{"role": "assistant", "content": ""}, {"content": "Hi"}, {}]


@pytest.mark.parametrize(
    ("events", "usages"),
    [
        ((chunk(choice({"content": "x"}, "stop")), chunk(usage=USAGE), DONE), 1),
        ((chunk(choice({"content": "x"}, "stop"), usage=USAGE), DONE), 1),
        ((chunk(choice({"content": "x"}), usage={**USAGE, "completion_tokens": 1}), chunk(choice({}, "stop"), usage=USAGE)), 1),
        ((chunk(choice({"content": "x"}, "stop"), usage=None), DONE), 0),
        ((chunk(choice({"content": "x"}, "stop"), x_groq={"usage": USAGE}), DONE), 1),
        ((chunk(choice({"content": "x"}, "stop"), usage=USAGE), chunk(usage=USAGE), DONE), 1),
        ((chunk(choice({"content": "x"}, "stop")), chunk(choice({"content": ""}, "stop"), usage=USAGE), DONE), 1),
    ],
)
def test_usage_comes_once_and_last(events: tuple[Json | bytes, ...], usages: int) -> None:
    data = run(*events)
    assert [item["usage"] for item in data if "usage" in item] == [USAGE] * usages
    assert [bool(item["choices"]) for item in data] == [True] * (len(data) - usages) + [False] * usages


def test_counts_that_are_null_until_the_end() -> None:
    early = {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": None}
    data = run(chunk(choice({"content": "x"}), usage=early), chunk(choice({}, "stop"), usage=USAGE), DONE)
    assert data[-1]["usage"] == USAGE


def test_the_usage_seen_so_far_is_known_of_a_stream_that_is_cut() -> None:
    decoder = OpenAIStreamDecoder(TARGET)
    decoder.feed(sse(chunk(choice({"content": "x"}), usage=USAGE)))
    with pytest.raises(UpstreamProtocolError):
        decoder.close()
    assert decoder.usage == USAGE


def test_what_azures_opening_chunk_carries_rides_on_the_next() -> None:
    opening = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [1]}
    data = run(opening, chunk(choice({"content": "x"})), chunk(choice({}, "stop")), DONE)
    assert [item.get("prompt_filter_results") for item in data] == [[1], None]
    assert {item["id"] for item in data} == {"c1"}


@pytest.mark.parametrize(
    ("given", "mended"),
    [
        ({"id": ""}, {"id": "chatcmpl-1700000000"}),
        ({"id": 4}, {"id": "4"}),
        ({"object": "text_completion"}, {"object": "chat.completion.chunk"}),
        ({"created": 0}, {"created": 1_700_000_000}),
        ({"service_tier": "on_demand"}, {"service_tier": "default"}),
        ({"obfuscation": "aa"}, {"obfuscation": None}),
        ({"citations": ["u"]}, {"citations": ["u"]}),
    ],
)
def test_the_envelope(given: Json, mended: Json) -> None:
    first = run({**chunk(choice({"content": "x"}, "stop")), **given}, DONE)[0]
    assert {name: first.get(name) for name in mended} == mended


def test_odd_choices() -> None:
    data = run(
        {**ENVELOPE, "choices": [{"delta": None, "finish_reason": ""}]},
        {**ENVELOPE, "choices": [{"delta": {"content": "a", "token_id": 4}, "text": "a", "message": {"content": "a"}}]},
        {
            **ENVELOPE,
            "choices": [{"delta": {"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "b"}]}}],
        },
        {**ENVELOPE, "choices": [{"message": {"role": "assistant", "content": "c"}, "finish_reason": "eos"}]},
    )
    assert hub_stream_answers(data) == {0: Answer(text="abc", reasoning="hm", finish="stop")}
    assert all("text" not in item["choices"][0] and "message" not in item["choices"][0] for item in data)
    assert "token_id" not in data[1]["choices"][0]["delta"]


def test_the_first_finish_wins_and_tools_decide() -> None:
    fragment = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    data = run(
        chunk(choice({"tool_calls": [fragment]}, "tool_calls")),
        chunk(choice({"content": ""}, "tool_calls")),
        chunk(choice({"content": ""}, "stop"), usage=USAGE),
        DONE,
    )
    assert [item["choices"][0]["finish_reason"] for item in data[:-1]] == ["tool_calls"]
    assert data[-1]["usage"] == USAGE


def test_a_stop_after_tool_calls_is_tool_calls() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": '{"v":1}'}}
    data = run(chunk(choice({"tool_calls": [call]})), chunk(choice({}, "stop")), DONE)
    assert hub_stream_answers(data) == {0: Answer(tools=[("f", {"v": 1})], finish="tool_calls")}


def test_content_after_the_finish_is_not_lost() -> None:
    data = run(chunk(choice({"content": "a"}, "stop")), chunk(choice({"content": "b"}, "stop")), DONE)
    assert hub_stream_answers(data) == {0: Answer(text="ab", finish="stop")}
    assert [item["choices"][0]["finish_reason"] for item in data] == ["stop", None]


def test_a_stream_that_never_says_why_it_stopped() -> None:
    data = run(chunk(choice({"content": "a"})), DONE)
    assert data[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]


def test_each_choice_has_its_finish() -> None:
    data = run(
        chunk(choice({"content": "a"})),
        chunk(choice({"content": "b"}, index=1)),
        chunk(choice({}, "stop")),
        chunk(choice({}, "length", index=1)),
        DONE,
    )
    assert hub_stream_answers(data) == {0: Answer(text="a", finish="stop"), 1: Answer(text="b", finish="length")}


CALLS = {
    "openai": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
    "no index (Mistral)": [
        {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
    ],
    "every index 0 (Ollama)": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"index": 0, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
    "no ids": [
        {"index": 0, "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"index": 1, "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
    "ids and names in every fragment": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ":1}"}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": None}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
    "arguments as objects": [
        {"index": 0, "id": 0, "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
        {"index": 1, "id": 1, "type": "function", "function": {"name": "g", "arguments": {}}},
    ],
    "no arguments at all": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g"}},
    ],
    "indices from 1": [
        {"index": 1, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"x":1}'}},
        {"index": 2, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
}


@pytest.mark.parametrize("fragments", CALLS.values(), ids=CALLS.keys())
def test_tool_call_fragments(fragments: list[Json]) -> None:
    data = run(*(chunk(choice({"tool_calls": [fragment]})) for fragment in fragments), chunk(choice({}, "tool_calls")), DONE)
    assert hub_stream_answers(data) == {0: Answer(tools=[("f", {"x": 1}), ("g", {})], finish="tool_calls")}
    calls = [call for item in data for call in item["choices"][0]["delta"].get("tool_calls", [])]
    assert {call["index"] for call in calls} == {0, 1}
    assert len([call for call in calls if "id" in call]) == 2
    assert [call["type"] for call in calls if "id" in call] == ["function", "function"]


def test_a_bare_tool_call_object_is_a_list_of_one() -> None:
    first = {"index": 0, "id": "", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}
    data = run(
        chunk(choice({"tool_calls": first})),
        chunk(choice({"tool_calls": {**first, "function": {"name": "f", "arguments": ":1}"}}})),
        chunk(choice({}, "eos_token")),
    )
    assert hub_stream_answers(data) == {0: Answer(tools=[("f", {"x": 1})], finish="tool_calls")}


def test_a_new_call_under_an_old_index_ends_the_old_ones_fragments() -> None:
    fragments = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 0, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"y":'}},
        {"index": 0, "function": {"arguments": "2}"}},
    ]
    data = run(*(chunk(choice({"tool_calls": [fragment]})) for fragment in fragments), chunk(choice({}, "tool_calls")), DONE)
    assert hub_stream_answers(data)[0].tools == [("f", {"x": 1}), ("g", {"y": 2})]


@pytest.mark.parametrize(
    ("delta", "answers"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({}, False),
        ({"content": None, "tool_calls": None}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}, True),
        ({"audio": {"id": "a", "data": "x"}}, True),
    ],
)
def test_when_the_answer_has_begun(delta: Json, answers: bool) -> None:
    found: list[Chunk] = OpenAIStreamDecoder(TARGET).feed(sse(chunk(choice(delta))))
    assert [item.has_content for item in found] == [answers]


@pytest.mark.parametrize(
    ("delta", "count"),
    [
        ({"role": "assistant", "content": ""}, 0),
        ({"content": "é"}, 2),
        ({"reasoning": "abc"}, 3),
        ({"content": "a", "reasoning_content": "b", "refusal": "c"}, 3),
        ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "fn", "arguments": '{"a":1}'}}]}, 9),
    ],
)
def test_how_much_of_the_answer_a_chunk_has(delta: Json, count: int) -> None:
    assert [item.text_bytes for item in OpenAIStreamDecoder(TARGET).feed(sse(chunk(choice(delta))))] == [count]


ERRORS: list[tuple[bytes, type[Exception], str]] = [
    (b'event: error\ndata: {"error":{"message":"bad tool","status_code":400}}\n\n', UpstreamRejected, "bad tool"),
    (b'event: error\ndata: {"message":"gone"}\n\n', UpstreamFailed, "gone"),
    (sse({"error": {"message": "slow", "code": 429}}), UpstreamRateLimited, "slow"),
    (sse({"object": "error", "message": "bad", "code": 400}), UpstreamRejected, "bad"),
    (sse({**chunk(choice({"content": ""}, "error")), "error": {"code": 502, "message": "up"}}), UpstreamFailed, "up"),
    (sse(chunk(choice({"content": ""}, "error", error={"code": 502, "message": "up"}))), UpstreamFailed, "up"),
    (b"data: {cut\n\n", UpstreamProtocolError, "not JSON"),
    (b"data: 7\n\n", UpstreamProtocolError, "not an object"),
    (DONE, UpstreamProtocolError, "without an answer"),
]


@pytest.mark.parametrize(("event", "kind", "message"), ERRORS)
def test_an_error_in_the_stream(event: bytes, kind: type[Exception], message: str) -> None:
    found = failed(event)
    assert type(found.error) is kind
    assert message in found.error.message


def test_what_came_before_the_error_is_not_lost() -> None:
    found = failed(
        chunk(choice({"content": "a"})), chunk(choice({"content": "b"})), {"error": {"message": "x"}}, chunk(choice({"content": "c"}))
    )
    assert hub_stream_answers([item.data for item in found.chunks]) == {0: Answer(text="ab")}


def test_an_error_body_in_place_of_a_stream() -> None:
    decoder = OpenAIStreamDecoder(TARGET)
    assert decoder.feed(b'{"error": {"message": "slow",') == []
    assert decoder.feed(b' "code": 429}}') == []
    with pytest.raises(StreamFailed) as caught:
        decoder.close()
    assert type(caught.value.error) is UpstreamRateLimited


@pytest.mark.parametrize(
    "body", [b"", b": comment\n\n", b"<html>", sse(chunk(choice({"content": "x"}))), sse(chunk(choice({"content": "x"})))[:-20]]
)
def test_a_stream_that_ends_too_early(body: bytes) -> None:
    decoder = OpenAIStreamDecoder(TARGET)
    decoder.feed(body)
    with pytest.raises(UpstreamProtocolError, match="acme closed the stream"):
        decoder.close()


def test_one_of_two_choices_is_not_an_answer() -> None:
    decoder = OpenAIStreamDecoder(TARGET)
    decoder.feed(sse(chunk(choice({"content": "a"}, "stop")), chunk(choice({"content": "b"}, index=1))))
    with pytest.raises(UpstreamProtocolError):
        decoder.close()


def test_a_stream_without_done_but_with_a_finish_is_complete() -> None:
    assert hub_stream_answers(run(chunk(choice({"content": "a"}, "stop"))))[0].finish == "stop"


def test_nothing_follows_done() -> None:
    assert len(run(chunk(choice({"content": "a"}, "stop")), DONE, chunk(choice({"content": "late"})), b"data: {broken\n\n")) == 1


def test_speech_comes_in_pieces_of_which_only_the_first_is_named() -> None:
    pieces = [{"id": "audio_1", "transcript": "Hel"}, {"transcript": "lo"}, {"data": "QUJD"}, {"expires_at": 1_700_000_000}]
    data = run(*(chunk(choice({"audio": piece})) for piece in pieces), chunk(choice({}, "stop")), DONE)
    assert [item["choices"][0]["delta"]["audio"] for item in data[:4]] == pieces
    decoder = OpenAIStreamDecoder(TARGET)
    assert [item.text_bytes for item in decoder.feed(sse(*(chunk(choice({"audio": piece})) for piece in pieces)))] == [3, 2, 0, 0]
    assert run(chunk(choice({"content": "x", "audio": {}})), chunk(choice({}, "stop")))[0]["choices"][0]["delta"]["audio"] is None


def test_a_custom_tools_input_is_not_taken_for_a_functions() -> None:
    opening = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "sql", "input": ""}}
    more = [{"index": 0, "custom": {"input": piece}} for piece in ("SELECT", " 1")]
    decoder = OpenAIStreamDecoder(TARGET)
    events = [chunk(choice({"tool_calls": [call]})) for call in (opening, *more)]
    found = decoder.feed(sse(*events, chunk(choice({}, "tool_calls")), DONE))
    assert [item.data["choices"][0]["delta"]["tool_calls"][0] for item in found[:3]] == [opening, *more]
    assert [item.text_bytes for item in found[:3]] == [3, 6, 2]
    assert found[3].data["choices"][0]["delta"] == {}
    assert found[3].data["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_inside_the_last_choice_counts() -> None:
    data = run(chunk(choice({"content": "x"})), chunk(choice({}, "stop", usage=USAGE)), DONE)
    assert data[-1]["usage"] == USAGE
    assert "usage" not in data[-2]["choices"][0]


@pytest.mark.parametrize(
    "event",
    [
        chunk(choice({}), x_groq={"id": "r", "error": "over capacity"}),
        {"choices": None, "base_resp": {"status_code": 1000, "status_msg": "over capacity"}},
        chunk(choice({"content": ""}, "error"), error={"code": 502, "message": "over capacity"}),
    ],
)
def test_errors_beside_an_answer_are_errors(event: Json) -> None:
    error = failed(chunk(choice({"content": "x"})), event)
    assert isinstance(error.error, UpstreamFailed)
    assert error.error.message == "over capacity"


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource"])
def test_an_answer_that_could_not_be_finished_is_not_called_finished(word: str) -> None:
    assert word in failed(chunk(choice({"content": "x"})), chunk(choice({}, word))).error.message


@pytest.mark.parametrize(
    ("word", "meant"), [("sensitive", "content_filter"), ("SPII", "content_filter"), ("model_context_window_exceeded", "length")]
)
def test_other_words_for_a_finish(word: str, meant: str) -> None:
    assert run(chunk(choice({"content": "x"}, word)))[0]["choices"][0]["finish_reason"] == meant


def test_thoughts_in_an_array_keep_their_signature_and_strangers_a_place() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "sig"}]}
    reference = {"type": "reference", "reference_ids": [1]}
    data = run(chunk(choice({"content": [thought]})), chunk(choice({"content": [{"type": "text", "text": "Hi"}, reference]}, "stop")))
    first, second = (item["choices"][0]["delta"] for item in data)
    assert (first["reasoning_content"], first["content"]) == ("hm", "")
    assert first["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    assert (second["content"], second["provider_specific_fields"]) == ("Hi", {"content_parts": [reference]})


@pytest.mark.parametrize("space", [None, 2])
def test_a_whole_completion_in_place_of_a_stream_is_one_chunk(space: int | None) -> None:
    message = {
        "role": "assistant",
        "content": "Hello",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    whole = {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 7,
        "model": "their-name",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    body = json.dumps(whole, indent=space).encode()
    for cut in range(len(body)):
        decoder = OpenAIStreamDecoder(TARGET)
        answer, usage = [each for part in (decoder.feed(body[:cut]), decoder.feed(body[cut:]), decoder.close()) for each in part]
        (only,) = ChatCompletionChunk.model_validate(answer.data).choices
        assert (only.delta.content, only.finish_reason) == ("Hello", "tool_calls")
        assert only.delta.tool_calls is not None
        assert (only.delta.tool_calls[0].index, answer.data["model"]) == (0, TARGET.alias)
        assert usage.usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
