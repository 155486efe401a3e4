"""A hub request → the body of the Responses API. https://platform.openai.com/docs/guides/migrate-to-responses

Fields that both APIs have, the Responses API's own (`include`, `previous_response_id`, `truncation` …) and fields nobody here knows pass
as they came. A chat completion is not stored unless it asks for it, so neither is the response; its reasoning then travels encrypted.
"""

from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_request import take_limit, take_messages, take_tool_choice, take_tools
from tollkeeper.dialects.responses_items import input_items
from tollkeeper.errors import BadRequest

_UNSUPPORTED = (
    "n",
    "stop",
    "seed",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "modalities",
    "audio",
    "prediction",
)
_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"


def response_body(request: Json, target: Target) -> Json:
    """Raises BadRequest or UnsupportedParams naming the field at fault."""
    body = upstream_fields(request, target)
    drop_unsupported(body, (*_UNSUPPORTED, *unsupported_by_profile(target)), target)
    if body.get("background") and body.get("stream") is not True:
        # The answer would be a ticket, and what is generated behind it is paid for and never seen.
        drop_unsupported(body, ("background",), target)
    body["model"] = target.model
    _store(body)
    body["input"] = input_items(take_messages(body), stored=body.get("store") is not False)
    if (limit := take_limit(body, body.get("max_output_tokens"))) is not None:
        body["max_output_tokens"] = limit
    _tools(body)
    _tool_choice(body)
    _text(body)
    _reasoning(body)
    _include(body, target)
    _stream_options(body)
    return body


def _store(body: Json) -> None:
    if body.get("store") is None:
        body.pop("store", None)
        if not any(body.get(name) for name in ("previous_response_id", "conversation", "background")):
            body["store"] = False


def _tools(body: Json) -> None:
    tools = [_tool(tool) for _, tool in take_tools(body)]
    if isinstance(search := body.pop("web_search_options", None), dict):
        tools.append(_web_search(search))
    if tools:
        body["tools"] = tools


def _tool(tool: Json) -> Json:
    """Functions and custom tools lose a level; the provider's own tools (`web_search`, `mcp` …) are as they should be."""
    if isinstance(function := tool.get("function"), dict):
        # A function is not strict in a chat completion unless it says so, and is in a response unless it says not.
        defaults = {"parameters": {"type": "object", "properties": {}}, "strict": False}
        given = {name: value for name, value in function.items() if value is not None}
        return {"type": "function", **defaults, **given}
    if isinstance(custom := tool.get("custom"), dict):
        return {"type": "custom", **custom, **({"format": _grammar(custom["format"])} if "format" in custom else {})}
    return tool


def _grammar(given: Any) -> Any:
    grammar = given.get("grammar") if isinstance(given, dict) else None
    return {"type": "grammar", **grammar} if isinstance(grammar, dict) else given


def _web_search(options: Json) -> Json:
    """https://platform.openai.com/docs/guides/tools-web-search"""
    tool = {"type": "web_search", **options}
    location = options.get("user_location")
    if isinstance(location, dict) and isinstance(approximate := location.get("approximate"), dict):
        tool["user_location"] = {"type": "approximate", **approximate}
    return tool


def _tool_choice(body: Json) -> None:
    if (choice := take_tool_choice(body)) is not None:
        body["tool_choice"] = _choice(choice)


def _choice(choice: Any) -> Any:
    """`{type, function: {name}}`, `{type, custom: {name}}` and `{type, allowed_tools: {mode, tools}}` lose a level."""
    kind = choice.get("type") if isinstance(choice, dict) else None
    nested = choice.get(kind) if isinstance(kind, str) else None
    if not isinstance(nested, dict):
        return choice
    flat = {"type": kind, **nested}
    if isinstance(tools := flat.get("tools"), list):
        flat["tools"] = [_choice(tool) for tool in tools]
    return flat


def _text(body: Json) -> None:
    """https://platform.openai.com/docs/guides/structured-outputs"""
    given, verbosity = body.pop("response_format", None), body.pop("verbosity", None)
    text = dict(body["text"]) if isinstance(body.get("text"), dict) else {}
    if isinstance(given, dict):
        named = given.get("json_schema")
        text["format"] = {"type": "json_schema", **named} if isinstance(named, dict) else given
    elif given is not None:
        raise BadRequest("response_format must be an object.", param="response_format")
    if verbosity is not None:
        text["verbosity"] = verbosity
    if text:
        body["text"] = text


def _reasoning(body: Json) -> None:
    """`reasoning_effort` may be an object, as LiteLLM has it, which also asks for a summary."""
    effort = body.pop("reasoning_effort", None)
    if effort is None:
        return
    asked = effort if isinstance(effort, dict) else {"effort": effort}
    body["reasoning"] = {**asked, **(body["reasoning"] if isinstance(body.get("reasoning"), dict) else {})}


def _include(body: Json, target: Target) -> None:
    """Models that do not reason refuse to be asked for encrypted reasoning."""
    wanted = [*given] if isinstance(given := body.get("include"), list) else []
    effort = body["reasoning"].get("effort") if isinstance(body.get("reasoning"), dict) else None
    asked = []
    if body.get("store") is False and ("encrypted_reasoning" in target.quirks or effort not in (None, "none")):
        asked.append(_ENCRYPTED)
    if body.pop("logprobs", None) is True:
        asked.append(_LOGPROBS)
    if wanted or asked:
        body["include"] = [*wanted, *(name for name in asked if name not in wanted)]


def _stream_options(body: Json) -> None:
    """Usage always comes, and nobody can ask for it."""
    options = body.pop("stream_options", None)
    kept = {name: value for name, value in options.items() if name != "include_usage"} if isinstance(options, dict) else {}
    if kept:
        body["stream_options"] = kept
