import json
from typing import Any

import pytest
from tests.support.recordings import hub_answers, hub_stream_answers
from tests.support.wire import decode_stream, fields_in

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.responses_api import OpenAIResponses
from tollkeeper.errors import (
    BadRequest,
    ContextWindowExceeded,
    UnsupportedParams,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
)

DIALECT = OpenAIResponses()
HELLO = [{"role": "user", "content": "Hello"}]
ENCRYPTED = "reasoning.encrypted_content"


def target(**more: Any) -> Target:
    return Target(**{"model": "gpt-5", "base_url": "https://o.example/v1", "alias": "a", "provider": "openai", "created": 7, **more})


def encoded(messages: list[Json] = HELLO, aim: Target | None = None, **request: Any) -> Json:
    return dict(json.loads(DIALECT.encode({"model": "a", "messages": messages, **request}, aim or target()).body))


# Requests


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://o.example/v1", "https://o.example/v1/responses"),
        ("https://o.example/v1/responses", "https://o.example/v1/responses"),
        ("https://r.openai.azure.com/openai?api-version=2025-03-01", "https://r.openai.azure.com/openai/responses?api-version=2025-03-01"),
        ("https://h.example/{model}/v1?x=1", "https://h.example/org%2Fgpt%205/v1/responses?x=1"),
    ],
)
def test_the_path_goes_before_the_query(base: str, url: str) -> None:
    assert DIALECT.encode({"messages": HELLO}, target(base_url=base, model="org/gpt 5" if "{model}" in base else "gpt-5")).url == url


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({}, {"store": False}),
        ({"store": True}, {"store": True}),
        ({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_1"}),
        ({"max_tokens": 9, "max_completion_tokens": 5}, {"store": False, "max_output_tokens": 5}),
        ({"max_tokens": 9, "max_output_tokens": 50}, {"store": False, "max_output_tokens": 9}),
        ({"max_output_tokens": 50}, {"store": False, "max_output_tokens": 50}),
        ({"reasoning_effort": "low"}, {"store": False, "reasoning": {"effort": "low"}, "include": [ENCRYPTED]}),
        ({"reasoning_effort": "none"}, {"store": False, "reasoning": {"effort": "none"}}),
        ({"reasoning_effort": "low", "store": True}, {"store": True, "reasoning": {"effort": "low"}}),
        (
            {"reasoning_effort": {"effort": "low", "summary": "auto"}},
            {"store": False, "reasoning": {"effort": "low", "summary": "auto"}, "include": [ENCRYPTED]},
        ),
        ({"logprobs": True, "top_logprobs": 2}, {"store": False, "top_logprobs": 2, "include": ["message.output_text.logprobs"]}),
        ({"verbosity": "low"}, {"store": False, "text": {"verbosity": "low"}}),
        ({"response_format": {"type": "json_object"}}, {"store": False, "text": {"format": {"type": "json_object"}}}),
        ({"stream_options": {"include_usage": True}}, {"store": False}),
        ({"stream_options": {"include_obfuscation": False}}, {"store": False, "stream_options": {"include_obfuscation": False}}),
        (
            {"temperature": 0.5, "user": "u", "service_tier": "flex"},
            {"store": False, "temperature": 0.5, "user": "u", "service_tier": "flex"},
        ),
        (
            {"web_search_options": {"user_location": {"type": "approximate", "approximate": {"country": "CH"}}}},
            {"store": False, "tools": [{"type": "web_search", "user_location": {"type": "approximate", "country": "CH"}}]},
        ),
    ],
)
def test_parameters_get_the_names_of_the_responses_api(request_: Json, sent: Json) -> None:
    body = encoded(**request_)
    assert {name: body[name] for name in body.keys() - {"model", "input"}} == sent


def test_a_model_known_to_reason_is_asked_for_its_reasoning() -> None:
    assert encoded(aim=target(quirks=frozenset({"encrypted_reasoning"})))["include"] == [ENCRYPTED]


def test_a_schema_loses_a_level() -> None:
    schema = {"name": "x", "strict": True, "schema": {"type": "object"}}
    body = encoded(response_format={"type": "json_schema", "json_schema": schema})
    assert body["text"] == {"format": {"type": "json_schema", **schema}}


