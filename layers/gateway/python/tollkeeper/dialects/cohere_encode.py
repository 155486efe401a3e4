"""A hub request → the body of Cohere's v2 Chat API. https://docs.cohere.com/reference/chat

Cohere's own fields (`documents`, `citation_options`, `safety_mode`, `k`, `p`, `thinking` …) and fields nobody here knows pass as they came.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.errors import BadRequest

_UNSUPPORTED = (
    "n",
    "top_logprobs",
    "logit_bias",
    "parallel_tool_calls",
    "modalities",
    "audio",
    "prediction",
    "store",
    "verbosity",
    "service_tier",
    "web_search_options",
)
_HINTS = ("stream_options", "user", "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")
"""What has no place in the body and changes no answer."""

_RENAMED = {"top_p": "p", "top_k": "k"}
_BUDGETS: Mapping[str, Json] = {
    "none": {"type": "disabled"},
    "disable": {"type": "disabled"},
    "minimal": {"type": "enabled", "token_budget": 1_024},
    "low": {"type": "enabled", "token_budget": 1_024},
    "medium": {"type": "enabled", "token_budget": 2_048},
    "high": {"type": "enabled"},
    "xhigh": {"type": "enabled"},
    "max": {"type": "enabled"},
}
"""reasoning_effort → thinking; without a budget the model thinks as long as it likes. https://docs.cohere.com/docs/reasoning"""


def chat_body(request: Json, target: Target) -> Json:
    """Raises BadRequest or UnsupportedParams naming the field at fault."""
    body = upstream_fields(request, target)
    drop_unsupported(body, (*_UNSUPPORTED, *unsupported_by_profile(target)), target)
    for name in _HINTS:
        body.pop(name, None)
    for name, theirs in _RENAMED.items():
        if name in body:
            body.setdefault(theirs, body.pop(name))
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages must be an array of objects.", param="messages")
    body["messages"] = [_message(message, f"messages[{place}]") for place, message in enumerate(messages)]
    body["model"] = target.model
    for change in (_limit, _stop, _tools, _tool_choice, _response_format, _thinking):
        change(body)
    return body


def _limit(body: Json) -> None:
    """One output limit: of two given, the smaller."""
    given = [limit for name in ("max_completion_tokens", "max_tokens") if isinstance(limit := body.pop(name, None), int)]
    if given:
        body["max_tokens"] = min(given)


def _stop(body: Json) -> None:
    stop = body.pop("stop", None)
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop


def _tools(body: Json) -> None:
    functions = [{"type": "function", "function": function} for function in body.pop("functions", None) or []]
    tools = [*(body.pop("tools", None) or []), *functions]
    strict = [isinstance(tool, dict) and isinstance(of := tool.get("function"), dict) and of.get("strict") is True for tool in tools]
    if tools:
        body["tools"] = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]
    if any(strict):
        body.setdefault("strict_tools", True)


def _tool(tool: Any, where: str) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise BadRequest(f"{where}: Cohere models take function tools only.", param="tools")
    kept = {name: function[name] for name in ("name", "description") if function.get(name) is not None}
    return {"type": "function", "function": {**kept, "parameters": function.get("parameters") or {"type": "object", "properties": {}}}}


def _tool_choice(body: Json) -> None:
    """Cohere can force a tool, but not one by name: then only that one is offered."""
    choice = body.pop("tool_choice", None)
    if choice is None:
        choice = body.pop("function_call", None)
    body.pop("function_call", None)
    if choice is None or choice == "auto":
        return
    name = _named(choice)
    if name is not None:
        body["tools"] = [tool for tool in body.get("tools", ()) if tool["function"].get("name") == name]
        choice = "required"
    words = {"none": "NONE", "required": "REQUIRED", "any": "REQUIRED", "NONE": "NONE", "REQUIRED": "REQUIRED"}
    if not isinstance(choice, str) or choice not in words or (name is not None and not body["tools"]):
        raise BadRequest("tool_choice must be auto, none, required or one of the tools.", param="tool_choice")
    if body.get("tools"):
        body["tool_choice"] = words[choice]


