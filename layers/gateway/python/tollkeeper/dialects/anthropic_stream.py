"""Anthropic's stream events → hub chunks.

https://docs.claude.com/en/docs/build-with-claude/streaming
message_start ▶ (content_block_start ▶ deltas ▶ content_block_stop)* ▶ message_delta ▶ message_stop, with `ping` and `error` anywhere.

Text and thoughts go out as they come. What only makes sense whole goes out when its block ends: a thinking block with its signature,
a server tool's call and result. Usage (message_start, then cumulative in message_delta) goes out once, last.
"""

from collections.abc import Callable
from typing import Any

import orjson

from tollkeeper.dialects.anthropic_blocks import is_thinking, kind_of
from tollkeeper.dialects.anthropic_decode import finish_reason, hub_id, hub_usage, is_server_block
from tollkeeper.dialects.anthropic_encode import JSON_TOOL
from tollkeeper.dialects.base import Chunk, Json, StreamFailed, Target
from tollkeeper.dialects.error_bodies import error_from_tree
from tollkeeper.dialects.framing import SseParser
from tollkeeper.dialects.hub_stream import as_word
from tollkeeper.dialects.openai_mend import said_bytes
from tollkeeper.dialects.stream_template import Template, learn
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_FAST_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_ANSWER_KEYS = ("content", "reasoning_content", "tool_calls")


