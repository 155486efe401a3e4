"""An answer of ours comes back in the next request: what of it each provider gets."""

import json
from typing import Any

import pytest

from tollkeeper.catalog.profiles import quirks_for
from tollkeeper.dialects import registry
from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.cohere_v2 import CohereV2
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.dialects.responses_api import OpenAIResponses

SIGNED = "call_gem1__thought__c2lnbmF0dXJl"
OURS: Json = {
    "role": "assistant",
    "content": None,
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "reasoning_content": "I thought",
    "thinking_blocks": [{"type": "thinking", "thinking": "I thought", "signature": "s"}],
    "provider_specific_fields": {"x": 1},
    "tool_calls": [{"id": SIGNED, "type": "function", "function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": {"y": 2}}],
}
RESULT: Json = {"role": "tool", "tool_call_id": SIGNED, "content": "42"}
ASK: Json = {"role": "user", "content": "Hi", "provider_specific_fields": {"mine": 1}}


def sent(provider: str, model: str, *messages: Json) -> list[Json]:
    at = Target(model, "https://up.example/v1", "alias", provider=provider, quirks=quirks_for(provider, model))
    before = json.dumps(messages)
    found: list[Json] = json.loads(OpenAIChat().encode({"model": "alias", "messages": list(messages)}, at).body)["messages"]
    assert json.dumps(messages) == before, "the caller's own messages were changed"
    return found


@pytest.mark.parametrize(
    ("provider", "model", "kept"),
    [
        ("deepseek", "deepseek-chat", {"refusal", "annotations", "audio", "function_call", "reasoning_content"}),
        ("hosted_vllm", "qwen3", {"refusal", "annotations", "audio", "function_call", "reasoning_content"}),
        ("openai", "gpt-5", {"refusal", "annotations", "audio", "function_call"}),
        ("openai", "deepseek-v3", {"refusal", "annotations", "audio", "function_call", "reasoning_content"}),
        ("groq", "llama-3.3-70b", set()),
        ("cerebras", "gpt-oss-120b", set()),
        ("mistral", "mistral-large-latest", set()),
    ],
)
def test_what_only_answers_have_stays_here_where_it_would_be_refused(provider: str, model: str, kept: set[str]) -> None:
    asked, said, result = sent(provider, model, ASK, OURS, RESULT)
    assert asked == ASK
    assert said.keys() == {"role", "content", "tool_calls"} | kept
    (call,) = said["tool_calls"]
    assert call.keys() == {"id", "type", "function"}
    assert "__thought__" not in call["id"]
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "42"}


def test_another_gateway_gets_it_all() -> None:
    assert sent("litellm_proxy", "claude", OURS, RESULT) == [OURS, RESULT]


def test_a_conversation_without_anything_of_ours_passes_as_it_came() -> None:
    call = {
        "id": "abc",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "x"}},
    }
    talk = [
        ASK,
        {"role": "assistant", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "tool_calls": [call]},
    ]
    assert sent("openrouter", "google/gemini-3-pro", *talk) == talk
    request = {"model": "alias", "messages": talk}
    at = Target("m", "https://x/v1", "alias", provider="openrouter")
    assert json.loads(OpenAIChat().encode(request, at).body)["messages"] == talk


def test_a_refusal_stays_said_where_there_is_no_field_for_it() -> None:
    (said,) = sent("groq", "x", {"role": "assistant", "content": None, "refusal": "No."})
    assert said == {"role": "assistant", "content": "No."}


@pytest.mark.parametrize("identifier", ["call_0fypS1hVXabcdefghijklmnop", "functions.f:0", "D681PevKs", "toolu_01"])
def test_mistral_gets_nine_letters_and_digits_the_same_for_call_and_result(identifier: str) -> None:
    call = {"id": identifier, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said, result = sent("mistral", "m", {"role": "assistant", "tool_calls": [call]}, {**RESULT, "tool_call_id": identifier})
    assert result["tool_call_id"] == said["tool_calls"][0]["id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()
    assert (result["tool_call_id"] == identifier) == (identifier == "D681PevKs")


def test_openai_gets_ids_of_forty_characters_at_most() -> None:
    first, second, short = ({**RESULT, "tool_call_id": name} for name in ("x" * 60, "x" * 61, "call_1"))
    ids = [message["tool_call_id"] for message in sent("openai", "gpt-4o", first, second, short)]
    assert ids[2] == "call_1"
    assert len({*ids}) == 3
    assert all(len(identifier) <= 40 for identifier in ids)


@pytest.mark.parametrize("messages", ["hello", [5], [{"role": "assistant", "tool_calls": [5, {"id": 5}], "reasoning_details": 3}], None])
def test_what_is_no_conversation_is_the_providers_to_refuse(messages: Any) -> None:
    at = Target("m", "https://x/v1", "alias", quirks=frozenset({"tool_ids:9", "history:reasoning_content"}))
    assert json.loads(OpenAIChat().encode({"messages": messages}, at).body)["messages"] == messages


@pytest.mark.parametrize("dialect", [AnthropicMessages(), CohereV2(), OpenAIResponses(), registry.get("ollama_chat")])
def test_geminis_signature_travels_to_no_other_house(dialect: Any) -> None:
    at = Target("m", "https://x", "alias", provider="p")
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    wire = dialect.encode({"messages": [{"role": "user", "content": "x"}, OURS, RESULT], "tools": [tool]}, at)
    assert b"__thought__" not in wire.body
    assert b"call_gem1" in wire.body or dialect.name == "ollama_chat"
