"""A Messages request → the hub, for a deployment of another make. https://docs.claude.com/en/api/messages

What has a word in the hub is translated. Hints (cache_control, thinking, top_k, service_tier, context_management) go only where they are
understood and are otherwise left out, since they change no answer's meaning; Anthropic's own tools and files cannot be had elsewhere, and
are refused. Thoughts go back to the model that can read them.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.anthropic_blocks import is_thinking, kind_of
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.fields import GATEWAY_FIELDS
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.edge.tool_names import fit_names
from tollkeeper.errors import BadRequest

CARRIED = "tk1."
"""Begins the signature of a thinking block that carries another provider's reasoning items."""

_SAME = frozenset({"model", "max_tokens", "stream", "temperature", "top_p", "metadata", "user"})
TAKE_TOP_K = frozenset({"gemini_generate", "bedrock_converse", "cohere_v2", "ollama_chat"})
TAKE_TOOL_IMAGES = frozenset({"gemini_generate", "bedrock_converse", "openai_responses"})
TAKE_THINKING = frozenset({"gemini_generate", "bedrock_converse", "cohere_v2"})
REASONS = re.compile(
    r"gemini-(?:2\.5|3)|claude-(?:3-7|[a-z]+-[4-9])|(?:^|/)o[134](?:-|$)|gpt-5(?!-chat)|gpt-oss|grok-3-mini|qwen3|nova-2|reasoning"
)
"""Models that take a word on how much to think; others refuse it."""
_EFFORTS = ((2_048, "low"), (8_192, "medium"))
"""A thinking budget below so many tokens is this effort, any other one is high."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_TIERS = {"auto": "auto", "standard_only": "default"}


def check_messages(body: Json, headers: Mapping[str, str]) -> Json:
    """What Anthropic insists on. Betas of the header travel as the hub has them. Raises BadRequest in Anthropic's words."""
    for name in ("model", "messages", "max_tokens"):
        if body.get(name) is None:
            raise BadRequest(f"{name}: Field required", param=name)
    return check_countable(body, headers, limit=True)