def test_tools_lose_a_level_and_are_not_strict_unless_they_say_so() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    tools = [
        {"type": "function", "function": {"name": "f", "description": None, "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "g", "strict": True}},
        {"type": "custom", "custom": {"name": "c", "format": grammar}},
        {"type": "mcp", "server_label": "s"},
    ]
    assert encoded(tools=tools)["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": True},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"}},
        {"type": "mcp", "server_label": "s"},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("required", "required"),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
        ({"type": "web_search"}, {"type": "web_search"}),
    ],
)
def test_a_tool_choice_loses_a_level(choice: Any, sent: Any) -> None:
    assert encoded(tool_choice=choice)["tool_choice"] == sent


@pytest.mark.parametrize("name", ["n", "stop", "seed", "logit_bias", "presence_penalty", "prediction"])
def test_what_the_api_lacks_is_refused_by_name_or_dropped(name: str) -> None:
    with pytest.raises(UnsupportedParams) as caught:
        encoded(**{name: 2})
    assert caught.value.param == name
    assert name not in encoded(aim=target(drop_params=True), **{name: 2})
    assert encoded(aim=target(allow=frozenset({name})), **{name: 2})[name] == 2


def test_work_in_the_background_is_refused_unless_its_answer_is_streamed() -> None:
    with pytest.raises(UnsupportedParams) as caught:
        encoded(background=True)
    assert caught.value.param == "background"
    assert encoded(background=True, stream=True)["background"] is True


def test_media_and_files() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        {"type": "file", "file": {"file_id": "https://x.example/a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    (item,) = encoded([{"role": "user", "content": parts}])["input"]
    assert item["content"] == [
        {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        {"type": "input_file", "file_url": "https://x.example/a.pdf"},
        {"type": "input_file", "file_id": "file-1"},
        parts[4],
    ]


def test_a_custom_tools_result_answers_a_custom_call() -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    items = encoded([{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "a.txt"}])["input"]
    assert items == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "a.txt"},
    ]


def test_a_refusal_goes_back_as_one() -> None:
    (item,) = encoded([{"role": "assistant", "content": None, "refusal": "No."}])["input"]
    assert item == {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}


def test_reasoning_that_the_provider_cannot_find_stays_here_with_what_rests_on_it() -> None:
    fields = {"server_tools": [{"type": "web_search_call", "id": "ws_1"}, {"type": "server_tool_use", "id": "s"}]}
    message = {"role": "assistant", "content": "x", "reasoning_items": [{"type": "reasoning", "id": "rs_1", "summary": []}]}
    messages = [{**message, "provider_specific_fields": fields}]
    assert [item.get("type", "message") for item in encoded(messages)["input"]] == ["message"]
    assert [item.get("type", "message") for item in encoded(messages, store=True)["input"]] == ["reasoning", "web_search_call", "message"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, r"messages\[0\].content\[0\].image_url.url"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "file_data or file_id"),
        ({"role": "assistant", "content": None, "audio": {"id": "a"}}, "audio"),
        ({"role": "user", "content": 5}, "string or an array"),
    ],
)
def test_what_cannot_be_said_is_a_typed_400(message: Json, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        encoded([message])


# Answers


def response(*output: Json, **more: Any) -> Json:
    return {"id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "tools": [], "output": list(output), **more}


def decoded(*output: Json, **more: Any) -> Json:
    return DIALECT.decode(json.dumps(response(*output, **more)).encode(), target())


def stream(*events: Json) -> tuple[list[Json], Exception | None]:
    body = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    chunks, error = decode_stream([body], DIALECT.stream_decoder(target()))
    return [chunk.data for chunk in chunks], error


def says(text: str) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}


CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "sh", "input": "ls"}
SHELL = {"type": "custom", "name": "sh"}


def test_a_custom_call_is_the_callers_only_if_the_tool_is() -> None:
    theirs, ours = decoded(CUSTOM)["choices"][0], decoded(CUSTOM, tools=[SHELL])["choices"][0]
    assert (theirs["finish_reason"], theirs["message"]["provider_specific_fields"]["server_tools"]) == ("stop", [CUSTOM])
    assert ours["finish_reason"] == "tool_calls"
    assert ours["message"]["tool_calls"] == [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]


