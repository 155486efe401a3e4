"""Proves the sums equal to the ledger, day by day, and puts right what is not.

Only comparing changes nothing and may run at any time; what is still on its way through the stream then shows as a difference. To write,
every lane is held first, so that nobody adds to a sum while it is replaced; entries that the sums then contain are noted as rolled, so
that the stream brings them in vain.
"""

import calendar
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.clock import Clock, id_time
from tollkeeper.errors import CallerError, StoreUnavailable
from tollkeeper.ledger.roller import LANES, REMEMBERED, Roller, lane_of
from tollkeeper.ledger.sums import ALL, EVERYTHING, KINDS, OWNERS, Address, Cell, cells_of, numbers_of
from tollkeeper.store.items import LANE_SK, LEDGER_SHARDS, SUM_ALL_PK, lane_pk, part_pk, sum_pk
from tollkeeper.store.table import ConditionFailed, Item, Missing, Table

HOLD_SECONDS = 900
_PAGE = 1000


class EntriesGone(CallerError):
    """Retention has removed entries that the sums contain."""


@dataclass(slots=True)
class Comparison:
    """`differences` are (pk, sk, what the sum says, what the ledger says), at most as many as one can read; `wrong` counts all."""

    month: str
    entries: int = 0
    spend: int = 0
    cells: int = 0
    wrong: int = 0
    written: bool = False
    differences: list[tuple[str, str, dict[str, int], dict[str, int]]] = field(default_factory=list)

    def differs(self, address: Address, said: dict[str, int], true: dict[str, int]) -> None:
        self.wrong += 1
        if len(self.differences) < 50:
            self.differences.append((*address, said, true))


async def entries_of(table: Table, day: str) -> AsyncIterator[list[Item]]:
    """The ledger's entries of a day (yyyy-mm-dd), page by page."""
    for shard in range(LEDGER_SHARDS):
        async for page in pages(table, f"day#{day}#{shard}"):
            yield page


async def pages(table: Table, pk: str, prefix: str = "") -> AsyncIterator[list[Item]]:
    after = None
    while True:
        page = await table.query(pk, prefix=prefix, after=after, limit=_PAGE)
        yield page.items
        if (after := page.next) is None:
            return


class Rebuild:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._roller = Roller(table, clock)
        self._removed = False

    async def month(self, month: str, *, write: bool = False) -> Comparison:
        """`month` is yyyy-mm. Raises ValueError for what is no month, StoreUnavailable when a lane cannot be had, EntriesGone when writing
        would lose what only the sums still know.
        """
        year, number = (int(part) for part in month.split("-"))
        days = calendar.monthrange(year, number)[1]
        found = Comparison(month, written=write)
        numbers = [await self._hold(lane) for lane in range(LANES)] if write else []
        try:
            of_month: dict[Address, Cell] = {}
            for day in range(1, days + 1):
                await self._day(found, f"{month}-{day:02}", of_month, numbers)
            for address in [(SUM_ALL_PK, f"month#{month}"), *[at async for at in self._listed(month, "month#")]]:
                of_month.setdefault(address, Cell())
            await self._compare(found, of_month, numbers)
        finally:
            for lane in range(len(numbers)):
                await self._table.apply(lane_pk(lane), LANE_SK, remove=["held_until"])
        return found

    async def _day(self, found: Comparison, day: str, of_month: dict[Address, Cell], numbers: list[int]) -> None:
        cells: dict[Address, Cell] = {}
        async for entries in entries_of(self._table, day):
            cells_of(entries, cells)
            found.entries += len(entries)
            found.spend += sum(entry["cost"] for entry in entries)
            self._removed = self._removed or any("ttl" in entry for entry in entries)
            if numbers:
                await self._note(entries)
        if numbers:
            await self._refuse_to_lose(day, cells)
        for address in [address for address in cells if address[1].startswith("month#")]:
            cell = cells.pop(address)
            of_month.setdefault(address, Cell()).take(cell.add, cell.labels)
        async for address in self._known(day, cells):
            cells.setdefault(address, Cell())
        await self._compare(found, cells, numbers)

    async def _refuse_to_lose(self, day: str, cells: dict[Address, Cell]) -> None:
        """Entries that retention has removed are in the sums only: a day that has fewer of them than its sum is not written."""
        said = await self._table.get(SUM_ALL_PK, f"day#{day}") or {}
        here = cells.get((SUM_ALL_PK, f"day#{day}"), Cell()).add.get("requests", 0)
        if said.get("requests", 0) > here and (here == 0 or self._removed):
            raise EntriesGone(
                f"the ledger has {here} of {said['requests']} entries of {day}: retention has removed the rest, and the sums keep them"
            )

    async def _known(self, day: str, cells: Iterable[Address]) -> AsyncIterator[Address]:
        """Where the sums have a cell of this day."""
        month, number = day[:7], day[8:]
        partitions = {pk for pk, _ in cells if pk.startswith("part#")} | {part_pk(kind, "", month) for kind in (ALL, EVERYTHING)}
        yield SUM_ALL_PK, f"day#{day}"
        for kind in KINDS:
            async for items in pages(self._table, sum_pk(kind, month), f"day#{number}#"):
                for item in items:
                    yield item["pk"], item["sk"]
                    if kind in OWNERS:
                        partitions.add(part_pk(kind, item["value"], month))
        for pk in sorted(partitions):
            async for items in pages(self._table, pk, f"{number}#"):
                for item in items:
                    yield item["pk"], item["sk"]

    async def _listed(self, month: str, prefix: str) -> AsyncIterator[Address]:
        for kind in KINDS:
            async for items in pages(self._table, sum_pk(kind, month), prefix):
                for item in items:
                    yield item["pk"], item["sk"]

    async def _compare(self, found: Comparison, cells: dict[Address, Cell], numbers: list[int]) -> None:
        for address, cell in cells.items():
            found.cells += 1
            item = await self._table.get(*address) or {}
            said, true = numbers_of(item), {name: number for name, number in cell.add.items() if number}
            if said != true:
                found.differs(address, said, true)
                if numbers:
                    await self._replace(address, cell, numbers)

    async def _replace(self, address: Address, cell: Cell, numbers: list[int]) -> None:
        if not cell.add:
            await self._table.delete(*address)
            return
        marks = {f"lane{lane}": number for lane, number in enumerate(numbers) if number}
        await self._table.put({"pk": address[0], "sk": address[1], **cell.add, **cell.labels, **marks})

    async def _note(self, entries: list[Item]) -> None:
        oldest = self._clock.now() - REMEMBERED
        lanes: dict[int, list[str]] = {}
        for entry in entries:
            if _moment(entry["sk"]) >= oldest:
                lanes.setdefault(lane_of(entry["sk"]), []).append(entry["sk"])
        for lane, ids in lanes.items():
            await self._roller.note(lane, ids)

    async def _hold(self, lane: int) -> int:
        """The lane's number, with nothing pending in it and nobody moving it."""
        for _ in range(20):
            await self._roller.finish()
            until: dict[str, Any] = {"held_until": int(self._clock.now()) + HOLD_SECONDS}
            try:
                state = await self._table.apply(lane_pk(lane), LANE_SK, set=until, when=[Missing("pending")])
            except ConditionFailed:
                continue
            return int(state.get("number", 0))
        raise StoreUnavailable(f"rollup lane {lane} stayed busy; try again when fewer calls are under way")


def _moment(entry_id: str) -> float:
    try:
        return id_time(entry_id)
    except ValueError:
        return float("inf")
