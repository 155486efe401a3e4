"""Routes whose code is loaded when the first of them is asked for, so that a function's cold start does not pay for what few calls need."""

from collections.abc import Callable, Iterable

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from tollkeeper.clock import Clock
from tollkeeper.edge.app import not_found, routes_of
from tollkeeper.edge.routes import Row


def later(paths: Iterable[str], build: Callable[[], Iterable[Row]], clock: Clock) -> list[Row]:
    """Rows for these paths, which are those of the rows that `build` makes."""
    app = _Later(build, clock)
    return [("*", path, app) for path in paths]


class _Later:
    def __init__(self, build: Callable[[], Iterable[Row]], clock: Clock) -> None:
        self._build, self._clock = build, clock
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            routes = routes_of(self._build(), self._clock)
            self._app = Router(routes, redirect_slashes=False, default=not_found(self._clock))
        await self._app(scope, receive, send)
