"""Bytes of a stream → whole messages, whatever the split. No I/O, no JSON.

Server-sent events as the standard has them (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream),
with two liberties that providers force: an event that the end of the stream cut before its blank line is still delivered by `close`,
and `id`/`retry` fields are ignored.

Memory is bounded: one message may not be larger than `limit`. Work is linear: bytes are joined only when a line end arrives.
"""

from tollkeeper.errors import UpstreamProtocolError

DEFAULT_LIMIT = 32 * 1024 * 1024
"""Bytes of one message. The largest real ones are chunks that carry a base64 image."""

_BOM = b"\xef\xbb\xbf"

SseEvent = tuple[bytes, bytes]
"""(event name, data). The name is b"" where the stream gives none."""


class _Buffer:
    """Holds what no line end has completed yet."""

    __slots__ = ("_limit", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise UpstreamProtocolError(f"The provider sent a stream message larger than {self._limit} bytes.")
        self._parts.append(data)

    def take(self, data: bytes) -> bytes:
        """Everything held, then `data`."""
        if not self._parts:
            return data
        self._parts.append(data)
        joined = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return joined


class SseParser:
    """Feed it bytes in any split; get whole events."""

    __slots__ = ("_after_cr", "_buffer", "_start")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._buffer = _Buffer(limit)
        self._after_cr = False
        self._start: bytes | None = b""  # None once the byte-order mark is decided

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes. Raises UpstreamProtocolError when one event outgrows the limit."""
        if self._start is None and self._buffer.is_empty and not self._after_cr and _is_one_plain_event(data):
            return [(b"", data[6:-2])]
        if self._start is not None:
            data = self._strip_bom(self._start + data)
        if self._after_cr or b"\r" in data:
            data = self._normalise(data)
        if not data:
            return []
        if b"\n" not in data:
            self._buffer.hold(data)
            return []
        *blocks, rest = self._buffer.take(data).split(b"\n\n")
        if rest:
            self._buffer.hold(rest)
        return [event for block in blocks if (event := _event(block)) is not None]

    def close(self) -> list[SseEvent]:
        """The event that the end of the stream cut before its blank line, if its data line is there."""
        event = _event(self._buffer.take(self._start or b""))
        self._start = None
        return [] if event is None else [event]

    def _strip_bom(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data.removeprefix(_BOM)

    def _normalise(self, data: bytes) -> bytes:
        """CRLF and CR → LF. A CR ends its line at once; the LF that may open the next piece belongs to it."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_one_plain_event(data: bytes) -> bool:
    """The common read: exactly `data: …` and a blank line."""
    return data.startswith(b"data: ") and data.endswith(b"\n\n") and data.find(b"\n") == len(data) - 2 and b"\r" not in data


def _event(block: bytes) -> SseEvent | None:
    # Nearly every block of every provider is one data line.
    if block.startswith(b"data: ") and b"\n" not in block:
        return b"", block[6:]
    name, lines = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(lines)) if lines else None


class LineParser:
    """Newline-delimited JSON (https://github.com/ndjson/ndjson-spec): feed bytes in any split, get whole non-empty lines."""

    __slots__ = ("_buffer",)

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._buffer = _Buffer(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Raises UpstreamProtocolError when one line outgrows the limit."""
        if b"\n" not in data:
            if data:
                self._buffer.hold(data)
            return []
        *lines, rest = self._buffer.take(data).split(b"\n")
        if rest:
            self._buffer.hold(rest)
        return [stripped for line in lines if (stripped := line.strip())]

    def close(self) -> list[bytes]:
        """The last line, if it had no newline."""
        line = self._buffer.take(b"").strip()
        return [line] if line else []
