import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.base import Json, Target
from tollkeeper.errors import UpstreamError, UpstreamFailed, UpstreamProtocolError

TARGET = Target("claude", "https://up.example", "alias", provider="anthropic", created=1_700_000_000)
USAGE = {"input_tokens": 3, "output_tokens": 2}


def decode(*blocks: Json, **more: Any) -> Json:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": list(blocks), "stop_reason": "end_turn", "usage": USAGE}
    answer = AnthropicMessages().decode(json.dumps({**message, **more}).encode(), TARGET)
    ChatCompletion.model_validate(answer, strict=True)
    return answer


def said(*blocks: Json, **more: Any) -> Json:
    message: Json = decode(*blocks, **more)["choices"][0]["message"]
    return message


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


TOOL = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
SERVER = [
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
]


def test_the_envelope() -> None:
    answer = decode(text("hi"))
    assert (answer["id"], answer["object"], answer["created"], answer["model"]) == (
        "chatcmpl-msg_1",
        "chat.completion",
        1_700_000_000,
        "alias",
    )
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "hi", "refusal": None}


def test_texts_are_joined() -> None:
    assert said(text("a"), text("b"))["content"] == "ab"
    assert said()["content"] == ""
    assert said(TOOL)["content"] is None


def test_tool_calls() -> None:
    answer = decode(text("a"), TOOL, {**TOOL, "id": "t2", "input": {}}, stop_reason="tool_use")
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "t2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_anthropics_own_tools_ask_nothing_of_the_caller() -> None:
    answer = decode(*SERVER, text("found"))
    assert "tool_calls" not in answer["choices"][0]["message"]
    assert answer["choices"][0]["message"]["provider_specific_fields"] == {"server_tools": SERVER}
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_thoughts_keep_their_signatures() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    message = said(*blocks, text("a"))
    assert (message["reasoning_content"], message["thinking_blocks"]) == ("hm", blocks)


def test_citations_of_pages_are_annotations() -> None:
    page = {"type": "web_search_result_location", "url": "https://x", "title": "X", "cited_text": "b"}
    document = {"type": "char_location", "document_index": 0}
    message = said(text("a"), text("bc", citations=[page]), text("d", citations=[document]))
    assert message["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "https://x", "title": "X", "start_index": 1, "end_index": 3}}
    ]
    assert message["provider_specific_fields"] == {"citations": [[page], [document]]}


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "stop"),
        ("new_reason", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons(stop_reason: Any, finish: str) -> None:
    assert decode(text("a"), stop_reason=stop_reason)["choices"][0]["finish_reason"] == finish


def test_what_stopped_it_and_where_it_ran_ride_along() -> None:
    message = said(text("a"), stop_reason="stop_sequence", stop_sequence="END", container={"id": "c"}, stop_details=None)
    assert message["provider_specific_fields"] == {"container": {"id": "c"}, "stop_sequence": "END"}


def test_usage_counts_cache_inside_the_prompt() -> None:
    usage = {
        **USAGE,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
        "output_tokens_details": {"thinking_tokens": 1},
        "server_tool_use": {"web_search_requests": 1},
        "iterations": [{"type": "advisor_message", "output_tokens": 99}],
    }
    assert decode(text("a"), usage=usage)["usage"] == {
        "prompt_tokens": 20,
        "completion_tokens": 2,
        "total_tokens": 22,
        "prompt_tokens_details": {
            "cached_tokens": 10,
            "cache_creation_tokens": 7,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
        },
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 1},
        "server_tool_use": {"web_search_requests": 1},
        "iterations": [{"type": "advisor_message", "output_tokens": 99}],
    }


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": None, "output_tokens": "many"}])
def test_usage_that_is_not_there_counts_nothing(usage: Any) -> None:
    assert decode(text("a"), usage=usage)["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(("tier", "shown"), [("standard", "default"), ("priority", "priority"), ("batch", None)])
def test_service_tier(tier: str, shown: str | None) -> None:
    assert decode(text("a"), usage={**USAGE, "service_tier": tier}).get("service_tier") == shown


def test_the_forced_json_tool_is_the_text() -> None:
    answer = decode({"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {"a": 1}}, stop_reason="tool_use")
    assert answer["choices"][0]["message"]["content"] == '{"a":1}'
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "tool_calls" not in answer["choices"][0]["message"]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"<html>", UpstreamProtocolError, "a web page"),
        (b'{"type":"message"}', UpstreamProtocolError, "without `content`"),
        (b"[1]", UpstreamProtocolError, "without `content`"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', UpstreamFailed, "Overloaded"),
    ],
)
def test_what_is_no_answer(body: bytes, kind: type[UpstreamError], message: str) -> None:
    with pytest.raises(kind, match=message):
        AnthropicMessages().decode(body, TARGET)
