"""A Messages answer → hub. Shared by the buffered and the streamed way, and by the platforms that carry the same JSON.

https://docs.claude.com/en/api/messages; usage: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance
"""

from typing import Any

import orjson

from tollkeeper.dialects.anthropic_blocks import is_thinking, kind_of
from tollkeeper.dialects.anthropic_encode import JSON_TOOL
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.errors import UpstreamProtocolError

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_SERVICE_TIERS = {"standard": "default", "priority": "priority"}
_ANSWER_FIELDS = ("container", "context_management", "stop_details")


def decode_message(body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for a body that is no message, or the typed error that hides in it."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(data, dict) and isinstance(data.get("error"), dict):
        raise error_from_tree(data, target)
    if not isinstance(data, dict) or not isinstance(data.get("content"), list):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `content`.", upstream_status=200)
    return completion(data, target)


def completion(data: Json, target: Target) -> Json:
    """The whole chat.completion of one parsed message."""
    message = _message([block for block in data["content"] if isinstance(block, dict)])
    extras = {name: data[name] for name in _ANSWER_FIELDS if data.get(name) is not None}
    if data.get("stop_sequence") is not None:
        extras["stop_sequence"] = data["stop_sequence"]
    if extras:
        message["provider_specific_fields"] = {**message.get("provider_specific_fields", {}), **extras}
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    result: Json = {
        "id": hub_id(data, target),
        "object": "chat.completion",
        "created": target.created,
        "model": target.alias,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": finish_reason(data.get("stop_reason"), tool_calls="tool_calls" in message),
            }
        ],
        "usage": hub_usage(usage),
    }
    if tier := _SERVICE_TIERS.get(str(usage.get("service_tier"))):
        result["service_tier"] = tier
    return result


def hub_id(data: Json, target: Target) -> str:
    return f"chatcmpl-{data.get('id') or target.created}"


def finish_reason(stop_reason: Any, *, tool_calls: bool) -> str:
    """`tool_calls` only if the caller is asked something; server tools and the forced JSON tool end normally."""
    reason = FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"
    if reason in {"stop", "tool_calls"}:
        return "tool_calls" if tool_calls else "stop"
    return reason


def hub_usage(usage: Json) -> Json:
    """Anthropic counts cache reads and writes beside input_tokens, the hub inside prompt_tokens. `iterations` of an advisor or a
    compaction belong to other calls and are outside these totals; they ride along for whoever bills them.
    """
    read, write = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    prompt, output = _count(usage, "input_tokens") + read + write, _count(usage, "output_tokens")
    details: Json = {"cached_tokens": read, "cache_creation_tokens": write}
    creation = usage.get("cache_creation")
    if isinstance(creation, dict):
        details["cache_creation_token_details"] = {
            name: _count(creation, name) for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        }
    result: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": details,
        "cache_creation_input_tokens": write,
        "cache_read_input_tokens": read,
    }
    thinking = usage.get("output_tokens_details")
    if isinstance(thinking, dict) and type(thinking.get("thinking_tokens")) is int:
        result["completion_tokens_details"] = {"reasoning_tokens": thinking["thinking_tokens"]}
    return result | {name: usage[name] for name in ("server_tool_use", "inference_geo", "iterations", "speed") if usage.get(name)}


def _count(counts: Json, name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0


def url_citation(citation: Json, start: int, end: int) -> Json | None:
    """A citation of a web page as OpenAI's annotation over [start, end) of the text; None for citations of documents."""
    if citation.get("type") != "web_search_result_location":
        return None
    page = {"url": str(citation.get("url") or ""), "title": str(citation.get("title") or "")}
    return {"type": "url_citation", "url_citation": {**page, "start_index": start, "end_index": end}}


def is_server_block(block: Json) -> bool:
    """A tool that Anthropic ran itself (`server_tool_use`, `mcp_tool_use`) or its result."""
    return kind_of(block) not in ("text", "tool_use", "thinking", "redacted_thinking")


def _message(blocks: list[Json]) -> Json:
    texts: list[str] = []
    citations: list[list[Json]] = []
    annotations: list[Json] = []
    calls: list[Json] = []
    for block in blocks:
        kind = kind_of(block)
        if kind == "text":
            start = sum(map(len, texts))
            texts.append(str(block.get("text") or ""))
            if cited := [citation for citation in block.get("citations") or () if isinstance(citation, dict)]:
                citations.append(cited)
                places = (url_citation(citation, start, start + len(texts[-1])) for citation in cited)
                annotations += [place for place in places if place is not None]
        elif kind == "tool_use" and block.get("name") == JSON_TOOL:
            texts.append(orjson.dumps(block.get("input")).decode())
        elif kind == "tool_use":
            calls.append(_tool_call(block))
    message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    if thinking := [block for block in blocks if is_thinking(block)]:
        message["reasoning_content"] = "".join(str(block.get("thinking") or "") for block in thinking)
        message["thinking_blocks"] = thinking
    if annotations:
        message["annotations"] = annotations
    server_tools = [block for block in blocks if is_server_block(block)]
    fields = {name: value for name, value in (("citations", citations), ("server_tools", server_tools)) if value}
    if fields:
        message["provider_specific_fields"] = fields
    return message


def _tool_call(block: Json) -> Json:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    call = {
        "id": str(block.get("id") or ""),
        "type": "function",
        "function": {"name": str(block.get("name") or ""), "arguments": arguments},
    }
    return {**call, "caller": block["caller"]} if block.get("caller") else call
