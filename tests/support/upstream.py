"""A provider on a real socket that does exactly what a test says: any bytes, in any pieces, with pauses, and cut wherever wanted.

It runs in a thread of its own, so that synchronous clients and gateway processes can be tested alike.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What to send back. `pieces` are bytes, a number of seconds to wait, or an asyncio/threading Event to wait for.

    `cut`: close the connection without a proper end. `hang`: send nothing at all until the caller leaves.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[Any] = field(default_factory=list)
    cut: bool = False
    hang: bool = False


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, {"content-type": "application/json", **headers}, [json.dumps(body).encode()])


def as_sse(*events: Any, done: bool = True, cut: bool = False, pauses: float = 0.0) -> Reply:
    pieces: list[Any] = []
    for event in events:
        if isinstance(event, int | float | threading.Event):
            pieces.append(event)
            continue
        pieces.append(event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n")
        if pauses:
            pieces.append(pauses)
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Reply(200, {"content-type": "text/event-stream"}, pieces, cut=cut)


def completion(text: str = "Hello there", *, model: str = "gpt-4o-mini-2024-07-18", **changes: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "logprobs": None, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model, "choices": [choice], "usage": usage}
    return {**body, **changes}


def chunk(delta: dict[str, Any], finish: str | None = None, **changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-4o-mini-2024-07-18"}
    return {**body, "choices": [choice], **changes}


def text_stream(*words: str, usage: dict[str, int] | None = None) -> list[dict[str, Any]]:
    stated = usage or {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": word}) for word in words),
        chunk({}, "stop"),
        {**chunk({}), "choices": [], "usage": stated},
    ]


Handler = Callable[[Received], Reply]


class Upstream:
    """Use as a context manager. `handler` may be changed between requests; `received` keeps every request."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.received: list[Received] = []
        self.gone = threading.Event()
        """Set when a caller left before its reply was complete."""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Upstream":
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            async for request in _requests(reader):
                self.received.append(request)
                reply = self.handler(request)
                if reply.hang:
                    await reader.read(1)
                    self.gone.set()
                    return
                await self._send(writer, reply)
                if reply.cut:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        except asyncio.CancelledError:
            return
        finally:
            self._open.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        head = {**reply.headers, "transfer-encoding": "chunked"}
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in head.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        await writer.drain()
        for piece in reply.pieces:
            if isinstance(piece, bytes):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
                await writer.drain()
            elif isinstance(piece, threading.Event):
                await asyncio.to_thread(piece.wait, 20)
            else:
                await asyncio.sleep(piece)
        if not reply.cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[Received]:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        yield Received(method, path, headers, body)
