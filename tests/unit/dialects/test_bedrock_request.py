"""Hub requests → Converse bodies, field by field. Facts: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"""

import json
from typing import Any

import pytest

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.bedrock_converse import BedrockConverse
from tollkeeper.dialects.bedrock_invoke import BedrockInvoke
from tollkeeper.errors import BadRequest, UnsupportedParams

BASE = "https://bedrock-runtime.eu-west-1.amazonaws.com"
CLAUDE, OLD_CLAUDE, NOVA = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "amazon.nova-pro-v1:0"
ADAPTIVE, GPT = "us.anthropic.claude-opus-4-6-v1", "openai.gpt-oss-120b-1:0"
USER = [{"role": "user", "content": "hi"}]
PDF = "JVBERi0="
ADD = {
    "type": "function",
    "function": {"name": "add", "description": "", "parameters": {"type": "object", "properties": {"a": {}}}, "strict": True},
}
SUB = {"type": "function", "function": {"name": "sub", "description": "subtracts"}}


def target(model: str = CLAUDE, **more: Any) -> Target:
    return Target(model=model, base_url=BASE, alias="a", provider="bedrock", **more)


def encoded(model: str = CLAUDE, to: Target | None = None, **request: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(BedrockConverse().encode({"model": "a", "messages": USER, **request}, to or target(model)).body)
    return body


def blocks(*content: Any, role: str = "user") -> list[dict[str, Any]]:
    return encoded(messages=[{"role": role, "content": list(content)}])["messages"][0]["content"]


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def call(identifier: str = "c1", name: str = "add", arguments: str = '{"a": 1}') -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (CLAUDE, False, "eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        (NOVA, True, "amazon.nova-pro-v1%3A0/converse-stream"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc",
            False,
            "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse",
        ),
    ],
)
def test_url(model: str, stream: bool, path: str) -> None:
    wire = BedrockConverse().encode({"messages": USER, "stream": stream}, target(model))
    assert wire.url == f"{BASE}/model/{path}"
    assert "stream" not in json.loads(wire.body)


# Messages


def test_system_texts_and_their_cache_points() -> None:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}]},
        *USER,
        {"role": "developer", "content": "two", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    body = encoded(messages=messages)
    assert body["system"] == [
        {"text": "one"},
        {"cachePoint": {"type": "default"}},
        {"text": "two"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_a_system_message_alone_is_sent_as_the_user_since_there_must_be_a_message() -> None:
    body = encoded(messages=[{"role": "system", "content": "only"}])
    assert body == {"messages": [{"role": "user", "content": [{"text": "only"}]}]}


def test_roles_alternate_and_tool_results_stand_with_the_user() -> None:
    messages = [
        *USER,
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "Let me see."},
        {"role": "assistant", "content": "", "tool_calls": [call(), call("c2", "sub", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "bad"}], "is_error": True},
        {"role": "user", "content": "so?"},
    ]
    assert encoded(messages=messages, tools=[ADD])["messages"] == [
        {"role": "user", "content": [{"text": "hi"}, {"text": "again"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "c2", "name": "sub", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "3"}]}},
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "bad"}], "status": "error"}},
                {"text": "so?"},
            ],
        },
    ]


