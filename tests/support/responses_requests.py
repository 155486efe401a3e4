"""Recorded Responses requests in hub words, and what of them the hub can say: an independent inverse of the encoder."""

from typing import Any

Json = dict[str, Any]
CALLER_TURNS = {"function_call_output", "message"}


def to_hub(body: Json) -> Json:
    """The recorded request as an OpenAI client would have sent it to /v1/chat/completions. A response is stored unless it says not."""
    same = {name: value for name, value in body.items() if name not in {"input", "tools", "tool_choice", "text", "reasoning"}}
    request: Json = {"store": True, **same, "messages": _messages(body["input"])}
    if "max_output_tokens" in request:
        request["max_completion_tokens"] = request.pop("max_output_tokens")
    if "tools" in body:
        request["tools"] = [_nested(tool) for tool in body["tools"]]
    if "tool_choice" in body:
        request["tool_choice"] = _nested_choice(body["tool_choice"])
    if "text" in body:
        request |= _text(body["text"])
    if "reasoning" in body:
        rest = dict(body["reasoning"])
        request["reasoning_effort"] = rest.pop("effort")
        request |= {"reasoning": rest} if rest else {}
    return request


def _nested(tool: Json) -> Json:
    kept = {name: value for name, value in tool.items() if name != "type"}
    return {"type": "function", "function": kept} if tool["type"] == "function" else tool


def _nested_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    kind = choice["type"]
    rest = {name: value for name, value in choice.items() if name != "type"}
    if kind == "allowed_tools":
        rest["tools"] = [_nested(tool) for tool in rest["tools"]]
    return {"type": kind, kind: rest}


def _text(text: Json) -> Json:
    given = text["format"]
    if given["type"] != "json_schema":
        return {"response_format": given}
    return {"response_format": {"type": "json_schema", "json_schema": {name: value for name, value in given.items() if name != "type"}}}


def _messages(given: Any) -> list[Json]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[Json] = []
    for item in given:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})
        elif kind == "message" and item["role"] != "assistant":
            messages.append({"role": item["role"], "content": _content(item["content"])})
        else:
            _add_to_assistant(messages, kind, item)
    return messages


def _add_to_assistant(messages: list[Json], kind: str, item: Json) -> None:
    """Items in a row are one assistant message, which has one text."""
    if not messages or messages[-1]["role"] != "assistant" or (kind == "message" and "content" in messages[-1]):
        messages.append({"role": "assistant", "provider_specific_fields": {"output_order": []}})
    message, fields = messages[-1], messages[-1]["provider_specific_fields"]
    fields["output_order"].append("message" if kind == "message" else item.get("call_id") or item.get("id"))
    if kind == "message":
        message["content"] = _content(item["content"])
    elif kind == "reasoning":
        message.setdefault("reasoning_items", []).append({**item, "status": "completed"})
    elif kind == "function_call":
        made = {"id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]}}
        message.setdefault("tool_calls", []).append(made)
    else:
        fields.setdefault("server_tools", []).append(item)


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Json) -> Json:
    kind, rest = part["type"], {name: value for name, value in part.items() if name not in {"type", "annotations"}}
    if kind in {"input_text", "output_text"}:
        return {"type": "text", **rest}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": rest.pop("image_url"), **rest}}
    return {"type": "file", "file": {"file_id": rest["file_url"]}} if kind == "input_file" else part


def comparable(body: Json) -> Json:
    """A Responses body without what says nothing: ids of messages and calls, defaults, a string that could be a list."""
    same = {name: value for name, value in body.items() if value is not None and value is not (name == "store")}
    same["input"] = [_comparable_item(item) for item in _as_items(body["input"])]
    if "tools" in body:
        # A chat completion's function is not strict unless it says so.
        told = [{name: value for name, value in tool.items() if value is not None} for tool in body["tools"]]
        same["tools"] = [{"strict": False, **tool} if tool["type"] == "function" else tool for tool in told]
    return same


def _as_items(given: Any) -> list[Json]:
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _comparable_item(item: Json) -> Json:
    kind = item.get("type", "message")
    dropped = {"message": {"type", "id", "status"}, "function_call": {"id", "status"}}.get(kind, set())
    kept = {name: value for name, value in item.items() if name not in dropped and value is not None}
    if isinstance(kept.get("content"), list) and kind == "message":
        kept["content"] = [{name: value for name, value in part.items() if name != "annotations"} for part in kept["content"]]
    return kept
