"""An ASGI app that is built inside the first request: what it needs is fetched over the network, and a cold start must not wait for it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from tollkeeper.edge.http import send_json
from tollkeeper.edge.problems import openai_error


class LazyApp:
    """`build` is called once; while it fails every request is answered with its error, and the next one tries again."""

    def __init__(self, build: Callable[[], Awaitable[ASGIApp]], on_stop: Callable[[], Awaitable[None]]) -> None:
        self._build = build
        self._on_stop = on_stop
        self._app: ASGIApp | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif app := self._app or await self._built(send):
            await app(scope, receive, send)

    async def warm(self) -> None:
        """Builds it before anybody asks, where somebody soon will. A failure is told to whoever asks."""
        async with self._building:
            with contextlib.suppress(Exception):
                self._app = self._app or await self._build()

    async def _built(self, send: Send) -> ASGIApp | None:
        async with self._building:
            try:
                self._app = self._app or await self._build()
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer and the next request a new try
                await send_json(send, *openai_error(error, ""))
                return None
        return self._app

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._on_stop()
        await send({"type": "lifespan.shutdown.complete"})
