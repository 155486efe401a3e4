"""Adds ledger entries to the sums exactly once, however often, in whatever order and however interrupted they are delivered.

The store changes one item at a time, so a batch is taken through steps of which each may be repeated by anybody:

1. Entries are spread over a few lanes by their id. A lane is one item, and whoever moves it moves it alone: `number` goes up by one and
   `pending` names the entries (compare and set).
2. The entries' shares are added to their cells. A cell remembers the number of each lane's last batch in it, and takes a batch only if
   its number is higher: a second try, or somebody who slept through the lane's next batch, changes nothing.
3. The entries' ids are noted as rolled, in items that hold eight seconds of ids each. Only ids that are not noted are ever taken in step 1.
4. `pending` is removed. A lane found with one is finished first: its entries are read back from the ledger.

So a batch that was taken is in all of its cells before the lane moves on, and no entry is taken twice for as long as its id is remembered
(`REMEMBERED`, far longer than a stream keeps its records).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.sums import Address, Cell, cells_of, check
from tollkeeper.store.items import LANE_SK, ROLLED_SK, lane_pk, rolled_name, rolled_pk
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Exists, Item, Missing, Table

LANES = 4
"""Part of every cell, so that another number needs a rebuild."""
BATCH = 100
REMEMBERED = 8 * 86400
_AT_ONCE = 16
_TRIES = 40
_PAUSE = 0.05


class Roller:
    """One per process. Several processes on one ledger do no harm; they wait for each other's lanes."""

    def __init__(self, table: Table, clock: Clock, *, batch: int = BATCH, told: Callable[[Sequence[Item]], None] = lambda _: None) -> None:
        """`told` hears of the entries that this process has added, each batch once it is in all of its cells."""
        self._table = table
        self._clock = clock
        self._batch = batch
        self._told = told

    async def roll(self, entries: Iterable[Item]) -> None:
        """Raises StoreUnavailable, or KeyError or ValueError for what is no entry; the same entries may then be given again."""
        lanes: dict[int, dict[str, Item]] = {}
        for entry in entries:
            lanes.setdefault(lane_of(entry["sk"]), {})[entry["sk"]] = entry
        for lane, found in lanes.items():
            waiting = list(found.values())
            for start in range(0, len(waiting), self._batch):
                await self._roll(lane, waiting[start : start + self._batch])

    async def finish(self) -> None:
        """Whatever a process left half done, in every lane. Raises as `roll`."""
        for lane in range(LANES):
            if "pending" in (state := await self._state(lane)):
                await self._add(lane, state, await self._read_back(state))

    async def _roll(self, lane: int, entries: list[Item]) -> None:
        for entry in entries:
            check(entry)  # before anything is taken
        for turn in range(_TRIES):
            state = await self._state(lane)
            if "pending" in state:
                await self._add(lane, state, await self._read_back(state))
                continue
            if _is_held(state, self._clock.now()):
                await self._clock.sleep(_PAUSE * (turn + 1))
                continue
            fresh = await self._fresh(lane, entries)
            if not fresh:
                return
            if (taken := await self._take(lane, state, fresh)) is not None:
                await self._add(lane, taken, fresh)
                return
            await self._clock.sleep(_PAUSE * (turn % 4))
        raise StoreUnavailable(f"rollup lane {lane} stayed busy; the entries stay in the stream")

    async def _state(self, lane: int) -> Item:
        return await self._table.get(lane_pk(lane), LANE_SK, consistent=True) or {"number": 0}

    async def _take(self, lane: int, state: Item, entries: Sequence[Item]) -> Item | None:
        """The lane as it is with this batch taken; None if somebody else moved it."""
        pending = [[entry["pk"], entry["sk"]] for entry in entries]
        unmoved: Condition = Equals("number", state["number"]) if state["number"] else Missing("number")
        try:
            return await self._table.apply(
                lane_pk(lane), LANE_SK, add={"number": 1}, set={"pending": pending}, when=[unmoved, Missing("pending"), *_unheld(state)]
            )
        except ConditionFailed:
            return None

    async def _fresh(self, lane: int, entries: Sequence[Item]) -> list[Item]:
        """Those that are in no sum yet."""
        noted: dict[str, Item] = {}
        for pk in dict.fromkeys(rolled_pk(entry["sk"], lane) for entry in entries):
            noted[pk] = await self._table.get(pk, ROLLED_SK, consistent=True) or {}
        return [entry for entry in entries if rolled_name(entry["sk"]) not in noted[rolled_pk(entry["sk"], lane)]]

    async def _read_back(self, state: Item) -> list[Item]:
        """An entry that retention has removed meanwhile is as good as rolled: nothing can add it up any more."""
        found = [await self._table.get(pk, sk, consistent=True) for pk, sk in state["pending"]]
        return [entry for entry in found if entry is not None]

    async def _add(self, lane: int, state: Item, entries: Sequence[Item]) -> None:
        number = int(state["number"])
        await self._each(cells_of(entries).items(), lane, number)
        await self.note(lane, (entry["sk"] for entry in entries))
        try:
            await self._table.apply(lane_pk(lane), LANE_SK, remove=["pending"], when=[Equals("number", number), Exists("pending")])
        except ConditionFailed:
            return  # somebody else finished it
        self._told(entries)

    async def _each(self, cells: Iterable[tuple[Address, Cell]], lane: int, number: int) -> None:
        waiting = list(cells)
        for start in range(0, len(waiting), _AT_ONCE):
            adding = (self._add_to(address, cell, lane, number) for address, cell in waiting[start : start + _AT_ONCE])
            for outcome in await asyncio.gather(*adding, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            # The embedded store works inline: the calls that wait for the event loop come first.
            await asyncio.sleep(0)

    async def _add_to(self, address: Address, cell: Cell, lane: int, number: int) -> None:
        mark = f"lane{lane}"
        try:
            await self._table.apply(*address, add=cell.add, set={**cell.labels, mark: number}, when=[AtMost(mark, number - 1)])
        except ConditionFailed:
            return

    async def note(self, lane: int, ids: Iterable[str]) -> None:
        """Notes entries as rolled. Only for whoever moves the lane."""
        pages: dict[str, dict[str, int]] = {}
        for entry_id in ids:
            pages.setdefault(rolled_pk(entry_id, lane), {})[rolled_name(entry_id)] = 1
        until = int(self._clock.now()) + REMEMBERED
        for pk, names in pages.items():
            await self._table.apply(pk, ROLLED_SK, set={**names, "ttl": until})


def lane_of(entry_id: str) -> int:
    return crc32(entry_id.encode()) % LANES


def _is_held(state: Item, now: float) -> bool:
    return int(state.get("held_until", 0)) > now


def _unheld(state: Item) -> list[Condition]:
    """A hold that has run out (rebuild.py died) is stepped over; one that began since is not."""
    return [Equals("held_until", state["held_until"])] if "held_until" in state else [Missing("held_until")]
