"""A hub request → the body of Anthropic's Messages API (also what Vertex's rawPredict and Bedrock's InvokeModel take).

https://docs.claude.com/en/api/messages
Fields of the hub that are Anthropic's own (`thinking`, `top_k`, `mcp_servers`, `container`, `context_management` …) and fields nobody here
knows pass as they came; OpenAI's are translated below or refused (`fields.drop_unsupported`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tollkeeper.dialects.anthropic_blocks import conversation, is_thinking, kind_of, split_system
from tollkeeper.dialects.anthropic_schema import structured_output_schema
from tollkeeper.dialects.anthropic_tools import translate_tools
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.errors import BadRequest

DEFAULT_MAX_TOKENS = 4_096
MIN_THINKING_BUDGET = 1_024
JSON_TOOL = "json_tool_call"
"""The forced tool by which models without structured outputs answer in JSON; LiteLLM's name for it."""

_UNSUPPORTED = (
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "modalities",
    "audio",
    "prediction",
    "store",
    "verbosity",
)
_HINTS = ("stream_options", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "anthropic_beta")
"""What has no place in the body and changes no answer."""

_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 2_048, "high": 4_096, "xhigh": 8_192, "max": 16_384}
"""reasoning_effort → thinking budget in tokens; low, medium and high are LiteLLM's."""
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_LOOKS_PERSONAL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|\+?[\d\s()-]{7,}")


def messages_body(request: Json, target: Target) -> Json:
    """Everything but what says where: the caller adds `model` or a platform's version field.

    Raises BadRequest or UnsupportedParams naming the field at fault.
    """
    body = upstream_fields(request, target)
    drop_unsupported(body, (*_UNSUPPORTED, *unsupported_by_profile(target)), target)
    for name in _HINTS:
        body.pop(name, None)
    body.pop("model", None)
    _messages(body)
    _limit(body, target)
    translate_tools(body)
    _thinking(body, target)
    _response_format(body, target)
    for name, translate in _TRANSLATED.items():
        if name in body and name not in target.allow:
            translate(body, body.pop(name), target)
    _user(body, request, target)
    return body


def _messages(body: Json) -> None:
    given = body.get("messages")
    if not isinstance(given, list) or not all(isinstance(message, dict) for message in given):
        raise BadRequest("messages must be an array of objects.", param="messages")
    system, rest = split_system(given)
    if system is not None:
        body.setdefault("system", system)
    body["messages"] = conversation(rest)


def _limit(body: Json, target: Target) -> None:
    """One output limit: of two given, the smaller."""
    given = []
    for name in ("max_completion_tokens", "max_tokens"):
        limit = body.pop(name, None)
        if not isinstance(limit, int | None):
            raise BadRequest(f"{name} must be a whole number.", param=name)
        given += [] if limit is None else [limit]
    if given:
        body["max_tokens"] = min(given)
    elif target.max_output_tokens is not None:
        body["max_tokens"] = target.max_output_tokens


def _thinking(body: Json, target: Target) -> None:
    """reasoning_effort → thinking, unless the caller already said how to think; and room for the answer beside the thoughts."""
    effort = body.pop("reasoning_effort", None)
    if isinstance(effort, dict):
        effort = effort.get("effort")
    if body.get("thinking") is None:
        body.pop("thinking", None)
        if effort is not None:
            _think(body, effort, target)
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if "max_tokens" not in body:
        # An unlimited caller gets the thoughts on top; a limit that was given is what a budget holds money for, and is never raised.
        body["max_tokens"] = DEFAULT_MAX_TOKENS + (budget if isinstance(budget, int) else 0)


