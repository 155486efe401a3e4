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
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages must be an array of objects.", param="messages")
    body["messages"] = _messages(messages)
    body["model"] = target.model
    body["stream"] = body.get("stream") is True  # Ollama's own default is a stream
    for change in (_options, _tools, _tool_choice, _format, _think):
        change(body, target)
    return body


def _options(body: Json, _: Target) -> None:
    limits = [limit for name in ("max_completion_tokens", "max_tokens") if isinstance(limit := body.pop(name, None), int)]
    options = {name: value for name in _OPTIONS & body.keys() if (value := body.pop(name)) is not None}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if limits:
        options["num_predict"] = min(limits)
    given = body.get("options")
    if options or isinstance(given, dict):
        body["options"] = {**(given if isinstance(given, dict) else {}), **dict(sorted(options.items()))}


def _tools(body: Json, _: Target) -> None:
    functions = [{"type": "function", "function": function} for function in body.pop("functions", None) or []]
    tools = [*(body.pop("tools", None) or []), *functions]
    if tools:
        body["tools"] = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]


def _tool(tool: Any, where: str) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise BadRequest(f"{where}: Ollama takes function tools only.", param="tools")
    kept = {name: function[name] for name in ("name", "description") if function.get(name) is not None}
    return {"type": "function", "function": {**kept, "parameters": function.get("parameters") or {"type": "object", "properties": {}}}}


def _tool_choice(body: Json, target: Target) -> None:
    """Ollama lets the model choose. No choice is no tools; a named one is the only one offered, as near as it comes."""
    choice = body.pop("tool_choice", None)
    if choice is None:
        choice = body.pop("function_call", None)
    body.pop("function_call", None)
    if choice is None or choice == "auto" or not body.get("tools"):
        return
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if choice == "none":
        del body["tools"]
    elif name is None:
        drop_unsupported({"tool_choice": choice}, ("tool_choice",), target)
    else:
        body["tools"] = [tool for tool in body["tools"] if tool["function"].get("name") == name]
        if not body["tools"]:
            raise BadRequest("tool_choice must name one of the tools.", param="tool_choice")


def _format(body: Json, _: Target) -> None:
    """https://docs.ollama.com/capabilities/structured-outputs"""
    given = body.pop("response_format", None)
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in {None, "text"}:
        return
    named = given.get("json_schema") if kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if kind not in {"json_schema", "json_object"} or (kind == "json_schema" and not isinstance(schema, dict)):
        raise BadRequest("response_format must be text, json_object, or json_schema with a schema.", param="response_format")
    body["format"] = schema or "json"


def _think(body: Json, target: Target) -> None:
    effort = body.pop("reasoning_effort", None)
    thinking = body.pop("thinking", None)
    if effort is None and isinstance(thinking, dict):  # Anthropic's word
        effort = "none" if thinking.get("type") == "disabled" else "medium"
    if effort is None or "think" in body:
        return
    if effort not in _LEVELS and effort not in _OFF:
        raise BadRequest(f"reasoning_effort must be one of none, {', '.join(_LEVELS)}.", param="reasoning_effort")
    if "gpt-oss" in target.model:
        body["think"] = _LEVELS.get(effort, "low")  # gpt-oss cannot be kept from thinking
    else:
        body["think"] = effort not in _OFF


def _messages(messages: list[Any]) -> list[Json]:
    """A tool's result names its tool here, not the call: the names are those of the calls before it."""
    names: dict[str, str] = {}
    converted: list[Json] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            raise BadRequest(f"{where}.role: {role!r} is not a role.", param="messages")
        converted.append(_ROLES[role](message, where, names))
    return converted


def _plain(role: str) -> Callable[[Json, str, dict[str, str]], Json]:
    return lambda message, where, _: {"role": role, **_content(message.get("content"), where)}


def _assistant(message: Json, where: str, names: dict[str, str]) -> Json:
    said: Json = {"role": "assistant", **_content(message.get("content"), where)}
    if isinstance(thinking := message.get("reasoning_content"), str) and thinking:
        said["thinking"] = thinking
    calls = message.get("tool_calls") or []
    if not calls and isinstance(legacy := message.get("function_call"), dict):
        calls = [{"function": legacy}]
    if calls:
        said["tool_calls"] = [_call(call, f"{where}.tool_calls[{place}]", names) for place, call in enumerate(calls)]
    return said


def _call(call: Any, where: str, names: dict[str, str]) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest(f"{where} must have a function with a name.", param="messages")
    arguments = function.get("arguments")
    try:
        value = orjson.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{where}.function.arguments must be a JSON object.", param="messages")
    if call.get("id"):
        names[str(call["id"])] = function["name"]
    return {"type": "function", "function": {"name": function["name"], "arguments": value}}


def _tool_result(message: Json, where: str, names: dict[str, str]) -> Json:
    name = names.get(str(message.get("tool_call_id"))) or message.get("name")
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
    if content is None or isinstance(content, str):
        return {"content": content or ""}
    if not isinstance(content, list):
        raise BadRequest(f"{where}.content must be a string or an array.", param="messages")
    texts: list[str] = []
    images: list[str] = []
    for place, part in enumerate(content):
        _add_part(part, f"{where}.content[{place}]", texts, images)
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _add_part(part: Any, where: str, texts: list[str], images: list[str]) -> None:
    if isinstance(part, str):
        texts.append(part)
        return
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in {"text", "refusal"} and isinstance(part.get(kind), str):
        texts.append(part[kind])
    elif kind == "image_url":
        images.append(_image(part, where))
    else:
        raise BadRequest(f"{where}: Ollama takes no {kind} parts.", param="messages")


def _image(part: Json, where: str) -> str:
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    found = _BASE64_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise BadRequest(f"{where}.image_url.url: Ollama fetches nothing; send the image as a base64 data: URL.", param="messages")
    return found[1]
