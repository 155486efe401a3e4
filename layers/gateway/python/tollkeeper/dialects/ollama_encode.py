"""A hub request → the body of Ollama's /api/chat. https://docs.ollama.com/api/chat

Ollama's own fields (`options`, `keep_alive`, `think`, `format` …) pass as they came; model options that LiteLLM takes at top level go into
`options`. Other fields pass too, and Ollama ignores what it does not know.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

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
from tollkeeper.dialects.hub_stream import as_object
from tollkeeper.errors import BadRequest

_UNSUPPORTED = (
    "n",
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
_OPTIONS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "typical_p",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "repeat_penalty",
        "repeat_last_n",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "tfs_z",
        "num_ctx",
        "num_predict",
        "num_keep",
        "num_batch",
        "num_gpu",
        "num_thread",
        "main_gpu",
        "use_mmap",
        "use_mlock",
    }
)
"""https://docs.ollama.com/modelfile#parameter"""
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""reasoning_effort → `think` of gpt-oss; other models take true and false. https://docs.ollama.com/capabilities/thinking"""
_OFF = {"none", "disable"}
_BASE64_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.-]+)*?;base64,(.*)", re.DOTALL)


def chat_body(request: Json, target: Target) -> Json:
    """Raises BadRequest or UnsupportedParams naming the field at fault."""
    body = upstream_fields(request, target)
    drop_unsupported(body, (*_UNSUPPORTED, *unsupported_by_profile(target)), target)
    for name in _HINTS:
        body.pop(name, None)
    body["messages"] = _messages(take_messages(body))
    body["model"] = target.model
    body["stream"] = body.get("stream") is True  # Ollama's own default is a stream
    for change in (_options, _tools, _tool_choice, _format, _think):
        change(body, target)
    return body


def _options(body: Json, _: Target) -> None:
    given = as_object(body.get("options"))
    limit = take_limit(body, body.get("num_predict"), given.get("num_predict"))
    options = {name: value for name in _OPTIONS & body.keys() if (value := body.pop(name)) is not None}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if limit is not None:
        options["num_predict"] = limit
    if options or "options" in body:
        body["options"] = {**given, **dict(sorted(options.items()))}


def _tools(body: Json, _: Target) -> None:
    narrow_tools(body)
    if tools := take_tools(body):
        body["tools"] = [plain_function(tool, where, "Ollama") for where, tool in tools]


def _tool_choice(body: Json, target: Target) -> None:
    """Ollama lets the model choose. No choice is no tools; a named one is the only one offered, as near as it comes."""
    choice = take_tool_choice(body)
    if choice is None or choice == "auto" or not body.get("tools"):
        return
    if choice == "none":
        del body["tools"]
    elif (name := chosen_name(choice)) is not None:
        body["tools"] = only_tool(body["tools"], name)
    else:
        drop_unsupported({"tool_choice": choice}, ("tool_choice",), target)


def _format(body: Json, _: Target) -> None:
    """https://docs.ollama.com/capabilities/structured-outputs"""
    kind, schema = take_schema(body)
    if kind is not None:
        body["format"] = schema or "json"


def _think(body: Json, target: Target) -> None:
    effort = body.pop("reasoning_effort", None)
    thinking = body.pop("thinking", None)
    if effort is None and isinstance(thinking, dict):  # Anthropic's word
        effort = "none" if thinking.get("type") == "disabled" else "medium"
    if effort is None or "think" in body:
        return
    if not isinstance(effort, str) or (effort not in _LEVELS and effort not in _OFF):
        raise BadRequest(f"reasoning_effort must be one of none, {', '.join(_LEVELS)}.", param="reasoning_effort")
    if "gpt-oss" in target.model:
        body["think"] = _LEVELS.get(effort, "low")  # gpt-oss cannot be kept from thinking
    else:
        body["think"] = effort not in _OFF


def _messages(messages: list[tuple[str, str, Json]]) -> list[Json]:
    """A tool's result names its tool here, not the call: the names are those of the calls before it."""
    names: dict[str, str] = {}
    return [_ROLES[role](message, where, names) for where, role, message in messages]


def _plain(role: str) -> Callable[[Json, str, dict[str, str]], Json]:
    return lambda message, where, _: {"role": role, **_content(message.get("content"), where)}


def _assistant(message: Json, where: str, names: dict[str, str]) -> Json:
    said: Json = {"role": "assistant", **_content(message.get("content"), where)}
    if isinstance(thinking := message.get("reasoning_content"), str) and thinking:
        said["thinking"] = thinking
    if calls := [_call(call, here, names) for here, call in calls_of(message, where)]:
        said["tool_calls"] = calls
    return said


def _call(call: Json, where: str, names: dict[str, str]) -> Json:
    function = as_object(call.get("function") or call.get("custom"))
    arguments = function.get("arguments")
    try:
        value = orjson.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{where}.function.arguments must be a JSON object.", param="messages")
    names[plain_id(call.get("id"))] = function["name"]
    return {"type": "function", "function": {"name": function["name"], "arguments": value}}


def _tool_result(message: Json, where: str, names: dict[str, str]) -> Json:
    name = names.get(answered_call(message)) or message.get("name")
    return {"role": "tool", **_content(message.get("content"), where), **({"tool_name": name} if isinstance(name, str) else {})}


_ROLES: Mapping[str, Callable[[Json, str, dict[str, str]], Json]] = {
    "system": _plain("system"),
    "developer": _plain("system"),
    "user": _plain("user"),
    "assistant": _assistant,
    "tool": _tool_result,
    "function": _tool_result,
}


def _content(content: Any, where: str) -> Json:
    """`content`, one string, and `images` beside it, in base64."""
    parts = content_parts(content, where)
    if isinstance(parts, str):
        return {"content": parts}
    texts: list[str] = []
    images: list[str] = []
    for here, part in parts:
        if part.get("type") in {"text", "refusal"}:
            texts.append(text_of(part, here))
        elif part.get("type") == "image_url":
            images.append(_image(part, here))
        else:
            raise BadRequest(f"{here}: Ollama takes no {part.get('type')} parts.", param="messages")
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _image(part: Json, where: str) -> str:
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    found = _BASE64_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise BadRequest(f"{where}.image_url.url: Ollama fetches nothing; send the image as a base64 data: URL.", param="messages")
    return found[1]
