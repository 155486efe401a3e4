"""Endpoints beside the pipeline (files, batches, tools, agents): who calls is known, and errors have their shape, before any begins."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tollkeeper.auth.access import LLM_ROUTES, may_use_route
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, read_json, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.serving import ErrorShape

_GROUPS = {"/mcp": ("mcp_routes",), "/a2a": ("agent_routes",), "/v1/files": ("openai_routes",), "/v1/batches": ("openai_routes",)}
"""LiteLLM's names for groups of routes, beside the one for all of them. https://docs.litellm.ai/docs/proxy/virtual_keys"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One request of a caller who is known."""

    scope: Scope
    receive: Receive
    send: Send
    headers: dict[str, str]
    query: dict[str, str]
    call_id: str
    principal: Principal
    max_bytes: int

    @property
    def path(self) -> dict[str, str]:
        """The path's parameters."""
        found: dict[str, str] = self.scope.get("path_params", {})
        return found

    async def json(self) -> Json:
        """Raises BadRequest, PayloadTooLarge, ClientGone."""
        return (await read_json(self.receive, self.headers, self.max_bytes))[0]


Handle = Callable[[Visitor], Awaitable[Json | None]]
"""The answer's body; None: it has been sent."""


class Door:
    """One per process."""

    def __init__(self, authenticator: Authenticator, clock: Clock, *, max_bytes: int) -> None:
        self._authenticator = authenticator
        self.clock = clock
        self.max_bytes = max_bytes

    def app(self, route: str, handle: Handle, error: ErrorShape = openai_error) -> ASGIApp:
        """`route` is what a key's allowed_routes call it."""
        return _Endpoint(self, route, handle, error)

    async def visitor(self, scope: Scope, receive: Receive, send: Send, route: str, call_id: str) -> Visitor:
        """Raises Unauthenticated, Forbidden, StoreUnavailable."""
        headers, query = headers_of(scope), query_of(scope)
        principal = await self._authenticator.authenticate(headers, query)
        may_use_route(principal, route, (LLM_ROUTES, *_GROUPS.get(route, ())))
        return Visitor(scope, receive, send, headers, query, call_id, principal, self.max_bytes)


class _Endpoint:
    def __init__(self, door: Door, route: str, handle: Handle, error: ErrorShape) -> None:
        self._door, self._route, self._handle, self._error = door, route, handle, error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._door.clock.new_id()
        try:
            body = await self._handle(await self._door.visitor(scope, receive, send, self._route, call_id))
            if body is not None:
                await send_json(send, 200, {"x-litellm-call-id": call_id, "x-request-id": call_id}, body)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *self._error(error, call_id))
