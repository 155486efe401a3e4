"""Health probes: every deployment is asked for one token, in the background, and the whole fleet learns what came of it.

They cost money, so they run only where `general_settings.background_health_checks` is true, and every one is in the ledger. A deployment
that rests and answers is back at once, without a caller's request being the trial; one that fails counts as a call that failed.
https://docs.litellm.ai/docs/proxy/health
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.auth.principal import MASTER_USER, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.catalog.endpoints import CHAT, EMBEDDINGS, Endpoint, mode_of
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import CallerError, StoreUnavailable, TollkeeperError
from tollkeeper.routing.checks import Check, HealthLog
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.resolve import Groups

log = logging.getLogger("tollkeeper.health")

NAME = "health_check"
INTERVAL_SECONDS = 300.0
TOGETHER = 4
"""Probes at once."""
_KEY = KeyRecord(key_hash=NAME, key_name=NAME, key_alias=NAME, user_id=MASTER_USER)
_CHAT: Mapping[str, Any] = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
_PROBES: Mapping[str, tuple[Endpoint, Mapping[str, Any]]] = {
    "chat": (CHAT, _CHAT),
    "responses": (CHAT, _CHAT),
    "embedding": (EMBEDDINGS, {"input": "ping"}),
}
"""By mode; a deployment of another mode is not probed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`interval` in seconds. `groups` None: every model."""

    interval: float
    groups: frozenset[str] | None = None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Schedule | None":
        """None: nothing is probed unless somebody asks for it."""
        general = snapshot.settings.get("general_settings", {})
        if general.get("background_health_checks") is not True:
            return None
        named = general.get("background_health_check_model_groups")
        return cls(float(general.get("health_check_interval") or INTERVAL_SECONDS), frozenset(named) if named else None)


def can_probe(row: Deployment) -> bool:
    return mode_of(row) in _PROBES and "*" not in row.model


class Prober:
    def __init__(
        self,
        serve: Callable[[Call], Awaitable[object]],
        groups: Callable[[], Groups],
        *,
        fleet: Fleet,
        health_log: HealthLog,
        clock: Clock,
        schedule: Schedule | None,
    ) -> None:
        self._serve, self._groups, self._fleet, self._log, self._clock = serve, groups, fleet, health_log, clock
        self.schedule = schedule

    async def probe_all(self) -> int:
        """One round, if probes are switched on. Returns how many deployments were asked."""
        if self.schedule is None:
            return 0
        gate = asyncio.Semaphore(TOGETHER)

        async def one(row: Deployment) -> None:
            async with gate:
                await self.probe(row)

        rows = [row for row in self._unique() if self._wanted(row)]
        await asyncio.gather(*(one(row) for row in rows))
        return len(rows)

    async def probe_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while self.schedule is not None:
            await self.probe_all()
            await asyncio.sleep(self.schedule.interval)

    async def probe(self, row: Deployment) -> Check | None:
        """Asks, tells the fleet, and keeps the result; a store that is away loses the last, and only that. None: it may not be asked."""
        endpoint, body = _PROBES[mode_of(row)]
        request = {**body, "model": row.id, "num_retries": 0}
        began, error = self._clock.monotonic(), None
        call_id = self._clock.new_id()
        call = Call(
            call_id,
            call_id,
            request,
            orjson.dumps(request),
            {},
            endpoint=endpoint,
            principal=principal_of(_KEY, is_master=True),
            internal=True,
        )
        try:
            await self._serve(call)
        except CallerError as refused:
            # Our own rules or budgets: nothing is known of the deployment.
            log.warning("health_check_refused deployment=%s %s", row.id, refused.type)
            return None
        except TollkeeperError as failed:
            error = failed
        seconds = self._clock.monotonic() - began
        check = _check(row, error, round(seconds * 1000))
        group = self._groups().find(row.group)
        if group is not None:
            await self._fleet.observed(row, group.policy, error, seconds, peers=len(group.deployments) > 1)
        try:
            await self._log.note(check)
        except StoreUnavailable as away:
            log.warning("health_check_unwritten %s", away.message)
        return check

    def _unique(self) -> list[Deployment]:
        """A mixture repeats the deployments of its members."""
        return list({row.id: row for row in reversed(self._groups().snapshot.deployments)}.values())

    def _wanted(self, row: Deployment) -> bool:
        named = self.schedule is None or self.schedule.groups is None or row.group in self.schedule.groups
        return named and can_probe(row) and row.info.get("disable_background_health_check") is not True


def _check(row: Deployment, error: TollkeeperError | None, milliseconds: int) -> Check:
    if error is None:
        return Check(row.group, row.id, healthy=True, response_time_ms=milliseconds)
    return Check(row.group, row.id, healthy=False, response_time_ms=milliseconds, error_type=error.type, error_message=error.message[:500])
