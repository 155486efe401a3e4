"""`GET /health` and `/health/readiness/details`: how the deployments a key may use stand, and what this installation is.

LiteLLM's `/health` calls every model each time it is asked. Ours tells what the fleet knows from the calls it made anyway, and spends
nothing; `?probe=true` asks every deployment for one token, for administrators only, and is in the ledger as any call.
https://docs.litellm.ai/docs/proxy/health
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from tollkeeper import __version__
from tollkeeper.admission.probing import TOGETHER, Prober, can_probe
from tollkeeper.auth.roles import PROXY_ADMIN
from tollkeeper.catalog.endpoints import mode_of
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import Forbidden
from tollkeeper.pipeline import Gateway
from tollkeeper.routing.health import Health

ROUTE, DETAILS = "/health", "/health/readiness/details"


@dataclass(frozen=True, slots=True)
class Overview:
    """`rows` are the routes. `prober` is made when it is first needed; `store` names the engine."""

    gateway: Gateway
    health: Health
    prober: Callable[[], Prober]
    ready: Callable[[], Awaitable[bool]]
    clock: Clock
    store: str

    def rows(self) -> list[tuple[str, str, ASGIApp]]:
        return [("GET", ROUTE, self._endpoint(ROUTE, self._health)), ("GET", DETAILS, self._endpoint(DETAILS, self._details))]

    def _endpoint(self, route: str, answer: "Callable[[Scope], Awaitable[tuple[int, Json]]]") -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            call_id = self.clock.new_id()
            try:
                status, body = await answer(scope)
                await send_json(send, status, {"x-litellm-call-id": call_id}, body)
            except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
                await send_json(send, *openai_error(error, call_id))

        return app

    async def _details(self, scope: Scope) -> tuple[int, Json]:
        await self.gateway.caller(headers_of(scope), query_of(scope), DETAILS)
        ready = await self.ready()
        named = {"version": __version__, "store": self.store}
        if not ready:
            return 503, {"status": "unhealthy", "db": "Not connected", **named}
        return 200, {"status": "healthy", "db": "connected", **named}

    async def _health(self, scope: Scope) -> tuple[int, Json]:
        headers, query = headers_of(scope), query_of(scope)
        groups = await self.gateway.models(headers, query)
        named = {row.id: row for group in groups.values() for row in group.deployments}
        rows = [row for row in named.values() if query.get("model") in {None, row.group} and query.get("model_id") in {None, row.id}]
        probing = query.get("probe", "").lower() in {"true", "1"}
        if probing and (await self.gateway.caller(headers, query, ROUTE)).role != PROXY_ADMIN:
            raise Forbidden("Only an administrator may probe deployments: every probe is a paid call.", type="auth_error")
        failures = await (self._probed(rows) if probing else self._known(rows))
        well = [shown_of(row) for row in rows if row.id not in failures]
        ill = [{**shown_of(row), **failures[row.id]} for row in rows if row.id in failures]
        counts = {"healthy_count": len(well), "unhealthy_count": len(ill), "probed": probing}
        return 200, {"healthy_endpoints": well, "unhealthy_endpoints": ill, **counts}

    async def _known(self, rows: list[Deployment]) -> dict[str, Json]:
        """What the fleet's calls have shown: deployments that rest."""
        await self.health.refresh(rows)
        resting = {row.id: self.health.standing(row) for row in rows}
        return {name: {"error": "resting", "resting_seconds": round(found.wait, 1)} for name, found in resting.items() if found.open}

    async def _probed(self, rows: list[Deployment]) -> dict[str, Json]:
        gate, prober = asyncio.Semaphore(TOGETHER), self.prober()

        async def one(row: Deployment) -> tuple[str, Any]:
            async with gate:
                return row.id, await prober.probe(row)

        checks = await asyncio.gather(*(one(row) for row in rows if can_probe(row)))
        return {name: {"error": check.error_message or check.error_type} for name, check in checks if not check.healthy}


def shown_of(row: Deployment) -> Json:
    return {"model": row.model, "model_name": row.group, "model_id": row.id, "provider": row.provider, "mode": mode_of(row)}
