"""Requests with junk in any place: a 400 that names something, or a request a dialect can be asked with; never anything else."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Target
from tollkeeper.dialects.native import native
from tollkeeper.edge.anthropic_request import check_messages, messages_to_hub
from tollkeeper.edge.completions import check_completion, completion_to_hub
from tollkeeper.edge.gemini_request import check_generate, generate_to_hub
from tollkeeper.edge.plain import check_embeddings, check_rerank
from tollkeeper.edge.responses_request import check_response, response_to_hub
from tollkeeper.errors import BadRequest

TARGET = Target(model="m", base_url="https://up.example", alias="a", provider="p", drop_params=True)
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate", "bedrock_converse", "cohere_v2", "ollama_chat")
JUNK: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [None], [[]], {}, {"type": "x"}, {"type": 5}, {"role": []}, "\u0000", 2**60]
TEXT = {"type": "text", "text": "r"}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
FILE = {"type": "text", "media_type": "text/plain", "data": "x"}
THOUGHT = {"type": "thinking", "thinking": "t", "signature": "tk1.W10="}
MESSAGES: dict[str, Any] = {
    "model": "a",
    "max_tokens": 100,
    "stream": False,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "tool", "name": "f"},
    "stop_sequences": ["x"],
    "metadata": {"user_id": "u"},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "t"}, PICTURE]},
        {"role": "assistant", "content": [THOUGHT, {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [TEXT], "is_error": True}]},
        {"role": "user", "content": [{"type": "document", "title": "d", "source": FILE}]},
    ],
}
RESPONSES: dict[str, Any] = {
    "model": "a",
    "instructions": "i",
    "max_output_tokens": 100,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "web_search", "user_location": {"city": "x"}}],
    "tool_choice": {"type": "function", "name": "f"},
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "https://x.test/a.png"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e30="},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}, {"type": "refusal", "refusal": "r"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "t"}]},
        {"role": "user", "content": [{"type": "input_file", "filename": "f", "file_data": "data:application/pdf;base64,eA=="}]},
    ],
}
GENERATE: dict[str, Any] = {
    "model": "a",
    "systemInstruction": {"parts": [{"text": "s"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT"}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 100,
        "candidateCount": 1,
        "stopSequences": ["x"],
        "topK": 3,
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
        "responseModalities": ["TEXT"],
        "thinkingConfig": {"thinkingBudget": 100, "thinkingLevel": "low", "includeThoughts": True},
    },
    "contents": [
        {"role": "user", "parts": [{"text": "t"}, {"inlineData": {"mimeType": "image/png", "data": "eA=="}}]},
        {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "e30="}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"result": "r"}}}]},
        {"role": "user", "parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a.pdf"}}]},
    ],
}
COMPLETIONS: dict[str, Any] = {
    "model": "a",
    "prompt": ["x"],
    "max_tokens": 5,
    "echo": False,
    "logprobs": None,
    "suffix": "",
    "best_of": 1,
    "stop": ["x"],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def spoilt(body: dict[str, Any], path: tuple[Any, ...], junk: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    node: Any = made
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = junk
    return made


def deployment(dialect: str) -> Deployment:
    return Deployment(id="d", group="a", provider="p", dialect=dialect, model="claude-opus-4-5", base_url="https://x")


BRIDGES: dict[str, tuple[dict[str, Any], Callable[..., Any], Callable[..., Any]]] = {
    "messages": (MESSAGES, check_messages, messages_to_hub),
    "responses": (RESPONSES, check_response, response_to_hub),
    "generate": (GENERATE, check_generate, generate_to_hub),
    "completions": (COMPLETIONS, check_completion, completion_to_hub),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", BRIDGES)
def test_junk_in_any_place_is_a_request_or_a_400(name: str, dialect: str) -> None:
    body, check, to_hub = BRIDGES[name]
    served = 0
    for path in places(body):
        for junk in JUNK:
            try:
                hub = to_hub(check(spoilt(body, path, junk), {}), deployment(dialect))
                json.dumps(hub)
                registry.get(dialect).encode(hub, TARGET)
                served += 1
            except BadRequest as error:
                assert error.message
    assert served


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("messages", "anthropic_messages"),
        ("messages", "bedrock_invoke"),
        ("responses", "openai_responses"),
        ("generate", "gemini_generate"),
    ],
)
def test_junk_passes_through_to_a_provider_that_can_judge_it(name: str, dialect: str) -> None:
    body, check, _ = BRIDGES[name]
    speaker = native(name, dialect)
    assert speaker is not None
    for path in places(body):
        for junk in JUNK:
            try:
                json.loads(speaker.encode(check(spoilt(body, path, junk), {}), TARGET).body)
            except BadRequest as error:
                assert error.message


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_is_checked_without_falling_over(value: Any) -> None:
    for check, field in (
        (check_embeddings, "input"),
        (check_rerank, "documents"),
        (check_messages, "messages"),
        (check_response, "input"),
        (check_generate, "contents"),
    ):
        try:
            check({"model": "a", "query": "q", "max_tokens": 1, field: value}, {"anthropic-beta": "x"})
        except BadRequest as error:
            assert error.message
