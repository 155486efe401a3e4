"""/reports/*: statements, forecasts, anomalies, what a cap would have done, signed receipts. LiteLLM has none like them."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.kinds import KEY, ORGANIZATION, TEAM, USER
from tollkeeper.admin.kinds import Kind as Kinds
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import key_in_sight, key_names, organizations_in_sight, own, scope_in_sight, teams_in_sight
from tollkeeper.admin.values import BudgetSpan, Dollars, PathName
from tollkeeper.budgets.windows import window_at
from tollkeeper.clock import iso
from tollkeeper.errors import NotFound
from tollkeeper.money import nano_to_usd
from tollkeeper.reports import logs, outlook
from tollkeeper.reports.ranges import Days, days_of, month_at, month_of
from tollkeeper.reports.reader import Reader, largest
from tollkeeper.reports.statement import statement, statement_csv, statement_html

router = APIRouter(prefix="/reports", tags=["reports"], route_class=StrictRoute)
Kind = Literal["key", "team", "user", "organization"]
Text = Annotated[str | None, Query(max_length=512)]
_LOOK_BACK = 56
_MOST_JUDGED = 500
_RECORDS: dict[str, Kinds[Any]] = {"key": KEY, "team": TEAM, "user": USER, "organization": ORGANIZATION}


class WhatIf(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: Kind
    id: str = Field(max_length=512)
    max_budget: Dollars
    budget_duration: BudgetSpan | None = None
    month: str = Field(max_length=7)


@router.get("/statement", response_model=None, responses={200: {"model": dict[str, Any], "description": "OK"}})
async def team_statement(
    services: Services,
    actor: Acting,
    team_id: Annotated[str, Query(max_length=256)],
    month: Text = None,
    format: Literal["json", "csv", "html"] = "json",  # noqa: A002 - the query's word
) -> Response | dict[str, Any]:
    """A team's month (default: the present one), exact to the nano-dollar."""
    (team_id,) = await teams_in_sight(services, actor, [team_id])
    days = month_of(month) if month else month_at(services.clock.now())
    await services.reader.fresh()
    hashes = {part.label("key_hash") for part in await services.reader.parts("team", team_id, days)}
    describe = await key_names(services, hashes)
    names = {key: str(alias) for key in hashes if (alias := describe(key)["key_alias"])}
    team = await services.revisions.find(TEAM, team_id)
    alias = team.team_alias if team else None
    made = await statement(services.reader, team_id, days, team_alias=alias, names=names, made_at=iso(services.clock.now()))
    if team is None and not made["total"]["calls"]:
        raise NotFound(f"No team with team_id={team_id}, and no calls of it in {days.month}.", param="team_id")
    if format == "csv":
        name = f"statement-{days.month}.csv"
        text = "".join(statement_csv(made))
        return PlainTextResponse(text, media_type="text/csv", headers={"content-disposition": f'attachment; filename="{name}"'})
    if format == "html":
        return HTMLResponse(statement_html(made), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"})
    return made


@router.get("/forecast", **a.answers(dict[str, Any]))
async def forecast(services: Services, actor: Acting, kind: Kind = "key", id: Text = None) -> dict[str, Any]:  # noqa: A002 - the query's word
    """The month's end with an interval, and the day on which the budget runs out. Without `id`, the caller's own."""
    scope = await _scope(services, actor, kind, id)
    await services.reader.fresh()
    now = services.clock.now()
    today, month = datetime.fromtimestamp(now, UTC).date(), month_at(now)
    daily = await _daily(services.reader, *scope, today)
    so_far = (await services.reader.one(*scope, month))["spend"]
    ahead = outlook.month_end(daily, today, month.last, so_far)
    return {
        "kind": scope[0],
        "id": scope[1],
        "month": month.month,
        "spend": nano_to_usd(so_far),
        "estimate": nano_to_usd(ahead.estimate),
        "low": nano_to_usd(ahead.low),
        "high": nano_to_usd(ahead.high),
        "days_looked_at": ahead.days,
        "budget": await _budget(services, *scope, daily, today),
    }


@router.get("/anomalies", **a.answers(dict[str, Any]))
async def anomalies(
    services: Services, actor: Acting, kind: Literal["key", "team"] = "key", start_date: Text = None, end_date: Text = None
) -> dict[str, Any]:
    """Days (default: the last seven) on which a key or team spent far more than it does on such days; the largest spenders are judged."""
    days = days_of(start_date, end_date, services.clock.now(), back=7)
    await services.reader.fresh()
    looked = Days(days.first - timedelta(days=_LOOK_BACK), days.last)
    judged = [name for name, _ in largest(await services.reader.by_value(kind, days), _MOST_JUDGED) if name]
    found = []
    for name in judged:
        daily = {day: tally["spend"] for day, tally in (await services.reader.daily(kind, name, looked)).items()}
        found += [(name, each) for each in outlook.anomalies(daily, days.first, days.last)]
    rows = [
        {kind: name, "date": each.day, "spend": nano_to_usd(each.spent), "baseline": nano_to_usd(each.baseline)}
        for name, each in sorted(found, key=lambda row: row[1].baseline - row[1].spent)
    ]
    return {"anomalies": rows, "judged": len(judged)}


@router.post("/simulate", **a.answers(dict[str, Any]))
async def simulate(body: WhatIf, services: Services, actor: Acting) -> dict[str, Any]:
    """What a cap would have done in a month that is over or under way, from the sums of its hours."""
    scope = await _scope(services, actor, body.kind, body.id)
    month = month_of(body.month)
    await services.reader.fresh()
    hours = [
        (_window(day, hour, body.budget_duration), f"{day}T{hour:02}:00:00Z", numbers["spend"], numbers["requests"])
        for day, sums in await services.reader.hours_of(*scope, month)
        for hour, numbers in enumerate(sums)
    ]
    found = outlook.capped(hours, body.max_budget)
    total = sum(spend for _, _, spend, _ in hours)
    return {
        "kind": scope[0],
        "id": scope[1],
        "month": month.month,
        "max_budget": nano_to_usd(body.max_budget),
        "budget_duration": body.budget_duration,
        "spend": nano_to_usd(total),
        "spend_with_cap": nano_to_usd(total - found.spend),
        "refused_spend": nano_to_usd(found.spend),
        "refused_calls_estimate": found.calls,
        "windows_that_reached_it": [{"window": window, "in_the_hour_of": hour} for window, hour in found.windows.items()],
    }


@router.get("/receipts/keys", **a.answers(dict[str, Any]))
async def receipt_keys(services: Services, _actor: Acting) -> dict[str, Any]:
    """The public key that receipts are checked with, as a JWK set."""
    return await services.receipts.keys()


@router.get("/receipts/{request_id}", **a.answers(dict[str, Any]))
async def receipt(services: Services, actor: Acting, request_id: PathName) -> dict[str, Any]:
    """What a call cost, signed."""
    item = await logs.entry(services.ledger_table, request_id)
    kind, value = own(actor)
    if item is None or not (actor.everywhere or item.get({"user": "user_id", "key": "key_hash"}[kind]) == value):
        raise NotFound(f"No call with request_id={request_id}.", param="request_id")
    return {"request_id": request_id, "receipt": await services.receipts.sign(item, int(services.clock.now()))}


async def _scope(services: AdminServices, actor: Actor, kind: Kind, value: str | None) -> tuple[str, str]:
    """Raises Forbidden for what is not the caller's to see."""
    if value is None:
        return own(actor)
    if kind == "key":
        return kind, await key_in_sight(services, actor, value)
    if kind == "team":
        return kind, (await teams_in_sight(services, actor, [value]))[0]
    if kind == "organization":
        return kind, (await organizations_in_sight(services, actor, [value]))[0]
    return await scope_in_sight(services, actor, user_id=value) or (kind, value)


async def _daily(reader: Reader, kind: str, value: str, today: date) -> dict[str, int]:
    found = await reader.daily(kind, value, Days(today - timedelta(days=_LOOK_BACK), today))
    return {day: tally["spend"] for day, tally in found.items()}


async def _budget(services: AdminServices, kind: str, value: str, daily: dict[str, int], today: date) -> dict[str, Any] | None:
    """None: it has no budget."""
    record = await services.revisions.find(_RECORDS[kind], value)
    if record is None or record.max_budget is None:
        return None
    spend = await services.spent(kind, value, record.budget_duration)
    resets = datetime.fromtimestamp(spend.resets_at, UTC).date() if spend.resets_at is not None else None
    ends = outlook.run_out(daily, today, spend.spent, record.max_budget, resets)
    return {
        "max_budget": nano_to_usd(record.max_budget),
        "budget_duration": record.budget_duration,
        "spend": nano_to_usd(spend.spent),
        "resets_at": iso(spend.resets_at) if spend.resets_at is not None else None,
        "runs_out_on": ends.isoformat() if ends else None,
    }


def _window(day: str, hour: int, duration: str | None) -> str:
    moment = datetime.fromisoformat(f"{day}T{hour:02}:00:00+00:00").timestamp()
    return window_at(duration, moment).key