def check_countable(body: Json, headers: Mapping[str, str], *, limit: bool = False) -> Json:
    """The same for a request that is only counted."""
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest("model: Input should be a valid string", param="model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("messages: Input should be a valid list of objects", param="messages")
    if limit and (type(body["max_tokens"]) is not int or body["max_tokens"] < 1):
        raise BadRequest("max_tokens: Input should be a whole number greater than or equal to 1", param="max_tokens")
    if not isinstance(body.get("stream"), bool | None):
        raise BadRequest("stream: Input should be a valid boolean", param="stream")
    if betas := headers.get("anthropic-beta"):
        own = body.get("extra_headers")
        return {**body, "extra_headers": {**(own if isinstance(own, dict) else {}), "anthropic-beta": betas}}
    return body


def messages_to_hub(body: Json, deployment: Deployment) -> Json:
    """Raises BadRequest naming what cannot be said elsewhere."""
    return fit_names(_Translation(body, deployment).request())


class _Translation:
    def __init__(self, body: Json, deployment: Deployment) -> None:
        self._body = body
        self._dialect = deployment.dialect
        self._model = deployment.model.lower()
        self._caches = self._dialect == "bedrock_converse" or "claude" in self._model

    def request(self) -> Json:
        body = self._body
        for name in ("container", "mcp_servers"):
            if body.get(name):
                raise BadRequest(f"{name}: only Anthropic's own models take it.", param=name)
        hub: Json = {name: value for name, value in body.items() if name in _SAME or name in GATEWAY_FIELDS}
        hub["messages"] = [*self._system(), *(message for turn in self._turns() for message in turn)]
        self._tools(hub)
        self._thinking(hub)
        if body.get("stop_sequences"):
            hub["stop"] = body["stop_sequences"]
        if body.get("top_k") is not None and self._dialect in TAKE_TOP_K:
            hub["top_k"] = body["top_k"]
        if (tier := _TIERS.get(str(body.get("service_tier")))) and self._dialect.startswith("openai"):
            hub["service_tier"] = tier
        return hub

    def _system(self) -> list[Json]:
        given = self._body.get("system")
        if not given:
            return []
        return [{"role": "system", "content": given if isinstance(given, str) else self._parts(as_objects(given), "system")}]

    def _turns(self) -> Iterator[list[Json]]:
        for place, message in enumerate(self._body["messages"]):
            where, role, content = f"messages.{place}", message.get("role"), message.get("content")
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
                raise BadRequest(f"{where}.content: Input should be a valid string or list of objects", param="messages")
            if role == "assistant":
                yield [self._assistant(blocks, where)]
            elif role in ("user", "system"):
                yield list(self._user(role, blocks, where))
            else:
                raise BadRequest(f"{where}.role: Input should be 'user' or 'assistant'", param="messages")

    def _user(self, role: str, blocks: list[Json], where: str) -> Iterator[Json]:
        """Tool results first, as the hub wants them right after the calls."""
        rest: list[Json] = []
        for place, block in enumerate(blocks):
            if kind_of(block) != "tool_result":
                rest.append(block)
                continue
            result, moved = self._tool_result(block, f"{where}.content.{place}")
            rest += moved
            yield result
        if rest:
            yield {"role": role, "content": self._parts(rest, where)}

    def _tool_result(self, block: Json, where: str) -> tuple[Json, list[Json]]:
        """(tool message, images for the user's message where a tool's may have none)"""
        content = block.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else as_objects(content)
        moved = [] if self._dialect in TAKE_TOOL_IMAGES else [each for each in blocks if kind_of(each) in {"image", "document"}]
        said = self._parts([each for each in blocks if each not in moved], where) or ""
        result: Json = {"role": "tool", "tool_call_id": str(block.get("tool_use_id") or ""), "content": said}
        if block.get("is_error") is True:
            result |= {"is_error": True} if self._dialect == "bedrock_converse" else {"content": said or "Error"}
        return result, moved

    def _assistant(self, blocks: list[Json], where: str) -> Json:
        message: Json = {"role": "assistant", "content": None}
        if texts := [block for block in blocks if kind_of(block) == "text"]:
            message["content"] = self._parts(texts, where)
        if calls := [_tool_call(block) for block in blocks if kind_of(block) == "tool_use"]:
            message["tool_calls"] = calls
        thoughts = [block for block in blocks if is_thinking(block)]
        if self._dialect in TAKE_THINKING and (own := [_unsigned(block) for block in thoughts if not _carries(block)]):
            message["thinking_blocks"] = own
        if self._dialect == "openai_responses" and (items := [item for block in thoughts for item in carried_items(block)]):
            message["reasoning_items"] = items
        if message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
        return message

    def _parts(self, blocks: list[Json], where: str) -> str | list[Json]:
        parts = [part for place, block in enumerate(blocks) for part in self._part(block, f"{where}.content.{place}")]
        if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
            return str(parts[0]["text"])
        return parts

    def _part(self, block: Json, where: str) -> list[Json]:
        make = _PARTS.get(kind_of(block))
        if make is None:
            raise BadRequest(f"{where}: blocks of type {kind_of(block)!r} can only be sent to Anthropic's own models.", param="messages")
        parts = make(block, where)
        if parts and self._caches and block.get("cache_control"):
            parts[-1] = {**parts[-1], "cache_control": block["cache_control"]}
        return parts

    def _tools(self, hub: Json) -> None:
        body = self._body
        for place, tool in enumerate(as_objects(body.get("tools"))):
            if str(tool.get("type") or "").startswith("web_search_"):
                location = as_object(tool.get("user_location"))
                hub["web_search_options"] = {"user_location": {"type": "approximate", "approximate": location}} if location else {}
            else:
                hub.setdefault("tools", []).append(self._tool(tool, f"tools.{place}"))
        choice = as_object(body.get("tool_choice"))
        if choice and "tools" in hub:
            named = {"type": "function", "function": {"name": choice.get("name")}}
            hub["tool_choice"] = named if choice.get("type") == "tool" else _CHOICES.get(str(choice.get("type")), "auto")
            if choice.get("disable_parallel_tool_use"):
                hub["parallel_tool_calls"] = False

    def _tool(self, tool: Json, where: str) -> Json:
        if tool.get("type") not in (None, "custom") or not isinstance(tool.get("name"), str):
            raise BadRequest(f"{where}: tools of type {tool.get('type')!r} are only run by Anthropic's own models.", param="tools")
        function: Json = {"name": tool["name"], "parameters": tool.get("input_schema") or {"type": "object", "properties": {}}}
        function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
        cached = {"cache_control": tool["cache_control"]} if self._caches and tool.get("cache_control") else {}
        return {"type": "function", "function": function, **cached}

    def _thinking(self, hub: Json) -> None:
        """`thinking` and `output_config`: how much to think, and the shape of the answer."""
        config = as_object(self._body.get("output_config"))
        form = as_object(config.get("format") or self._body.get("output_format"))
        if form.get("type") == "json_schema":
            if not isinstance(form.get("schema"), dict):
                raise BadRequest("output_config.format.schema: Input should be a valid object", param="output_config")
            hub["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}
        if not REASONS.search(self._model):
            return
        thinking = as_object(self._body.get("thinking"))
        if thinking.get("type") == "enabled" and self._dialect in TAKE_THINKING:
            hub["thinking"] = thinking
        elif effort := _effort(thinking, config):
            hub["reasoning_effort"] = effort


def _unsigned(block: Json) -> Json:
    """A signature that says nothing was added on the way out, for a model that gives none."""
    return block if block.get("signature") or block.get("data") else {name: value for name, value in block.items() if name != "signature"}


def _effort(thinking: Json, config: Json) -> str | None:
    if thinking.get("type") in (None, "disabled"):
        return None
    if isinstance(named := config.get("effort"), str):
        return named if named in {"low", "medium"} else "high"
    if type(budget := thinking.get("budget_tokens")) is not int:
        return "medium"
    return next((effort for least, effort in _EFFORTS if budget < least), "high")


def _tool_call(block: Json) -> Json:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    function = {"name": str(block.get("name") or ""), "arguments": arguments}
    return {"id": str(block.get("id") or ""), "type": "function", "function": function}


def _text(block: Json, where: str) -> list[Json]:
    if not isinstance(block.get("text"), str):
        raise BadRequest(f"{where}.text: Input should be a valid string", param="messages")
    return [{"type": "text", "text": block["text"]}] if block["text"] else []


def _image(block: Json, where: str) -> list[Json]:
    return [{"type": "image_url", "image_url": {"url": _url(as_object(block.get("source")), where)}}]


def _document(block: Json, where: str) -> list[Json]:
    """https://docs.claude.com/en/docs/build-with-claude/pdf-support"""
    source, title = as_object(block.get("source")), block.get("title")
    kind = source.get("type")
    if kind in ("text", "content"):
        content = source.get("data") if kind == "text" else source.get("content")
        texts = [content] if isinstance(content, str) else [each.get("text") or "" for each in as_objects(content)]
        return [{"type": "text", "text": "\n".join([*([str(title)] if title else []), *map(str, texts)])}]
    url = _url(source, where)
    name = str(title or "document.pdf")
    return [{"type": "file", "file": {"file_id": url} if url.startswith("http") else {"filename": name, "file_data": url}}]


def _search_result(block: Json, where: str) -> list[Json]:
    lines = [
        str(block.get("title") or ""),
        str(block.get("source") or ""),
        *(str(each.get("text")) for each in as_objects(block.get("content"))),
    ]
    return [{"type": "text", "text": "\n".join(line for line in lines if line)}]


def _left_out(block: Json, where: str) -> list[Json]:
    return []


_PARTS: Mapping[str, Callable[[Json, str], list[Json]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _left_out,
}


def _url(source: Json, where: str) -> str:
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        return f"data:{source.get('media_type')};base64,{source['data']}"
    raise BadRequest(f"{where}.source: only base64 and url can be sent to other models than Anthropic's.", param="messages")


def carrying(items: list[Json]) -> str:
    """Reasoning items as a thinking block's signature, which clients give back as it was."""
    return CARRIED + base64.urlsafe_b64encode(orjson.dumps(items)).decode()


def carried_items(block: Json) -> list[Json]:
    """The inverse; none for anything else."""
    if not _carries(block):
        return []
    try:
        items: Any = orjson.loads(base64.urlsafe_b64decode(str(block["signature"]).removeprefix(CARRIED)))
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        return []
    return as_objects(items)


def _carries(block: Json) -> bool:
    return str(block.get("signature") or "").startswith(CARRIED)
