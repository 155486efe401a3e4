"""LiteLLM's daily activity (`/user/daily/activity` and its like): numbers by day, with what they are made of.

https://docs.litellm.ai/docs/proxy/cost_tracking#daily-spend-breakdown-api
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.money import nano_to_usd
from tollkeeper.reports.reader import Part, Tally

ENDPOINT_OF = {
    "acompletion": "/chat/completions",
    "aresponses": "/responses",
    "anthropic_messages": "/v1/messages",
    "aembedding": "/embeddings",
    "atext_completion": "/completions",
    "arerank": "/rerank",
    "amoderation": "/moderations",
}
_SAVINGS = (
    "compression_savings_spend",
    "prompt_caching_savings_spend",
    "gateway_injected_caching_savings_spend",
    "autorouter_savings_spend",
)
Describe = Callable[[str], Mapping[str, Any]]
"""A name → what LiteLLM calls its metadata."""


@dataclass(slots=True)
class _Node:
    """One row of a breakdown, with the keys it is made of."""

    tally: Tally = field(default_factory=Tally)
    keys: dict[str, Tally] = field(default_factory=dict)


@dataclass(slots=True)
class DayRow:
    """One day's numbers and breakdown, filled from whichever sums a report has read."""

    tally: Tally = field(default_factory=Tally)
    models: dict[str, _Node] = field(default_factory=dict)
    model_groups: dict[str, _Node] = field(default_factory=dict)
    providers: dict[str, _Node] = field(default_factory=dict)
    endpoints: dict[str, _Node] = field(default_factory=dict)
    entities: dict[str, _Node] = field(default_factory=dict)
    api_keys: dict[str, Tally] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """How many rows its breakdown has."""
        tables = (self.models, self.model_groups, self.providers, self.endpoints, self.entities)
        return len(self.api_keys) + sum(1 + len(node.keys) for table in tables for node in table.values())

    def take(self, part: Part, entity: str | None) -> None:
        self.tally.merge(part.tally)
        key, call_type = part.label("key_hash"), part.label("call_type")
        rows = (
            (self.models, part.label("upstream_model") or part.label("model")),
            (self.model_groups, part.label("model")),
            (self.providers, part.label("provider")),
            (self.endpoints, ENDPOINT_OF.get(call_type, call_type)),
            (self.entities, entity),
        )
        for table, name in rows:
            if name is not None and (name or table is self.entities):
                node = table.setdefault(name, _Node())
                node.tally.merge(part.tally)
                if key:
                    node.keys.setdefault(key, Tally()).merge(part.tally)
        if key:
            self.api_keys.setdefault(key, Tally()).merge(part.tally)


@dataclass(frozen=True, slots=True)
class DayPage:
    """Some of the days of a report, and the how manieth of how many pages that is."""

    rows: Mapping[str, DayRow]
    page: int
    pages: int


def page_of(rows: Mapping[str, DayRow], page: int, page_size: int, most: int) -> DayPage:
    """The newest days first; so many on a page that their breakdowns have `most` rows, or it is one day."""
    packed: list[list[str]] = []
    weight = 0
    for day in sorted(rows, reverse=True):
        weight += rows[day].weight
        if not packed or len(packed[-1]) == page_size or weight > most:
            packed.append([])
            weight = rows[day].weight
        packed[-1].append(day)
    shown = packed[page - 1] if page <= len(packed) else []
    return DayPage({day: rows[day] for day in shown}, page, len(packed))


def activity(shown: DayPage, *, entity: Describe, key: Describe) -> dict[str, Any]:
    """The answer: a page of days and what they add up to."""
    total = Tally()
    for row in shown.rows.values():
        total.merge(row.tally)
    results = [_day(day, shown.rows[day], entity, key) for day in sorted(shown.rows, reverse=True)]
    pages = max(1, shown.pages)
    return {"results": results, "metadata": {**_totals(total), "page": shown.page, "total_pages": pages, "has_more": shown.page < pages}}


def metrics(tally: Tally) -> dict[str, Any]:
    """LiteLLM's SpendMetrics. Dollars become floats here and nowhere before."""
    return {
        "spend": nano_to_usd(tally["spend"]),
        "flat_cost": 0.0,
        "prompt_tokens": tally["input_tokens"],
        "completion_tokens": tally["output_tokens"],
        "cache_read_input_tokens": tally["cache_read_tokens"],
        "cache_creation_input_tokens": tally["cache_creation_tokens"],
        "compression_saved_tokens": 0,
        **dict.fromkeys(_SAVINGS, 0.0),
        "total_tokens": tally.tokens,
        "successful_requests": tally["requests"] - tally["failed"],
        "failed_requests": tally["failed"],
        "api_requests": tally["requests"],
        "total_response_time_ms": tally["latency_ms"],
        "timed_requests": tally["timed"],
    }


def by_day(parts: Iterable[tuple[str | None, Part]]) -> dict[str, DayRow]:
    """(entity, part) → day rows."""
    rows: dict[str, DayRow] = {}
    for entity, part in parts:
        rows.setdefault(part.day, DayRow()).take(part, entity)
    return rows


def with_listed(rows: dict[str, DayRow], entities: Mapping[str, Mapping[str, Tally]], keys: Mapping[str, Mapping[str, Tally]]) -> None:
    """Adds to rows made of the whole gateway's parts (which know no keys) who made the calls: day → value → numbers."""
    for day, row in rows.items():
        row.entities = {value: _Node(tally) for value, tally in entities.get(day, {}).items()}
        row.api_keys = dict(keys.get(day, {}))


def listed(entities: Mapping[str, Mapping[str, Tally]]) -> dict[str, DayRow]:
    """Rows of which nothing is known but who made the calls: day → value → numbers."""
    rows: dict[str, DayRow] = {}
    for day, tallies in entities.items():
        row = rows[day] = DayRow(entities={value: _Node(tally) for value, tally in tallies.items()})
        for tally in tallies.values():
            row.tally.merge(tally)
    return rows


def _totals(total: Tally) -> dict[str, Any]:
    row = metrics(total)
    plain = {f"total_{name}": row[name] for name in row if not name.startswith("total_")}
    return {**plain, "total_tokens": row["total_tokens"], "total_response_time_ms": row["total_response_time_ms"]}


def _day(day: str, row: DayRow, entity: Describe, key: Describe) -> dict[str, Any]:
    def table(nodes: Mapping[str, _Node], describe: Describe) -> dict[str, Any]:
        return {
            name: {"metrics": metrics(node.tally), "metadata": dict(describe(name)), "api_key_breakdown": _keys(node.keys, key)}
            for name, node in sorted(nodes.items())
        }

    def plain(_: str) -> Mapping[str, Any]:
        return {}

    tables = {name: table(getattr(row, name), plain) for name in ("models", "model_groups", "providers", "endpoints")}
    breakdown = {"mcp_servers": {}, **tables, "api_keys": _keys(row.api_keys, key), "entities": table(row.entities, entity)}
    return {"date": day, "metrics": metrics(row.tally), "breakdown": breakdown}


def _keys(keys: Mapping[str, Tally], describe: Describe) -> dict[str, Any]:
    return {name: {"metrics": metrics(tally), "metadata": dict(describe(name))} for name, tally in sorted(keys.items())}
