import base64
import json
from typing import Any

import pytest

from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.errors import BadRequest, UnsupportedParams

USER = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
PNG = "data:image/png;base64,aGk="


def encode(request: Json, quirks: str = "", base_url: str = "https://up.example", **more: Any) -> WireRequest:
    target = Target("claude", base_url, "alias", provider="anthropic", quirks=frozenset(quirks.split()), **more)
    return AnthropicMessages().encode({"model": "alias", "messages": [USER], **request}, target)


def body(request: Json, quirks: str = "", **more: Any) -> Json:
    sent: Json = json.loads(encode(request, quirks, **more).body)
    return sent


def turns(*messages: Json) -> list[Json]:
    sent: list[Json] = body({"messages": list(messages)})["messages"]
    return sent


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def test_the_least_request() -> None:
    wire = encode({})
    assert json.loads(wire.body) == {"model": "claude", "messages": [{"role": "user", "content": [text("hi")]}], "max_tokens": 4096}
    assert wire.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("base_url", ["https://up.example", "https://up.example/v1", "https://up.example/v1/messages"])
def test_litellms_spellings_of_the_address(base_url: str) -> None:
    assert encode({}, base_url=base_url).url == "https://up.example/v1/messages"


def test_betas_come_from_headers_and_field() -> None:
    wire = encode({"extra_headers": {"Anthropic-Beta": "a, b"}, "anthropic_beta": ["b", "c"]})
    assert wire.headers["anthropic-beta"] == "a,b,c"
    assert "anthropic_beta" not in json.loads(wire.body)


@pytest.mark.parametrize(
    ("messages", "system"),
    [
        ([{"role": "system", "content": "s"}], "s"),
        ([{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}], [text("s"), text("d")]),
        (
            [{"role": "system", "content": [text("s", cache_control={"type": "ephemeral"})]}],
            [text("s", cache_control={"type": "ephemeral"})],
        ),
        ([{"role": "system", "content": "s", "cache_control": {"type": "ephemeral"}}], [text("s", cache_control={"type": "ephemeral"})]),
        ([{"role": "system", "content": ""}], None),
    ],
)
def test_system(messages: list[Json], system: Any) -> None:
    sent = body({"messages": [*messages, USER]})
    assert sent.get("system") == system
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


def test_a_system_message_in_the_middle_is_not_lost() -> None:
    sent = body({"messages": [USER, {"role": "assistant", "content": "a"}, {"role": "system", "content": "s"}, USER]})
    assert (sent["system"], [turn["role"] for turn in sent["messages"]]) == ("s", ["user", "assistant", "user"])


def test_messages_of_one_side_become_one_turn() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "t2"}]}
    results = [{"role": "tool", "tool_call_id": name, "content": "ok"} for name in ("t1", "t2")]
    assert turns(USER, USER, call, *results, USER) == [
        {"role": "user", "content": [text("hi"), text("hi")]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "f", "input": {"a": 1}} for name in ("t1", "t2")]},
        {
            "role": "user",
            "content": [*({"type": "tool_result", "tool_use_id": name, "content": "ok"} for name in ("t1", "t2")), text("hi")],
        },
    ]


