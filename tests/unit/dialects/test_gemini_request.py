"""Hub requests → generateContent bodies, field by field. Facts: https://ai.google.dev/api/generate-content"""

import base64
import json
from typing import Any

import pytest

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.gemini_generate import GeminiGenerate
from tollkeeper.errors import BadRequest, UnsupportedParams

STUDIO = "https://generativelanguage.googleapis.com/v1beta"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google"
PNG = base64.b64encode(b"\x89PNG").decode()
USER = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object", "$defs": {"x": {}}}}}
OTHER = {"type": "function", "function": {"name": "other"}}


def target(model: str = "gemini-2.5-flash", **more: Any) -> Target:
    return Target(model=model, base_url=more.pop("base_url", STUDIO), alias="a", provider="gemini", **more)


def encoded(model: str = "gemini-2.5-flash", to: Target | None = None, **request: Any) -> dict[str, Any]:
    request = {"model": "a", "messages": USER, **request}
    body: dict[str, Any] = json.loads(GeminiGenerate().encode(request, to or target(model)).body)
    return body


def parts(content: Any, role: str = "user") -> list[dict[str, Any]]:
    return encoded(messages=[{"role": role, "content": content}])["contents"][0]["parts"]


def call(identifier: str = "c1", name: str = "weather", arguments: Any = '{"city": "Paris"}', **more: Any) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


# URL


