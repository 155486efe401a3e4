"""`GET /health/latest` and `/health/history`: what the background probes found, and how each deployment stands with the fleet right now.
`GET /health/services?service=slack`: a test alert by one of the configured channels.

For administrators, since they name every deployment and write to people. https://docs.litellm.ai/docs/proxy/health
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import ASGIApp

from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.roles import PROXY_ADMIN, VIEWER
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import BadRequest, Forbidden
from tollkeeper.routing.checks import HealthLog
from tollkeeper.routing.health import Health
from tollkeeper.routing.resolve import Groups

MOST = 1000
_SEE, _ACT = frozenset({PROXY_ADMIN, VIEWER}), frozenset({PROXY_ADMIN})
Answer = Callable[[Mapping[str, str]], Awaitable[Json]]


class HealthChecks:
    """`rows` are the routes."""

    def __init__(
        self,
        authenticator: Authenticator,
        health_log: HealthLog,
        health: Health,
        groups: Callable[[], Groups],
        clock: Clock,
        *,
        test_alert: Callable[[str], Awaitable[str | None]],
    ) -> None:
        """`test_alert` sends one by the channel of that name; None: it was taken, else why not. Raises NotFound."""
        self._authenticator, self._log, self._health, self._groups, self._clock = authenticator, health_log, health, groups, clock
        self._test_alert = test_alert

    def rows(self) -> list[tuple[str, str, ASGIApp]]:
        return [
            ("GET", "/health/latest", self._endpoint(self.latest, _SEE)),
            ("GET", "/health/history", self._endpoint(self.history, _SEE)),
            ("GET", "/health/services", self._endpoint(self.services, _ACT)),
        ]

    async def services(self, query: Mapping[str, str]) -> Json:
        if not (service := query.get("service")):
            raise BadRequest("'service' is missing: name a channel of general_settings.alerting, such as slack.", param="service")
        failure = await self._test_alert(service)
        if failure is not None:
            return {"status": "unhealthy", "message": f"{service} did not take the test alert: {failure}"}
        return {"status": "success", "message": f"A test alert was sent by {service}."}

    async def latest(self, query: Mapping[str, str]) -> Json:
        checks = await self._log.latest()
        rows = {row.id: row for row in self._groups().snapshot.deployments}
        await self._health.refresh(rows.values())
        found: dict[str, Any] = {}
        for name, row in rows.items():
            standing, seen = self._health.standing(row), self._health.statistics(row)
            found[name] = {
                **checks.get(name, {"model_name": row.group, "model_id": name, "status": "unknown", "checked_at": None}),
                "circuit": "half-open" if standing.due else "open" if standing.open else "closed",
                "resting_seconds": round(standing.wait, 1),
                "in_flight": seen.in_flight,
                "calls": seen.ended + seen.errors,
                "error_rate": seen.error_rate,
                "first_token_seconds": {str(share): seen.quantile(share, streamed=True) for share in (0.5, 0.95)},
                "answer_seconds": {str(share): seen.quantile(share, streamed=False) for share in (0.5, 0.95)},
                "tokens_per_second": seen.tokens_per_second,
            }
        return {"latest_health_checks": found, "total_models": len(found)}

    async def history(self, query: Mapping[str, str]) -> Json:
        limit, offset, status = _number(query, "limit", 100), _number(query, "offset", 0), query.get("status_filter")
        if status not in {None, "healthy", "unhealthy"}:
            raise BadRequest("'status_filter' must be healthy or unhealthy.", param="status_filter")
        page, total = await self._log.history(model=query.get("model"), status=status, limit=min(limit, MOST), offset=offset)
        return {"health_checks": page, "total_records": total, "limit": limit, "offset": offset}

    def _endpoint(self, answer: Answer, roles: frozenset[str]) -> ASGIApp:
        return _Endpoint(self._authenticator, answer, self._clock, roles)


class _Endpoint:
    """Starlette hands raw ASGI to objects."""

    def __init__(self, authenticator: Authenticator, answer: Answer, clock: Clock, roles: frozenset[str]) -> None:
        self._authenticator, self._answer, self._clock, self._roles = authenticator, answer, clock, roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._clock.new_id()
        try:
            principal = await self._authenticator.authenticate(headers_of(scope))
            if principal.role not in self._roles:
                raise Forbidden("Only an administrator may see the health of deployments.", type="auth_error")
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await self._answer(query_of(scope)))
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or len(text) > 9:
        raise BadRequest(f"'{name}' must be a whole number.", param=name)
    return int(text)
