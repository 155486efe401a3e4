"""From ledger entries to the sums that reports read: which cells an entry belongs to, and what it adds there. No I/O.

A cell is one item with whole numbers (METRICS), made only of what entries add, so that the same entries give the same cells whatever
their order. There are three kinds, and every entry is in all three once for each owner it has:

    month   sum#<kind>#<yyyy-mm> / month#<value>      what it spent in the month
    day     sum#<kind>#<yyyy-mm> / day#<dd>#<value>   and on a day, with `h<hh>_spend`, `h<hh>_requests`, `h<hh>_tokens` for each hour
    part    part#<kind>#<value>#<yyyy-mm> / <dd>#…    one for each key, model, provider and call type it was spent on that day

Two more have parts: `all`, which knows no keys, so that it is small, and `everything`, which is every part there is, in order of days.

Month and day cells also say what the owner's budget counters must have (ledger/counted.py). Kinds are `all` and KINDS; only OWNERS have
parts. Periods are those of the call's start, in UTC. Entries without a team count for the team "", so that the teams add up to the whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tollkeeper.ledger.counted import counted
from tollkeeper.ledger.entry import STATUS_CUT, STATUS_FAILURE
from tollkeeper.store.items import SUM_ALL_PK, part_pk, sum_pk, sum_sk
from tollkeeper.store.table import Item

ALL = "all"
EVERYTHING = "everything"
OWNERS = ("key", "team", "user", "organization", "customer", "tag")
RESOURCES = ("model", "deployment", "provider")
KINDS = (*OWNERS, *RESOURCES)
METRICS = (
    "spend",
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "latency_ms",
    "timed",
    "limited",
    "cached",
    "unpriced",
    "at_least",
    "unconfirmed",
)
"""`spend` and `unconfirmed` are nano-dollars, `latency_ms` milliseconds over the `timed` calls; `limited` counts calls refused with 429,
`cached` those answered from the cache, `unpriced` those whose price nobody knows, `at_least` those whose usage is a lower bound.
"""
PART_LABELS = ("key_hash", "model", "upstream_model", "provider", "deployment_id", "call_type", "team_id", "user_id")
_ATTRIBUTES = {
    "key": "key_hash",
    "team": "team_id",
    "user": "user_id",
    "organization": "organization_id",
    "customer": "customer_id",
    "model": "model",
    "deployment": "deployment_id",
    "provider": "provider",
}
_OF_ALL = ("model", "upstream_model", "provider", "deployment_id", "call_type")

Address = tuple[str, str]


@dataclass(slots=True)
class Cell:
    """`labels` name what the cell is about: the newest entry's."""

    add: dict[str, int] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)

    def take(self, numbers: Mapping[str, int], labels: Mapping[str, Any]) -> None:
        for name, number in numbers.items():
            self.add[name] = self.add.get(name, 0) + number
        self.labels.update(labels)


def cells_of(entries: Iterable[Item], cells: dict[Address, Cell] | None = None) -> dict[Address, Cell]:
    """What the entries add, by (pk, sk) of the cell; `cells` is added to. Raises KeyError or ValueError for what is no entry."""
    cells = {} if cells is None else cells
    for entry in entries:
        for address, numbers, labels in _shares(entry):
            cell = cells.get(address)
            if cell is None:
                cell = cells[address] = Cell()
            cell.take(numbers, labels)
    return cells


def numbers_of(item: Mapping[str, Any]) -> dict[str, int]:
    """A cell's numbers, without those that are nothing and without its labels and marks."""
    return {name: value for name, value in item.items() if type(value) is int and value and not name.startswith("lane")}