def test_thoughts_go_back_with_their_signatures_and_only_so() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "thinking", "thinking": "unsigned"},
        {"type": "redacted_thinking", "data": "AAAA"},
    ]
    content = encoded(messages=[*USER, {"role": "assistant", "content": "yes", "thinking_blocks": thoughts}, *USER])["messages"][1][
        "content"
    ]
    assert content == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "yes"},
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (image(f"data:image/jpeg;base64,{PDF}"), {"image": {"format": "jpeg", "source": {"bytes": PDF}}}),
        (image("s3://bucket/cat.png"), {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/cat.png"}}}}),
        (
            file(file_data=f"data:application/pdf;base64,{PDF}", filename="My report_v2.final.pdf"),
            {"document": {"name": "My report v2 final", "format": "pdf", "source": {"bytes": PDF}}},
        ),
        (file(file_data=PDF, filename="a.csv"), {"document": {"name": "a", "format": "csv", "source": {"bytes": PDF}}}),
        (file(file_data=PDF), {"document": {"name": "Document 1", "format": "pdf", "source": {"bytes": PDF}}}),
        (file(file_data=f"data:image/png;base64,{PDF}"), {"image": {"format": "png", "source": {"bytes": PDF}}}),
        (file(file_id="s3://b/v.mov"), {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://b/v.mov"}}}}),
        ({"type": "input_audio", "input_audio": {"data": PDF, "format": "mp3"}}, {"audio": {"format": "mp3", "source": {"bytes": PDF}}}),
        ({"type": "guarded_text", "text": "check"}, {"guardContent": {"text": {"text": "check"}}}),
        ({"searchResult": {"source": "s"}}, {"searchResult": {"source": "s"}}),
    ],
)
def test_content_parts(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert blocks(part) == [expected]


def test_documents_of_one_name_get_different_ones() -> None:
    found = blocks(*[file(file_data=PDF, filename="a.pdf")] * 3, file(file_data=PDF), file(file_data=PDF))
    names = [block["document"]["name"] for block in found]
    assert names[0] == "a"
    assert len(set(names)) == 5


@pytest.mark.parametrize(
    "part",
    [
        image("https://x.example/cat.png"),
        image("data:image/tiff;base64,AA=="),
        file(file_data="data:application/zip;base64,AA=="),
        file(),
        {"type": "hologram"},
        7,
    ],
)
def test_content_that_cannot_be_sent_is_the_callers_fault(part: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        blocks(part)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("content", ["", "  \n", None, [{"type": "text", "text": ""}]])
def test_blank_text_is_never_sent(content: Any) -> None:
    messages = [*USER, {"role": "assistant", "content": content}, {"role": "user", "content": "go on"}]
    assert encoded(messages=messages)["messages"] == [{"role": "user", "content": [{"text": "hi"}, {"text": "go on"}]}]


def test_ids_of_other_providers_are_made_to_fit_and_still_match() -> None:
    for identifier in ("functions.add:0", "weird id/1", "call_gem0__thought__" + "x" * 3000, "y" * 300):
        messages = [
            *USER,
            {"role": "assistant", "tool_calls": [call(identifier)]},
            {"role": "tool", "tool_call_id": identifier, "content": "1"},
        ]
        _, assistant, user = encoded(messages=messages, tools=[ADD])["messages"]
        sent = assistant["content"][0]["toolUse"]["toolUseId"]
        assert 0 < len(sent) <= 64
        assert not set(sent) & set(" /")
        assert user["content"][0]["toolResult"]["toolUseId"] == sent


# Options


def test_openais_options_become_inference_config() -> None:
    body = encoded(
        temperature=0, top_p=0.5, max_tokens=9, max_completion_tokens=7, stop="x", user="u", stream_options={}, n=1, service_tier="flex"
    )
    assert body["inferenceConfig"] == {"temperature": 0, "topP": 0.5, "maxTokens": 7, "stopSequences": ["x"]}
    assert body["serviceTier"] == {"type": "flex"}
    assert body.keys() == {"messages", "inferenceConfig", "serviceTier"}


def test_converses_own_fields_stay_and_unknown_ones_are_the_models() -> None:
    body = encoded(
        NOVA, guardrailConfig={"guardrailIdentifier": "g"}, performanceConfig={"latency": "optimized"}, requestMetadata={"a": "b"},
        additionalModelRequestFields={"inferenceConfig": {"x": 1}, "y": 2}, top_k=3, brand_new=4,
    )  # fmt: skip
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g"}
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["requestMetadata"] == {"a": "b"}
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 3, "x": 1}, "y": 2, "brand_new": 4}
    assert encoded(CLAUDE, top_k=3)["additionalModelRequestFields"] == {"top_k": 3}


@pytest.mark.parametrize(
    "hidden",
    [
        {"max_new_tokens": 9},
        {"additionalModelRequestFields": {"max_tokens": 9}},
        {"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 9}}},
    ],
)
def test_no_other_spelling_of_the_limit_gets_past_the_one_that_money_was_held_for(hidden: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="max_tokens"):
        encoded(**hidden)
    assert encoded(max_tokens=5, inferenceConfig={"maxTokens": 900})["inferenceConfig"] == {"maxTokens": 5}


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        (CLAUDE, {"reasoning_effort": "medium"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE, {"reasoning_effort": "high", "max_tokens": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 1999}}),
        (CLAUDE, {"reasoning_effort": "high", "max_tokens": 1024}, None),
        (CLAUDE, {"reasoning_effort": "none"}, None),
        (CLAUDE, {"thinking": {"type": "disabled"}, "reasoning_effort": "low"}, {"thinking": {"type": "disabled"}}),
        (ADAPTIVE, {"reasoning_effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "low"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (GPT, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
    ],
)  # fmt: skip
def test_thinking_by_model_family(model: str, asked: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert encoded(model, **asked).get("additionalModelRequestFields") == expected


def test_claude_is_not_asked_to_think_on_in_a_turn_it_did_not_think_in() -> None:
    loop = [*USER, {"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "tool_call_id": "c1", "content": "1"}]
    assert "additionalModelRequestFields" not in encoded(messages=loop, tools=[ADD], reasoning_effort="low")
    loop[1]["thinking_blocks"] = [{"type": "thinking", "thinking": "t", "signature": "s"}]
    assert "additionalModelRequestFields" in encoded(messages=loop, tools=[ADD], reasoning_effort="low")


# Tools


def test_tools_keep_their_schema_and_get_one_where_there_is_none() -> None:
    tools = encoded(tools=[ADD, {**SUB, "cache_control": {"type": "ephemeral"}}, {"systemTool": {"name": "nova_grounding"}}])["toolConfig"][
        "tools"
    ]
    assert tools == [
        {"toolSpec": {"name": "add", "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}}, "strict": True}},
        {"toolSpec": {"name": "sub", "description": "subtracts", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {"cachePoint": {"type": "default"}},
        {"systemTool": {"name": "nova_grounding"}},
    ]
    assert "strict" not in encoded(NOVA, tools=[ADD])["toolConfig"]["tools"][0]["toolSpec"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "add"}}, {"tool": {"name": "add"}}),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    assert encoded(tools=[ADD], tool_choice=choice)["toolConfig"]["toolChoice"] == expected


def test_no_tool_may_be_called_means_none_is_sent_but_what_the_history_needs() -> None:
    assert "toolConfig" not in encoded(tools=[ADD], tool_choice="none")
    history = [*USER, {"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "tool_call_id": "c1", "content": "1"}]
    kept = encoded(messages=history)["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in kept["tools"]] == ["add"]
    assert "toolChoice" not in kept


def test_one_call_at_a_time_is_claudes_own_field_and_refused_elsewhere() -> None:
    body = encoded(tools=[ADD, SUB], tool_choice="required", parallel_tool_calls=False)
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert "toolChoice" not in body["toolConfig"]
    with pytest.raises(UnsupportedParams):
        encoded(NOVA, tools=[ADD, SUB], parallel_tool_calls=False)
    assert encoded(NOVA, tools=[ADD], parallel_tool_calls=False)


@pytest.mark.parametrize(
    "field", [{"tool_choice": "sometimes"}, {"tools": [{"type": "custom"}]}, {"tools": ["x"]}, {"tools": [{"type": "function"}]}]
)
def test_tools_that_cannot_be_sent_are_the_callers_fault(field: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        encoded(**{"tools": [ADD], **field})


# JSON answers

FORM = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}},
}


def test_a_schema_is_structured_output_where_the_model_has_it() -> None:
    form = encoded(response_format=FORM)["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    assert form["structure"]["jsonSchema"]["name"] == "city"
    schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    assert schema["additionalProperties"] is False
    assert "minimum" not in schema["properties"]["n"]


def test_a_schema_is_a_forced_tool_where_the_model_has_no_structured_output() -> None:
    config = encoded(NOVA, response_format=FORM)["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": "json_tool_call"}}
    assert config["tools"][0]["toolSpec"]["inputSchema"]["json"] == FORM["json_schema"]["schema"]  # type: ignore[index]


def test_beside_the_callers_tools_a_schema_is_an_instruction() -> None:
    body = encoded(NOVA, response_format=FORM, tools=[ADD])
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["add"]
    assert '"minimum":1' in body["system"][0]["text"]
    assert "JSON" in encoded(response_format={"type": "json_object"})["system"][0]["text"]


# What Converse cannot do


@pytest.mark.parametrize("field", [{"n": 2}, {"seed": 1}, {"logprobs": True}, {"logit_bias": {"1": 2}}, {"frequency_penalty": 0.5}])
def test_unsupported_parameters_are_refused_or_dropped(field: dict[str, Any]) -> None:
    (name,) = field
    with pytest.raises(UnsupportedParams) as caught:
        encoded(**field)
    assert caught.value.param == name
    assert encoded(to=target(drop_params=True), **field) == encoded()


def test_an_effort_no_model_of_the_family_has_is_refused() -> None:
    with pytest.raises(UnsupportedParams):
        encoded(NOVA, reasoning_effort="low")
    with pytest.raises(BadRequest, match="one of"):
        encoded(CLAUDE, reasoning_effort="heroic")


# InvokeModel


def test_invoke_carries_messages_with_bedrocks_version_and_without_anthropics_hints() -> None:
    request = {"messages": USER, "stream": True, "max_tokens": 5, "user": "u-1", "service_tier": "auto", "anthropic_beta": ["b-1"]}
    wire = BedrockInvoke().encode(request, target(OLD_CLAUDE))
    assert wire.url == f"{BASE}/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with-response-stream"
    assert json.loads(wire.body) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["b-1"],
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