@pytest.mark.parametrize(
    ("model", "stream", "base", "path"),
    [
        ("gemini-2.5-flash", False, STUDIO, "/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", True, STUDIO, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("gemini-2.5-pro", True, VERTEX, "/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        ("odd name?x=1", False, STUDIO, "/models/odd%20name%3Fx%3D1:generateContent"),
    ],
)
def test_url(model: str, stream: bool, base: str, path: str) -> None:
    wire = GeminiGenerate().encode({"messages": USER, "stream": stream}, target(model, base_url=base))
    assert (wire.method, wire.url) == ("POST", base + path)


# Messages


def test_system_messages_become_one_instruction_wherever_they_stand() -> None:
    messages = [
        {"role": "system", "content": "one"},
        *USER,
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
    ]
    body = encoded(messages=messages)
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]


def test_a_system_message_alone_is_sent_as_the_user_since_contents_may_not_be_empty() -> None:
    body = encoded(messages=[{"role": "system", "content": "only"}])
    assert body["contents"] == [{"role": "user", "parts": [{"text": "only"}]}]
    assert "systemInstruction" not in body


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def inline(kind: str, data: str = PNG) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def linked(uri: str, kind: str) -> dict[str, Any]:
    return {"fileData": {"fileUri": uri, "mimeType": kind}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "t"}, {"text": "t"}),
        (image(f"data:image/png;base64,{PNG}"), inline("image/png")),
        ({"type": "image_url", "image_url": f"data:image/webp;base64,{PNG}"}, inline("image/webp")),
        (image("https://x.example/a.gif?b=c.png"), linked("https://x.example/a.gif?b=c.png", "image/gif")),
        (image("https://x.example/a"), linked("https://x.example/a", "image/jpeg")),
        (image("gs://b/o", format="image/heic"), linked("gs://b/o", "image/heic")),
        (file(file_data=f"data:application/pdf;base64,{PNG}"), inline("application/pdf")),
        (file(file_data=PNG, filename="a.csv"), inline("text/csv")),
        (file(file_data="data:text/plain,a%20b"), inline("text/plain", base64.b64encode(b"a b").decode())),
        (file(file_id="gs://b/o.mp4"), linked("gs://b/o.mp4", "video/mp4")),
        (file(file_id=f"{STUDIO}/files/abc"), {"fileData": {"fileUri": f"{STUDIO}/files/abc"}}),
        ({"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}}, inline("audio/mp3")),
        ({"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}, linked("https://youtu.be/x", "video/mp4")),
        (inline("image/png"), inline("image/png")),
    ],
)
def test_content_parts(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert parts([part]) == [expected]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
        [{"type": "image_url", "image_url": {"url": "data:image/png"}}],
        [{"type": "image_url"}],
        [{"type": "file", "file": {}}],
        [{"type": "hologram"}],
        [7],
        7,
    ],
)
def test_content_that_cannot_be_sent_is_the_callers_fault(content: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        parts(content)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("messages", [None, [], "hi", ["hi"], [{"role": "wizard", "content": "x"}]])
def test_messages_that_are_none_are_the_callers_fault(messages: Any) -> None:
    with pytest.raises(BadRequest):
        encoded(messages=messages)


def test_a_tool_loop_keeps_calls_together_and_answers_together() -> None:
    messages = [
        *USER,
        {"role": "assistant", "content": "Let me see."},
        {"role": "assistant", "content": None, "tool_calls": [call(), call("c2", "other", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"temperature": 20}'},
        {"role": "tool", "tool_call_id": "c2", "content": "plain text"},
        {"role": "user", "content": "and?"},
    ]
    assert encoded(messages=messages)["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {"functionCall": {"name": "weather", "args": {"city": "Paris"}, "id": "c1"}},
                {"functionCall": {"name": "other", "args": {}, "id": "c2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"temperature": 20}, "id": "c1"}},
                {"functionResponse": {"name": "other", "response": {"output": "plain text"}, "id": "c2"}},
            ],
        },
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


@pytest.mark.parametrize("content", ["[1, 2]", "12", "{not json", '"text"', "true"])
def test_a_tool_result_that_is_no_object_is_wrapped(content: str) -> None:
    messages = [*USER, {"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "tool_call_id": "c1", "content": content}]
    part = encoded(messages=messages)["contents"][-1]["parts"][0]
    assert part["functionResponse"]["response"] == {"output": content}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_an_image_in_a_tool_result_goes_where_the_model_takes_it(model: str) -> None:
    content = [{"type": "text", "text": "see"}, image(f"data:image/png;base64,{PNG}")]
    messages = [*USER, {"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "tool_call_id": "c1", "content": content}]
    found = encoded(model, messages=messages)["contents"][-1]["parts"]
    assert found[0]["functionResponse"]["response"] == {"output": "see"}
    assert (found[1:] if model == "gemini-2.5-flash" else found[0]["functionResponse"]["parts"]) == [inline("image/png")]


def test_a_tool_result_without_its_call_is_the_callers_fault() -> None:
    with pytest.raises(BadRequest, match="'lost'"):
        encoded(messages=[*USER, {"role": "tool", "tool_call_id": "lost", "content": "x"}])


@pytest.mark.parametrize("arguments", ["{cut", "[1]", 5])
def test_arguments_that_are_no_object_are_the_callers_fault(arguments: Any) -> None:
    with pytest.raises(BadRequest, match="arguments"):
        encoded(messages=[*USER, {"role": "assistant", "tool_calls": [call(arguments=arguments)]}])


# Thought signatures


@pytest.mark.parametrize(
    "made",
    [
        call(provider_specific_fields={"thought_signature": "c2ln"}),
        call(extra_content={"google": {"thought_signature": "c2ln"}}),
        call("c1__thought__c2ln"),
        {**call(), "function": {"name": "weather", "arguments": "{}", "provider_specific_fields": {"thought_signature": "c2ln"}}},
    ],
)
def test_a_signature_survives_wherever_the_client_kept_it(made: dict[str, Any]) -> None:
    messages = [*USER, {"role": "assistant", "tool_calls": [made]}, {"role": "tool", "tool_call_id": made["id"], "content": "{}"}]
    contents = encoded("gemini-3-pro-preview", messages=messages)["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"] == "c2ln"
    assert contents[1]["parts"][0]["functionCall"]["id"] == "c1"
    assert contents[2]["parts"][0]["functionResponse"]["id"] == "c1"


@pytest.mark.parametrize(("model", "expected"), [("gemini-3-flash-preview", "skip_thought_signature_validator"), ("gemini-2.5-pro", None)])
def test_history_of_another_model_gets_the_documented_stand_in(model: str, expected: str | None) -> None:
    messages = [*USER, {"role": "assistant", "tool_calls": [call(), call("c2")]}]
    first, second = encoded(model, messages=messages)["contents"][1]["parts"]
    assert first.get("thoughtSignature") == expected
    assert "thoughtSignature" not in second


def test_the_signature_of_a_text_goes_back_on_the_text() -> None:
    message = {"role": "assistant", "content": "said", "provider_specific_fields": {"thought_signatures": ["old", "new"]}}
    assert encoded(messages=[*USER, message, *USER])["contents"][1]["parts"] == [{"text": "said", "thoughtSignature": "new"}]
    silent = {**message, "content": None}
    assert encoded(messages=[*USER, silent, *USER])["contents"][1]["parts"] == [{"text": "", "thoughtSignature": "new"}]


def test_parts_of_googles_own_tools_and_images_go_back_as_they_were() -> None:
    kept = [{"toolCall": {"id": "s", "toolType": "X"}, "thoughtSignature": "q"}, {"toolUse": {"of": "another provider"}}]
    draft = image(f"data:image/png;base64,{PNG}") | {"thought_signature": "p"}
    message = {"role": "assistant", "content": "t", "images": [draft], "provider_specific_fields": {"server_tools": kept}}
    assert encoded(messages=[*USER, message, *USER])["contents"][1]["parts"] == [
        kept[0],
        inline("image/png") | {"thoughtSignature": "p"},
        {"text": "t"},
    ]


# Options


def test_openais_options_become_generation_config() -> None:
    body = encoded(
        temperature=0, top_p=0.5, top_k=3, max_completion_tokens=9, n=2, seed=1, presence_penalty=0.1, frequency_penalty=0.2,
        logprobs=True, top_logprobs=2, stop="x", user="u", metadata={"a": "b"}, stream_options={"include_usage": True},
    )  # fmt: skip
    assert body["generationConfig"] == {
        "temperature": 0, "topP": 0.5, "topK": 3, "maxOutputTokens": 9, "candidateCount": 2, "seed": 1, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 2, "stopSequences": ["x"],
    }  # fmt: skip
    assert body.keys() == {"contents", "generationConfig"}


def test_defaults_are_left_out() -> None:
    assert "generationConfig" not in encoded(n=1, logprobs=False, stop=None, tools=[], response_format={"type": "text"})


def test_a_stop_list_and_modalities() -> None:
    config = encoded(stop=["a", "b"], modalities=["text", "image"], audio={"voice": "Kore"})["generationConfig"]
    assert config["stopSequences"] == ["a", "b"]
    assert config["responseModalities"] == ["TEXT", "IMAGE"]
    assert config["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == "Kore"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "json_object"}, {"responseMimeType": "application/json"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#/$defs/a", "additionalProperties": False}}},
            {"responseMimeType": "application/json", "responseJsonSchema": {"$ref": "#/$defs/a", "additionalProperties": False}},
        ),
        (
            {"type": "json_object", "response_schema": {"type": "object"}},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        ),
    ],
)
def test_response_format(form: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded(response_format=form)["generationConfig"] == expected


def test_googles_own_fields_pass_in_either_spelling() -> None:
    body = encoded(
        safety_settings=[{"category": "C"}], cachedContent="cachedContents/1", labels={"a": "b"}, response_modalities=["TEXT"],
        media_resolution="LOW", generation_config={"top_k": 5, "newKnob": 1}, brand_new_field=1,
    )  # fmt: skip
    assert body["safetySettings"] == [{"category": "C"}]
    assert body["cachedContent"] == "cachedContents/1"
    assert body["labels"] == {"a": "b"}
    assert body["generationConfig"] == {"responseModalities": ["TEXT"], "mediaResolution": "LOW", "topK": 5, "newKnob": 1}
    assert body["brand_new_field"] == 1


@pytest.mark.parametrize(
    "hidden",
    [{"generationConfig": {"maxOutputTokens": 99_999}}, {"generation_config": {"max_output_tokens": 99_999}}, {"maxOutputTokens": 99_999}],
)
def test_no_spelling_of_the_limit_exceeds_the_one_that_money_was_held_for(hidden: dict[str, Any]) -> None:
    assert encoded(max_tokens=10, **hidden)["generationConfig"]["maxOutputTokens"] == 10
    assert encoded(max_tokens=10, max_completion_tokens=7)["generationConfig"]["maxOutputTokens"] == 7


@pytest.mark.parametrize("field", [{"max_tokens": "10"}, {"max_tokens": True}, {"generationConfig": {"maxOutputTokens": "99"}}])
def test_a_limit_that_is_no_whole_number_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="whole number"):
        encoded(**field)


@pytest.mark.parametrize("field", [{"candidateCount": 8}, {"generation_config": {"candidate_count": 8}}])
def test_more_candidates_than_n_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="n"):
        encoded(**field)
    assert encoded(candidateCount=2, n=2)["generationConfig"]["candidateCount"] == 2


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128, "includeThoughts": False}),
        (
            "gemini-2.5-flash-lite",
            {"thinking": {"type": "enabled", "budget_tokens": 100}},
            {"thinkingBudget": 512, "includeThoughts": True},
        ),
        ("gemini-2.5-flash", {"thinking": {"type": "enabled", "budget_tokens": -1}}, {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-3-pro-preview", {"reasoning_effort": "medium"}, {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", {"reasoning_effort": "minimal"}, {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3-flash-preview", {"reasoning_effort": "minimal"}, {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-3-flash-preview", {"thinking": {"type": "disabled"}}, {"thinkingLevel": "minimal", "includeThoughts": False}),
        ("gemini-3.5-flash", {"thinking": {"type": "adaptive"}}, {"includeThoughts": True}),
        ("gemini-2.5-flash", {"thinkingConfig": {"thinkingBudget": 5}, "reasoning_effort": "high"}, {"thinkingBudget": 5}),
    ],
)
def test_thinking_by_model_family(model: str, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded(model, **asked)["generationConfig"]["thinkingConfig"] == expected


def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    with pytest.raises(UnsupportedParams):
        encoded("gemini-2.0-flash", reasoning_effort="low")
    with pytest.raises(UnsupportedParams):
        encoded("gemini-2.0-flash", thinking={"type": "enabled", "budget_tokens": 5})
    for harmless in ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}):
        assert "generationConfig" not in encoded("gemini-2.0-flash", **harmless)
    assert "generationConfig" not in encoded(to=target("gemini-2.0-flash", drop_params=True), reasoning_effort="low")


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        encoded(reasoning_effort="heroic")
    assert caught.value.param == "reasoning_effort"