def _named(choice: Any) -> str | None:
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _response_format(body: Json) -> None:
    """https://docs.cohere.com/docs/structured-outputs"""
    given = body.pop("response_format", None)
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "json_schema":
        named = given.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, dict):
            raise BadRequest("response_format.json_schema must have a schema.", param="response_format")
        body["response_format"] = {"type": "json_object", "schema": schema}
    elif kind == "json_object":
        body["response_format"] = given
    elif kind not in {None, "text"}:
        raise BadRequest("response_format must be text, json_object, or json_schema with a schema.", param="response_format")


def _thinking(body: Json) -> None:
    """`thinking` may come in Anthropic's words, and stands above reasoning_effort."""
    effort = body.pop("reasoning_effort", None)
    thinking = body.get("thinking")
    if isinstance(thinking, dict):
        budget = thinking.get("budget_tokens")
        body["thinking"] = {name: value for name, value in thinking.items() if name != "budget_tokens"}
        if budget is not None:
            body["thinking"].setdefault("token_budget", budget)
    elif effort is not None:
        if not isinstance(effort, str) or effort not in _BUDGETS:
            raise BadRequest(f"reasoning_effort must be one of {', '.join(_BUDGETS)}.", param="reasoning_effort")
        body["thinking"] = dict(_BUDGETS[effort])


def _message(message: Any, where: str) -> Json:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"{where}.role: {role!r} is not a role.", param="messages")
    return _ROLES[role](message, where)


def _said(role: str) -> Callable[[Json, str], Json]:
    return lambda message, where: {"role": role, "content": _content(message.get("content"), where)}


def _assistant(message: Json, where: str) -> Json:
    """Back as it came: the plan beside its tool calls, thoughts as blocks. https://docs.cohere.com/docs/tool-use-overview"""
    said: Json = {"role": "assistant"}
    thoughts = [block for block in message.get("thinking_blocks") or () if isinstance(block, dict) and _is_ours(block)]
    content = _content(message.get("content"), where) if message.get("content") else ""
    if thoughts:
        content = [*thoughts, *([{"type": "text", "text": content}] if isinstance(content, str) and content else content or [])]
    calls = message.get("tool_calls") or []
    if not calls and isinstance(legacy := message.get("function_call"), dict):
        calls = [{"id": f"call_{legacy.get('name')}", "function": legacy}]
    if content or not calls:
        said["content"] = content
    if calls:
        said["tool_calls"] = [_call(call, f"{where}.tool_calls[{place}]") for place, call in enumerate(calls)]
        fields = message.get("provider_specific_fields")
        plan = message.get("tool_plan") or (fields.get("tool_plan") if isinstance(fields, dict) else None)
        if isinstance(plan, str) and plan:
            said["tool_plan"] = plan
    return said


def _is_ours(block: Json) -> bool:
    """Anthropic's thoughts carry a signature, and are for Anthropic."""
    return block.get("type") == "thinking" and isinstance(block.get("thinking"), str) and not block.get("signature")


def _call(call: Any, where: str) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest(f"{where} must have a function with a name.", param="messages")
    arguments = function.get("arguments")
    return {
        "id": str(call.get("id") or f"call_{function['name']}"),
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments if isinstance(arguments, str) and arguments else "{}"},
    }


def _tool_result(message: Json, where: str) -> Json:
    identifier = message.get("tool_call_id") or f"call_{message.get('name')}"
    return {"role": "tool", "tool_call_id": str(identifier), "content": _content(message.get("content"), where)}


_ROLES: Mapping[str, Callable[[Json, str], Json]] = {
    "system": _said("system"),
    "developer": _said("system"),
    "user": _said("user"),
    "assistant": _assistant,
    "tool": _tool_result,
    "function": _tool_result,
}


def _content(content: Any, where: str) -> str | list[Json]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRequest(f"{where}.content must be a string or an array.", param="messages")
    return [_part(part, f"{where}.content[{place}]") for place, part in enumerate(content)]


def _part(part: Any, where: str) -> Json:
    """Text, images (by https: or data: URL) and Cohere's own documents are as in the hub."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "text", "text": str(part.get("refusal") or "")}
    if kind == "image_url":
        return _image(part, where)
    if kind in {"document", "thinking"}:
        return dict(part)
    raise BadRequest(f"{where}: Cohere models take no {kind} parts.", param="messages")


def _image(part: Json, where: str) -> Json:
    given = part.get("image_url")
    image = {"url": given} if isinstance(given, str) else given
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:image/")):
        raise BadRequest(f"{where}.image_url.url must be an https: or data:image URL.", param="messages")
    return {"type": "image_url", "image_url": image}
