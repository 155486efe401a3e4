"""/{user,key,team,organization,customer,tag}/daily/activity: numbers by day and what they are made of (reports/daily.py).

Of everything at once (an admin's question without ids), models, providers and endpoints come without the keys behind them. A page then has
as many days as MOST_ROWS allows, one row being one key on one day: `has_more` says that there are others, as LiteLLM's own pages do. What
is `aggregated` has no pages; where it would be too much, of the keys and entities those are told that spent most.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.listing import pages
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import (
    entity_names,
    ids_of,
    key_in_sight,
    key_names,
    organizations_in_sight,
    scope_in_sight,
    teams_in_sight,
)
from tollkeeper.errors import BadRequest
from tollkeeper.reports.daily import DayPage, DayRow, activity, by_day, listed, page_of, with_listed
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Part, Reader, Tally, largest

router = APIRouter(tags=["spend"], route_class=StrictRoute)
_MOST_ENTITIES, _MOST_PARTS = 50, 20_000
_ALL_DAYS, _ALL_ROWS = 10_000, 10**9
MOST_ROWS = 6000
"""With a 64-character hash and an alias, a row is about 800 bytes of the answer, of which Lambda lets 6 MB pass."""
_MOST_AT_ONCE = 50


class Activity(BaseModel):
    """The query of all these routes. `*_ids` are lists with commas."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    start_date: str | None = Field(None, max_length=40)
    end_date: str | None = Field(None, max_length=40)
    model: str | None = Field(None, max_length=512)
    api_key: str | None = Field(None, max_length=512)
    user_id: str | None = Field(None, max_length=256)
    team_ids: str | None = Field(None, max_length=26_000)
    organization_ids: str | None = Field(None, max_length=26_000)
    end_user_ids: str | None = Field(None, max_length=26_000)
    customer_ids: str | None = Field(None, max_length=26_000)
    tags: str | None = Field(None, max_length=26_000)
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(1000, ge=1, le=1000)


Asked = Annotated[Activity, Query()]
Answer = dict[str, Any]


