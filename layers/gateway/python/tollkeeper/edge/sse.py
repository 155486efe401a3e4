"""Sends one answer as server-sent events: heartbeats while nothing comes, an end when the caller leaves, in-band errors once begun.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tollkeeper.edge.http import Receive, Send, raw_headers

HEARTBEAT = b": ping\n\n"
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Media:
    """What a stream consists of, and what keeps its connection busy while nothing comes (b"": nothing may)."""

    content_type: str = "text/event-stream; charset=utf-8"
    heartbeat: bytes = HEARTBEAT


EVENTS = Media()


class EventStream:
    """The response of one streamed call. `run` owns the task that produces it and the one that watches the caller."""

    def __init__(self, receive: Receive, send: Send, heartbeat_seconds: float, media: Media = EVENTS) -> None:
        self.media = media
        self._receive = receive
        self._send = send
        self._heartbeat = heartbeat_seconds
        self._silent = True
        self.begun = False

    async def begin(self, headers: Mapping[str, str]) -> None:
        """The status line. After this an error can only be an event."""
        self.begun = True
        shown = {"content-type": self.media.content_type, **_HEADERS, **headers}
        await self._send({"type": "http.response.start", "status": 200, "headers": raw_headers(shown)})

    async def write(self, events: bytes) -> None:
        self._silent = False
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def run(self, produce: Callable[[], Awaitable[None]], early_headers: Mapping[str, str]) -> None:
        """Runs `produce`, which writes; cancels it when the caller leaves. Its exceptions are raised here.

        If nothing has been written for one heartbeat, the status line goes out with `early_headers` and comments follow: from then on an
        error has no status of its own, which is better than a connection that some proxy has cut.
        """
        producer = asyncio.ensure_future(produce())
        watcher = asyncio.ensure_future(self._watch(producer, early_headers))
        try:
            await producer
        except asyncio.CancelledError:
            if not (watcher.done() and not watcher.cancelled()):
                producer.cancel()  # we are being cancelled ourselves, by a server that stops
                with suppress(asyncio.CancelledError):
                    await producer
                raise
        finally:
            watcher.cancel()

    async def _watch(self, producer: "asyncio.Future[None]", early_headers: Mapping[str, str]) -> None:
        gone = asyncio.ensure_future(self._disconnected())
        try:
            while True:
                done, _ = await asyncio.wait({gone}, timeout=self._heartbeat)
                if done:
                    producer.cancel()
                    return
                if self._silent and self.media.heartbeat:
                    if not self.begun:
                        await self.begin(early_headers)
                    await self._send({"type": "http.response.body", "body": self.media.heartbeat, "more_body": True})
                self._silent = True
        finally:
            gone.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
