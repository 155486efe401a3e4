"""A provider on a real socket that fails on a seeded schedule, in every way a network knows.

`Schedule.of(seed, …)` says for each request number which fault the dying deployment has; the deployments are paths of one server
(`/a/v1`, `/b/v1` …), and a wrong scheme or a name nobody knows are addresses of their own.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.support.upstream import completion, text_stream

WAYS = (
    "500",
    "503 page",
    "429",
    "hang",
    "hang after headers",
    "trickle",
    "cut",
    "cut mid-stream",
    "wrong type",
    "error under 200",
    "reset",
)
"""What a served address can do. TLS and DNS failures are addresses: `tls_url`, `DNS_URL`."""
DNS_URL = "http://no-such-provider.invalid/v1"

_BUFFERED = json.dumps(completion("Hello there, this is a small answer.")).encode()
_EVENTS = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in text_stream("Hello ", "there")] + [b"data: [DONE]\n\n"]
_FOREVER = 3600.0


@dataclass(frozen=True)
class Schedule:
    """(first request, one after the last, way) of each spell of illness."""

    spells: tuple[tuple[int, int, str], ...]

    @classmethod
    def of(cls, seed: int, requests: int, *, ways: Sequence[str] = WAYS, share: float = 0.5) -> "Schedule":
        """Each way once, in a seeded order, spread over the middle of the run; well for the rest (and in between, when share < 1)."""
        luck, order = Random(seed), list(ways)
        luck.shuffle(order)
        step = int(requests * 0.8) // len(order)
        starts = [int(requests * 0.1) + index * step for index in range(len(order))]
        return cls(tuple((start, start + int(step * luck.uniform(share, 1.0)), way) for start, way in zip(starts, order, strict=True)))

    def at(self, number: int) -> str:
        """The way it fails at this request; "": it is well."""
        return next((way for start, end, way in self.spells if start <= number < end), "")


@dataclass
class Seen:
    """What one deployment was sent."""

    calls: int = 0
    wasted: Counter[str] = field(default_factory=Counter)
    together: int = 0
    """Calls that arrived while another was out and the deployment was ill: more than one probe at a time."""
    out: int = 0


class FaultyProvider:
    """Use as a context manager. Set `ways[name]` to make a deployment ill."""

    def __init__(self, names: Sequence[str], *, hang: float = _FOREVER) -> None:
        self.ways: dict[str, str] = dict.fromkeys(names, "")
        self.seen: dict[str, Seen] = {name: Seen() for name in names}
        self._hang = hang
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> "FaultyProvider":
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    @property
    def tls_url(self) -> str:
        """Speaks plain HTTP where TLS is expected."""
        return f"https://127.0.0.1:{self.port}/tls/v1"

    @property
    def wasted(self) -> int:
        return sum(sum(seen.wasted.values()) for seen in self.seen.values())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        open_now = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, ValueError, IndexError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                name = head.split(b" ", 2)[1].decode().split("/")[1]
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                streamed = b'"stream":true' in (await reader.readexactly(length)).replace(b" ", b"")
                if not await self._answered(name, writer, streamed=streamed):
                    break
        writer.close()

    async def _answered(self, name: str, writer: asyncio.StreamWriter, *, streamed: bool) -> bool:
        """Whether the connection may be used again."""
        seen, way = self.seen.setdefault(name, Seen()), self.ways.get(name, "")
        seen.calls += 1
        if not way:
            return await _well(writer, streamed=streamed)
        seen.wasted[way] += 1
        seen.together += seen.out > 0
        seen.out += 1
        try:
            return await self._ill(way, writer, streamed=streamed)
        finally:
            seen.out -= 1

    async def _ill(self, way: str, writer: asyncio.StreamWriter, *, streamed: bool) -> bool:
        if way == "500":
            return await _sent(writer, 500, b'{"error": {"message": "boom"}}')
        if way == "503 page":
            return await _sent(writer, 503, b"<html>down for maintenance</html>", kind="text/html")
        if way == "429":
            return await _sent(writer, 429, b'{"error": {"message": "slow down"}}', extra="retry-after: 2\r\n")
        if way == "wrong type":
            return await _sent(writer, 200, b"<!doctype html><p>Welcome to the hotel network", kind="text/html")
        if way == "error under 200":
            return await _sent(writer, 200, b'{"error": {"message": "overloaded", "type": "server_error"}}')
        if way == "hang":
            await asyncio.sleep(self._hang)
        if way == "reset":
            return False
        await _begin(writer, streamed=streamed)
        if way == "hang after headers":
            await asyncio.sleep(self._hang)
        if way == "trickle":
            for byte in _EVENTS[0] if streamed else _BUFFERED:
                await _chunk(writer, bytes([byte]))
                await asyncio.sleep(0.2)
        # A cut stream has sent its role and no content; a cut body half of itself.
        pieces = _EVENTS[: 2 if way == "cut mid-stream" else 1] if streamed else [_BUFFERED[: len(_BUFFERED) // 2]]
        for piece in pieces:
            await _chunk(writer, piece)
        return False


async def _well(writer: asyncio.StreamWriter, *, streamed: bool) -> bool:
    if not streamed:
        return await _sent(writer, 200, _BUFFERED)
    await _begin(writer, streamed=True)
    for event in _EVENTS:
        await _chunk(writer, event)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _begin(writer: asyncio.StreamWriter, *, streamed: bool) -> None:
    kind = "text/event-stream" if streamed else "application/json"
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    await writer.drain()


async def _chunk(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    await writer.drain()


async def _sent(writer: asyncio.StreamWriter, status: int, body: bytes, *, kind: str = "application/json", extra: str = "") -> bool:
    writer.write(f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body)
    await writer.drain()
    return True
