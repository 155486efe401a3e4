"""A Responses request → the hub, for a deployment that only has chat. https://platform.openai.com/docs/api-reference/responses/create

Nothing is stored for such a deployment, so what names stored things (previous_response_id, conversation, prompt, item references) is
refused; so are OpenAI's own tools but for web search. Traces of such tools in the history are left out.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.fields import GATEWAY_FIELDS
from tollkeeper.dialects.hub_stream import as_object, as_objects, as_word
from tollkeeper.dialects.native import one_limit
from tollkeeper.edge.anthropic_request import TAKE_TOOL_IMAGES
from tollkeeper.edge.serving import model_named
from tollkeeper.errors import BadRequest

_STORED = ("previous_response_id", "conversation", "prompt")
_SAME = frozenset(
    {
        "model", "stream", "temperature", "top_p", "parallel_tool_calls", "user", "metadata", "service_tier", "top_logprobs",
        "max_output_tokens", "max_tokens", "max_completion_tokens", "seed", "stop",
    }
)  # fmt: skip
_OPENAIS = frozenset({"safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
_TAKE_THINKING = frozenset({"anthropic_messages", "vertex_anthropic", "bedrock_invoke", "bedrock_converse", "cohere_v2"})
_TAKE_TOOL_IMAGES = TAKE_TOOL_IMAGES | {"anthropic_messages", "vertex_anthropic", "bedrock_invoke"}
_LOGPROBS = "message.output_text.logprobs"
_SEARCHES = ("web_search", "web_search_preview")


def check_response(body: Json, headers: Mapping[str, str]) -> Json:
    given = body.get("input")
    if given is None and not any(body.get(name) for name in _STORED):
        raise BadRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if not isinstance(given, str | list | None) or not all(isinstance(item, dict) for item in (given if isinstance(given, list) else ())):
        raise BadRequest("'input' must be a string or an array of items.", param="input", code="invalid_type")
    return model_named(body, "/responses")


def response_to_hub(body: Json, deployment: Deployment) -> Json:
    """Raises BadRequest naming what a chat cannot do."""
    for name in _STORED:
        if body.get(name):
            raise BadRequest(
                f"'{name}' is not supported for this model: nothing is stored for it. Send the conversation in 'input'.", param=name
            )
    if body.get("background"):
        raise BadRequest("'background' is not supported for this model.", param="background")
    hub: Json = {name: value for name, value in body.items() if name in _SAME or name in GATEWAY_FIELDS}
    one_limit(hub, "max_tokens")
    if deployment.dialect.startswith("openai"):
        hub |= {name: body[name] for name in _OPENAIS if body.get(name) is not None}
    included = body.get("include")
    wanted = isinstance(included, list) and _LOGPROBS in included and deployment.dialect.startswith("openai")
    if wanted or body.get("top_logprobs"):
        hub["logprobs"] = True
    hub["messages"] = list(_messages(body, deployment))
    _tools(body, hub)
    _shape(body, hub, says_how_long=deployment.dialect.startswith("openai"))
    if isinstance(effort := as_object(body.get("reasoning")).get("effort"), str):
        hub["reasoning_effort"] = effort
    return {name: value for name, value in hub.items() if value is not None}


def _messages(body: Json, deployment: Deployment) -> Iterator[Json]:
    if isinstance(body.get("instructions"), str) and body["instructions"]:
        yield {"role": "system", "content": body["instructions"]}
    given = body.get("input")
    if isinstance(given, str):
        yield {"role": "user", "content": given}
        return
    history = _History(thinks=deployment.dialect in _TAKE_THINKING, shows=deployment.dialect in _TAKE_TOOL_IMAGES)
    for place, item in enumerate(given or []):
        history.add(item, f"input[{place}]")
    yield from history.messages


class _History:
    """Items that a model said one after the other are one assistant message."""

    def __init__(self, *, thinks: bool, shows: bool) -> None:
        """Whether the model takes signed thoughts back, and pictures from tools."""
        self.messages: list[Json] = []
        self._shows = shows
        self._shown: Json | None = None
        """The user's message that was made of what tools gave."""
        self._thinks = thinks
        self._thoughts: list[Json] = []

    def add(self, item: Json, where: str) -> None:
        kind = as_word(item.get("type")) or "message"
        if kind == "message":
            self._message(item, where)
        elif kind in {"function_call", "custom_tool_call"}:
            self._assistant().setdefault("tool_calls", []).append(_call(item, kind))
        elif kind in {"function_call_output", "custom_tool_call_output"}:
            self._result(item, where)
        elif kind == "reasoning":
            self._thoughts = carried_thoughts(item) if self._thinks else []
        elif not kind.endswith(("_call", "_list_tools", "_approval_request", "tool_search_output")):
            raise BadRequest(f"{where}: items of type {kind!r} are not supported for this model.", param="input")

    def _result(self, item: Json, where: str) -> None:
        """What a tool gave; pictures and files as the user's, behind all results, where a tool's message may have none."""
        output = _content(item.get("output"), where)
        moved = [] if self._shows or isinstance(output, str) else [part for part in output if part.get("type") != "text"]
        kept = [part for part in output if part not in moved] if moved else output
        message = {"role": "tool", "tool_call_id": str(item.get("call_id") or ""), "content": kept or ""}
        shown = self.messages.pop() if self.messages and self.messages[-1] is self._shown else None
        self.messages.append(message)
        if moved or shown:
            self._shown = {"role": "user", "content": [*(shown["content"] if shown else ()), *moved]}
            self.messages.append(self._shown)

    def _message(self, item: Json, where: str) -> None:
        role = item.get("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise BadRequest(f"{where}.role: {role!r} is not a role.", param="input")
        content = _content(item.get("content"), where)
        if role == "assistant":
            self._assistant(fresh=True)["content"] = content
        else:
            self.messages.append({"role": role, "content": content})

    def _assistant(self, *, fresh: bool = False) -> Json:
        last = self.messages[-1] if self.messages else {}
        if fresh or last.get("role") != "assistant":
            last = {"role": "assistant", "content": None}
            self.messages.append(last)
        if self._thoughts:
            last.setdefault("thinking_blocks", []).extend(self._thoughts)
            self._thoughts = []
        return last


def _call(item: Json, kind: str) -> Json:
    name, identifier = str(item.get("name") or ""), str(item.get("call_id") or item.get("id") or "")
    if kind == "custom_tool_call":
        return {"id": identifier, "type": "custom", "custom": {"name": name, "input": str(item.get("input") or "")}}
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": str(item.get("arguments") or "{}")}}


def _content(content: Any, where: str) -> Any:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRequest(f"{where}.content must be a string or an array.", param="input")
    parts = [_part(part, f"{where}.content[{place}]") for place, part in enumerate(content)]
    return parts[0]["text"] if len(parts) == 1 and parts[0].get("type") == "text" else parts


def _part(part: Any, where: str) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    make = _PARTS.get(str(kind))
    if make is None:
        raise BadRequest(f"{where}: parts of type {kind!r} are not supported for this model.", param="input")
    return make(part, where)


def _text(part: Json, where: str) -> Json:
    if not isinstance(part.get("text"), str):
        raise BadRequest(f"{where}.text must be a string.", param="input")
    return {"type": "text", "text": part["text"]}


def _image(part: Json, where: str) -> Json:
    if not isinstance(part.get("image_url"), str):
        raise BadRequest(f"{where}.image_url must be a string: files that lie with OpenAI cannot be sent to this model.", param="input")
    detail = {"detail": part["detail"]} if part.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _file(part: Json, where: str) -> Json:
    if isinstance(part.get("file_url"), str):
        return {"type": "file", "file": {"file_id": part["file_url"]}}
    kept = {name: part[name] for name in ("filename", "file_data", "file_id") if isinstance(part.get(name), str)}
    return {"type": "file", "file": kept}


_PARTS: Mapping[str, Callable[[Json, str], Json]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": lambda part, _: part,
    "refusal": lambda part, _: {"type": "text", "text": str(part.get("refusal") or "")},
}


def _tools(body: Json, hub: Json) -> None:
    for place, tool in enumerate(as_objects(body.get("tools"))):
        kind = as_word(tool.get("type"))
        if kind.startswith(_SEARCHES):
            hub["web_search_options"] = {name: tool[name] for name in ("search_context_size", "user_location") if tool.get(name)}
        elif kind in {"function", "custom"}:
            rest = {name: value for name, value in tool.items() if name != "type" and value is not None}
            hub.setdefault("tools", []).append({"type": kind, kind: rest})
        else:
            raise BadRequest(f"tools[{place}]: tools of type {kind!r} are not supported for this model.", param="tools")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        choice = {"type": choice["type"], choice["type"]: {"name": choice.get("name")}}
    elif isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = [_named(tool) for tool in as_objects(choice.get("tools"))]
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": allowed}}
    if choice is not None and "tools" in hub:
        hub["tool_choice"] = choice


def _named(tool: Json) -> Json:
    kind = as_word(tool.get("type"))
    return {"type": kind, kind: {"name": tool.get("name")}}


def _shape(body: Json, hub: Json, *, says_how_long: bool) -> None:
    """https://platform.openai.com/docs/guides/structured-outputs; `verbosity` is a hint, which agents send to any model."""
    text = as_object(body.get("text"))
    form = as_object(text.get("format"))
    if form.get("type") == "json_schema":
        hub["response_format"] = {"type": "json_schema", "json_schema": {name: form[name] for name in form if name != "type"}}
    elif form.get("type") == "json_object":
        hub["response_format"] = {"type": "json_object"}
    if text.get("verbosity") and says_how_long:
        hub["verbosity"] = text["verbosity"]


def carrying(thoughts: list[Json]) -> str:
    """Signed thinking blocks as a reasoning item's encrypted content, which clients give back as it was."""
    return base64.urlsafe_b64encode(orjson.dumps({"thinking_blocks": thoughts})).decode()


def carried_thoughts(item: Json) -> list[Json]:
    """The inverse; none for anything else."""
    try:
        tree: Any = orjson.loads(base64.urlsafe_b64decode(str(item.get("encrypted_content") or "")))
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        return []
    return as_objects(as_object(tree).get("thinking_blocks"))
