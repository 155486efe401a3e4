import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.errors import UpstreamError, UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited

TARGET = Target("up", "https://up.example/v1", "alias", provider="acme", created=1_700_000_000)


def decode(data: Any) -> Json:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    answer = OpenAIChat().decode(body, TARGET)
    ChatCompletion.model_validate(answer, strict=True)
    return answer


def with_message(message: Any, finish: Any = "stop", **more: Any) -> Json:
    return {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


def message_of(message: Any, finish: Any = "stop") -> Json:
    said: Json = decode(with_message(message, finish))["choices"][0]["message"]
    return said


@pytest.mark.parametrize(
    ("given", "name", "mended"),
    [
        ({"id": 7}, "id", "7"),
        ({"id": ""}, "id", "chatcmpl-1700000000"),
        ({"id": None}, "id", "chatcmpl-1700000000"),
        ({"object": "text_completion"}, "object", "chat.completion"),
        ({"created": None}, "created", 1_700_000_000),
        ({"created": 12.7}, "created", 12),
        ({"model": "real-name"}, "model", "alias"),
        ({"service_tier": "on_demand"}, "service_tier", "default"),
        ({"service_tier": "default"}, "service_tier", "default"),
        ({"service_tier": ""}, "service_tier", None),
        ({"service_tier": "provisioned"}, "service_tier", None),
        ({"service_tier": {"odd": 1}}, "service_tier", None),
        ({"system_fingerprint": 5}, "system_fingerprint", None),
        ({"obfuscation": "zz"}, "obfuscation", None),
        ({"p": "abc"}, "p", None),
        ({"sla_metrics": {}}, "sla_metrics", None),
        ({"citations": ["https://x"]}, "citations", ["https://x"]),
    ],
)
def test_the_envelope(given: Json, name: str, mended: Any) -> None:
    assert decode({**with_message({"content": "hi"}), **given}).get(name) == mended


@pytest.mark.parametrize(
    ("finish", "mended"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("", "stop"),
        (None, "stop"),
        ("eos_token", "stop"),
        ("eos", "stop"),
        ("tool_calls", "stop"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "stop"),
        (5, "stop"),
        ("never heard", "stop"),
    ],
)
def test_finish_reasons_without_tools(finish: Any, mended: str) -> None:
    assert decode(with_message({"content": "x"}, finish))["choices"][0]["finish_reason"] == mended


@pytest.mark.parametrize(
    ("finish", "mended"), [("stop", "tool_calls"), ("tool_call", "tool_calls"), ("", "tool_calls"), ("length", "length")]
)
def test_finish_reasons_with_tools(finish: str, mended: str) -> None:
    message = {"content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    assert decode(with_message(message, finish))["choices"][0]["finish_reason"] == mended


def test_an_answer_that_ended_in_an_error_is_one() -> None:
    with pytest.raises(UpstreamFailed):
        decode(with_message({"content": "half"}, "error"))
    with pytest.raises(UpstreamRateLimited, match="slow"):
        decode({"choices": [{"error": {"code": 429, "message": "slow"}, "message": {"content": ""}, "finish_reason": "error"}]})


@pytest.mark.parametrize(
    ("call", "mended"),
    [
        ({"id": 0, "function": {"name": "f", "arguments": {"a": 1}}}, {"id": "call_x_0", "arguments": '{"a":1}'}),
        ({"id": "", "type": "function", "function": {"name": "f", "arguments": ""}}, {"id": "call_x_0", "arguments": "{}"}),
        ({"function": {"name": "f", "arguments": None}}, {"id": "call_x_0", "arguments": "{}"}),
        ({"id": "abc", "type": None, "function": {"name": "f", "arguments": '{"a": 1}'}}, {"id": "abc", "arguments": '{"a": 1}'}),
    ],
)
def test_tool_calls(call: Json, mended: Json) -> None:
    found = message_of({"content": None, "tool_calls": [call]})["tool_calls"][0]
    assert found["type"] == "function"
    assert {"id": found["id"], "arguments": found["function"]["arguments"]} == mended


@pytest.mark.parametrize("calls", [[], None])
def test_no_tool_calls_are_none(calls: Any) -> None:
    assert "tool_calls" not in message_of({"content": "x", "tool_calls": calls})


def test_mistrals_content_array_is_text_and_reasoning() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]},
        {"type": "text", "text": "yes"},
    ]
    said = message_of({"content": content})
    assert (said["content"], said["reasoning_content"]) == ("yes", "hmm")


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"reasoning": "r"}, "r"),
        ({"reasoning_content": "c"}, "c"),
        ({"reasoning_content": "c", "reasoning": "r"}, "c"),
        ({"reasoning": None}, None),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "d"}, {"type": "reasoning.encrypted", "data": "?"}]}, "d"),
    ],
)
def test_reasoning_is_where_litellms_clients_look(message: Json, reasoning: str | None) -> None:
    said = message_of({"content": "x", **message})
    assert said.get("reasoning_content") == reasoning
    assert {name: said[name] for name in message if name != "reasoning_content"} == {
        k: v for k, v in message.items() if k != "reasoning_content"
    }