# Tools


def test_functions_keep_their_json_schema_and_native_tools_their_shape() -> None:
    tools = encoded(tools=[WEATHER, {"googleSearch": {}}, OTHER, {"type": "web_search_preview"}])["tools"]
    assert tools == [
        {"googleSearch": {}},
        {"googleSearch": {}},
        {
            "functionDeclarations": [
                {"name": "weather", "description": "d", "parametersJsonSchema": {"type": "object", "$defs": {"x": {}}}},
                {"name": "other"},
            ]
        },
    ]
    assert encoded(web_search_options={})["tools"] == [{"googleSearch": {}}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "weather"}}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    assert encoded(tools=[WEATHER], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


@pytest.mark.parametrize("field", [{"tool_choice": "sometimes"}, {"tools": [{"type": "custom"}]}, {"tools": ["x"]}, {"tools": "x"}])
def test_tools_that_cannot_be_sent_are_the_callers_fault(field: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        encoded(**{"tools": [WEATHER], **field})


@pytest.mark.parametrize(
    ("model", "base", "expected"),
    [("gemini-3-flash", STUDIO, True), ("gemini-2.5-flash", STUDIO, None), ("gemini-3-flash", VERTEX, None)],
)
def test_own_and_google_tools_together_need_a_switch(model: str, base: str, expected: bool | None) -> None:
    body = encoded(to=target(model, base_url=base), tools=[WEATHER, {"googleSearch": {}}])
    assert body.get("toolConfig", {}).get("includeServerSideToolInvocations") == expected


# What Gemini cannot do


@pytest.mark.parametrize("field", [{"logit_bias": {"1": 2}}, {"parallel_tool_calls": False, "tools": [WEATHER, OTHER]}])
def test_unsupported_parameters_are_refused_or_dropped(field: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParams) as caught:
        encoded(**field)
    assert caught.value.param in field
    name = caught.value.param
    assert name not in encoded(to=target(drop_params=True), **field)
    assert name not in encoded(to=target(drop=frozenset({name})), **field)


def test_one_tool_at_a_time_is_no_question_with_one_tool() -> None:
    assert "parallel_tool_calls" not in encoded(parallel_tool_calls=False, tools=[WEATHER])


@pytest.mark.parametrize(("base", "expected"), [(STUDIO, "flex"), (VERTEX, None)])
def test_service_tier(base: str, expected: str | None) -> None:
    assert encoded(to=target(base_url=base), service_tier="flex").get("serviceTier") == expected
    assert "serviceTier" not in encoded(to=target(base_url=base), service_tier="auto")


def test_the_deployments_extra_body_lies_below_the_callers_fields() -> None:
    to = target(extra_body={"safetySettings": [1], "temperature": 1})
    body = encoded(to=to, temperature=0)
    assert body["safetySettings"] == [1]
    assert body["generationConfig"] == {"temperature": 0}