class MessagesDecoder:
    """Parsed events → chunks; the framing is another's (SSE here, AWS event stream on Bedrock). Raises UpstreamError."""

    def __init__(self, target: Target) -> None:
        self.usage: Json | None = None
        self.finished = False
        self.done = False
        self._target = target
        self._id = ""
        self._counts: Json = {}
        self._block: Json = {}
        self._partial = ""
        self._calls = 0
        self._handlers: dict[str, Callable[[Json], list[Chunk]]] = {
            "message_start": self._start,
            "content_block_start": self._open,
            "content_block_delta": self._delta,
            "content_block_stop": self._stop,
            "message_delta": self._message_delta,
            "message_stop": self._end,
            "error": self._error,
        }

    def read(self, event: Json) -> list[Chunk]:
        """Event types that are not known here say nothing a caller needs (`ping`, and what is yet to come)."""
        handler = self._handlers.get(kind_of(event))
        return handler(event) if handler else []

    def end(self) -> list[Chunk]:
        """The usage chunk. Call it when the stream has ended without message_stop but with a stop reason."""
        if self.done:
            return []
        self.done = True
        if self.usage is None:
            return []
        return [Chunk({**self._envelope(), "choices": [], "usage": self.usage}, has_content=False, usage=self.usage)]

    def _start(self, event: Json) -> list[Chunk]:
        message = _object(event.get("message"))
        self._id = hub_id(message, self._target)
        self._count(message.get("usage"))
        return [self._chunk({"role": "assistant", "content": ""})]

    def _open(self, event: Json) -> list[Chunk]:
        """A block that was never closed ends where the next begins."""
        unclosed = self._stop({}) if self._block else []
        return [*unclosed, *self._opened(_object(event.get("content_block")))]

    def _opened(self, block: Json) -> list[Chunk]:
        self._block = block
        self._partial = ""
        if block.get("type") != "tool_use" or self._is_json_tool:
            return self._text(block.get("text"))
        self._calls += 1
        opening: Json = {
            "index": self._calls - 1,
            "id": str(self._block.get("id") or ""),
            "type": "function",
            "function": {"name": str(self._block.get("name") or ""), "arguments": ""},
        }
        return [self._chunk({"tool_calls": [opening]})]

    def _delta(self, event: Json) -> list[Chunk]:
        delta = _object(event.get("delta"))
        kind = kind_of(delta)
        if kind == "text_delta":
            return self._text(delta.get("text"))
        if kind == "thinking_delta":
            thought = as_word(delta.get("thinking"))
            self._block["thinking"] = as_word(self._block.get("thinking")) + thought
            return [self._chunk({"reasoning_content": thought})] if thought else []
        if kind == "input_json_delta":
            return self._arguments(as_word(delta.get("partial_json")))
        if kind == "compaction_delta":
            self._block["content"] = as_word(self._block.get("content")) + as_word(delta.get("content"))
        if kind == "signature_delta":
            self._block["signature"] = as_word(self._block.get("signature")) + as_word(delta.get("signature"))
        if kind == "citations_delta" and isinstance(citation := delta.get("citation"), dict):
            # No annotation: OpenAI's has the place in the text, which comes after the citation here.
            return [self._chunk({"provider_specific_fields": {"citation": citation}})]
        return []

    def _text(self, text: Any) -> list[Chunk]:
        if not isinstance(text, str) or not text:
            return []
        return [self._chunk({"content": text})]

    def _arguments(self, fragment: str) -> list[Chunk]:
        self._partial += fragment
        if not fragment or is_server_block(self._block):
            return []
        return self._text(fragment) if self._is_json_tool else [self._fragment(fragment)]

    def _stop(self, _: Json) -> list[Chunk]:
        block, self._block = self._block, {}
        kind = kind_of(block)
        if is_thinking(block):
            return [self._chunk({"thinking_blocks": [block]})]
        if not self._partial and kind == "tool_use":
            whole = orjson.dumps(block.get("input") or {}).decode()
            return self._text(whole) if block.get("name") == JSON_TOOL else [self._fragment(whole)]
        if kind and is_server_block(block):
            if self._partial:
                block["input"] = _json_or_text(self._partial)
            return [self._chunk({"provider_specific_fields": {"server_tools": [block]}}, unsaid=self._partial)]
        return []

    def _message_delta(self, event: Json) -> list[Chunk]:
        delta = _object(event.get("delta"))
        self._count(event.get("usage"))
        stop_reason = delta.pop("stop_reason", None)
        if stop_reason is None:
            return []
        self.finished = True
        extras = {name: value for name, value in {**delta, **_context(event)}.items() if value is not None}
        chunk = self._chunk({"provider_specific_fields": extras} if extras else {})
        chunk.data["choices"][0]["finish_reason"] = finish_reason(stop_reason, tool_calls=self._calls > 0)
        return [chunk]

    def _end(self, _: Json) -> list[Chunk]:
        """An answer that is whole without a reason (some proxies leave it out) ended normally."""
        finish = [] if self.finished else self._message_delta({"delta": {"stop_reason": "end_turn"}})
        return [*finish, *self.end()]

    def _error(self, event: Json) -> list[Chunk]:
        raise error_from_tree(event, self._target)

    def _count(self, usage: Any) -> None:
        """Counts are cumulative; what a later event leaves out, sets to null or (some proxies) to 0 stands as it was."""
        if isinstance(usage, dict):
            self._counts.update({name: count for name, count in usage.items() if count or name not in self._counts})
            self.usage = hub_usage(self._counts)

    @property
    def _is_json_tool(self) -> bool:
        return self._block.get("name") == JSON_TOOL

    def _fragment(self, arguments: str) -> Chunk:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": arguments}}]})

    def _chunk(self, delta: Json, *, unsaid: str = "") -> Chunk:
        """`unsaid` is what the model wrote and the caller is not told, like the input of Anthropic's own tools."""
        data = {**self._envelope(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        return Chunk(data, has_content=any(delta.get(key) for key in _ANSWER_KEYS), text_bytes=said_bytes(delta) + len(unsaid.encode()))

    def _envelope(self) -> Json:
        return {
            "id": self._id or hub_id({}, self._target),
            "object": "chat.completion.chunk",
            "created": self._target.created,
            "model": self._target.alias,
        }


class AnthropicStreamDecoder:
    """See base.StreamDecoder. `fast=False` is for tests."""

    def __init__(self, target: Target, *, fast: bool = True) -> None:
        self._target = target
        self._sse = SseParser()
        self._messages = MessagesDecoder(target)
        self._fast = fast
        self._template: Template | None = None

    @property
    def usage(self) -> Json | None:
        """The latest usage seen, also of a stream that fails later; its output count lags until the end."""
        return self._messages.usage

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        chunks: list[Chunk] = []
        try:
            for _, event in self._sse.feed(data):
                chunks += self._read(event)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished, StreamFailed for an error in the last event."""
        chunks: list[Chunk] = []
        try:
            for _, event in self._sse.close():
                chunks += self._read(event)
        except UpstreamProtocolError:
            raise self._cut() from None
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        if not self._messages.finished:
            raise self._cut()
        return chunks + self._messages.end()

    def _read(self, event: bytes) -> list[Chunk]:
        event = _without_padding(event)
        if self._template is not None and (sent := self._template.apply(event)) is not None:
            return [Chunk(raw=sent[0], has_content=True, text_bytes=sent[1])]
        try:
            tree = orjson.loads(event)
        except orjson.JSONDecodeError:
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not JSON.", upstream_status=200) from None
        if not isinstance(tree, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not an object.", upstream_status=200)
        chunks = self._messages.read(tree)
        self._learn(event, tree)
        return chunks

    def _learn(self, event: bytes, tree: Json) -> None:
        """Text deltas differ in their text only. Thoughts and tool input do not qualify: they are also collected."""
        delta = tree.get("delta")
        if not self._fast or tree.get("type") != "content_block_delta" or not isinstance(delta, dict) or delta.get("type") != "text_delta":
            return

        def put(marked: Any, marker: str) -> None:
            marked["delta"]["text"] = marker

        self._template = learn(event, "text", None, put, self._render)

    def _render(self, marked: Any) -> bytes | None:
        chunks = self._messages.read(marked)
        return chunks[0].payload() if len(chunks) == 1 else None

    def _cut(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"


def _without_padding(event: bytes) -> bytes:
    """Anthropic hides the length of a text behind white space before the last brace, and after it."""
    event = event.rstrip()
    return event[:-1].rstrip() + b"}" if event.endswith(b" }") else event


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _context(event: Json) -> Json:
    """Context editing is reported beside the delta (https://docs.claude.com/en/docs/build-with-claude/context-editing)."""
    return {"context_management": event["context_management"]} if event.get("context_management") else {}


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