def test_missing_parts_of_a_choice() -> None:
    answer = decode({"id": "x", "choices": [{"finish_reason": "content_filter"}, {"text": "old", "finish_reason": "eos"}]})
    first, second = answer["choices"]
    assert (first["index"], first["message"]["role"], first["message"]["content"]) == (0, "assistant", None)
    assert (second["index"], second["message"]["content"]) == (1, "old")


def test_null_choices_are_none() -> None:
    assert decode({"id": "x", "choices": None})["choices"] == []


def test_perplexitys_empty_delta_goes() -> None:
    answer = decode({"id": "x", "choices": [{"delta": {"content": ""}, "message": {"content": "hi"}, "finish_reason": "stop"}]})
    assert "delta" not in answer["choices"][0]


def test_annotations_of_another_kind_are_kept_elsewhere() -> None:
    web = {"type": "url_citation", "url_citation": {"url": "https://x", "title": None, "start_index": None, "end_index": 3}}
    file = {"type": "file", "file": {"hash": "1"}}
    said = message_of({"content": "x", "annotations": [web, file]})
    assert said["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "https://x", "title": "", "start_index": 0, "end_index": 3}}
    ]
    assert said["provider_specific_fields"] == {"annotations": [file]}


def test_snowflakes_empty_objects() -> None:
    said = message_of({"content": "x", "audio": {"id": "", "data": ""}, "function_call": {"name": "", "arguments": ""}, "refusal": ""})
    assert (said["audio"], said["function_call"], said["refusal"]) == (None, None, None)


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3}, 3),
        ({"prompt_tokens": 5, "completion_tokens": 2, "num_cached_tokens": 3}, 3),
        ({"prompt_tokens": 5.0, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, 3),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 4},
                "cached_tokens": 3,
            },
            4,
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": None, "prompt_tokens_details": "odd"}, None),
    ],
)
def test_usage(usage: Json, cached: int | None) -> None:
    found = decode({**with_message({"content": "x"}), "usage": usage})["usage"]
    assert (found["prompt_tokens"], found["completion_tokens"], found["total_tokens"]) == (5, 2, 7)
    assert (found.get("prompt_tokens_details") or {}).get("cached_tokens") == cached


def test_logprobs() -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    entry = {"token": "x", "logprob": None, "bytes": "odd"}
    answer = decode({"choices": [{**choice, "logprobs": {"content": [entry], "refusal": {}}}, {**choice, "index": 1, "logprobs": [1]}]})
    assert answer["choices"][0]["logprobs"]["content"] == [{"token": "x", "logprob": -9999.0, "bytes": None, "top_logprobs": []}]
    assert answer["choices"][1]["logprobs"] is None


def test_white_space_before_the_answer() -> None:
    assert decode(b"\n\n   " + json.dumps(with_message({"content": "x"})).encode())["choices"][0]["message"]["content"] == "x"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"<html><body>Sign in</body></html>", UpstreamProtocolError, "a web page"),
        (b"", UpstreamProtocolError, "an empty body"),
        (b'{"id": "x", "choi', UpstreamProtocolError, "not JSON"),
        (b"[]", UpstreamProtocolError, "without `choices`"),
        (b'{"detail": "x"}', UpstreamProtocolError, "without `choices`"),
        (b'{"error": {"message": "slow down", "code": 429}}', UpstreamRateLimited, "slow down"),
        (b'{"error": {"message": "slow down", "code": 429}, "choices": []}', UpstreamRateLimited, "slow down"),
        (b'{"object": "error", "message": "slow down", "code": 429}', UpstreamRateLimited, "slow down"),
    ],
)
def test_what_is_no_answer(body: bytes, kind: type[UpstreamError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        OpenAIChat().decode(body, TARGET)
    assert b"Sign in" not in caught.value.message.encode()


KEYS = [
    "id",
    "object",
    "created",
    "choices",
    "index",
    "message",
    "delta",
    "role",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "finish_reason",
    "function_call",
    "reasoning_content",
    "usage",
    "prompt_tokens",
    "logprobs",
    "refusal",
    "reasoning",
    "annotations",
    "audio",
    "type",
    "text",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(0, 9) | st.sampled_from(["", "x", "stop", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@given(JSON, st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_any_json_is_an_answer_of_openais_types_or_a_typed_error(choices: Any, envelope: Json) -> None:
    with suppress(UpstreamError):
        decode({**envelope, "choices": choices if isinstance(choices, list) else [choices]})