def test_empty_texts_say_nothing() -> None:
    assert turns(USER, {"role": "assistant", "content": ""}, {"role": "user", "content": [text(""), text("x")]}) == [
        {"role": "user", "content": [text("hi"), text("x")]}
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ),
        ({"type": "image_url", "image_url": "https://x/i.png"}, {"type": "image", "source": {"type": "url", "url": "https://x/i.png"}}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGk="}, "cache_control": {"type": "ephemeral"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
                "citations": {"enabled": True},
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                "title": "a.pdf",
                "citations": {"enabled": True},
            },
        ),
        (
            {"type": "file", "file": {"file_data": "aGk="}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain;base64," + base64.b64encode("né".encode()).decode()}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "né"}},
        ),
        (
            {"type": "file", "file": {"file_data": PNG}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ),
        ({"type": "file", "file": {"file_id": "file_1"}}, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            {"type": "file", "file": {"file_id": "https://x/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        ),
        ({"type": "container_upload", "file_id": "f"}, {"type": "container_upload", "file_id": "f"}),
        ("just words", text("just words")),
    ],
)
def test_parts(part: Any, block: Json) -> None:
    assert turns({"role": "user", "content": [part]})[0]["content"] == [block]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, r"messages\[0\].content\[0\]: .*input_audio"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}, r"content\[0\]: the URL must"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, r"image_url.url must be a string"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "needs file_data or file_id"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}]}, "not base64 of UTF-8"),
        ({"role": "user", "content": [{"type": "text"}]}, r"content\[0\].text must be a string"),
        ({"role": "user", "content": [7]}, r"content\[0\] must be an object"),
        ({"role": "user", "content": 7}, "content must be a string or an array"),
        ({"role": "robot", "content": "x"}, "'robot' is not a role"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{cut"}}]},
            r"tool_calls\[0\].function.arguments",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "[]"}}]}, "must be a JSON object"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "must have a function with a name"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_place(message: Json, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        turns(message)
    assert caught.value.param == "messages"


def test_tool_results_with_parts_errors_and_caching() -> None:
    result = {"role": "tool", "tool_call_id": "t1", "is_error": True, "cache_control": {"type": "ephemeral"}}
    parts = [text("see"), {"type": "image_url", "image_url": {"url": PNG}}]
    assert turns({**result, "content": parts})[0]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "t1",
            "content": [text("see"), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}],
            "is_error": True,
            "cache_control": {"type": "ephemeral"},
        }
    ]
    assert turns({"role": "tool", "tool_call_id": "t1", "content": ""})[0]["content"] == [{"type": "tool_result", "tool_use_id": "t1"}]


def test_other_providers_tool_ids_fit_and_still_match() -> None:
    call = {"role": "assistant", "tool_calls": [{**CALL, "id": "functions.f:0"}]}
    first, second = turns(call, {"role": "tool", "tool_call_id": "functions.f:0", "content": "x"})
    assert first["content"][0]["id"] == second["content"][0]["tool_use_id"] == "functions_f_0"


def test_legacy_functions() -> None:
    sent = body(
        {
            "functions": [TOOL["function"]],
            "function_call": {"name": "f"},
            "messages": [
                USER,
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "x"},
            ],
        }
    )
    assert (sent["tools"][0]["name"], sent["tool_choice"]) == ("f", {"type": "tool", "name": "f"})
    assert sent["messages"][1]["content"][0]["id"] == sent["messages"][2]["content"][0]["tool_use_id"]
    assert "functions" not in sent
    assert "function_call" not in sent


@pytest.mark.parametrize(
    "thoughts",
    [
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]},
        {
            "reasoning_details": [
                {"format": "anthropic-claude-v1", "type": "reasoning.text", "text": "hm", "signature": "s"},
                {"format": "anthropic-claude-v1", "type": "reasoning.encrypted", "data": "d"},
                {"format": "openai-responses-v1", "type": "reasoning.encrypted", "data": "other"},
            ]
        },
        {"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}, text("a")]},
    ],
)
def test_signed_thoughts_go_back_first(thoughts: Json) -> None:
    assert turns(USER, {"role": "assistant", "content": "a", "tool_calls": [CALL], **thoughts})[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        text("a"),
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    ]


def test_unsigned_thoughts_stay_here() -> None:
    message = {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}
    assert turns(USER, message, USER)[1]["content"] == [text("a")]


def test_a_prefill_does_not_end_in_white_space() -> None:
    assert turns(USER, {"role": "assistant", "content": "Sure: \n"})[-1]["content"] == [text("Sure:")]
    assert turns(USER, {"role": "assistant", "content": "Sure: "}, USER)[1]["content"] == [text("Sure: ")]


