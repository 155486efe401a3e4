"""/spend/keys, /spend/users, /spend/tags and /global/spend*: who spent how much (https://docs.litellm.ai/docs/proxy/cost_tracking).

Without dates these are about the last 30 days, as LiteLLM's are. Who may not see everything sees what is their own.
"""

import asyncio
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.keys import row_of as key_row_of
from tollkeeper.admin.kinds import KEY, TEAM, USER, Kind
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models_spend import EndUserSpend
from tollkeeper.admin.reach import existing
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import ids_of, key_in_sight, key_names, self_in_sight, team_alias_of
from tollkeeper.admin.users import row_of as user_row_of
from tollkeeper.admin.values import QueryName
from tollkeeper.auth.records import Record
from tollkeeper.errors import BadRequest
from tollkeeper.ledger.sums import ALL
from tollkeeper.money import ZERO, nano_to_usd
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Part, Tally, largest
from tollkeeper.store import items

router = APIRouter(tags=["spend"], route_class=StrictRoute)
R = TypeVar("R", bound=Record)
BACK_DAYS = 30
_MOST_ROWS = 1000
Date = Annotated[str | None, Query(max_length=40)]
Limit = Annotated[int, Query(ge=1, le=_MOST_ROWS)]
Rows = list[dict[str, Any]]


@router.get("/spend/keys", **a.answers(list[dict[str, Any]]))
async def spend_keys(services: Services, _actor: Acting, limit: Limit = 100) -> Rows:
    """Rows of the keys that spent most in the last 30 days, then of the newest; `spend` is that of the budget's present window."""
    records = await _top(services, KEY, limit)
    return _ranked([await key_row_of(services, record) for record in records])


@router.get("/spend/users", **a.answers(list[dict[str, Any]]))
async def spend_users(services: Services, actor: Acting, user_id: QueryName | None = None, limit: Limit = 100) -> Rows:
    """As /spend/keys."""
    if user_id:
        return [await user_row_of(services, await existing(services, actor, USER, user_id))]
    records = await _top(services, USER, limit)
    return _ranked([await user_row_of(services, record) for record in records])


@router.get("/spend/tags", **a.answers(list[dict[str, Any]]))
async def spend_tags(services: Services, _actor: Acting, start_date: Date = None, end_date: Date = None) -> Rows:
    found = await _by_value(services, "tag", await _days(services, start_date, end_date))
    return [
        {"individual_request_tag": tag, "log_count": tally["requests"], "total_spend": nano_to_usd(tally["spend"])}
        for tag, tally in largest(found)
    ]


@router.get("/global/spend", **a.answers(dict[str, Any]))
async def whole(services: Services, _actor: Acting) -> dict[str, Any]:
    """Of the last 30 days, and the whole gateway's budget (litellm_settings.max_budget)."""
    found = await services.reader.by_day(await _days(services, None, None))
    return {
        "spend": nano_to_usd(sum(tally["spend"] for tally in found.values())),
        "max_budget": float(services.settings.get("max_budget") or 0),
    }


@router.get("/global/spend/logs", **a.answers(list[dict[str, Any]]))
async def by_day(services: Services, actor: Acting, api_key: Annotated[str | None, Query(max_length=512)] = None) -> Rows:
    """Day by day, the last 30."""
    scope = ("key", await key_in_sight(services, actor, api_key)) if api_key else await self_in_sight(actor)
    days = await _days(services, None, None)
    found = await (services.reader.daily(*scope, days) if scope else services.reader.by_day(days))
    return [{"date": day, "spend": nano_to_usd(tally["spend"])} for day, tally in sorted(found.items())]


@router.get("/global/spend/keys", **a.answers(list[dict[str, Any]]))
async def by_key(services: Services, actor: Acting, limit: Limit = 100, start_date: Date = None, end_date: Date = None) -> Rows:
    scope, days = await self_in_sight(actor), await _days(services, start_date, end_date)
    if scope is not None:
        names = await key_names(services, [part.label("key_hash") for part in await services.reader.parts(*scope, days)])
        found = _grouped(await services.reader.parts(*scope, days), "key_hash")
        rows = [(key, tally, names(key)["key_alias"], "") for key, tally in largest(found, limit)]
    else:
        listed = largest(await services.reader.by_value("key", days), limit)
        rows = [(key, tally, tally.labels.get("key_alias"), tally.labels.get("key_name", "")) for key, tally in listed]
    return [
        {"api_key": key, "key_alias": alias, "key_name": name, "total_spend": nano_to_usd(tally["spend"])}
        for key, tally, alias, name in rows
    ]


@router.get("/global/spend/models", **a.answers(list[dict[str, Any]]))
async def by_model(services: Services, actor: Acting, limit: Limit = 10, start_date: Date = None, end_date: Date = None) -> Rows:
    found = await _grouped_parts(services, actor, await _days(services, start_date, end_date), "upstream_model")
    return [
        {"model": model, "total_spend": nano_to_usd(tally["spend"]), "total_tokens": tally.tokens} for model, tally in largest(found, limit)
    ]


@router.get("/global/spend/provider", **a.answers(list[dict[str, Any]]))
async def by_provider(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None) -> Rows:
    found = await _grouped_parts(services, actor, await _days(services, start_date, end_date), "provider")
    return [{"provider": name or "Unassigned Provider", "spend": nano_to_usd(tally["spend"])} for name, tally in largest(found)]


