"""The front: every route of the LLM APIs and what stands beside them, over one running installation."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from tollkeeper.bootstrap.batches import batch_rows, door_of
from tollkeeper.bootstrap.passing import agent_rows, pass_through, tool_rows
from tollkeeper.bootstrap.receipts import receipt_for
from tollkeeper.edge.app import EdgeParts, create_app, not_found, straight
from tollkeeper.edge.cors import with_cors
from tollkeeper.edge.guardrails import GuardrailsEdge
from tollkeeper.edge.health_checks import HealthChecks
from tollkeeper.edge.overview import Overview
from tollkeeper.edge.routes import Row
from tollkeeper.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running

READY_PROBE = ("ready", "ready")
Beside = Callable[[], Coroutine[Any, Any, None]]


def edge_app_of(running: "Running", fallback: ASGIApp | None, background: Beside | None) -> ASGIApp:
    return with_cors(_refreshed(running, straight(create_app(edge_parts(running, fallback, background)))))


def edge_parts(running: "Running", fallback: ASGIApp | None = None, background: Beside | None = None) -> EdgeParts:
    installation = running.installation
    through, max_bytes = pass_through(running), installation.snapshot.max_request_bytes or installation.settings.max_request_bytes
    return EdgeParts(
        running.gateway,
        installation.clock,
        max_request_bytes=max_bytes,
        heartbeat_seconds=installation.settings.heartbeat_seconds,
        ready=lambda: _ready(running),
        on_stop=running.stop,
        fallback=through.or_else(fallback or not_found(installation.clock)),
        rows=[
            *_health_rows(running),
            *GuardrailsEdge(door_of(running), running.guards).rows(),
            *batch_rows(running),
            *through.rows(installation.snapshot.upstreams),
            *tool_rows(running),
            *agent_rows(running),
        ],
        archive=running.archive,
        receipt=receipt_for(installation, lambda: running.receipts),
        making=replace(running.making, at_once=background is not None) if running.making else None,
        background=background,
    )


def _health_rows(running: "Running") -> list[Row]:
    clock, groups = running.installation.clock, running.live.groups

    async def test_alert(channel: str) -> str | None:
        if running.alerting is None:
            raise NotFound("general_settings.alerting names no channel.", param="service")
        return await running.alerting.courier.test(channel)

    checks = HealthChecks(running.authenticator, running.health_log, running.fleet, groups, clock, test_alert=test_alert)
    store = running.installation.settings.store
    overview = Overview(running.gateway, running.fleet, lambda: running.prober, lambda: _ready(running), clock, store)
    return [*checks.rows(), *overview.rows()]


async def _ready(running: "Running") -> bool:
    try:
        await running.installation.store.directory.get(*READY_PROBE)
    except StoreUnavailable:
        return False
    return True


def _refreshed(running: "Running", app: ASGIApp) -> ASGIApp:
    """Before each request, models that were added or changed in the directory (a read every few seconds, shared by all)."""

    async def refreshed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await running.live.refresh()
        await app(scope, receive, send)

    return refreshed
