"""The management API as one ASGI application: LiteLLM's routes and JSON, errors in the envelope of the LLM API, OpenAPI at /docs."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollkeeper import __version__
from tollkeeper.admin import (
    activity,
    auditing,
    budgets,
    credentials,
    customers,
    daily_activity,
    exports,
    fallbacks,
    finance,
    keys,
    keys_read,
    members,
    metrics,
    models_admin,
    openapi,
    organizations,
    projects,
    spend_logs,
    spend_prices,
    spend_reports,
    spend_totals,
    tags,
    teams,
    users,
)
from tollkeeper.admin.parts import AdminServices
from tollkeeper.admin.route import LARGEST_BODY_BYTES
from tollkeeper.clock import Clock
from tollkeeper.errors import BadRequest, CallerError, NotFound, OurError, PayloadTooLarge, TollkeeperError

_ROUTERS = (
    spend_logs, spend_totals, spend_prices, spend_reports, activity, daily_activity, finance, exports,
    keys_read, keys, members, teams, users, organizations, customers, budgets, projects, tags, models_admin, credentials, fallbacks,
    auditing, metrics,
)  # fmt: skip
RenderError = Callable[[TollkeeperError, str], tuple[int, dict[str, str], dict[str, Any]]]
"""(error, request id) → status, headers, JSON body: edge/problems.py, handed in because siblings do not import each other."""

_END_USER = "/end_user/"
"""LiteLLM's other name for /customer/."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_log = logging.getLogger(__name__)


def create_app(services: AdminServices, render_error: RenderError) -> FastAPI:
    app = FastAPI(
        title="Tollkeeper management API",
        version=__version__,
        redoc_url=None,
        strict_content_type=False,
    )
    app.state.services = services
    for module in _ROUTERS:
        app.include_router(module.router)
    openapi.install(app)

    def answer(request: Request, error: TollkeeperError) -> JSONResponse:
        status, headers, body = render_error(error, request.scope["request_id"])
        return JSONResponse(body, status, headers)

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        return answer(request, _translated(request, error))

    for kind in (TollkeeperError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refuse)
    app.add_middleware(RequestIds, clock=services.clock)
    return app


class RequestIds:
    """`x-request-id` of the request if it is a plain one, else a new id; on every answer, also under LiteLLM's name."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app, self._clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = scope["request_id"] = given if _REQUEST_ID.fullmatch(given) else self._clock.new_id()

        if scope["path"].startswith(_END_USER):
            scope["path"] = "/customer/" + scope["path"].removeprefix(_END_USER)

        # Every body here is JSON, whatever the caller's tool calls it (curl -d says it is a form).
        MutableHeaders(scope=scope)["content-type"] = "application/json"

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = headers["x-litellm-call-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_named)


def _translated(request: Request, error: Exception) -> TollkeeperError:
    """Whatever went wrong, as one of ours; what nobody expected is logged and not told."""
    if isinstance(error, TollkeeperError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _http_error(request, error)
    _log.error("unexpected error in %s", request.url.path, exc_info=error)
    return OurError("Internal server error.")


def _http_error(request: Request, error: HTTPException) -> TollkeeperError:
    if error.status_code == 404:
        return NotFound(f"There is no route {request.method} {request.url.path}.", code="unknown_url", type="invalid_request_error")
    if error.status_code == 413:
        return PayloadTooLarge(f"A management request may have {LARGEST_BODY_BYTES // 1024} KB at most.")
    return CallerError(str(error.detail), status=error.status_code, headers=error.headers)


def _invalid(findings: Sequence[Any]) -> BadRequest:
    """The first finding's field is `param`; the values that were sent are never repeated, for one may be a key."""
    named = [(_field(finding["loc"]), _text(finding)) for finding in findings]
    return BadRequest("; ".join(f"{field}: {text}" for field, text in named[:5]), param=named[0][0])


def _text(finding: dict[str, Any]) -> str:
    return "not valid JSON" if finding["type"] == "json_invalid" else str(finding["msg"]).removeprefix("Value error, ")


def _field(location: Sequence[str | int]) -> str:
    """("body", "budget_limits", 0, "max_budget") → budget_limits.0.max_budget"""
    parts = [str(part) for part in location[1:]]
    return ".".join(parts) if parts and isinstance(location[1], str) else "request_body"
