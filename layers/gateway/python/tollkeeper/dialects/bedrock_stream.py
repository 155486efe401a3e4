"""ConverseStream → hub chunks.

messageStart ▶ ([contentBlockStart] ▶ contentBlockDelta* ▶ contentBlockStop)* ▶ messageStop ▶ metadata. Only tool blocks have a start event.
Text, reasoning and tool input go out as they come; what only makes sense whole (a signed thought, a server tool's call and result) when its
block ends. The finish waits for metadata, which may bring a guardrail's trace and always brings the usage, given last.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tollkeeper.dialects.anthropic_encode import JSON_TOOL
from tollkeeper.dialects.base import Chunk, Json, StreamFailed, Target
from tollkeeper.dialects.bedrock_answer import (
    annotation_of,
    answer_fields,
    dicts,
    envelope,
    finish_of,
    image_of,
    is_server_tool,
    object_in,
    thinking_block,
    tier_of,
    usage_of,
)
from tollkeeper.dialects.bedrock_errors import good
from tollkeeper.dialects.eventstream import EventStream, Message
from tollkeeper.dialects.openai_mend import said_bytes
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_CONTENT = frozenset({"content", "reasoning_content", "tool_calls", "images"})


class ConverseStream:
    """See base.StreamDecoder. `usage` is the usage seen, also of a stream that fails later."""

    def __init__(self, target: Target) -> None:
        self.usage: Json | None = None
        self._target = target
        self._frames = EventStream()
        self._head: Json = {}
        self._block: Json = {}
        self._input = ""
        self._calls = 0
        self._length = 0
        self._text_start = 0
        self._in_text = False
        self._stop_reason = ""
        self._ending: Json = {}
        self._finished = False
        self._tier: Json = {}
        self._handlers: Mapping[str, Callable[[Json], list[Chunk]]] = {
            "messageStart": self._message_start,
            "contentBlockStart": self._block_start,
            "contentBlockDelta": self._block_delta,
            "contentBlockStop": self._block_stop,
            "messageStop": self._message_stop,
            "metadata": self._metadata,
        }

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        chunks: list[Chunk] = []
        try:
            for message in good(self._frames.feed(data), self._target):
                chunks += self._read(message)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished."""
        try:
            self._frames.close()
        except UpstreamProtocolError:
            if not self._stop_reason:
                raise self._cut() from None
        if not self._stop_reason:
            raise self._cut()
        chunks = self._finish()
        if self.usage is not None:
            data = {**self._head, **self._tier, "choices": [], "usage": self.usage}
            chunks.append(Chunk(data, has_content=False, usage=self.usage))
        return chunks

    def _read(self, message: Message) -> list[Chunk]:
        handler = self._handlers.get(message.text(":event-type"))
        if handler is None:
            return []  # An event type that is yet to come.
        self._head = self._head or envelope(message.payload, self._target, "chat.completion.chunk")
        try:
            tree = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            tree = None
        if not isinstance(tree, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not a JSON object.", upstream_status=200)
        return handler(tree)

    def _message_start(self, _: Json) -> list[Chunk]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def _block_start(self, event: Json) -> list[Chunk]:
        start = event.get("start")
        self._block, self._input = (dict(start) if isinstance(start, dict) else {}), ""
        use = self._block.get("toolUse")
        if not isinstance(use, dict) or self._is_hidden(use):
            return []
        opening: Json = {
            "index": self._calls,
            "id": str(use.get("toolUseId") or ""),
            "type": "function",
            "function": {"name": str(use.get("name") or ""), "arguments": ""},
        }
        self._calls += 1
        return [self._chunk({"tool_calls": [opening]})]

    def _block_delta(self, event: Json) -> list[Chunk]:
        delta = event.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if isinstance(text := delta.get("text"), str):
            return self._text(text)
        if isinstance(use := delta.get("toolUse"), dict):
            return self._tool_input(str(use.get("input") or ""))
        if isinstance(reasoning := delta.get("reasoningContent"), dict):
            return self._reasoning(reasoning)
        if isinstance(citation := delta.get("citation"), dict):
            return [self._cited(citation)]
        if isinstance(image := delta.get("image"), dict):
            return [self._chunk({"images": [image_of({**object_in(self._block, "image"), **image}, 0)]})]
        if isinstance(holder := self._block.get("toolResult"), dict):
            holder["content"] = dicts(holder.get("content")) + dicts(delta.get("toolResult"))
        return []

    def _text(self, text: str) -> list[Chunk]:
        if not self._in_text:
            self._text_start, self._in_text = self._length, True
        self._length += len(text)
        return [self._chunk({"content": text})] if text else []

    def _tool_input(self, fragment: str) -> list[Chunk]:
        self._input += fragment
        use = self._block.get("toolUse")
        if not isinstance(use, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a tool's input without the tool.", upstream_status=200)
        if not fragment or is_server_tool(use):
            return []
        return self._text(fragment) if use.get("name") == JSON_TOOL else [self._arguments(fragment)]

    def _arguments(self, fragment: str) -> Chunk:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": fragment}}]})

    def _reasoning(self, piece: Json) -> list[Chunk]:
        if isinstance(redacted := piece.get("redactedContent"), str):
            self._block["redactedContent"] = self._block.get("redactedContent", "") + redacted
            return []
        whole = self._block.setdefault("reasoningText", {"text": ""})
        if isinstance(signature := piece.get("signature"), str):
            whole["signature"] = whole.get("signature", "") + signature
        text = piece.get("text")
        if not isinstance(text, str) or not text:
            return []
        whole["text"] += text
        return [self._chunk({"reasoning_content": text})]

    def _cited(self, citation: Json) -> Chunk:
        """A citation comes after the text it belongs to, in the same block or in the next."""
        delta: Json = {"provider_specific_fields": {"citations": [citation]}}
        annotation = annotation_of(citation, self._text_start, self._length)
        return self._chunk({**delta, "annotations": [annotation]} if annotation else delta)

    def _block_stop(self, _: Json) -> list[Chunk]:
        block, self._block, self._in_text = self._block, {}, False
        if thought := thinking_block(block):
            return [self._chunk({"thinking_blocks": [thought]})]
        use = block.get("toolUse")
        if isinstance(use, dict) and is_server_tool(use):
            use["input"] = _json_or_text(self._input)
        elif isinstance(use, dict):
            return self._empty_input(use) if not self._input else []
        elif "toolResult" not in block:
            return []
        return [self._chunk({"provider_specific_fields": {"server_tools": [block]}})]

    def _empty_input(self, use: Json) -> list[Chunk]:
        """A call without arguments sends no delta."""
        return self._text("{}") if use.get("name") == JSON_TOOL else [self._arguments("{}")]

    def _message_stop(self, event: Json) -> list[Chunk]:
        self._stop_reason = str(event.get("stopReason") or "end_turn")
        self._ending |= answer_fields(event, self._stop_reason)
        return []

    def _metadata(self, event: Json) -> list[Chunk]:
        self.usage = usage_of(event.get("usage")) or self.usage
        self._tier = tier_of(event)
        self._ending |= answer_fields(event, "")
        return self._finish() if self._stop_reason else []

    def _finish(self) -> list[Chunk]:
        if self._finished:
            return []
        self._finished = True
        chunk = self._chunk({"provider_specific_fields": self._ending} if self._ending else {})
        chunk.data["choices"][0]["finish_reason"] = finish_of(self._stop_reason, called=self._calls > 0)
        return [chunk]

    def _is_hidden(self, use: Json) -> bool:
        return is_server_tool(use) or use.get("name") == JSON_TOOL

    def _chunk(self, delta: Json) -> Chunk:
        data = {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        return Chunk(data, has_content=any(delta.get(key) for key in _CONTENT), text_bytes=said_bytes(delta))

    def _cut(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return text