def test_cache_control_on_a_message_goes_to_its_last_block() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    assert turns({**USER, **mark})[0]["content"] == [text("hi", **mark)]
    assert (
        turns({"role": "assistant", "content": "a", "tool_calls": [CALL], **mark})[0]["content"][-1]["cache_control"]
        == mark["cache_control"]
    )


def test_tools() -> None:
    native = {"type": "web_search_20250305", "name": "web_search"}
    cached = {**TOOL, "cache_control": {"type": "ephemeral"}}
    bare = {"type": "function", "function": {"name": "g", "strict": True}}
    assert body({"tools": [cached, bare, native]})["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}, "strict": True},
        native,
    ]


def test_web_search_options_are_anthropics_tool() -> None:
    options = {"search_context_size": "medium", "user_location": {"type": "approximate", "approximate": {"city": "Paris"}}}
    assert body({"web_search_options": options})["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5, "user_location": {"type": "approximate", "city": "Paris"}}
    ]


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"tool_choice": {"type": "tool", "name": "f"}}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
        ({}, None),
    ],
)
def test_tool_choice(given: Json, choice: Json | None) -> None:
    assert body({"tools": [TOOL], **given}).get("tool_choice") == choice
    assert "tool_choice" not in body(given)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "g"}}]}, "tools"),
        ({"tools": "f"}, "tools"),
        ({"messages": "hi"}, "messages"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": 5}, "stop"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]}, "tools"),
    ],
)
def test_bad_requests_name_the_field(request_: Json, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        body(request_)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "limit", "limit_of_model"),
    [
        ({}, 4096, None),
        ({}, 64_000, 64_000),
        ({"max_tokens": 10}, 10, 64_000),
        ({"max_completion_tokens": 10}, 10, None),
        ({"max_completion_tokens": 10, "max_tokens": 7}, 7, None),
    ],
)
def test_the_output_limit(given: Json, limit: int, limit_of_model: int | None) -> None:
    sent = body(given, max_output_tokens=limit_of_model)
    assert sent["max_tokens"] == limit
    assert "max_completion_tokens" not in sent


@pytest.mark.parametrize(
    ("request_", "thinking", "limit"),
    [
        ({"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 1024}, 5120),
        ({"reasoning_effort": "medium"}, {"type": "enabled", "budget_tokens": 2048}, 6144),
        ({"reasoning_effort": "high"}, {"type": "enabled", "budget_tokens": 4096}, 8192),
        ({"reasoning_effort": {"effort": "high", "summary": "auto"}}, {"type": "enabled", "budget_tokens": 4096}, 8192),
        ({"reasoning_effort": "high", "max_tokens": 3000}, {"type": "enabled", "budget_tokens": 2999}, 3000),
        ({"reasoning_effort": "high", "max_tokens": 1000}, None, 1000),
        ({"reasoning_effort": "none"}, None, 4096),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, {"type": "enabled", "budget_tokens": 9000}, 13096),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, {"type": "disabled"}, 4096),
        ({"thinking": None}, None, 4096),
    ],
)
def test_thinking_never_raises_a_limit_that_was_given(request_: Json, thinking: Json | None, limit: int) -> None:
    sent = body(request_)
    assert sent.get("thinking") == thinking
    assert sent["max_tokens"] == limit
    assert "reasoning_effort" not in sent


