"""Messages of the hub → `system` and `messages` of Converse, one message per run of the same role.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.bedrock_media import Media
from tollkeeper.dialects.gemini_contents import call_arguments
from tollkeeper.dialects.gemini_signature import split_call_id
from tollkeeper.errors import BadRequest

SERVER_BLOCKS = frozenset({"toolUse", "toolResult"})
"""Blocks of Nova's own tools; they ride in `provider_specific_fields.server_tools` and must come back as they were."""

_SYSTEM = frozenset({"system", "developer"})
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_ID_REFUSED = re.compile(r"[^a-zA-Z0-9_.:-]")
_ID_LENGTH = 64


def cache_point(holder: Json) -> list[Json]:
    """`cache_control` on a part, message or tool → the cachePoint that follows it.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    control = holder.get("cache_control")
    if not isinstance(control, dict):
        return []
    point: Json = {"type": "default"}
    if ttl := control.get("ttl"):
        point["ttl"] = ttl
    return [{"cachePoint": point}]


def call_id(given: Any) -> str:
    """A tool call id as Converse takes it: 1 to 64 of letters, digits and _.:- ; the same id in, the same id out."""
    plain = _ID_REFUSED.sub("_", split_call_id(str(given or ""))[0]) or "call"
    if len(plain) <= _ID_LENGTH:
        return plain
    return f"{plain[:40]}_{hashlib.blake2s(plain.encode(), digest_size=10).hexdigest()}"


def messages_of(messages: Any) -> tuple[list[Json], list[Json]]:
    """(system, messages). Raises BadRequest (param `messages`)."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a non-empty list.", param="messages")
    turns = _Turns()
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("Every message must be an object.", param="messages")
        turns.add(message)
    if not turns.messages:
        return [], [{"role": "user", "content": turns.system or [{"text": "."}]}]
    return turns.system, turns.messages


def used_tools(messages: list[Json]) -> list[str]:
    """Names of the caller's tools that the conversation has called, in order, once."""
    blocks = (block.get("toolUse") for message in messages for block in message["content"])
    return list(dict.fromkeys(str(use.get("name")) for use in blocks if isinstance(use, dict) and use.get("type") != "server_tool_use"))


def is_unsigned_tool_loop(messages: list[Json]) -> bool:
    """Whether the turn to go on with has tool calls but no thoughts, as OpenAI's clients send it: Claude then refuses to think."""
    last = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
    kinds = {kind for block in last["content"] for kind in block} if last else set()
    return "toolUse" in kinds and "reasoningContent" not in kinds


class _Turns:
    def __init__(self) -> None:
        self.system: list[Json] = []
        self.messages: list[Json] = []
        self._media = Media()

    def add(self, message: Json) -> None:
        role = str(message.get("role"))
        if role in _SYSTEM:
            self.system += [*self._blocks(message.get("content")), *cache_point(message)]
        elif role == "user":
            self._turn("user", [*(self._blocks(message.get("content")) or [{"text": "."}]), *cache_point(message)])
        elif role == "assistant":
            self._turn("assistant", self._assistant(message))
        elif role in {"tool", "function"}:
            self._turn("user", [self._result(message), *cache_point(message)])
        else:
            raise BadRequest(f"A message has the unknown role {role!r}.", param="messages")

    def _turn(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _assistant(self, message: Json) -> list[Json]:
        fields = message.get("provider_specific_fields")
        kept = fields.get("server_tools") if isinstance(fields, dict) else None
        blocks = [block for thought in _dicts(message.get("thinking_blocks")) for block in _reasoning(thought)]
        blocks += [block for block in _dicts(kept) if SERVER_BLOCKS & block.keys()]
        blocks += self._blocks(message.get("content") or message.get("refusal"))
        calls = _dicts(message.get("tool_calls"))
        if isinstance(legacy := message.get("function_call"), dict):
            calls.append({"id": legacy.get("name"), "function": legacy})
        blocks += [_tool_use(call) for call in calls]
        return [*blocks, *cache_point(message)] if blocks else []

    def _result(self, message: Json) -> Json:
        identifier = call_id(message.get("tool_call_id") or message.get("name"))
        result: Json = {"toolUseId": identifier, "content": self._blocks(message.get("content"))}
        if message.get("is_error") is True or message.get("status") == "error":
            result["status"] = "error"
        return {"toolResult": result}

    def _blocks(self, content: Any) -> list[Json]:
        """A message's content, string or parts, as blocks. Blank text is left out: Converse refuses it."""
        if content is None or isinstance(content, str):
            return [{"text": content}] if content and content.strip() else []
        if not isinstance(content, list):
            raise BadRequest("A message's content must be text or a list of parts.", param="messages")
        return [block for part in content for block in self._part(part)]

    def _part(self, part: Any) -> Iterator[Json]:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            raise BadRequest("A content part must be an object.", param="messages")
        kind = part.get("type")
        if kind is None:
            yield part  # Converse's own block, sent through an OpenAI client.
        elif (name := _TEXTS.get(str(kind))) is not None:
            if (text := str(part.get(name) or "")).strip():
                yield {"text": text}
                yield from cache_point(part)
        elif str(kind) in {"thinking", "redacted_thinking"}:
            yield from _reasoning(part)
        else:
            yield self._other(str(kind), part)
            yield from cache_point(part)

    def _other(self, kind: str, part: Json) -> Json:
        if kind == "guarded_text":
            return {"guardContent": {"text": {"text": str(part.get("text") or "")}}}
        makers = {
            "image_url": self._media.image,
            "file": self._media.file,
            "video_url": self._media.video,
            "input_audio": self._media.audio,
        }
        if kind not in makers:
            raise BadRequest(f"Bedrock Converse takes no content part of type {kind!r}.", param="messages")
        return makers[kind](part)


def _tool_use(call: Json) -> Json:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest("A tool call in messages has no function name.", param="messages")
    return {"toolUse": {"toolUseId": call_id(call.get("id")), "name": name, "input": call_arguments(function.get("arguments"))}}


def _reasoning(thought: Json) -> Iterator[Json]:
    """A thinking block (LiteLLM's and Anthropic's shape) goes back only with its signature: Claude refuses one without."""
    if thought.get("type") == "redacted_thinking" and (data := thought.get("data")):
        yield {"reasoningContent": {"redactedContent": data}}
    elif signature := thought.get("signature"):
        yield {"reasoningContent": {"reasoningText": {"text": str(thought.get("thinking") or ""), "signature": signature}}}


def _dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