@router.get("/global/spend/teams", **a.answers(dict[str, Any]))
async def by_team(services: Services, _actor: Acting) -> dict[str, Any]:
    """Day by day, a column for each team's name, the last 30 days."""
    found = await services.reader.by_day_and_value("team", await _days(services, None, None))
    total: dict[str, Tally] = {}
    for teams in found.values():
        for team_id, tally in teams.items():
            total.setdefault(team_id, Tally()).merge(tally)
    name = await team_alias_of(services, total)
    daily: Rows = []
    for day, teams in sorted(found.items()):
        row: dict[str, Any] = {"date": day}
        for team_id, tally in teams.items():
            row[name(team_id)] = nano_to_usd(tally["spend"])
        daily.append(row)
    ranked = [{"team_id": name(team_id), "total_spend": nano_to_usd(tally["spend"])} for team_id, tally in largest(total)]
    return {"daily_spend": daily, "teams": [name(team_id) for team_id in total], "total_spend_per_team": ranked}


@router.get("/global/spend/tags", **a.answers(dict[str, Any]))
async def by_tag(
    services: Services,
    _actor: Acting,
    start_date: Date = None,
    end_date: Date = None,
    tags: Annotated[str | None, Query(max_length=4096)] = None,
) -> dict[str, Any]:
    found = await _by_value(services, "tag", days_of(start_date, end_date, services.clock.now()))
    wanted = ids_of(tags, "tags")
    shown = {tag: tally for tag, tally in found.items() if not wanted or tag in wanted or "all-tags" in wanted}
    return {
        "spend_per_tag": [
            {"name": tag, "spend": nano_to_usd(tally["spend"]), "log_count": tally["requests"]} for tag, tally in largest(shown)
        ]
    }


@router.get("/global/spend/all_tag_names", **a.answers(dict[str, Any]))
async def tag_names(services: Services, _actor: Acting) -> dict[str, Any]:
    return {"tag_names": await _names(services, "tag")}


@router.get("/global/all_end_users", **a.answers(dict[str, Any]))
async def end_users(services: Services, _actor: Acting) -> dict[str, Any]:
    return {"end_users": await _names(services, "customer")}


@router.post("/global/spend/end_users", **a.answers(list[dict[str, Any]]))
async def by_customer(body: EndUserSpend, services: Services, actor: Acting) -> Rows:
    """The hundred that spent most."""
    days = await _days(services, body.startTime, body.endTime)
    found = await _by_value(services, "customer", days)
    ranked = largest(found)
    if body.api_key:
        key = await key_in_sight(services, actor, body.api_key)
        ranked = largest(await _customers_of(services, [name for name, _ in ranked[:_MOST_ROWS]], key, days))
    return [
        {"end_user": name, "total_count": tally["requests"], "total_spend": nano_to_usd(tally["spend"])} for name, tally in ranked[:100]
    ]


@router.post("/global/spend/refresh", **a.answers(dict[str, Any]))
async def refresh(services: Services, _actor: Acting) -> dict[str, Any]:
    """LiteLLM's views have to be refreshed; these sums are kept up to date."""
    await services.reader.fresh()
    return {"message": "The sums are up to date.", "status": "success"}


@router.post("/global/spend/reset", **a.answers(dict[str, Any]))
async def reset(services: Services, actor: Acting) -> dict[str, Any]:
    """Sets what every key and team has spent in its present window to 0. The ledger keeps everything."""
    if services.spend_writer is None:
        raise BadRequest("This installation has no counters to reset.")
    for kind in (KEY, TEAM):
        for record in (await walk(services.directory, kind.record, items.listing(kind.listing))).records:
            await services.spend_writer.set_spend(kind.word, kind.id_of(record), record.budget_duration, ZERO)
    return {"message": "Spend for all API Keys and Teams reset successfully", "status": "success"}


async def _days(services: AdminServices, start: str | None, end: str | None) -> Days:
    days = days_of(start, end, services.clock.now(), back=BACK_DAYS)
    await services.reader.fresh()
    return days


async def _by_value(services: AdminServices, kind: str, days: Days) -> dict[str, Tally]:
    await services.reader.fresh()
    return await services.reader.by_value(kind, days)


async def _top(services: AdminServices, kind: Kind[R], limit: int) -> list[R]:
    """The records that spent most in the last 30 days; where they are fewer than `limit`, the newest others after them."""
    found = await _by_value(services, kind.word, await _days(services, None, None))
    ids = [name for name, _ in largest(found, limit)]
    wanted = await asyncio.gather(*(services.revisions.find(kind, each) for each in ids))
    records = {kind.id_of(record): record for record in wanted if record}
    if len(records) < limit:
        newest = await walk(services.directory, kind.record, items.listing(kind.listing), most=limit)
        records = {**{kind.id_of(record): record for record in newest.records}, **records}
    return [*(records[each] for each in ids if each in records), *(record for each, record in records.items() if each not in ids)][:limit]


def _ranked(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: -row["spend"])


async def _grouped_parts(services: AdminServices, actor: Actor, days: Days, label: str) -> dict[str, Tally]:
    scope = await self_in_sight(actor) or (ALL, "")
    return _grouped(await services.reader.parts(*scope, days), label)


def _grouped(parts: list[Part], label: str) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for part in parts:
        found.setdefault(part.label(label), Tally()).merge(part.tally)
    return found


async def _names(services: AdminServices, kind: str) -> list[str]:
    """Of the last year."""
    await services.reader.fresh()
    names: set[str] = set()
    for month in (await services.reader.months())[-12:]:
        names.update(await services.reader.names(kind, month))
    return sorted(names)


async def _customers_of(services: AdminServices, names: list[str], key: str, days: Days) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for name in names:
        for part in await services.reader.parts("customer", name, days):
            if part.label("key_hash") == key:
                found.setdefault(name, Tally()).merge(part.tally)
    return found
