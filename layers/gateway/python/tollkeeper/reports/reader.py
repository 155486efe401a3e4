"""Reads the sums of ledger/sums.py, never the ledger: what a report costs depends on how many keys, teams … and days it is about, not on
how many calls were made.

A range is read month by month: a whole month from its month cells, the rest day by day. Numbers are whole nano-dollars and counts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.ledger.sums import ALL, EVERYTHING, METRICS
from tollkeeper.reports.ranges import Days
from tollkeeper.store.items import SUM_ALL_PK, part_pk, sum_pk, sum_sk
from tollkeeper.store.table import Item, Table

_PAGE = 1000
_AT_ONCE = 8
_FEW_DAYS = 8
_NUMBERS = frozenset(METRICS)


@dataclass(slots=True)
class Tally:
    """Numbers added up (METRICS; 0 where there are none), and what they are about."""

    numbers: dict[str, int] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        return self.numbers.get(name, 0)

    @property
    def tokens(self) -> int:
        return self["input_tokens"] + self["output_tokens"]

    def add(self, cell: Mapping[str, Any]) -> "Tally":
        for name, value in cell.items():
            if name in _NUMBERS:
                self.numbers[name] = self.numbers.get(name, 0) + value
            elif isinstance(value, str):
                self.labels[name] = value
        return self

    def merge(self, other: "Tally") -> "Tally":
        return self.add(other.numbers)


@dataclass(frozen=True, slots=True)
class Part:
    """What was spent on one day by one key with one model, provider and call type. `day` is yyyy-mm-dd."""

    day: str
    tally: Tally

    def label(self, name: str) -> str:
        return str(self.tally.labels.get(name, ""))


async def _nothing() -> None:
    return None


class Reader:
    """`fresh` is awaited before each report: where the sums are made in this process, they are brought up to date. With a `clock`, the
    present month up to today is read as a whole one.
    """

    def __init__(self, ledger: Table, fresh: Callable[[], Awaitable[None]] = _nothing, clock: Clock | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self.fresh = fresh

    async def months(self) -> list[str]:
        """yyyy-mm of every month with an entry, oldest first."""
        return [item["value"] for item in await self._all(SUM_ALL_PK, "month#")]

    async def by_day(self, days: Days) -> dict[str, Tally]:
        """The whole gateway's, for the days on which there were calls."""
        prefixes = [f"day#{month.month}" for month in days.months()]
        found = await _gather(self._all(SUM_ALL_PK, prefix) for prefix in prefixes)
        return {item["value"]: Tally().add(item) for items in found for item in items if item["value"] in days}

    async def hours(self, day: str) -> list[dict[str, int]]:
        """24 times `{spend, requests, tokens}` of the whole gateway."""
        cell = await self._ledger.get(SUM_ALL_PK, f"day#{day}") or {}
        return hours_of(cell)

    async def by_value(self, kind: str, days: Days) -> dict[str, Tally]:
        """Of every key, team … with calls in these days."""
        found: dict[str, Tally] = {}
        for item in await self._cells(kind, days):
            found.setdefault(item["value"], Tally()).add(item)
        return found

    async def by_day_and_value(self, kind: str, days: Days) -> dict[str, dict[str, Tally]]:
        """Day → value → numbers."""
        found: dict[str, dict[str, Tally]] = {}
        for month in days.months():
            for item in await self._days(kind, month):
                found.setdefault(_day_of(item, month.month), {})[item["value"]] = Tally().add(item)
        return found

    async def month(self, kind: str, month: str) -> dict[str, Tally]:
        """Of every key, team … with calls in a month (yyyy-mm), which may be this one."""
        return {item["value"]: Tally().add(item) for item in await self._all(sum_pk(kind, month), "month#")}

    async def names(self, kind: str, month: str) -> list[str]:
        """Of every key, team … with calls in a month (yyyy-mm)."""
        return [item["value"] for item in await self._all(sum_pk(kind, month), "month#")]

    async def one(self, kind: str, value: str, days: Days) -> Tally:
        """Of one key, team …, for a range of whole months from its month cells, else from its parts."""
        whole = [month for month in days.months() if self._is_whole(month)]
        tally = Tally()
        for item in await _gather(self._ledger.get(sum_pk(kind, month.month), sum_sk(value)) for month in whole):
            tally.add(item or {})
        for month in days.months():
            if not self._is_whole(month):
                for part in await self.parts(kind, value, month):
                    tally.merge(part.tally)
        return tally

    async def daily(self, kind: str, value: str, days: Days) -> dict[str, Tally]:
        """Day → the numbers of one key, team …, for the days on which it had calls."""
        found: dict[str, Tally] = {}
        for part in await self.parts(kind, value, days):
            found.setdefault(part.day, Tally()).merge(part.tally)
        return found

    async def hours_of(self, kind: str, value: str, days: Days) -> list[tuple[str, list[dict[str, int]]]]:
        """(day, 24 times `{spend, requests, tokens}`) of one key, team …"""
        cells = await _gather(self._ledger.get(sum_pk(kind, day[:7]), sum_sk(value, day[8:])) for day in days)
        return [(day, hours_of(cell or {})) for day, cell in zip(days, cells, strict=True)]

    async def parts(self, kind: str, value: str, days: Days) -> list[Part]:
        """By day and by what it was spent on, oldest first; kind ALL (value "") has no keys in it."""
        months = days.months()
        found = await _gather(self._all(part_pk(kind, value, month.month)) for month in months)
        parts = ((f"{month.month}-{item['sk'][:2]}", item) for month, items in zip(months, found, strict=True) for item in items)
        return [Part(day, Tally().add(item)) for day, item in parts if day in days]

    async def parts_of(self, kind: str, values: Sequence[str], days: Days) -> dict[str, list[Part]]:
        """Value → its parts."""
        return dict(zip(values, await _gather(self.parts(kind, value, days) for value in values), strict=True))

    async def few_parts_of(self, kind: str, values: Sequence[str], days: Days, most: int) -> dict[str, list[Part]] | None:
        """Value → its parts. None: they are more than `most`, and the rest has not been read."""
        found: dict[str, list[Part]] = {}
        left = most
        for value in values:
            found[value] = []
            for month in days.months():
                async for item in self._each(part_pk(kind, value, month.month)):
                    if (left := left - 1) < 0:
                        return None
                    if (day := f"{month.month}-{item['sk'][:2]}") in month:
                        found[value].append(Part(day, Tally().add(item)))
        return found

    async def all_parts(self, days: Days) -> list[Part]:
        return await self.parts(ALL, "", days)

    async def everything(self, days: Days, most: int) -> list[Part] | None:
        """All there is to know of these days, oldest first. None: it is more than `most` parts."""
        found: list[Part] = []
        for month in days.months():
            # A few days are read by themselves, many with the rest of their month.
            pk, few = part_pk(EVERYTHING, "", month.month), len(month) <= _FEW_DAYS
            for prefix in [f"{day[8:]}#" for day in month] if few else [""]:
                async for item in self._each(pk, prefix):
                    if (day := f"{month.month}-{item['sk'][:2]}") in month:
                        found.append(Part(day, Tally().add(item)))
                    if len(found) > most:
                        return None
        return found

    async def _cells(self, kind: str, days: Days) -> list[Item]:
        cells: list[Item] = []
        for month in days.months():
            cells += await self._all(sum_pk(kind, month.month), "month#") if self._is_whole(month) else await self._days(kind, month)
        return cells

    def _is_whole(self, month: Days) -> bool:
        """Whether nothing of a month can lie outside of these days of it."""
        return month.is_month or (self._clock is not None and month.reaches(self._clock.now()))

    async def _days(self, kind: str, month: Days) -> list[Item]:
        """The day cells of (a part of) one month: each day is a read of its own unless it is the whole month."""
        pk = sum_pk(kind, month.month)
        if self._is_whole(month):
            return await self._all(pk, "day#")
        found = await _gather(self._all(pk, f"day#{day[8:]}#") for day in month)
        return [item for items in found for item in items]

    async def _all(self, pk: str, prefix: str = "") -> list[Item]:
        return [item async for item in self._each(pk, prefix)]

    async def _each(self, pk: str, prefix: str = "") -> AsyncIterator[Item]:
        after = None
        while True:
            page = await self._ledger.query(pk, prefix=prefix, after=after, limit=_PAGE)
            for item in page.items:
                yield item
            if (after := page.next) is None:
                return


def hours_of(cell: Mapping[str, Any]) -> list[dict[str, int]]:
    """24 times `{spend, requests, tokens}` out of a day cell."""
    return [{name: int(cell.get(f"h{hour:02}_{name}", 0)) for name in ("spend", "requests", "tokens")} for hour in range(24)]


def largest(tallies: Mapping[str, Tally], limit: int | None = None) -> list[tuple[str, Tally]]:
    """Those that spent most first."""
    return sorted(tallies.items(), key=lambda row: (-row[1]["spend"], row[0]))[:limit]


def _day_of(item: Item, month: str) -> str:
    return f"{month}-{item['sk'][4:6]}"


async def _gather(reads: Iterable[Awaitable[Any]]) -> list[Any]:
    """A few at a time, in order."""
    waiting, found = list(reads), []
    for start in range(0, len(waiting), _AT_ONCE):
        found += await asyncio.gather(*waiting[start : start + _AT_ONCE])
    return found