def owners_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind, value) of everybody and everything an entry counts for."""
    for kind, attribute in _ATTRIBUTES.items():
        if value := entry.get(attribute):
            yield kind, value
    if not entry.get("team_id"):
        yield "team", ""
    for tag in dict.fromkeys(entry.get("tags", ())):
        yield "tag", tag


def metrics_of(entry: Mapping[str, Any]) -> dict[str, int]:
    """What one entry adds, without what is nothing. Raises KeyError or ValueError for what is no entry."""
    failed, latency = entry.get("status") in {STATUS_FAILURE, STATUS_CUT}, _whole(entry, "latency_ms")
    found = {
        "spend": _whole(entry, "cost", required=True),
        "requests": 1,
        "failed": int(failed),
        **{name: _whole(entry, name) for name in _TOKENS},
        "latency_ms": latency,
        "timed": int(latency > 0),
        "limited": int(entry.get("http_status") == 429),
        "cached": int(bool(entry.get("cache_hit"))),
        "unpriced": int(not entry.get("priced") and not failed and not entry.get("cache_hit")),
        "at_least": int(bool(entry.get("usage_at_least"))),
        "unconfirmed": entry["cost"] if entry.get("unconfirmed") else 0,
    }
    return {name: number for name, number in found.items() if number}


def check(entry: Mapping[str, Any]) -> None:
    """Raises KeyError or ValueError for what `cells_of` could not add up."""
    metrics_of(entry)
    if not entry["pk"].startswith(f"day#{entry['started_at'][:10]}#"):
        raise ValueError("an entry lies on the day it started")


_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")


def _whole(entry: Mapping[str, Any], name: str, *, required: bool = False) -> int:
    value = entry[name] if required else entry.get(name, 0)
    if type(value) is not int:
        raise ValueError(f"an entry's {name} is a whole number")
    return value


def _shares(entry: Mapping[str, Any]) -> Iterator[tuple[Address, Mapping[str, int], Mapping[str, Any]]]:
    started = str(entry["started_at"])
    month, day, hour = started[:7], started[8:10], started[11:13]
    numbers = metrics_of(entry)
    hours = {f"h{hour}_spend": numbers.get("spend", 0), f"h{hour}_requests": 1}
    hours[f"h{hour}_tokens"] = numbers.get("input_tokens", 0) + numbers.get("output_tokens", 0)
    daily = {**numbers, **{name: number for name, number in hours.items() if number}}
    in_month, in_day = _counted(entry)
    everybody = ALL, ""
    yield (SUM_ALL_PK, f"month#{month}"), {**numbers, **in_month.get(everybody, {})}, {"value": month}
    yield (SUM_ALL_PK, f"day#{month}-{day}"), {**daily, **in_day.get(everybody, {})}, {"value": f"{month}-{day}"}
    yield (part_pk(ALL, "", month), f"{day}#{_digest(entry, _OF_ALL)}"), numbers, _labels(entry, _OF_ALL)
    digest, labels = _digest(entry, PART_LABELS), _labels(entry, PART_LABELS)
    yield (part_pk(EVERYTHING, "", month), f"{day}#{digest}"), numbers, labels
    for kind, value in owners_of(entry):
        named = {"value": value, **(_key_labels(entry) if kind == "key" else {})}
        owner = kind, value
        yield (sum_pk(kind, month), sum_sk(value)), {**numbers, **in_month.get(owner, {})}, named
        yield (sum_pk(kind, month), sum_sk(value, day)), {**daily, **in_day.get(owner, {})}, named
        if kind in OWNERS:
            yield (part_pk(kind, value, month), f"{day}#{digest}"), numbers, labels


def _counted(entry: Mapping[str, Any]) -> tuple[dict[Address, dict[str, int]], dict[Address, dict[str, int]]]:
    """What goes into the month's and into the day's cells for each budget counter (ledger/counted.py), by (kind, value)."""
    in_month: dict[Address, dict[str, int]] = {}
    in_day: dict[Address, dict[str, int]] = {}
    others = entry.get("counted") or {}
    for kind, value, name, daily in counted(entry):
        if cost := others.get(name, entry["cost"]):
            cell = (in_day if daily else in_month).setdefault((kind, value), {})
            cell[name] = cell.get(name, 0) + cost
    return in_month, in_day


def _key_labels(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("key_alias", "key_name", "team_id", "user_id") if entry.get(name)}


def _labels(entry: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: entry[name] for name in names if entry.get(name)}


def _digest(entry: Mapping[str, Any], names: Iterable[str]) -> str:
    return blake2b("\0".join(str(entry.get(name) or "") for name in names).encode(), digest_size=8).hexdigest()
