"""/global/spend/report and /{key,user,team,organization}/spend/report: what a range of days was spent on, by whom
(https://docs.litellm.ai/docs/proxy/cost_tracking#-enterprise-generate-spend-reports), and /provider/budgets.
"""

from collections.abc import Callable, Iterable, Mapping
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
MOST_ROWS = 20_000
"""Of models and keys that are told apart, in one answer: with 200 bytes each, what Lambda lets pass."""
_MOST_GROUPS = 50
_MOST_CUSTOMER_DAYS = 40_000


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
    """One key's, user's, team's or customer's, or everybody's by group. Of more than MOST_ROWS rows, those of one group and day are told as
    one, without model and key: ask for fewer days, or for one group, to see them apart.
    """
    days = await _days(services, start_date, end_date)
    key = await key_in_sight(services, actor, api_key) if api_key else None
    for kind, value in (("key", key), ("user", internal_user_id), ("team", team_id), ("customer", customer_id)):
        if value:
            return _by_key(await services.reader.parts(kind, value, days))
    if group_by == "customer":
        return await _by_customer(services, days)
    parts = await services.reader.everything(days, MOST_ROWS)
    if group_by == "api_key":
        return _by_key(parts if parts is not None else _untold(await services.reader.by_value("key", days), "key_hash"))
    if parts is None:
        daily = await services.reader.by_day_and_value("team", days)
        parts = [part for day, teams in daily.items() for part in _untold(teams, "team_id", day)]
    name = await team_alias_of(services, list(dict.fromkeys(part.label("team_id") for part in parts)))
    return _by_day(((part.label("team_id"), part) for part in parts), "team", name)


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
    days = await _days(services, start_date, end_date)
    if ids:
        found = await services.reader.parts_of("organization", ids, days)
    else:
        every = list(await services.reader.by_value("organization", days))
        few = await services.reader.few_parts_of("organization", every, days, MOST_ROWS) if len(every) <= _MOST_GROUPS else None
        if few is None:
            raise BadRequest("This is too much for one answer: name an organization, or narrow the dates.", param="organization_id")
        found = few
    return _by_key(part for parts in found.values() for part in parts)


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


async def _by_customer(services: AdminServices, days: Days) -> Rows:
    customers = list(await services.reader.by_value("customer", days))
    if len(customers) <= _MOST_GROUPS:
        found = await services.reader.few_parts_of("customer", customers, days, MOST_ROWS)
        if found is not None:
            return _by_day(((customer, part) for customer, some in found.items() for part in some), "customer", str)
    if len(customers) * len(days) > _MOST_CUSTOMER_DAYS:
        raise BadRequest(f"these days have {len(customers)} customers; narrow start_date and end_date, or name one", param="customer_id")
    daily = await services.reader.by_day_and_value("customer", days)
    rows = ((part.label("customer"), part) for day, tallies in daily.items() for part in _untold(tallies, "customer", day))
    return _by_day(rows, "customer", str)


def _untold(tallies: Mapping[str, Tally], label: str, day: str = "") -> list[Part]:
    """One part for all models and keys of each, where telling them apart would be too much."""
    return [Part(day, Tally(tally.numbers, {label: value})) for value, tally in tallies.items()]


def _by_day(parts: Iterable[tuple[str, Part]], kind: str, name: Callable[[str], str]) -> Rows:
    """Day → teams or customers → models and keys."""
    found: dict[str, dict[str, list[Part]]] = {}
    for value, part in parts:
        found.setdefault(part.day, {}).setdefault(value, []).append(part)
    field, plural = f"{kind}_name" if kind == "team" else kind, f"{kind}s"
    return [
        {"group_by_day": f"{day}T00:00:00+00:00", plural: [_group(field, name(value), some) for value, some in sorted(owners.items())]}
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
