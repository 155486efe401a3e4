"""/{user,key,team,organization,customer,tag}/daily/activity: numbers by day and what they are made of (reports/daily.py).

Of everything at once (an admin's question without ids), models, providers and endpoints come without the keys behind them.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
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
from tollkeeper.reports.daily import DayRow, activity, by_day, with_listed
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Part

router = APIRouter(tags=["spend"], route_class=StrictRoute)
_MOST_ENTITIES = 200
_ALL_DAYS = 10_000


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
async def of_users(services: Services, actor: Acting, asked: Asked) -> Answer:
    scope = await scope_in_sight(services, actor, user_id=asked.user_id)
    kind, ids = (scope[0], [scope[1]]) if scope else ("user", [])
    return await _answer(services, actor, asked, kind, ids)


@router.get("/key/daily/activity", **a.answers(dict[str, Any]))
async def of_keys(services: Services, actor: Acting, asked: Asked) -> Answer:
    scope = await scope_in_sight(services, actor, api_key=asked.api_key)
    kind, ids = (scope[0], [scope[1]]) if scope else ("key", [])
    return await _answer(services, actor, asked, kind, ids)


@router.get("/team/daily/activity", **a.answers(dict[str, Any]))
async def of_teams(services: Services, actor: Acting, asked: Asked) -> Answer:
    return await _answer(services, actor, asked, "team", await teams_in_sight(services, actor, ids_of(asked.team_ids, "team_ids")))


@router.get("/organization/daily/activity", **a.answers(dict[str, Any]))
async def of_organizations(services: Services, actor: Acting, asked: Asked) -> Answer:
    ids = ids_of(asked.organization_ids, "organization_ids")
    return await _answer(services, actor, asked, "organization", await organizations_in_sight(services, actor, ids))


@router.get("/customer/daily/activity", **a.answers(dict[str, Any]))
async def of_customers(services: Services, actor: Acting, asked: Asked) -> Answer:
    return await _answer(services, actor, asked, "customer", ids_of(asked.end_user_ids or asked.customer_ids, "end_user_ids"))


@router.get("/tag/daily/activity", **a.answers(dict[str, Any]))
async def of_tags(services: Services, actor: Acting, asked: Asked) -> Answer:
    return await _answer(services, actor, asked, "tag", ids_of(asked.tags, "tags"))


for _path, _whole in (
    ("user", of_users),
    ("key", of_keys),
    ("team", of_teams),
    ("organization", of_organizations),
    ("customer", of_customers),
    ("tag", of_tags),
):
    router.get(f"/{_path}/daily/activity/aggregated", name=f"{_whole.__name__}_at_once", **a.answers(dict[str, Any]))(_whole)


async def _answer(services: AdminServices, actor: Actor, asked: Activity, kind: str, ids: list[str]) -> Answer:
    days = days_of(asked.start_date, asked.end_date, services.clock.now())
    key = await key_in_sight(services, actor, asked.api_key) if asked.api_key else None
    await services.reader.fresh()
    rows = await _rows(services, asked, kind, ids, key=key, days=days)
    hashes = _names(row.api_keys for row in rows.values())
    entities = _names(row.entities for row in rows.values())
    return activity(
        rows,
        entity=await entity_names(services, kind, entities),
        key=await key_names(services, hashes),
        page=asked.page,
        page_size=asked.page_size,
    )


async def _rows(services: AdminServices, asked: Activity, kind: str, ids: list[str], *, key: str | None, days: Days) -> dict[str, DayRow]:
    reader = services.reader
    if key is not None and not ids:
        label = {"user": "user_id", "team": "team_id", "key": "key_hash"}.get(kind)
        return by_day((part.label(label) if label else None, part) for part in _of(asked, await reader.parts("key", key, days)))
    if not ids and kind in {"user", "key", "team"}:
        # Every call has a key, and the teams add up to the whole: what all of them spent is what everybody spent.
        rows = by_day((None, part) for part in _of(asked, await reader.all_parts(days)))
        if asked.model is None:
            with_listed(rows, await reader.by_day_and_value(kind, days), await reader.by_day_and_value("key", days))
        return rows
    ids = ids or list(await reader.by_value(kind, days))
    if len(ids) > _MOST_ENTITIES:
        raise BadRequest(f"there are {len(ids)} of them in these days; name those you mean, {_MOST_ENTITIES} at most", param=f"{kind}_ids")
    found: list[tuple[str | None, Part]] = []
    for entity in ids:
        parts = _of(asked, await reader.parts(kind, entity, days))
        found += [(entity, part) for part in parts if key is None or part.label("key_hash") == key]
    return by_day(found)


def _of(asked: Activity, parts: list[Part]) -> list[Part]:
    if asked.model is None:
        return parts
    return [part for part in parts if asked.model in {part.label("model"), part.label("upstream_model")}]


def _names(tables: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))
