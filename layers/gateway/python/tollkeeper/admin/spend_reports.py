"""/global/spend/report and /{key,user,team,organization}/spend/report: what a range of days was spent on, by whom
(https://docs.litellm.ai/docs/proxy/cost_tracking#-enterprise-generate-spend-reports), and /provider/budgets.
"""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import (
    key_in_sight,
    organizations_in_sight,
    own,
    scope_in_sight,
    team_alias_of,
    teams_in_sight,
)
from tollkeeper.clock import iso
from tollkeeper.errors import BadRequest
from tollkeeper.money import nano_to_usd
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Part, Tally

router = APIRouter(tags=["spend"], route_class=StrictRoute)
Rows = list[dict[str, Any]]
Date = Annotated[str | None, Query(max_length=40)]
Text = Annotated[str | None, Query(max_length=512)]
_AT_ONCE = 8


@router.get("/global/spend/report", **a.answers(list[dict[str, Any]]))
async def report(
    services: Services,
    actor: Acting,
    *,
    start_date: Date = None,
    end_date: Date = None,
    group_by: Literal["team", "customer", "api_key"] = "team",
    api_key: Text = None,
    internal_user_id: Text = None,
    team_id: Text = None,
    customer_id: Text = None,
) -> Rows:
    """One key's, user's, team's or customer's, or everybody's by group."""
    days = await _days(services, start_date, end_date)
    key = await key_in_sight(services, actor, api_key) if api_key else None
    for kind, value in (("key", key), ("user", internal_user_id), ("team", team_id), ("customer", customer_id)):
        if value:
            return _by_key(await services.reader.parts(kind, value, days))
    if group_by == "api_key":
        return _by_key(await _parts_of_all(services, "key", days))
    return await _by_day(services, group_by, days)


@router.get("/key/spend/report", **a.answers(list[dict[str, Any]]))
async def of_key(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None, api_key: Text = None) -> Rows:
    """Without `api_key`, the caller's own."""
    key = await key_in_sight(services, actor, api_key) if api_key else actor.principal.key_hash
    return _by_key(await services.reader.parts("key", key, await _days(services, start_date, end_date)))


@router.get("/user/spend/report", **a.answers(list[dict[str, Any]]))
async def of_user(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None, user_id: Text = None) -> Rows:
    """Without `user_id`, the caller's own."""
    scope = await scope_in_sight(services, actor, user_id=user_id) if user_id else own(actor)
    return _by_key(await services.reader.parts(*(scope or own(actor)), await _days(services, start_date, end_date)))


@router.get("/team/spend/report", **a.answers(list[dict[str, Any]]))
async def of_team(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None, team_id: Text = None) -> Rows:
    """Without `team_id`, the team of the caller's key."""
    wanted = team_id or actor.principal.team_id
    if not wanted:
        raise BadRequest("Please provide team_id", param="team_id")
    (team,) = await teams_in_sight(services, actor, [wanted])
    return _by_key(await services.reader.parts("team", team, await _days(services, start_date, end_date)))


@router.get("/organization/spend/report", **a.answers(list[dict[str, Any]]))
async def of_organization(
    services: Services, actor: Acting, start_date: Date = None, end_date: Date = None, organization_id: Text = None
) -> Rows:
    ids = await organizations_in_sight(services, actor, [organization_id] if organization_id else [])
    days, found = await _days(services, start_date, end_date), list[Part]()
    for each in ids or await services.reader.by_value("organization", days):
        found += await services.reader.parts("organization", each, days)
    return _by_key(found)


@router.get("/provider/budgets", **a.answers(dict[str, Any]))
async def provider_budgets(services: Services, _actor: Acting) -> dict[str, Any]:
    """router_settings.provider_budget_config, and what is spent of it."""
    rows = services.models.settings.get("router_settings", {}).get("provider_budget_config") or {}
    return {"providers": {name: await _provider(services, name, row) for name, row in rows.items()}}


async def _provider(services: AdminServices, name: str, row: dict[str, Any]) -> dict[str, Any]:
    spend = await services.spent("provider", name, row["time_period"])
    return {
        "budget_limit": float(row["budget_limit"]),
        "time_period": row["time_period"],
        "spend": nano_to_usd(spend.spent),
        "budget_reset_at": iso(spend.resets_at) if spend.resets_at is not None else None,
    }


async def _days(services: AdminServices, start: str | None, end: str | None) -> Days:
    days = days_of(start, end, services.clock.now())
    await services.reader.fresh()
    return days


async def _parts_of_all(services: AdminServices, kind: str, days: Days) -> list[Part]:
    values = list(await services.reader.by_value(kind, days))
    found: list[Part] = []
    for start in range(0, len(values), _AT_ONCE):
        parts = await asyncio.gather(*(services.reader.parts(kind, value, days) for value in values[start : start + _AT_ONCE]))
        found += [part for some in parts for part in some]
    return found


def _by_key(parts: Iterable[Part]) -> Rows:
    """Those that spent most first, each with its models."""
    keys: dict[str, dict[str, Tally]] = {}
    for part in parts:
        model = part.label("upstream_model") or part.label("model")
        keys.setdefault(part.label("key_hash"), {}).setdefault(model, Tally()).merge(part.tally)
    rows = [(key, _sum(models.values()), models) for key, models in keys.items()]
    return [
        {"api_key": key, **_cost(total), "model_details": [{"model": model, **_cost(tally)} for model, tally in sorted(models.items())]}
        for key, total, models in sorted(rows, key=lambda row: (-row[1]["spend"], row[0]))
    ]


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total


def _cost(tally: Tally) -> dict[str, Any]:
    return {
        "total_cost": nano_to_usd(tally["spend"]),
        "total_input_tokens": tally["input_tokens"],
        "total_output_tokens": tally["output_tokens"],
    }


async def _by_day(services: AdminServices, kind: str, days: Days) -> Rows:
    """Day → teams or customers → models and keys."""
    values = list(await services.reader.by_value(kind, days))
    found: dict[str, dict[str, list[Part]]] = {}
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        for value, parts in zip(some, await asyncio.gather(*(services.reader.parts(kind, each, days) for each in some)), strict=True):
            for part in parts:
                found.setdefault(part.day, {}).setdefault(value, []).append(part)
    name = await team_alias_of(services, values) if kind == "team" else str
    field, plural = ("team_name", "teams") if kind == "team" else ("customer", "customers")
    return [
        {"group_by_day": f"{day}T00:00:00+00:00", plural: [_group(field, name(value), parts) for value, parts in sorted(owners.items())]}
        for day, owners in sorted(found.items())
    ]


def _group(field: str, name: str, parts: list[Part]) -> dict[str, Any]:
    rows: dict[tuple[str, str], Tally] = {}
    for part in parts:
        model = part.label("upstream_model") or part.label("model")
        rows.setdefault((model, part.label("key_hash")), Tally()).merge(part.tally)
    metadata = [
        {"model": model, "api_key": key, "spend": nano_to_usd(tally["spend"]), "total_tokens": tally.tokens}
        for (model, key), tally in sorted(rows.items())
    ]
    return {field: name, "total_spend": nano_to_usd(sum(tally["spend"] for tally in rows.values())), "metadata": metadata}
