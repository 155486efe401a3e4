"""/metrics, as Prometheus reads it: usage from the sums, budgets from records and counters. https://docs.litellm.ai/docs/proxy/prometheus"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from tollkeeper.admin.kinds import CUSTOMER, KEY, ORGANIZATION, TEAM, USER, Kind
from tollkeeper.admin.listing import walk
from tollkeeper.admin.parts import Spend
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import AdminServices, Services, authorized
from tollkeeper.auth.records import Record
from tollkeeper.money import nano_to_usd
from tollkeeper.reports.exposition import CONTENT_TYPE, Family, text_of
from tollkeeper.reports.prometheus import Usage, drift_families
from tollkeeper.store import items

MOST_OWNERS = 200
"""Budgets shown of each kind: those of the newest records that have one."""
BELIEVED_SECONDS = 15.0
_AT_ONCE = 16
_HOUR = 3600

router = APIRouter(tags=["metrics"], route_class=StrictRoute)


@dataclass(frozen=True, slots=True)
class _Owner:
    """How LiteLLM calls the budgets of a kind, and its labels: (label, the record's field)."""

    kind: Kind[Record]
    word: str
    labels: tuple[tuple[str, str], ...]


_OWNERS = (
    _Owner(KEY, "api_key", (("hashed_api_key", "key_hash"), ("api_key_alias", "key_alias"))),  # type: ignore[arg-type]  # reads only
    _Owner(TEAM, "team", (("team", "team_id"), ("team_alias", "team_alias"))),  # type: ignore[arg-type]
    _Owner(ORGANIZATION, "org", (("org_id", "organization_id"), ("org_alias", "organization_alias"))),  # type: ignore[arg-type]
    _Owner(USER, "user", (("user", "user_id"),)),  # type: ignore[arg-type]
    _Owner(CUSTOMER, "customer", (("end_user", "customer_id"),)),  # type: ignore[arg-type]
)


@dataclass(slots=True)
class Scrapes:
    """One per process: what was shown last, and until when that is believed."""

    usage: Usage
    text: str = ""
    until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, services: AdminServices) -> str:
        async with self.turn:
            if services.clock.monotonic() >= self.until:
                families = [*await self.usage.families(), *await budget_families(services)]
                if services.drift is not None:
                    families += drift_families(await services.drift())
                self.text = text_of(families)
                self.until = services.clock.monotonic() + BELIEVED_SECONDS
            return self.text


async def _scraper(request: Request, services: Services) -> None:
    """LiteLLM's switch: whoever may reach /metrics may read it."""
    if services.settings.get("require_auth_for_metrics_endpoint") is not False:
        await authorized(request, services)


@router.get("/metrics", response_class=PlainTextResponse, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request, services: Services, _: Annotated[None, Depends(_scraper)]) -> PlainTextResponse:
    """Usage of this month and what is left of budgets, in Prometheus' text format."""
    scrapes: Scrapes | None = getattr(request.app.state, "scrapes", None)
    if scrapes is None:
        scrapes = request.app.state.scrapes = Scrapes(Usage(services.reader, services.clock))
    return PlainTextResponse(await scrapes.read(services), media_type=CONTENT_TYPE)


async def budget_families(services: AdminServices) -> list[Family]:
    """What is left of each budget, how large it is, and the hours until it begins anew."""
    found: list[Family] = []
    for owner in _OWNERS:
        left = Family(f"litellm_remaining_{owner.word}_budget_metric", "gauge", "Dollars left in the present window.")
        most = Family(f"litellm_{owner.word}_max_budget_metric", "gauge", "Dollars of the budget.")
        hours = Family(f"litellm_{owner.word}_budget_remaining_hours_metric", "gauge", "Hours until the budget begins anew.")
        async for record, spend in _budgeted(services, owner):
            labels = {label: str(getattr(record, name, None) or "") for label, name in owner.labels}
            left.add(nano_to_usd(record.max_budget - spend.spent), labels)
            most.add(nano_to_usd(record.max_budget), labels)
            if spend.resets_at is not None:
                hours.add(max(0.0, spend.resets_at - services.clock.now()) / _HOUR, labels)
        found += [left, most, hours]
    return found


async def _budgeted(services: AdminServices, owner: _Owner) -> AsyncIterator[tuple[Any, Spend]]:
    partition = items.listing(owner.kind.listing)
    found = await walk(services.directory, owner.kind.record, partition, keep=_has_budget, most=MOST_OWNERS)
    for few in _some(found.records):
        spends = await asyncio.gather(*(services.spent(owner.kind.word, owner.kind.id_of(each), _duration(each)) for each in few))
        for pair in zip(few, spends, strict=True):
            yield pair


def _has_budget(record: Record) -> bool:
    return getattr(record, "max_budget", None) is not None


def _duration(record: Record) -> str | None:
    duration: str | None = getattr(record, "budget_duration", None)
    return duration


def _some(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    return (records[start : start + _AT_ONCE] for start in range(0, len(records), _AT_ONCE))