def test_models_that_think_adaptively() -> None:
    sent = body({"reasoning_effort": "high"}, "adaptive_thinking")
    assert (sent["thinking"], sent["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})


def test_effort_is_no_reason_to_break_a_tool_loop_of_a_client_that_forgot_the_thoughts() -> None:
    loop = [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "t1", "content": "x"}]
    assert "thinking" not in body({"messages": loop, "reasoning_effort": "low"})
    signed = {**loop[1], "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]}
    assert "thinking" in body({"messages": [loop[0], signed, loop[2]], "reasoning_effort": "low"})


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}


def test_a_json_schema_is_structured_output() -> None:
    sent = body({"response_format": JSON_SCHEMA, "reasoning_effort": "high"}, "adaptive_thinking")
    assert sent["output_config"]["effort"] == "high"
    assert sent["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }
    assert "response_format" not in sent


@pytest.mark.parametrize(("response_format", "quirks"), [(JSON_SCHEMA, "json_schema_by_tool"), ({"type": "json_object"}, "")])
def test_json_without_structured_outputs_is_a_forced_tool(response_format: Json, quirks: str) -> None:
    sent = body({"response_format": response_format}, quirks)
    assert [tool["name"] for tool in sent["tools"]] == ["json_tool_call"]
    assert sent["tool_choice"] == {"type": "tool", "name": "json_tool_call", "disable_parallel_tool_use": True}
    if quirks:
        assert sent["tools"][0]["input_schema"] == SCHEMA


def test_json_beside_tools_is_an_instruction() -> None:
    sent = body(
        {"response_format": JSON_SCHEMA, "tools": [TOOL], "messages": [{"role": "system", "content": "s"}, USER]}, "json_schema_by_tool"
    )
    assert [tool["name"] for tool in sent["tools"]] == ["f"]
    assert sent["system"][0] == text("s")
    assert '"required":["a"]' in sent["system"][1]["text"]


def test_text_is_no_format() -> None:
    assert body({"response_format": {"type": "text"}}) == body({})


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"stop": None}, {}),
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 5}, {"temperature": 0.5, "top_p": 0.9, "top_k": 5}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"user": "user-17"}, {"metadata": {"user_id": "user-17"}}),
        ({"user": "ann@example.com"}, {}),
        ({"user": "+44 20 7946 0958"}, {}),
        ({"metadata": {"user_id": "u", "tags": ["x"]}}, {"metadata": {"user_id": "u"}}),
        ({"metadata": {"tags": ["x"]}}, {}),
        ({"mcp_servers": [1], "container": "c", "never_heard_of": 1}, {"mcp_servers": [1], "container": "c", "never_heard_of": 1}),
        ({"n": 1, "logprobs": False, "presence_penalty": 0, "store": False, "seed": None}, {}),
        ({"prompt_cache_key": "k", "safety_identifier": "s"}, {}),
    ],
)
def test_parameters(given: Json, sent: Json) -> None:
    base = {"model", "messages", "max_tokens"}
    assert {name: value for name, value in body(given).items() if name not in base} == sent


@pytest.mark.parametrize(
    "given",
    [
        {"n": 2},
        {"logprobs": True},
        {"logit_bias": {"1": 1}},
        {"seed": 1},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 1},
        {"audio": {}},
        {"modalities": ["audio"]},
        {"prediction": {}},
        {"service_tier": "flex"},
        {"verbosity": "low"},
        {"store": True},
    ],
)
def test_what_anthropic_cannot_do_is_refused_or_dropped(given: Json) -> None:
    name = next(iter(given))
    with pytest.raises(UnsupportedParams, match=name) as caught:
        body(given)
    assert caught.value.param == name
    assert body(given, drop_params=True) == body({})


def test_profiles_refuse_sampling_parameters() -> None:
    with pytest.raises(UnsupportedParams, match="temperature"):
        body({"temperature": 0.2}, "unsupported:temperature")


def test_stop_sequences_of_white_space_are_dropped_with_drop_params() -> None:
    assert body({"stop": ["\n", "END"]}, drop_params=True)["stop_sequences"] == ["END"]
    assert body({"stop": ["\n", "END"]})["stop_sequences"] == ["\n", "END"]


def test_the_request_is_not_changed() -> None:
    request = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [text("x")], "cache_control": {"type": "ephemeral"}},
            USER,
        ],
        "tools": [TOOL],
        "response_format": JSON_SCHEMA,
        "reasoning_effort": "low",
        "output_config": {},
        "metadata": {"user_id": "u"},
    }
    before = json.dumps(request)
    body(request)
    assert json.dumps(request) == before