def _think(body: Json, effort: Any, target: Target) -> None:
    if effort in ("none", "disable", "default"):
        return
    if not isinstance(effort, str) or effort not in _BUDGETS:
        raise BadRequest(f"reasoning_effort must be one of none, {', '.join(_BUDGETS)}.", param="reasoning_effort")
    if _is_unsigned_tool_loop(body["messages"]):
        # Anthropic refuses thinking when the turn it continues has tool calls but no signed thoughts, and OpenAI's clients send none.
        return
    if "adaptive_thinking" in target.quirks:
        body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {"effort": "low" if effort == "minimal" else effort, **_output_config(body)}
        return
    budget = min(_BUDGETS[effort], body.get("max_tokens", _BUDGETS[effort] + 1) - 1)
    if budget >= MIN_THINKING_BUDGET:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _is_unsigned_tool_loop(turns: list[Json]) -> bool:
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    blocks = last["content"] if last else []
    return any(kind_of(block) == "tool_use" for block in blocks) and not any(map(is_thinking, blocks))


def _response_format(body: Json, target: Target) -> None:
    """https://docs.claude.com/en/docs/build-with-claude/structured-outputs"""
    given = body.pop("response_format", None)
    kind = given.get("type") if isinstance(given, dict) else given
    if kind in (None, "text"):
        return
    named = given.get("json_schema") if kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if kind not in ("json_schema", "json_object") or (kind == "json_schema" and not isinstance(schema, dict)):
        raise BadRequest("response_format must be text, json_object, or json_schema with a schema.", param="response_format")
    if schema is not None and "json_schema_by_tool" not in target.quirks:
        output = {"type": "json_schema", "schema": structured_output_schema(schema)}
        body["output_config"] = {**_output_config(body), "format": output}
    elif "tools" in body or "thinking" in body:
        _json_by_instruction(body, schema)
    else:
        _json_by_tool(body, schema)


def _output_config(body: Json) -> Json:
    given = body.get("output_config") or {}
    if not isinstance(given, dict):
        raise BadRequest("output_config must be an object.", param="output_config")
    return given


def _json_by_tool(body: Json, schema: Json | None) -> None:
    """A tool that must be called with the answer; the decoder turns the call back into text."""
    described = {"type": "object", "properties": {}, **schema} if schema else {"type": "object", "additionalProperties": True}
    body["tools"] = [{"name": JSON_TOOL, "description": "Give the answer as this tool's input.", "input_schema": described}]
    body["tool_choice"] = {"type": "tool", "name": JSON_TOOL, "disable_parallel_tool_use": True}


def _json_by_instruction(body: Json, schema: Json | None) -> None:
    """A forced tool would take the caller's tools and thinking away."""
    text = "Answer with one JSON object and nothing else, without a code fence."
    if schema:
        text += f" It must match this JSON Schema: {orjson.dumps(schema).decode()}"
    system = body.get("system") or []
    blocks = system if isinstance(system, list) else [{"type": "text", "text": str(system)}]
    body["system"] = [*blocks, {"type": "text", "text": text}]


def _stop(body: Json, stop: Any, target: Target) -> None:
    sequences = [stop] if isinstance(stop, str) else stop
    if not sequences:
        return
    if not isinstance(sequences, list):
        raise BadRequest("stop must be a string or an array.", param="stop")
    if target.drop_params:  # Anthropic refuses sequences of white space only
        sequences = [sequence for sequence in sequences if not isinstance(sequence, str) or sequence.strip()]
    if sequences:
        body["stop_sequences"] = sequences


def _service_tier(body: Json, tier: Any, target: Target) -> None:
    if isinstance(tier, str) and tier in _SERVICE_TIERS:
        body["service_tier"] = _SERVICE_TIERS[tier]
    elif tier is not None:
        drop_unsupported({"service_tier": tier}, ("service_tier",), target)


def _user(body: Json, request: Json, target: Target) -> None:
    """An opaque end-user id for abuse detection. Anthropic asks for no names, addresses or numbers; those stay here."""
    metadata = request.get("metadata") if "metadata" not in target.drop else None
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    user = body.pop("user", None)
    body.pop("metadata", None)
    user = named or user
    if isinstance(user, str) and user and not _LOOKS_PERSONAL.fullmatch(user):
        body["metadata"] = {"user_id": user}


_TRANSLATED: Mapping[str, Callable[[Json, Any, Target], None]] = {
    "stop": _stop,
    "service_tier": _service_tier,
}
