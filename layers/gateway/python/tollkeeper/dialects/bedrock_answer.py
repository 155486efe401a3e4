"""Converse's answer → hub: content blocks, usage, stop reason. The stream gives the same blocks in pieces (bedrock_stream.py).

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax
"""

import hashlib
from typing import Any

import orjson

from tollkeeper.dialects.anthropic_encode import JSON_TOOL
from tollkeeper.dialects.base import Json, Target

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html; anything else is `stop`."""
_PLAIN_STOPS = frozenset({"end_turn", "tool_use", "max_tokens", "stop_sequence"})
_TIERS = ("default", "flex", "priority")


def finish_of(stop: str, *, called: bool) -> str:
    """`tool_calls` only if the caller has something to answer: Nova's own tools and the JSON tool are none of that."""
    finish = _FINISH.get(stop, "stop")
    return ("tool_calls" if called else "stop") if finish in {"stop", "tool_calls"} else finish


def message_of(blocks: list[Json]) -> Json:
    """The assistant message of a whole answer."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    for block in blocks:
        _add_block(message, block)
    return message


def _add_block(message: Json, block: Json) -> None:
    if isinstance(text := block.get("text"), str):
        add_text(message, text)
    elif isinstance(use := block.get("toolUse"), dict):
        _add_call(message, block, use)
    elif isinstance(reasoning := block.get("reasoningContent"), dict):
        if thought := thinking_block(reasoning):
            message["reasoning_content"] = message.get("reasoning_content", "") + thought.get("thinking", "")
            message.setdefault("thinking_blocks", []).append(thought)
    elif isinstance(cited := block.get("citationsContent"), dict):
        _add_cited(message, cited)
    elif isinstance(image := block.get("image"), dict):
        message.setdefault("images", []).append(image_of(image, len(message.get("images", ()))))
    elif "toolResult" in block:
        fields(message).setdefault("server_tools", []).append(block)


def _add_call(message: Json, block: Json, use: Json) -> None:
    if is_server_tool(use):
        fields(message).setdefault("server_tools", []).append(block)
    elif use.get("name") == JSON_TOOL:
        add_text(message, orjson.dumps(use.get("input") or {}).decode())
    else:
        function = {"name": str(use.get("name") or ""), "arguments": orjson.dumps(use.get("input") or {}).decode()}
        message.setdefault("tool_calls", []).append({"id": str(use.get("toolUseId") or ""), "type": "function", "function": function})


def _add_cited(message: Json, cited: Json) -> None:
    """Text with its sources; sometimes the whole answer."""
    start = len(message["content"] or "")
    for piece in dicts(cited.get("content")):
        if isinstance(text := piece.get("text"), str):
            add_text(message, text)
    end = len(message["content"] or "")
    for citation in dicts(cited.get("citations")):
        fields(message).setdefault("citations", []).append(citation)
        if annotation := annotation_of(citation, start, end):
            message.setdefault("annotations", []).append(annotation)


def add_text(message: Json, text: str) -> None:
    message["content"] = (message.get("content") or "") + text


def fields(message: Json) -> Json:
    found: Json = message.setdefault("provider_specific_fields", {})
    return found


def is_server_tool(use: Json) -> bool:
    """Nova's own tools (nova_grounding, nova_code_interpreter): the provider has run them already."""
    return use.get("type") == "server_tool_use"


def thinking_block(reasoning: Json) -> Json | None:
    """reasoningContent as a thinking block, the shape in which it must come back."""
    if redacted := reasoning.get("redactedContent"):
        return {"type": "redacted_thinking", "data": redacted}
    given = reasoning.get("reasoningText")
    if not isinstance(given, dict):
        return None
    block: Json = {"type": "thinking", "thinking": str(given.get("text") or "")}
    return {**block, "signature": given["signature"]} if given.get("signature") else block


def annotation_of(citation: Json, start: int, end: int) -> Json | None:
    """A citation with an address as OpenAI's url_citation over [start, end) of the text."""
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = web.get("url") if isinstance(web, dict) else citation.get("source")
    if not isinstance(url, str) or "://" not in url:
        return None
    title = citation.get("title") or (web.get("domain") if isinstance(web, dict) else "") or ""
    return {"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "url": url, "title": str(title)}}


def image_of(image: Json, index: int) -> Json:
    source = image.get("source")
    data = source.get("bytes") if isinstance(source, dict) else ""
    return {"type": "image_url", "index": index, "image_url": {"url": f"data:image/{image.get('format')};base64,{data}", "detail": "auto"}}


def answer_fields(tree: Json, stop: str) -> Json:
    """What else Converse says about an answer, for provider_specific_fields."""
    found = {name: tree[name] for name in ("trace", "additionalModelResponseFields", "performanceConfig") if tree.get(name)}
    return {**found, "native_finish_reason": stop} if stop and stop not in _PLAIN_STOPS else found


def usage_of(usage: Any) -> Json | None:
    """Converse counts cache reads and writes beside inputTokens; the hub counts them inside prompt_tokens.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    if not isinstance(usage, dict):
        return None
    read, write = _cached(usage, "cacheReadInputToken"), _cached(usage, "cacheWriteInputToken")
    prompt, completion = _count(usage.get("inputTokens")) + read + write, _count(usage.get("outputTokens"))
    details: Json = {"cached_tokens": read, "cache_creation_tokens": write}
    if isinstance(cached := usage.get("cacheDetails"), list):
        details["cache_creation_token_details"] = {
            "ephemeral_5m_input_tokens": _written(cached, "5m"),
            "ephemeral_1h_input_tokens": _written(cached, "1h"),
        }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "cache_creation_input_tokens": write,
        "cache_read_input_tokens": read,
        **({"server_tool_use": used} if (used := usage.get("serverToolUsage")) else {}),
    }


def _cached(usage: Json, name: str) -> int:
    """Some models state the count under the older of two names only."""
    return _count(usage.get(f"{name}s")) or _count(usage.get(f"{name}Count"))


def _written(details: list[Any], ttl: str) -> int:
    return sum(_count(entry.get("inputTokens")) for entry in dicts(details) if entry.get("ttl") == ttl)


def envelope(seed: bytes, target: Target, kind: str) -> Json:
    """The fields every answer and chunk begins with. Converse gives no id in its body, so one is made of the bytes and the time."""
    digest = hashlib.blake2s(b"%d\0%b\0%b" % (target.created, target.model.encode(), seed), digest_size=12).hexdigest()
    return {"id": f"chatcmpl-{digest}", "object": kind, "created": target.created, "model": target.alias}


def tier_of(tree: Json) -> Json:
    tier = tree.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, dict) else None
    return {"service_tier": kind} if kind in _TIERS else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def object_in(holder: Json, name: str) -> Json:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
