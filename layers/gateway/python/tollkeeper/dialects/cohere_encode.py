"""A hub request → the body of Cohere's v2 Chat API. https://docs.cohere.com/reference/chat

Cohere's own fields (`documents`, `citation_options`, `safety_mode`, `k`, `p`, `thinking` …) and fields nobody here knows pass as they came.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_request import (
    answered_call,
    calls_of,
    chosen_name,
    content_parts,
    narrow_tools,
    only_tool,
    plain_function,
    plain_id,
    take_limit,
    take_messages,
    take_schema,
    take_tool_choice,
    take_tools,
    text_of,
)
from tollkeeper.dialects.hub_stream import as_object, as_objects
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

_CHOICES = {"none": "NONE", "required": "REQUIRED", "any": "REQUIRED", "NONE": "NONE", "REQUIRED": "REQUIRED"}
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
    body["messages"] = [_ROLES[role](message, where) for where, role, message in take_messages(body)]
    body["model"] = target.model
    if (limit := take_limit(body)) is not None:
        body["max_tokens"] = limit
    if stop := body.pop("stop", None):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    _tools(body)
    _tool_choice(body)
    _response_format(body)
    _thinking(body)
    return body


def _tools(body: Json) -> None:
    """`strict` is said once, for all of them."""
    narrow_tools(body)
    tools = take_tools(body)
    if tools:
        body["tools"] = [plain_function(tool, where, "Cohere") for where, tool in tools]
    if any(tool["function"].get("strict") is True for _, tool in tools):
        body.setdefault("strict_tools", True)


def _tool_choice(body: Json) -> None:
    """Cohere can force a tool, but not one by name: then only that one is offered."""
    choice = take_tool_choice(body)
    if choice is None or choice == "auto":
        return
    if (name := chosen_name(choice)) is not None:
        body["tools"] = only_tool(body.get("tools", []), name)
        choice = "required"
    if not isinstance(choice, str) or choice not in _CHOICES:
        raise BadRequest("tool_choice must be auto, none, required or one of the tools.", param="tool_choice")
    if body.get("tools"):
        body["tool_choice"] = _CHOICES[choice]


def _response_format(body: Json) -> None:
    """https://docs.cohere.com/docs/structured-outputs"""
    kind, schema = take_schema(body)
    if kind is not None:
        body["response_format"] = {"type": "json_object", **({"schema": schema} if schema else {})}


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


def _said(role: str) -> Callable[[Json, str], Json]:
    return lambda message, where: {"role": role, "content": _content(message.get("content"), where)}


def _assistant(message: Json, where: str) -> Json:
    """Back as it came: the plan beside its tool calls, thoughts as blocks. https://docs.cohere.com/docs/tool-use-overview"""
    said: Json = {"role": "assistant"}
    thoughts = [block for block in as_objects(message.get("thinking_blocks")) if _is_ours(block)]
    content = _content(message.get("content"), where)
    if thoughts:
        content = [*thoughts, *([{"type": "text", "text": content}] if isinstance(content, str) and content else content or [])]
    calls = [_call(call) for _, call in calls_of(message, where)]
    if content or not calls:
        said["content"] = content
    if calls:
        said["tool_calls"] = calls
        plan = message.get("tool_plan") or as_object(message.get("provider_specific_fields")).get("tool_plan")
        if isinstance(plan, str) and plan:
            said["tool_plan"] = plan
    return said


def _is_ours(block: Json) -> bool:
    """Anthropic's thoughts carry a signature, and are for Anthropic."""
    return block.get("type") == "thinking" and isinstance(block.get("thinking"), str) and not block.get("signature")


def _call(call: Json) -> Json:
    function = as_object(call.get("function") or call.get("custom"))
    arguments = function.get("arguments")
    return {
        "id": plain_id(call.get("id")) or f"call_{function['name']}",
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments if isinstance(arguments, str) and arguments else "{}"},
    }


def _tool_result(message: Json, where: str) -> Json:
    return {"role": "tool", "tool_call_id": answered_call(message), "content": _content(message.get("content"), where)}


_ROLES: Mapping[str, Callable[[Json, str], Json]] = {
    "system": _said("system"),
    "developer": _said("system"),
    "user": _said("user"),
    "assistant": _assistant,
    "tool": _tool_result,
    "function": _tool_result,
}


def _content(content: Any, where: str) -> str | list[Json]:
    parts = content_parts(content, where)
    return parts if isinstance(parts, str) else [_part(part, here) for here, part in parts]


def _part(part: Json, where: str) -> Json:
    """Text, images (by https: or data: URL) and Cohere's own documents are as in the hub."""
    kind = part.get("type")
    if kind in {"text", "refusal"}:
        return {"type": "text", "text": text_of(part, where)}
    if kind == "image_url":
        return _image(part, where)
    if kind in {"document", "thinking"}:
        return part
    raise BadRequest(f"{where}: Cohere models take no {kind} parts.", param="messages")


def _image(part: Json, where: str) -> Json:
    given = part.get("image_url")
    image = {"url": given} if isinstance(given, str) else given
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:image/")):
        raise BadRequest(f"{where}.image_url.url must be an https: or data:image URL.", param="messages")
    return {"type": "image_url", "image_url": image}
