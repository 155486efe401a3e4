"""The ASGI lifespan protocol, server side: startup once per sandbox, shutdown when Lambda ends it.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


# How long an application that reported its failure may take to raise it, which says where it was.
_LAST_WORDS = 1.0


class StartupFailed(Exception):
    """The application said so; its own message is not repeated, because it may hold configuration."""


class Lifespan:
    """`state` is what the application left for its requests at startup."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self._listened = False
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises what the application raised after it had begun to start, or StartupFailed. One without a lifespan is fine."""
        self._task = asyncio.create_task(self._run())
        if await self._ask("startup") == "lifespan.startup.failed":
            await asyncio.wait((self._task,), timeout=_LAST_WORDS)
            raise self._failure or StartupFailed

    async def shutdown(self) -> None:
        """Raises what the application raised."""
        await self._ask("shutdown")

    async def _ask(self, phase: str) -> str | None:
        """The application's answer; None when it has no lifespan or has ended it."""
        if self._task is None or self._task.done():
            return None
        self._inbox.put_nowait({"type": f"lifespan.{phase}"})
        said = await self._said.get()
        if said is None and self._failure and self._listened:
            raise self._failure
        return said

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - `_ask` raises it again, unless it only means "no lifespan here"
            self._failure = error
        finally:
            self._said.put_nowait(None)

    async def _receive(self) -> Message:
        self._listened = True
        return await self._inbox.get()

    async def _send(self, message: Message) -> None:
        self._said.put_nowait(message["type"])
