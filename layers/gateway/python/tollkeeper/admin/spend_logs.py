"""/spend/logs and its kin: single calls, or their sums by day (https://docs.litellm.ai/docs/proxy/cost_tracking).

A list reads at most MOST_ENTRIES; what would need more is refused with the field that would narrow it.
"""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.listing import pages
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.sight import Scope, key_in_sight, own, scope_in_sight
from tollkeeper.admin.values import PathName
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.money import nano_to_usd, usd_to_nano
from tollkeeper.reports import logs
from tollkeeper.reports.ranges import Days, days_of, moment_of
from tollkeeper.reports.reader import Part, Tally
from tollkeeper.store.table import Item

router = APIRouter(prefix="/spend/logs", tags=["spend"], route_class=StrictRoute)
MOST_ENTRIES = 10_000
_MOST_WHOLE = 1000
"""Without dates the newest of them are the answer."""
_DAY = 86400
_BACK_DAYS = 30
_MOST_SUMMED = 65_000
"""Keys on days, of 85 bytes each."""
Keep = Callable[[Item], bool]
Text = Annotated[str | None, Query(max_length=512)]


class LogFilters(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: str | None = Field(None, max_length=512)
    user_id: str | None = Field(None, max_length=256)
    team_id: str | None = Field(None, max_length=256)
    request_id: str | None = Field(None, max_length=256)
    start_date: str | None = Field(None, max_length=40)
    end_date: str | None = Field(None, max_length=40)
    page: int = Field(1, ge=1, le=MOST_ENTRIES)
    page_size: int = Field(50, ge=1, le=100)
    min_spend: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_spend: float | None = Field(None, ge=0, allow_inf_nan=False)
    status_filter: Literal["success", "failure"] | None = None
    model: str | None = Field(None, max_length=512)
    model_id: str | None = Field(None, max_length=512)
    key_alias: str | None = Field(None, max_length=256)
    end_user: str | None = Field(None, max_length=512)
    error_code: str | None = Field(None, max_length=10)
    session_id: str | None = Field(None, max_length=256)
    sort_by: Literal["startTime", "endTime", "spend", "total_tokens", "request_duration_ms"] = "startTime"
    sort_order: Literal["asc", "desc"] = "desc"


@router.get("", **a.answers(list[dict[str, Any]]))
async def spend_logs(
    services: Services,
    actor: Acting,
    *,
    api_key: Text = None,
    user_id: Text = None,
    request_id: Text = None,
    start_date: Text = None,
    end_date: Text = None,
    summarize: bool = True,
) -> list[dict[str, Any]]:
    """With dates the sums of each day, unless `summarize=false`; without, the newest calls."""
    if request_id:
        return [await _single(services, actor, request_id)]
    scope = await scope_in_sight(services, actor, api_key=api_key, user_id=user_id)
    days = days_of(start_date, end_date, services.clock.now(), back=_BACK_DAYS)
    if summarize and start_date and end_date:
        return await _summaries(services, scope, days)
    start, end = moment_of(days.first.isoformat(), "start_date"), moment_of(days.last.isoformat(), "end_date") + _DAY
    return [logs.log_row(item) async for item in _first(_entries(services, scope, start, end), _MOST_WHOLE)]


@router.get("/v2", **a.answers(dict[str, Any]))
@router.get("/ui", name="page of logs for a console", **a.answers(dict[str, Any]))
async def page_of_logs(services: Services, actor: Acting, asked: Annotated[LogFilters, Query()]) -> dict[str, Any]:
    """A page of single calls. `total` counts what the filters leave of at most MOST_ENTRIES calls."""
    if asked.request_id:
        row = await _single(services, actor, asked.request_id)
        return {"data": [row], "total": 1, "page": 1, "page_size": asked.page_size, "total_pages": 1}
    scope = await scope_in_sight(services, actor, api_key=asked.api_key, user_id=asked.user_id, team_id=asked.team_id)
    start, end = _span(services, asked)
    if _is_plain(asked):
        return await _plain_page(services, scope, asked, start, end)
    keep = _keep(asked, await key_in_sight(services, actor, asked.api_key) if asked.api_key else None)
    entries = (item async for item in _entries(services, scope, start, end) if keep(item))
    found = [item async for item in _first(entries, MOST_ENTRIES)]
    if asked.sort_by != "startTime" or asked.sort_order != "desc":
        if len(found) == MOST_ENTRIES:
            raise BadRequest(f"more than {MOST_ENTRIES} calls cannot be sorted; narrow start_date and end_date", param="sort_by")
        rows = sorted((logs.log_row(item) for item in found), key=lambda row: row[asked.sort_by], reverse=asked.sort_order == "desc")
        shown = rows[(asked.page - 1) * asked.page_size : asked.page * asked.page_size]
    else:
        shown = [logs.log_row(item) for item in found[(asked.page - 1) * asked.page_size : asked.page * asked.page_size]]
    counts = {"total": len(found), "page": asked.page, "page_size": asked.page_size}
    return {"data": shown, **counts, "total_pages": pages(len(found), asked.page_size)}


@router.get("/ui/{request_id}", **a.answers(dict[str, Any]))
async def one_log(services: Services, actor: Acting, request_id: PathName) -> dict[str, Any]:
    """With what was asked and answered, where the key or team wanted it kept."""
    row = await _single(services, actor, request_id)
    if services.content is not None and (kept := await services.content.read(request_id)) is not None:
        asked = kept["request"]
        messages = asked.get("messages", asked) if isinstance(asked, dict) else asked
        row |= {"messages": messages, "response": kept["response"], "proxy_server_request": asked}
    return row


async def _single(services: AdminServices, actor: Actor, request_id: str) -> dict[str, Any]:
    """Who may not see it learns no more than that it is not there."""
    item = await logs.entry(services.ledger_table, request_id)
    if item is None or not (actor.everywhere or _is_own(actor, item)):
        raise NotFound(f"No call with request_id={request_id}.", param="request_id")
    return logs.log_row(item)


def _is_own(actor: Actor, item: Item) -> bool:
    kind, value = own(actor)
    return item.get({"user": "user_id", "key": "key_hash"}[kind]) == value


def _entries(services: AdminServices, scope: Scope | None, start: float, end: float) -> AsyncIterator[Item]:
    if scope is None:
        return logs.all_of(services.ledger_table, start, end)
    return logs.owned(services.ledger_table, *scope, start, end)


async def _first(entries: AsyncIterator[Item], most: int) -> AsyncIterator[Item]:
    seen = 0
    async for item in entries:
        yield item
        seen += 1
        if seen == most:
            return


_PLACE = frozenset({"api_key", "user_id", "team_id", "start_date", "end_date", "page", "page_size", "sort_by", "sort_order"})


def _is_plain(asked: LogFilters) -> bool:
    """Whether whole days of one owner are asked for, newest first: then the sums know the total, and only the page is read."""
    given, owners = asked.model_fields_set, [asked.api_key, asked.user_id, asked.team_id]
    dated = all(len(text or "") <= len("2026-11-30") for text in (asked.start_date, asked.end_date))
    in_order = (asked.sort_by, asked.sort_order) == ("startTime", "desc")
    return dated and in_order and given <= _PLACE and sum(owner is not None for owner in owners) <= 1


async def _plain_page(services: AdminServices, scope: Scope | None, asked: LogFilters, start: float, end: float) -> dict[str, Any]:
    days, skipped = days_of(asked.start_date, asked.end_date, services.clock.now(), back=_BACK_DAYS), (asked.page - 1) * asked.page_size
    if skipped >= MOST_ENTRIES:
        raise BadRequest(f"page {asked.page} lies behind {MOST_ENTRIES} calls; narrow start_date and end_date", param="page")
    await services.reader.fresh()
    found = [item async for item in _first(_entries(services, scope, start, end), skipped + asked.page_size)]
    total = await _count(services, scope, days)
    counts = {"total": total, "page": asked.page, "page_size": asked.page_size, "total_pages": pages(total, asked.page_size)}
    return {"data": [logs.log_row(item) for item in found[skipped:]], **counts}


async def _count(services: AdminServices, scope: Scope | None, days: Days) -> int:
    if scope is not None:
        return (await services.reader.one(*scope, days))["requests"]
    return sum(tally["requests"] for tally in (await services.reader.by_day(days)).values())


def _span(services: AdminServices, asked: LogFilters) -> tuple[float, float]:
    """Epoch seconds. A date as `end_date` means all of that day."""
    days = days_of(asked.start_date, asked.end_date, services.clock.now(), back=_BACK_DAYS)
    start = moment_of(asked.start_date or days.first.isoformat(), "start_date")
    end = moment_of(asked.end_date or days.last.isoformat(), "end_date")
    return start, end + (timedelta(days=1).total_seconds() if len(asked.end_date or "") <= len("2026-11-30") else 1)


def _keep(asked: LogFilters, key_hash: str | None) -> Keep:
    exact = {
        "key_hash": key_hash,
        "user_id": asked.user_id,
        "team_id": asked.team_id,
        "deployment_id": asked.model_id,
        "key_alias": asked.key_alias,
        "customer_id": asked.end_user,
        "session_id": asked.session_id,
        "http_status": int(asked.error_code) if asked.error_code and asked.error_code.isdecimal() else None,
    }
    wanted = {name: value for name, value in exact.items() if value is not None}
    least = usd_to_nano(asked.min_spend) if asked.min_spend is not None else None
    most = usd_to_nano(asked.max_spend) if asked.max_spend is not None else None
    failed = {"success": False, "failure": True, None: None}[asked.status_filter]

    def keep(item: Item) -> bool:
        return (
            all(item.get(name) == value for name, value in wanted.items())
            and (asked.model is None or asked.model in {item.get("model"), item.get("upstream_model")})
            and (least is None or item["cost"] >= least)
            and (most is None or item["cost"] <= most)
            and (failed is None or (item.get("status") in {"failure", "cut"}) == failed)
        )

    return keep


async def _summaries(services: AdminServices, scope: Scope | None, days: Days) -> list[dict[str, Any]]:
    """LiteLLM's shape: each key's hash is a field of the day beside `users` and `models`."""
    reader = services.reader
    await reader.fresh()
    if scope is not None:
        found: dict[str, list[Part]] = {}
        for part in await reader.parts(*scope, days):
            found.setdefault(part.day, []).append(part)
        return [_summary(day, _by(found.get(day, []), "key_hash"), _by(found.get(day, []), "user_id"), found.get(day, [])) for day in days]
    busiest = max([len(await reader.names("key", month.month)) for month in days.months()], default=0)
    if busiest * len(days) > _MOST_SUMMED:
        raise BadRequest(
            f"{len(days)} days of {busiest} keys are too many for one answer; narrow start_date and end_date", param="start_date"
        )
    keys, users = await reader.by_day_and_value("key", days), await reader.by_day_and_value("user", days)
    whole: dict[str, list[Part]] = {}
    for part in await reader.all_parts(days):
        whole.setdefault(part.day, []).append(part)
    return [_summary(day, keys.get(day, {}), users.get(day, {}), whole.get(day, [])) for day in days]


def _by(parts: list[Part], label: str) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for part in parts:
        found.setdefault(part.label(label), Tally()).merge(part.tally)
    return found


def _summary(day: str, keys: dict[str, Tally], users: dict[str, Tally], parts: list[Part]) -> dict[str, Any]:
    def dollars(tallies: dict[str, Tally]) -> dict[str, float]:
        return {name: nano_to_usd(tally["spend"]) for name, tally in tallies.items()}

    models = _by(parts, "upstream_model")
    total = sum(part.tally["spend"] for part in parts)
    return {**dollars(keys), "startTime": day, "spend": nano_to_usd(total), "users": dollars(users), "models": dollars(models)}
