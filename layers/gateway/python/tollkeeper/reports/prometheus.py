"""What /metrics shows, under LiteLLM's names: made of the sums, so that one scrape of any process is right for the whole fleet.

Counters count from the first of the month, UTC, and begin again with the next: Prometheus takes that for a restart, and `rate()` and
`increase()` go on. Series are bounded: the keys that spent most are told apart (`most_keys`), the others are one series, so that sums over
all series are always the whole. What one key used is read again only if it has called since the last scrape.

Latencies come as `_sum` and `_count`: the sums hold no histogram. https://docs.litellm.ai/docs/proxy/prometheus
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.money import nano_to_usd
from tollkeeper.reports.drift import Standing
from tollkeeper.reports.exposition import Family
from tollkeeper.reports.ranges import Days, days_of
from tollkeeper.reports.reader import Part, Reader, Tally, largest

MOST_KEYS = 500
_AT_ONCE = 16
OTHERS = "other"
LOOKED_AT = ("key", "team", "user", "customer", "team_member", "organization", "tag", "provider", "deployment", "gateway")
"""Scopes whose drift is shown even while it is 0."""

_COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("litellm_proxy_total_requests_metric", "requests", "Calls that reached the gateway"),
    ("litellm_proxy_failed_requests_metric", "failed", "Calls that failed"),
    ("litellm_requests_metric", "requests", "Calls to models"),
    ("litellm_total_tokens_metric", "tokens", "Input and output tokens"),
    ("litellm_input_tokens_metric", "input_tokens", "Input tokens"),
    ("litellm_output_tokens_metric", "output_tokens", "Output tokens"),
    ("litellm_input_cached_tokens_metric", "cache_read_tokens", "Input tokens read from a provider's cache"),
    ("litellm_input_cache_creation_tokens_metric", "cache_creation_tokens", "Input tokens written to a provider's cache"),
    ("litellm_output_reasoning_tokens_metric", "reasoning_tokens", "Output tokens of reasoning"),
    ("litellm_cache_hits_metric", "cached", "Calls answered from the gateway's cache"),
    ("litellm_zero_cost_requests", "unpriced", "Calls whose price nobody knows"),
)
_DEPLOYMENT_COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("litellm_deployment_total_requests", "requests", "Calls by deployment"),
    ("litellm_deployment_failure_responses", "failed", "Calls that failed, by deployment"),
    ("litellm_deployment_success_responses", "succeeded", "Calls that succeeded, by deployment"),
)


@dataclass(slots=True)
class _Seen:
    """What one key had used when it was last read, and at how many requests."""

    requests: int
    parts: list[Part] = field(default_factory=list)


class Usage:
    """One per process; remembers what has not changed between scrapes."""

    def __init__(self, reader: Reader, clock: Clock, *, most_keys: int = MOST_KEYS) -> None:
        self._reader = reader
        self._clock = clock
        self._most_keys = most_keys
        self._seen: dict[str, _Seen] = {}
        self._month = ""

    async def families(self) -> list[Family]:
        """Raises StoreUnavailable."""
        await self._reader.fresh()
        today = days_of(None, None, self._clock.now(), back=1)
        days = Days(today.first.replace(day=1), today.last)
        if days.month != self._month:
            self._seen, self._month = {}, days.month
        keys = await self._reader.month("key", days.month)
        ranked = largest(keys)
        await self._read(ranked[: self._most_keys], days)
        by_key = self._by_key(keys, ranked)
        return [*_counted(by_key), _latency(by_key), *_deployments(await self._reader.all_parts(days))]

    async def _read(self, ranked: Sequence[tuple[str, Tally]], days: Days) -> None:
        stale = [(key, tally) for key, tally in ranked if key not in self._seen or self._seen[key].requests != tally["requests"]]
        for start in range(0, len(stale), _AT_ONCE):
            few = stale[start : start + _AT_ONCE]
            found = await asyncio.gather(*(self._reader.parts("key", key, days) for key, _ in few))
            for (key, tally), parts in zip(few, found, strict=True):
                self._seen[key] = _Seen(tally["requests"], parts)

    def _by_key(self, keys: Mapping[str, Tally], ranked: Sequence[tuple[str, Tally]]) -> list[tuple[dict[str, str], Tally]]:
        """(labels, numbers): the keys that spent most by what they used, the others as one."""
        rows = [(_labels(key, keys[key], part), part.tally) for key, _ in ranked[: self._most_keys] for part in self._seen[key].parts]
        others = Tally()
        for _, tally in ranked[self._most_keys :]:
            others.merge(tally)
        return [*rows, (_labels(OTHERS, Tally(), None), others)] if others["requests"] else rows


def drift_families(standing: Standing) -> list[Family]:
    """Zero is shown, too: a rule can then tell it from nobody looking."""
    drift = Family("tollkeeper_ledger_drift_usd", "gauge", "Dollars by which counters differ from the ledger; must be 0.")
    for scope in {**dict.fromkeys(LOOKED_AT, 0), **standing.by_kind}:
        drift.add(nano_to_usd(standing.by_kind.get(scope, 0)), {"scope": scope})
    rounds = Family("tollkeeper_ledger_drift_rounds", "counter", "How often all counters have been compared with the ledger.")
    rounds.add(standing.rounds, {}, "_total")
    looked = Family("tollkeeper_ledger_drift_checked_timestamp_seconds", "gauge", "When counters were last compared with the ledger.")
    looked.add(standing.looked_at, {})
    return [drift, rounds, looked]


def _labels(key: str, tally: Tally, part: Part | None) -> dict[str, str]:
    names: Mapping[str, Any] = tally.labels
    return {
        "hashed_api_key": key,
        "api_key_alias": str(names.get("key_alias", "")),
        "team": part.label("team_id") if part else "",
        "user": part.label("user_id") if part else "",
        "model": part.label("upstream_model") if part else "",
        "requested_model": part.label("model") if part else "",
        "model_id": part.label("deployment_id") if part else "",
        "api_provider": part.label("provider") if part else "",
        "route": part.label("call_type") if part else "",
    }


def _counted(rows: Iterable[tuple[dict[str, str], Tally]]) -> list[Family]:
    families = {name: Family(name, "counter", f"{said}, this month.") for name, _, said in _COUNTERS}
    spend = Family("litellm_spend_metric", "counter", "Dollars spent, this month.")
    spent: dict[tuple[tuple[str, str], ...], int] = {}
    for labels, tally in rows:
        for name, metric, _ in _COUNTERS:
            if value := _value(tally, metric):
                families[name].add(value, labels, "_total")
        key = tuple(labels.items())
        spent[key] = spent.get(key, 0) + tally["spend"]
    for key, nano in spent.items():
        spend.add(nano_to_usd(nano), dict(key), "_total")
    return [spend, *families.values()]


def _value(tally: Tally, metric: str) -> int:
    if metric == "tokens":
        return tally.tokens
    return tally["requests"] - tally["failed"] if metric == "succeeded" else tally[metric]


def _latency(rows: Iterable[tuple[dict[str, str], Tally]]) -> Family:
    family = Family("litellm_request_total_latency_metric", "summary", "Seconds from a call's start to its last byte, this month.")
    for labels, tally in rows:
        if tally["timed"]:
            family.add(tally["latency_ms"] / 1000, labels, "_sum")
            family.add(tally["timed"], labels, "_count")
    return family


def _deployments(parts: Iterable[Part]) -> list[Family]:
    families = {name: Family(name, "counter", f"{said}, this month.") for name, _, said in _DEPLOYMENT_COUNTERS}
    for part in parts:
        labels = {
            "requested_model": part.label("model"),
            "litellm_model_name": part.label("upstream_model"),
            "model_id": part.label("deployment_id"),
            "api_provider": part.label("provider"),
        }
        for name, metric, _ in _DEPLOYMENT_COUNTERS:
            if value := _value(part.tally, metric):
                families[name].add(value, labels, "_total")
    return list(families.values())