def test_a_streamed_custom_call() -> None:
    data, error = stream(
        {"type": "response.created", "response": response(tools=[SHELL])},
        {"type": "response.output_item.added", "output_index": 0, "item": {**CUSTOM, "input": ""}},
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "l"},
        {"type": "response.output_item.done", "output_index": 0, "item": CUSTOM},
        {"type": "response.completed", "response": response(CUSTOM, tools=[SHELL])},
    )
    assert error is None
    calls = [call for chunk in data for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert calls[0]["id"] == "c1"
    assert "".join(call["custom"]["input"] for call in calls) == "ls"
    assert data[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [
        ("completed", None, "stop"),
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("incomplete", None, "stop"),
    ],
)
def test_why_it_ended(status: str, details: Any, finish: str) -> None:
    assert decoded(says("x"), status=status, incomplete_details=details)["choices"][0]["finish_reason"] == finish


FAILURES: list[tuple[Json, type[UpstreamError], str]] = [
    ({"code": "server_error", "message": "Oops"}, UpstreamFailed, "Oops"),
    ({"code": "rate_limit_exceeded", "message": "Slow down"}, UpstreamRateLimited, "Slow down"),
    ({"code": "context_length_exceeded", "message": "Too long"}, ContextWindowExceeded, "Too long"),
    ({"code": "invalid_prompt", "message": "No"}, UpstreamRejected, "No"),
    ({"code": "image_too_large", "message": "Big"}, UpstreamRejected, "Big"),
]


@pytest.mark.parametrize(("error", "kind", "words"), FAILURES)
def test_a_failed_response_is_typed_whole_and_streamed(error: Json, kind: type[UpstreamError], words: str) -> None:
    failed = response(status="failed", error=error)
    with pytest.raises(kind, match=words):
        DIALECT.decode(json.dumps(failed).encode(), target())
    start = {"type": "response.created", "response": response()}
    for end in ({"type": "response.failed", "response": failed}, {"type": "error", **error}, {"type": "error", "error": error}):
        data, raised = stream(start, {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hel"}, end)
        assert hub_stream_answers(data)[0].text == "Hel"
        assert type(raised) is kind
        assert str(raised) == words


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_not_finished_is_no_answer(status: str) -> None:
    with pytest.raises(UpstreamProtocolError):
        decoded(status=status)


def test_a_response_that_failed_silently_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="The response failed"):
        decoded(status="failed", error=None)


def test_citations_lie_where_the_whole_text_has_them() -> None:
    note = {"type": "url_citation", "url": "https://e.example", "title": "E", "start_index": 0, "end_index": 1}
    cited = {"type": "message", "content": [{"type": "output_text", "text": "E", "annotations": [note]}]}
    message = decoded(says("See "), cited)["choices"][0]["message"]
    (told,) = [annotation["url_citation"] for annotation in message["annotations"]]
    assert message["content"][told["start_index"] : told["end_index"]] == "E"


def test_file_citations_ride_along() -> None:
    note = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 3}
    cited = {"type": "message", "content": [{"type": "output_text", "text": "E", "annotations": [note]}]}
    message = decoded(cited)["choices"][0]["message"]
    assert "annotations" not in message
    assert message["provider_specific_fields"]["annotations"] == [note]
    data, _ = stream({"type": "response.completed", "response": response(cited)})
    assert fields_in(data, "provider_specific_fields.annotations") == [note]


def test_parts_of_a_summary_are_paragraphs_whole_and_streamed() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in ("One", "Two")]}
    deltas = [
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": index, "delta": text}
        for index, text in enumerate(("One", "Two"))
    ]
    data, _ = stream(*deltas, {"type": "response.completed", "response": response(item)})
    assert hub_stream_answers(data)[0].reasoning == "One\n\nTwo"
    assert hub_answers(decoded(item))[0].reasoning == "One\n\nTwo"


def test_the_order_of_interleaved_items_survives_a_round_trip() -> None:
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "1"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "2"},
        {**says("done"), "phase": "commentary"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
    ]
    message = decoded(*output)["choices"][0]["message"]
    kinds = [item.get("type", "message") for item in encoded([message])["input"]]
    assert kinds == ["reasoning", "web_search_call", "reasoning", "message", "function_call"]
    assert encoded([message])["input"][3]["phase"] == "commentary"
