"""What decoders share that make hub chunks out of another wire format: the writing of chunks, and the framing around a reader of events."""

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.error_bodies import error_from_tree
from tollkeeper.dialects.framing import SseParser
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_MAX_HEAD = 65_536
_END = b"[DONE]"


def as_object(value: Any) -> Json:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[Json]:
    """The JSON objects of a list; none if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_word(value: Any) -> str:
    """`value` if it is a string, else an empty one: for names that are looked up."""
    return value if isinstance(value, str) else ""


def as_index(value: Any) -> int:
    """`value` if it is a whole number, else 0: the only item of a speaker that does not count."""
    return value if isinstance(value, int) else 0


class ChunkWriter:
    """The chunks of one answer with one choice. `begin` it before the first."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._envelope: Json = {}
        self._head = b""
        self.begin(f"chatcmpl-{target.created}")

    def begin(self, identifier: str, created: int = 0) -> None:
        """`created` in epoch seconds, if the provider says it."""
        self._envelope = {
            "id": identifier,
            "object": "chat.completion.chunk",
            "created": created or self._target.created,
            "model": self._target.alias,
        }
        self._head = orjson.dumps(self._envelope)[:-1] + b',"choices":[{"index":0,"delta":{"'

    def role(self) -> Chunk:
        return self.delta({"role": "assistant", "content": ""})

    def piece(self, key: str, text: str) -> Chunk:
        """A piece of `content`, `reasoning_content` or `refusal`: written as bytes, since most chunks are this one."""
        raw = self._head + key.encode() + b'":' + orjson.dumps(text) + b'},"finish_reason":null}]}'
        return Chunk(raw=raw, has_content=bool(text), text_bytes=len(text.encode()))

    def call(self, index: int, identifier: str, name: str, arguments: str = "") -> Chunk:
        """A function call opens."""
        opening = {"index": index, "id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
        return self.delta({"tool_calls": [opening]}, said=name + arguments)

    def arguments(self, index: int, fragment: str) -> Chunk:
        return self.delta({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}, said=fragment)

    def delta(self, delta: Json, *, finish: str | None = None, said: str = "", **choice: Any) -> Chunk:
        """Any chunk; `said` is what it adds to the answer, `choice` further fields beside the delta (logprobs)."""
        data = {**self._envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}]}
        return Chunk(data, has_content=bool(said), text_bytes=len(said.encode()))

    def usage(self, usage: Json, extras: Json | None = None) -> Chunk:
        return Chunk({**self._envelope, **(extras or {}), "choices": [], "usage": usage}, has_content=False, usage=usage)


class Reader(Protocol):
    """Parsed events → chunks. Raises UpstreamError. `done` from the event that ends the answer on."""

    done: bool
    usage: Json | None

    def read(self, event: Json) -> list[Chunk]: ...


class Frames(Protocol):
    """Bytes in any split → the JSON text of whole messages (framing.py)."""

    def feed(self, data: bytes) -> Iterable[bytes]: ...
    def close(self) -> list[bytes]: ...


class SseData:
    """Frames of a stream of server-sent events whose names say nothing that the data does not."""

    def __init__(self) -> None:
        self._parser = SseParser()

    def feed(self, data: bytes) -> list[bytes]:
        return [event for _, event in self._parser.feed(data)]

    def close(self) -> list[bytes]:
        return [event for _, event in self._parser.close()]


class Reframed:
    """See base.StreamDecoder. A stream within a stream: what lies in the outer `frames`, read by a decoder that knows it."""

    def __init__(self, frames: Frames, inner: StreamDecoder) -> None:
        self._frames = frames
        self._inner = inner

    @property
    def usage(self) -> Json | None:
        """The latest usage seen, also of a stream that fails later."""
        return self._inner.usage

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        chunks: list[Chunk] = []
        try:
            for payload in self._frames.feed(data):
                chunks += self._inner.feed(self._framed(payload))
        except StreamFailed as failed:
            raise StreamFailed(failed.error, chunks + failed.chunks) from None
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished."""
        self._frames.close()
        return self._inner.close()

    def _framed(self, payload: bytes) -> bytes:
        """What the inner decoder is fed."""
        return payload


class FramedDecoder:
    """See base.StreamDecoder."""

    def __init__(self, target: Target, frames: Frames, reader: Reader) -> None:
        self._target = target
        self._frames = frames
        self._reader = reader
        self._head: bytes | None = b""

    @property
    def usage(self) -> Json | None:
        """The latest usage seen, also of a stream that fails later."""
        return self._reader.usage

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        if self._head is not None:
            self._head = (self._head + data)[:_MAX_HEAD]
        chunks: list[Chunk] = []
        try:
            for message in self._frames.feed(data):
                chunks += self._read(message)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished, StreamFailed for an error in the last message."""
        chunks: list[Chunk] = []
        try:
            for message in self._frames.close():
                chunks += self._read(message)
            self._read_head()
        except UpstreamProtocolError:
            raise self._cut() from None
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        if not self._reader.done:
            raise self._cut()
        return chunks

    def _read(self, message: bytes) -> list[Chunk]:
        self._head = None
        if self._reader.done or message.strip() in {b"", _END}:
            return []
        try:
            tree = orjson.loads(message)
        except orjson.JSONDecodeError:
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not JSON.", upstream_status=200) from None
        if not isinstance(tree, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not an object.", upstream_status=200)
        return self._reader.read(tree)

    def _read_head(self) -> None:
        """A stream without a single message may be an error body in place of one."""
        try:
            tree = orjson.loads(self._head) if self._head else None
        except orjson.JSONDecodeError:
            return
        if isinstance(tree, dict) and (tree.get("error") or tree.get("message")):
            raise error_from_tree(tree, self._target)

    def _cut(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"
