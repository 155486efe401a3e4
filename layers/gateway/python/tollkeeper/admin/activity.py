"""/global/activity*: how many calls and tokens, by day (https://docs.litellm.ai/docs/proxy/ui)."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import self_in_sight
from tollkeeper.ledger.sums import ALL
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Tally

router = APIRouter(prefix="/global/activity", tags=["spend"], route_class=StrictRoute)
Date = Annotated[str | None, Query(max_length=40)]
_MOST_MODELS = 10
Daily = Mapping[str, Tally]


@router.get("", **a.answers(dict[str, Any]))
async def activity(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None) -> dict[str, Any]:
    scope, days = await self_in_sight(actor), await _days(services, start_date, end_date)
    return _calls(await (services.reader.daily(*scope, days) if scope else services.reader.by_day(days)))


@router.get("/model", **a.answers(list[dict[str, Any]]))
async def by_model(services: Services, actor: Acting, start_date: Date = None, end_date: Date = None) -> list[dict[str, Any]]:
    """The models most called, by the name they are asked for."""
    scope = await self_in_sight(actor) or (ALL, "")
    found: dict[str, dict[str, Tally]] = {}
    for part in await services.reader.parts(*scope, await _days(services, start_date, end_date)):
        found.setdefault(part.label("model"), {}).setdefault(part.day, Tally()).merge(part.tally)
    rows = [{"model": model, **_calls(daily)} for model, daily in found.items()]
    return sorted(rows, key=lambda row: -row["sum_api_requests"])[:_MOST_MODELS]


@router.get("/exceptions", **a.answers(dict[str, Any]))
async def exceptions(
    services: Services,
    _actor: Acting,
    start_date: Date = None,
    end_date: Date = None,
    model_group: Annotated[str | None, Query(max_length=512)] = None,
) -> dict[str, Any]:
    """Calls refused with 429."""
    days = await _days(services, start_date, end_date)
    daily: dict[str, Tally] = {}
    for part in await services.reader.all_parts(days):
        if model_group in {None, part.label("model")}:
            daily.setdefault(part.day, Tally()).merge(part.tally)
    return _limited(daily)


@router.get("/exceptions/deployment", **a.answers(list[dict[str, Any]]))
async def exceptions_by_deployment(
    services: Services, _actor: Acting, model_group: Annotated[str, Query(max_length=512)], start_date: Date = None, end_date: Date = None
) -> list[dict[str, Any]]:
    days = await _days(services, start_date, end_date)
    found: dict[str, dict[str, Tally]] = {}
    for part in await services.reader.all_parts(days):
        if part.label("model") == model_group:
            found.setdefault(part.label("deployment_id"), {}).setdefault(part.day, Tally()).merge(part.tally)
    return [{"api_base": deployment, **_limited(daily)} for deployment, daily in sorted(found.items())]


@router.get("/cache_hits", **a.answers(list[dict[str, Any]]))
async def cache_hits(services: Services, _actor: Acting, start_date: Date = None, end_date: Date = None) -> list[dict[str, Any]]:
    """By call type and model: how many calls there were and how many of them the cache answered."""
    found: dict[tuple[str, str], Tally] = {}
    for part in await services.reader.all_parts(await _days(services, start_date, end_date)):
        found.setdefault((part.label("call_type"), part.label("model")), Tally()).merge(part.tally)
    return [
        {
            "api_key": "",
            "call_type": call_type,
            "model": model,
            "total_rows": tally["requests"],
            "cache_hit_true_rows": tally["cached"],
            "cached_completion_tokens": 0,
            "generated_completion_tokens": tally["output_tokens"],
        }
        for (call_type, model), tally in sorted(found.items())
    ]


async def _days(services: AdminServices, start: str | None, end: str | None) -> Days:
    days = days_of(start, end, services.clock.now())
    await services.reader.fresh()
    return days


def _calls(daily: Daily) -> dict[str, Any]:
    rows = [{"date": _short(day), "api_requests": tally["requests"], "total_tokens": tally.tokens} for day, tally in sorted(daily.items())]
    return {
        "daily_data": rows,
        "sum_api_requests": sum(tally["requests"] for tally in daily.values()),
        "sum_total_tokens": sum(tally.tokens for tally in daily.values()),
    }


def _limited(daily: Daily) -> dict[str, Any]:
    rows = [{"date": _short(day), "num_rate_limit_exceptions": tally["limited"]} for day, tally in sorted(daily.items())]
    return {"daily_data": rows, "sum_num_rate_limit_exceptions": sum(tally["limited"] for tally in daily.values())}


def _short(day: str) -> str:
    """As LiteLLM's charts show it: `Nov 26`."""
    return date.fromisoformat(day).strftime("%b %d")
