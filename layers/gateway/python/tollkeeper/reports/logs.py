"""Single ledger entries: found by id, or listed newest first by key, team, user or day, never by a scan.

The ids are time-ordered, so a list of a range begins at an id made of its end and stops at one made of its start.
"""

import heapq
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tollkeeper.clock import from_iso, id_time, iso, time_ordered_id
from tollkeeper.money import nano_to_usd
from tollkeeper.store import paging
from tollkeeper.store.items import LEDGER_SHARDS, ledger_pk
from tollkeeper.store.table import Item, Table

INDEX_OF = {"key": "gsi1", "team": "gsi2", "user": "gsi3"}
_LAST = b"\xff" * 10
_PAGE = 200


async def entry(ledger: Table, request_id: str) -> Item | None:
    """By its id; None for what is no id too."""
    try:
        moment = id_time(request_id)
    except ValueError:
        return None
    # The id was made just before the call's start, which may be on the other side of midnight.
    for day in dict.fromkeys(iso(at)[:10] for at in (moment, moment + 60)):
        if (found := await ledger.get(ledger_pk(day, request_id), request_id)) is not None:
            return found
    return None


async def owned(ledger: Table, kind: str, value: str, start: float, end: float) -> AsyncIterator[Item]:
    """The entries of one key, team or user that began in [start, end), newest first."""
    index, oldest = INDEX_OF[kind], time_ordered_id(start, bytes(10))
    newest = time_ordered_id(max(end - 0.001, 0), _LAST)
    partition = f"{kind}#{value}"
    after: str | None = paging.encode({f"{index}pk": partition, f"{index}sk": newest, "pk": "day#~", "sk": newest})
    while after is not None:
        page = await ledger.query(partition, index=index, after=after, limit=_PAGE, descending=True)
        for item in page.items:
            if item["sk"] < oldest:
                return
            yield item
        after = page.next


async def all_of(ledger: Table, start: float, end: float) -> AsyncIterator[Item]:
    """Every entry that began in [start, end), newest first."""
    first = datetime.fromtimestamp(start, UTC).date()
    day = datetime.fromtimestamp(max(end - 0.001, start), UTC).date()
    oldest, newest = iso(start), iso(max(end - 0.001, 0))
    while day >= first:
        async for item in _merged([_shard(ledger, f"day#{day}#{shard}") for shard in range(LEDGER_SHARDS)]):
            if oldest <= item["started_at"] <= newest:
                yield item
        day -= timedelta(days=1)


async def _shard(ledger: Table, pk: str) -> AsyncIterator[Item]:
    after = None
    while True:
        page = await ledger.query(pk, after=after, limit=_PAGE, descending=True)
        for item in page.items:
            yield item
        if (after := page.next) is None:
            return


async def _merged(sources: list[AsyncIterator[Item]]) -> AsyncIterator[Item]:
    """Several lists, each newest first, as one."""
    heap: list[tuple[_Newest, int, Item]] = []
    for number, source in enumerate(sources):
        if (item := await anext(source, None)) is not None:
            heapq.heappush(heap, (_Newest(item["sk"]), number, item))
    while heap:
        _, number, item = heapq.heappop(heap)
        yield item
        if (following := await anext(sources[number], None)) is not None:
            heapq.heappush(heap, (_Newest(following["sk"]), number, following))


class _Newest(str):
    """Sorts the newest id first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def log_row(item: Mapping[str, Any]) -> dict[str, Any]:
    """LiteLLM's row of LiteLLM_SpendLogs. No prompt and no answer is in the ledger: those fields are empty."""
    started = str(item["started_at"])
    latency, first = int(item.get("latency_ms", 0)), item.get("first_token_ms")
    return {
        "request_id": item["request_id"],
        "call_type": item.get("call_type", ""),
        "api_key": item.get("key_hash", ""),
        "spend": nano_to_usd(item["cost"]),
        "total_tokens": item.get("input_tokens", 0) + item.get("output_tokens", 0),
        "prompt_tokens": item.get("input_tokens", 0),
        "completion_tokens": item.get("output_tokens", 0),
        "startTime": started,
        "endTime": _later(started, latency),
        "completionStartTime": None if first is None else _later(started, int(first)),
        "request_duration_ms": latency,
        "model": item.get("upstream_model") or item.get("model", ""),
        "model_id": item.get("deployment_id", ""),
        "model_group": item.get("model", ""),
        "custom_llm_provider": item.get("provider", ""),
        "api_base": "",
        "user": item.get("user_id", ""),
        "team_id": item.get("team_id"),
        "organization_id": item.get("organization_id"),
        "end_user": item.get("customer_id", ""),
        "cache_hit": str(bool(item.get("cache_hit"))),
        "cache_key": item.get("cache_key") or "Cache OFF",
        "request_tags": item.get("tags", []),
        "requester_ip_address": item.get("requester_ip_address"),
        "session_id": item.get("session_id") or item.get("call_id"),
        "status": "failure" if item.get("status") in {"failure", "cut"} else "success",
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "metadata": _metadata(item),
    }


def _metadata(item: Mapping[str, Any]) -> dict[str, Any]:
    error = {"error_code": str(item.get("http_status", "")), "error_class": item["error_type"]} if item.get("error_type") else None
    return {
        "user_api_key": item.get("key_hash"),
        "user_api_key_alias": item.get("key_alias"),
        "user_api_key_user_id": item.get("user_id"),
        "user_api_key_team_id": item.get("team_id"),
        "user_api_key_org_id": item.get("organization_id"),
        "applied_guardrails": list(item.get("guardrails") or ()),
        "spend_logs_metadata": item.get("spend_logs_metadata"),
        "status": item.get("status", "success"),
        "error_information": error,
        "usage_object": {
            "prompt_tokens": item.get("input_tokens", 0),
            "completion_tokens": item.get("output_tokens", 0),
            "cache_read_input_tokens": item.get("cache_read_tokens", 0),
            "cache_creation_input_tokens": item.get("cache_creation_tokens", 0),
            "reasoning_tokens": item.get("reasoning_tokens", 0),
        },
        "cost_breakdown": {name: nano_to_usd(part) for name, part in (item.get("cost_parts") or {}).items()},
        "price_version": item.get("price_version"),
        "usage_at_least": bool(item.get("usage_at_least")),
        "unconfirmed": bool(item.get("unconfirmed")),
        "attempted_retries": max(0, int(item.get("attempts", 1)) - 1),
        "attempted_fallbacks": item.get("fallbacks", 0),
    }


def _later(started: str, milliseconds: int) -> str:
    return iso(from_iso(started) + milliseconds / 1000)
