"""What encoders read out of a hub request alike, with OpenAI's older words for it (`functions`, `function_call`, role `function`).

https://platform.openai.com/docs/api-reference/chat/create. Raises BadRequest naming the field at fault; takes the fields it reads.
"""

from collections.abc import Iterator
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.gemini_signature import split_call_id
from tollkeeper.errors import BadRequest


def take_messages(body: Json) -> list[tuple[str, str, Json]]:
    """(where, role, message) of each."""
    given = body.pop("messages", None)
    if not isinstance(given, list):
        raise BadRequest("messages must be an array of objects.", param="messages")
    return [(f"messages[{place}]", _role(message, f"messages[{place}]"), message) for place, message in enumerate(given)]


def _role(message: Any, where: str) -> str:
    if not isinstance(message, dict):
        raise BadRequest(f"{where} must be an object.", param="messages")
    role = message.get("role")
    if not isinstance(role, str) or role not in {"system", "developer", "user", "assistant", "tool", "function"}:
        raise BadRequest(f"{where}.role: {role!r} is not a role.", param="messages")
    return role


def take_tools(body: Json) -> list[tuple[str, Json]]:
    """(where, tool) of each."""
    tools = [(f"tools[{place}]", tool) for place, tool in enumerate(_take_list(body, "tools"))]
    functions = _take_list(body, "functions")
    tools += [(f"functions[{place}]", {"type": "function", "function": function}) for place, function in enumerate(functions)]
    for where, tool in tools:
        if not isinstance(tool, dict):
            raise BadRequest(f"{where} must be an object.", param="tools")
    return tools


def _take_list(body: Json, name: str) -> list[Any]:
    given = body.pop(name, None)
    if given is not None and not isinstance(given, list):
        raise BadRequest(f"{name} must be an array.", param=name)
    return given or []


def plain_function(tool: Json, where: str, provider: str) -> Json:
    """A function tool with what every API takes of it; for those that take functions only."""
    function = tool.get("function")
    if not isinstance(function, dict):
        raise BadRequest(f"{where}: {provider} takes function tools only.", param="tools")
    kept = {name: function[name] for name in ("name", "description") if function.get(name) is not None}
    return {"type": "function", "function": {**kept, "parameters": function.get("parameters") or {"type": "object", "properties": {}}}}


def narrow_tools(body: Json) -> None:
    """`allowed_tools`, for who does not know it: only those tools, and its mode for a choice. In place.

    https://platform.openai.com/docs/guides/function-calling#allowed-tools
    """
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return
    allowed = choice.get("allowed_tools", choice)
    names = {chosen_name(tool) for tool in _take_list(dict(allowed), "tools")} if isinstance(allowed, dict) else set()
    tools = body.get("tools")
    if not isinstance(tools, list) or not (kept := [tool for tool in tools if chosen_name(tool) in names]):
        raise BadRequest("tool_choice.allowed_tools.tools must name some of the tools.", param="tool_choice")
    body["tools"], body["tool_choice"] = kept, "required" if allowed.get("mode") == "required" else "auto"


def take_tool_choice(body: Json) -> Any:
    """`auto`, `none`, `required`, an object that names a tool, or None."""
    choice, legacy = body.pop("tool_choice", None), body.pop("function_call", None)
    if choice is None and isinstance(legacy, dict):
        return {"type": "function", "function": legacy}
    return legacy if choice is None else choice


def chosen_name(choice: Any) -> str | None:
    """The function that a tool_choice names."""
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def only_tool(tools: list[Json], name: str) -> list[Json]:
    """The one of that name."""
    chosen = [tool for tool in tools if tool["function"].get("name") == name]
    if not chosen:
        raise BadRequest(f"tool_choice names {name}, which is not one of the tools.", param="tool_choice")
    return chosen


def take_limit(body: Json, *also: Any) -> int | None:
    """One output limit: the smallest of those given, under the hub's names or (`also`) the provider's own.

    A budget may hold money for any of them, so none is ever passed over for a larger one.
    """
    given = [body.pop(name, None) for name in ("max_completion_tokens", "max_tokens")]
    return min((limit for limit in (*given, *also) if type(limit) is int and limit >= 0), default=None)


def take_schema(body: Json) -> tuple[str | None, Json | None]:
    """(`json_schema`, the schema), (`json_object`, None), or (None, None) for text."""
    given = body.pop("response_format", None)
    kind = given.get("type") if isinstance(given, dict) else given
    if kind is None or kind == "text":
        return None, None
    if kind == "json_object":
        return "json_object", None
    named = given.get("json_schema") if isinstance(given, dict) and kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(schema, dict):
        raise BadRequest("response_format must be text, json_object, or json_schema with a schema.", param="response_format")
    return "json_schema", schema


def calls_of(message: Json, where: str) -> Iterator[tuple[str, Json]]:
    """(where, call) of each call of an assistant message; each has a `function` with a name, or is a custom tool's."""
    calls = message.get("tool_calls") or []
    if not calls and isinstance(legacy := message.get("function_call"), dict):
        calls = [{"id": f"call_{legacy.get('name')}", "function": legacy}]
    if not isinstance(calls, list):
        raise BadRequest(f"{where}.tool_calls must be an array.", param="messages")
    for place, call in enumerate(calls):
        made = (call.get("custom") or call.get("function")) if isinstance(call, dict) else None
        if not isinstance(made, dict) or not isinstance(made.get("name"), str):
            raise BadRequest(f"{where}.tool_calls[{place}] must have a function with a name.", param="messages")
        yield f"{where}.tool_calls[{place}]", call


def answered_call(message: Json) -> str:
    """The id of the call that a tool's message answers."""
    return plain_id(message.get("tool_call_id") or f"call_{message.get('name')}")


def plain_id(identifier: Any) -> str:
    """A call's id without the signature that Gemini's carry."""
    return split_call_id(str(identifier or ""))[0]


def content_parts(content: Any, where: str) -> str | list[tuple[str, Json]]:
    """A string, or (where, part) of each part."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRequest(f"{where}.content must be a string or an array.", param="messages")
    parts = [
        (f"{where}.content[{place}]", {"type": "text", "text": part} if isinstance(part, str) else part)
        for place, part in enumerate(content)
    ]
    for here, part in parts:
        if not isinstance(part, dict):
            raise BadRequest(f"{here} must be an object.", param="messages")
    return parts


def text_of(part: Json, where: str) -> str:
    """Of a `text` or `refusal` part."""
    text = part.get(str(part.get("type")))
    if not isinstance(text, str):
        raise BadRequest(f"{where}.{part.get('type')} must be a string.", param="messages")
    return text