@router.get("/user/daily/activity", **a.answers(dict[str, Any]))
@router.get("/user/daily/activity/aggregated", name="all of users", **a.answers(dict[str, Any]))
async def of_users(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    scope = await scope_in_sight(services, actor, user_id=asked.user_id)
    kind, ids = (scope[0], [scope[1]]) if scope else ("user", [])
    return await _answer(request, services, actor, asked, kind=kind, ids=ids)


@router.get("/key/daily/activity", **a.answers(dict[str, Any]))
@router.get("/key/daily/activity/aggregated", name="all of keys", **a.answers(dict[str, Any]))
async def of_keys(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    scope = await scope_in_sight(services, actor, api_key=asked.api_key)
    kind, ids = (scope[0], [scope[1]]) if scope else ("key", [])
    return await _answer(request, services, actor, asked, kind=kind, ids=ids)


@router.get("/team/daily/activity", **a.answers(dict[str, Any]))
@router.get("/team/daily/activity/aggregated", name="all of teams", **a.answers(dict[str, Any]))
async def of_teams(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    teams = await teams_in_sight(services, actor, ids_of(asked.team_ids, "team_ids"))
    return await _answer(request, services, actor, asked, kind="team", ids=teams)


@router.get("/organization/daily/activity", **a.answers(dict[str, Any]))
@router.get("/organization/daily/activity/aggregated", name="all of organizations", **a.answers(dict[str, Any]))
async def of_organizations(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    ids = ids_of(asked.organization_ids, "organization_ids")
    return await _answer(request, services, actor, asked, kind="organization", ids=await organizations_in_sight(services, actor, ids))


@router.get("/customer/daily/activity", **a.answers(dict[str, Any]))
@router.get("/customer/daily/activity/aggregated", name="all of customers", **a.answers(dict[str, Any]))
async def of_customers(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    ids = ids_of(asked.end_user_ids or asked.customer_ids, "end_user_ids")
    return await _answer(request, services, actor, asked, kind="customer", ids=ids)


@router.get("/tag/daily/activity", **a.answers(dict[str, Any]))
@router.get("/tag/daily/activity/aggregated", name="all of tags", **a.answers(dict[str, Any]))
async def of_tags(request: Request, services: Services, actor: Acting, asked: Asked) -> Answer:
    return await _answer(request, services, actor, asked, kind="tag", ids=ids_of(asked.tags, "tags"))


async def _answer(request: Request, services: AdminServices, actor: Actor, asked: Activity, *, kind: str, ids: list[str]) -> Answer:
    days = days_of(asked.start_date, asked.end_date, services.clock.now())
    key = await key_in_sight(services, actor, asked.api_key) if asked.api_key else None
    await services.reader.fresh()
    at_once = request.url.path.endswith("/aggregated")
    if key is None and not ids:
        shown = await Everybody(services.reader, asked, kind, days).page(at_once=at_once)
    else:
        shown = _page(asked, await _rows(services.reader, asked, kind, ids, key=key, days=days), at_once=at_once)
    entity = await entity_names(services, kind, _names(row.entities for row in shown.rows.values()))
    return activity(shown, entity=entity, key=await key_names(services, _names(row.api_keys for row in shown.rows.values())))


async def _rows(reader: Reader, asked: Activity, kind: str, ids: list[str], *, key: str | None, days: Days) -> dict[str, DayRow]:
    if key is not None and not ids:
        label = {"user": "user_id", "team": "team_id", "key": "key_hash"}.get(kind)
        return by_day((part.label(label) if label else None, part) for part in _of(asked, await reader.parts("key", key, days)))
    found = await reader.parts_of(kind, ids, days)
    return by_day(
        (entity, part) for entity, parts in found.items() for part in _of(asked, parts) if key is None or part.label("key_hash") == key
    )


def _page(asked: Activity, rows: Mapping[str, DayRow], *, at_once: bool) -> DayPage:
    return page_of(rows, 1, _ALL_DAYS, _ALL_ROWS) if at_once else page_of(rows, asked.page, asked.page_size, MOST_ROWS)


class Everybody:
    """What all of a kind did."""

    def __init__(self, reader: Reader, asked: Activity, kind: str, days: Days) -> None:
        self._reader, self._asked, self._kind, self._days = reader, asked, kind, days
        self._is_whole = kind in {"user", "key", "team"}
        """Every call has a key, and the teams add up to the whole: what all of them spent is what everybody spent."""

    async def page(self, *, at_once: bool) -> DayPage:
        asked, called = self._asked, sorted(await self._reader.by_day(self._days), reverse=True)
        entities = await self._most_of(self._kind, called)
        if not self._is_whole and (rows := await self._in_parts(entities)) is not None:
            return _page(asked, rows, at_once=at_once)
        if asked.model is not None:
            return _page(asked, await self._of_models(self._days), at_once=at_once)
        listed = max(1, entities, await self._most_of("key", called))
        if at_once and len(called) * listed > MOST_ROWS:
            return _page(asked, await self._largest(), at_once=True)
        size = min(asked.page_size, max(1, MOST_ROWS // listed))
        shown = called[(asked.page - 1) * size : asked.page * size]
        return DayPage(await self._listed(shown) if shown else {}, asked.page, pages(len(called), size))

    async def _in_parts(self, entities: int) -> dict[str, DayRow] | None:
        """With models and keys, where they are few."""
        if entities > _MOST_ENTITIES:
            return None
        ids = list(await self._reader.by_value(self._kind, self._days))
        found = await self._reader.few_parts_of(self._kind, ids, self._days, _MOST_PARTS)
        return by_day((entity, part) for entity, parts in found.items() for part in _of(self._asked, parts)) if found is not None else None

    async def _most_of(self, kind: str, days: Sequence[str]) -> int:
        """How many of a kind there were in the busiest of these days' months."""
        return max([len(await self._reader.names(kind, month)) for month in dict.fromkeys(day[:7] for day in days)], default=0)

    async def _of_models(self, days: Days) -> dict[str, DayRow]:
        if not self._is_whole:
            raise BadRequest(f"of so many, name those you mean, {_MOST_ENTITIES} at most", param=f"{self._kind}_ids")
        return by_day((None, part) for part in _of(self._asked, await self._reader.all_parts(days)))

    async def _listed(self, shown: Sequence[str]) -> dict[str, DayRow]:
        days = Days(date.fromisoformat(shown[-1]), date.fromisoformat(shown[0]))
        entities = await self._reader.by_day_and_value(self._kind, days)
        if not self._is_whole:
            return listed(entities)
        rows = await self._of_models(days)
        with_listed(rows, entities, entities if self._kind == "key" else await self._reader.by_day_and_value("key", days))
        return rows

    async def _largest(self) -> dict[str, DayRow]:
        """All days, with the entities and keys that spent most."""
        entities = await self._daily(self._kind)
        if not self._is_whole:
            return listed(entities)
        rows = await self._of_models(self._days)
        with_listed(rows, entities, await self._daily("key"))
        return rows

    async def _daily(self, kind: str) -> dict[str, dict[str, Tally]]:
        """Day → value → numbers."""
        found: dict[str, dict[str, Tally]] = {}
        names = [name for name, _ in largest(await self._reader.by_value(kind, self._days), _MOST_AT_ONCE)]
        for name, parts in (await self._reader.parts_of(kind, names, self._days)).items():
            for part in parts:
                found.setdefault(part.day, {}).setdefault(name, Tally()).merge(part.tally)
        return found


def _of(asked: Activity, parts: list[Part]) -> list[Part]:
    if asked.model is None:
        return parts
    return [part for part in parts if asked.model in {part.label("model"), part.label("upstream_model")}]


def _names(tables: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))
