"""Hub tools and tool_choice → Anthropic's.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
"""

from typing import Any

from tollkeeper.dialects.anthropic_blocks import kind_of
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_request import narrow_tools
from tollkeeper.errors import BadRequest


def translate_tools(body: Json) -> None:
    """`tools`, the older `functions`, `web_search_options` and `tool_choice`, in place. Raises BadRequest naming the field."""
    narrow_tools(body)
    functions = [{"type": "function", "function": function} for function in _array(body, "functions")]
    tools = [*_array(body, "tools"), *functions]
    converted = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    if isinstance(search := body.pop("web_search_options", None), dict):
        converted.append(_web_search(search))
    if converted:
        body["tools"] = converted
    _tool_choice(body)


def _tool(tool: Any, where: str) -> Json:
    if not isinstance(tool, dict):
        raise BadRequest(f"{where} must be an object.", param="tools")
    function = tool.get("function")
    if not isinstance(function, dict):
        if isinstance(tool.get("custom"), dict):
            raise BadRequest(f"{where}: Anthropic models take no custom (grammar) tools.", param="tools")
        return tool  # Anthropic's own: web_search_20250305, code_execution_…, or {name, input_schema}
    schema = function.get("parameters") or {}
    if not isinstance(schema, dict):
        raise BadRequest(f"{where}.function.parameters must be an object.", param="tools")
    converted: Json = {"name": function.get("name"), "input_schema": {"type": "object", "properties": {}, **schema}}
    if function.get("description") is not None:
        converted["description"] = function["description"]
    if function.get("strict") is True:
        converted["strict"] = True
    kept = ("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")
    return converted | {name: source[name] for source in (function, tool) for name in kept if name in source}


def _web_search(options: Json) -> Json:
    """https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool"""
    tool: Json = {"type": "web_search_20250305", "name": "web_search"}
    uses = {"low": 1, "medium": 5, "high": 10}.get(str(options.get("search_context_size")))
    if uses:
        tool["max_uses"] = uses
    location = options.get("user_location")
    if isinstance(location, dict):
        approximate = location.get("approximate")
        tool["user_location"] = {"type": "approximate", **(approximate if isinstance(approximate, dict) else location)}
    return tool


def _tool_choice(body: Json) -> None:
    given = body.pop("tool_choice", None)
    if given is None and "function_call" in body:
        given = body["function_call"]
    body.pop("function_call", None)
    choice = _choice(given)
    parallel = body.pop("parallel_tool_calls", None)
    if parallel is False and "tools" in body and (choice or {}).get("type") != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None and ("tools" in body or "mcp_servers" in body):
        body["tool_choice"] = choice


def _choice(given: Any) -> Json | None:
    if given is None:
        return None
    if isinstance(given, str):
        kinds = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
        if given in kinds:
            return {"type": kinds[given]}
    elif isinstance(given, dict):
        function = given.get("function")
        name = function.get("name") if isinstance(function, dict) else given.get("name")
        if kind_of(given) in ("auto", "any", "none", "tool"):
            return given
        if isinstance(name, str):
            return {"type": "tool", "name": name}
    raise BadRequest("tool_choice must be auto, none, required or a named function.", param="tool_choice")


def _array(body: Json, name: str) -> list[Any]:
    given = body.pop(name, None)
    if not isinstance(given, list | None):
        raise BadRequest(f"{name} must be an array.", param=name)
    return given or []
