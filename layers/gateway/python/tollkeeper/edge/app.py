"""The proxy's ASGI app: every LLM route, with and without /v1."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from tollkeeper.clock import Clock
from tollkeeper.edge.health import HealthEdge
from tollkeeper.edge.http import Receive, Scope, Send, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.responses_background import Background
from tollkeeper.edge.routes import Row, llm_routes
from tollkeeper.edge.serving import Desk, ReceiptFor
from tollkeeper.errors import CallerError, NotFound
from tollkeeper.pipeline import Gateway
from tollkeeper.store.archive import Archive


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """`ready` asks the store; `fallback` gets what is no LLM route (None: 404); `background` runs while the server does, `on_stop` at its
    end. `rows` are further routes, behind the LLM's own; `archive` keeps responses (None: nothing does), `making` makes them in the
    background.
    """

    gateway: Gateway
    clock: Clock
    max_request_bytes: int
    heartbeat_seconds: float
    ready: Callable[[], Awaitable[bool]]
    on_stop: Callable[[], Awaitable[None]]
    fallback: ASGIApp | None = None
    background: Callable[[], Coroutine[Any, Any, None]] | None = None
    rows: Sequence[Row] = ()
    archive: Archive | None = None
    making: Background | None = None
    receipt: ReceiptFor | None = None


def create_app(parts: EdgeParts) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(parts.background()) if parts.background else None
        yield
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await parts.on_stop()

    app = Starlette(routes=_routes(parts), lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = parts.fallback or not_found(parts.clock)
    return app


def straight(app: Starlette) -> ASGIApp:
    """The same app with a shorter way to paths that have no parameters: past the middleware and the walk through the routes. A slash at
    their end makes no difference.
    """
    fixed = {route.path: route.endpoint for route in app.routes if isinstance(route, Route) and "{" not in route.path}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and not scope.get("root_path"):
            path = scope["path"]
            endpoint = fixed.get(path) or (fixed.get(path.rstrip("/")) if path.endswith("/") else None)
        await (endpoint or app)(scope, receive, send)

    return dispatch


def _routes(parts: EdgeParts) -> list[BaseRoute]:
    desk = Desk(
        parts.gateway,
        parts.clock,
        max_request_bytes=parts.max_request_bytes,
        heartbeat_seconds=parts.heartbeat_seconds,
        receipt=parts.receipt,
    )
    health = HealthEdge(parts.ready)
    rows: list[tuple[str, str, ASGIApp]] = [
        *llm_routes(desk, parts.archive, parts.making),
        ("GET", "/health/liveliness", health.liveliness),
        ("GET", "/health/liveness", health.liveliness),
        ("GET", "/health/readiness", health.readiness),
        *parts.rows,
    ]
    return routes_of(rows, parts.clock)


def routes_of(rows: Iterable[Row], clock: Clock) -> list[BaseRoute]:
    paths: dict[str, dict[str, ASGIApp]] = {}
    for method, path, app in rows:
        paths.setdefault(path, {})[method] = app
    return [Route(path, _Endpoint(methods, clock)) for path, methods in paths.items()]


class _Endpoint:
    """One path, its methods (`*`: any). Starlette hands raw ASGI to objects, and builds a Request for functions and bound methods."""

    def __init__(self, methods: Mapping[str, ASGIApp], clock: Clock) -> None:
        self._methods = methods
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        app = self._methods.get(method) or self._methods.get("*") or (self._methods.get("GET") if method == "HEAD" else None)
        if app is None:
            allowed = ", ".join(self._methods)
            error = CallerError(f"{method} is not allowed here; use {allowed}.", status=405, headers={"allow": allowed})
            await send_json(send, *openai_error(error, self._clock.new_id()))
            return
        await app(scope, receive, send)


def not_found(clock: Clock) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        error = NotFound(f"Unknown route: {scope['method']} {scope['path'][:200]}", code="unknown_url", type="invalid_request_error")
        await send_json(send, *openai_error(error, clock.new_id()))

    return app
