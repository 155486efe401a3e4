"""Recorded Anthropic requests → the hub request a caller would have written, and a normal form in which two Anthropic requests can be
compared by meaning. Uses none of our code.
"""

import json
from typing import Any

Json = dict[str, Any]

TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def to_hub(body: Json) -> Json:
    """As an OpenAI client would say it; what has no OpenAI word stays Anthropic's."""
    renamed = {"system", "messages", "tools", "tool_choice", "stop_sequences", "anthropic_version", "service_tier"}
    hub: Json = {name: value for name, value in body.items() if name not in renamed}
    hub["messages"] = [*_system(body.get("system")), *(message for turn in body["messages"] for message in _turn(turn))]
    if "tools" in body:
        hub["tools"] = [_tool(tool) for tool in body["tools"]]
    if "stop_sequences" in body:
        hub["stop"] = body["stop_sequences"]
    if "service_tier" in body:
        hub["service_tier"] = {"standard_only": "default"}.get(body["service_tier"], body["service_tier"])
    choice = body.get("tool_choice")
    if choice:
        name = choice.get("name")
        hub["tool_choice"] = {"type": "function", "function": {"name": name}} if name else TOOL_CHOICES[choice["type"]]
        if choice.get("disable_parallel_tool_use"):
            hub["parallel_tool_calls"] = False
    return hub


def meaning(body: Json) -> Json:
    """Strings as blocks, defaults left out, nothing else changed."""
    normal = {name: value for name, value in body.items() if name not in {"model", "anthropic_version"} and value is not False}
    if "system" in normal:
        normal["system"] = _blocks(normal["system"])
    normal["messages"] = [
        {"role": turn["role"], "content": [_plain(block) for block in _blocks(turn["content"])]} for turn in body["messages"]
    ]
    if "tools" in normal:
        normal["tools"] = [_tool_meaning(tool) for tool in normal["tools"]]
    if "tool_choice" in normal:
        normal["tool_choice"] = {name: value for name, value in normal["tool_choice"].items() if value is not False}
    return normal


def _tool_meaning(tool: Json) -> Json:
    if "input_schema" not in tool:
        return tool
    return {**tool, "input_schema": {"properties": {}, **tool["input_schema"]}, "description": tool.get("description")}


def _plain(block: Json) -> Json:
    plain = {name: value for name, value in block.items() if value is not None and name != "caller"}
    if block["type"] == "tool_result":
        plain["content"] = _blocks(block.get("content") or [])
        if block.get("is_error") is False:
            plain.pop("is_error")
    return plain


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _system(system: Any) -> list[Json]:
    return [] if system is None else [{"role": "system", "content": system}]


def _tool(tool: Json) -> Json:
    if "input_schema" not in tool:
        return tool
    extra = {name: value for name, value in tool.items() if name not in {"name", "description", "input_schema", "strict", "type"}}
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    function |= {name: tool[name] for name in ("description", "strict") if name in tool}
    return {"type": "function", "function": function, **extra}


def _turn(turn: Json) -> list[Json]:
    blocks = turn["content"]
    if isinstance(blocks, str):
        return [{"role": turn["role"], "content": blocks}]
    return [_assistant(blocks)] if turn["role"] == "assistant" else _user(blocks)


def _assistant(blocks: list[Json]) -> Json:
    message: Json = {
        "role": "assistant",
        "content": [block for block in blocks if block["type"] not in {"tool_use", "thinking", "redacted_thinking"}],
    }
    if any(block["type"].endswith("tool_use") and block["type"] != "tool_use" for block in blocks):
        # A turn with Anthropic's own tools has an order that only Anthropic's blocks can say.
        message["content"] = [block for block in blocks if block["type"] != "tool_use"]
    elif thinking := [block for block in blocks if block["type"] in {"thinking", "redacted_thinking"}]:
        message["thinking_blocks"] = thinking
        message["reasoning_content"] = "".join(block.get("thinking", "") for block in thinking)
    calls = [block for block in blocks if block["type"] == "tool_use"]
    if calls:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["input"])},
                **({"cache_control": call["cache_control"]} if "cache_control" in call else {}),
            }
            for call in calls
        ]
    message["content"] = message["content"] or None
    return message


def _user(blocks: list[Json]) -> list[Json]:
    messages: list[Json] = []
    for block in blocks:
        if block["type"] == "tool_result":
            kept = {name: block[name] for name in ("is_error", "cache_control") if name in block}
            content = block.get("content", "")
            parts = content if isinstance(content, str) else [_part(part) for part in content]
            messages.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": parts, **kept})
        elif messages and messages[-1]["role"] == "user":
            messages[-1]["content"].append(_part(block))
        else:
            messages.append({"role": "user", "content": [_part(block)]})
    return messages


def _part(block: Json) -> Json:
    source = block.get("source", {})
    kept = {name: block[name] for name in ("cache_control", "citations", "context") if name in block}
    data = f"data:{source.get('media_type')};base64,{source.get('data')}"
    if block["type"] == "image" and source.get("type") in {"base64", "url"}:
        return {"type": "image_url", "image_url": {"url": source.get("url") or data}, **kept}
    if block["type"] == "document" and source.get("type") in {"base64", "file"}:
        file = {"file_id": source["file_id"]} if "file_id" in source else {"file_data": data}
        return {"type": "file", "file": file | ({"filename": block["title"]} if "title" in block else {}), **kept}
    return block
