"""Ends the holds of requests that died, and finds them without a scan.

The counters have no index: one on every hold would double the price of a hold. Instead each process writes one entry into the hold register
(`holds#<shard>`, `<hour>#<scope>#<window>`) beside its first hold of an hour in a window, in the same parallel round trip. An hour is swept
once its youngest hold is older than the longest possible request; then its entries are deleted, so a sweep reads only what was used lately.
Entries outlive a broken janitor by a week.

A process that dies between a hold and its entry leaves a hold that no sweep sees: its money stays committed, so the cap holds; a place it
takes under `max_parallel_requests` is freed by the next request that is refused because of it.

A hold is ended at its full amount, for nobody knows what the call cost: errors go toward the cap, never past it. Unless the ledger knows:
its entry is written before the hold is settled, and a process that died between the two has left the truth there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tollkeeper.budgets import counter
from tollkeeper.budgets.counter import Cell
from tollkeeper.budgets.hold import EventSink, Options, ignore
from tollkeeper.budgets.slices import View, expired
from tollkeeper.clock import Clock
from tollkeeper.store.items import HOLD_SHARDS, hold_register_pk, hold_register_sk, slice_pk
from tollkeeper.store.table import Item, Table

_HOUR = 3600
_KEEP = 7 * 86400
_REMEMBERED = 20_000


class Register:
    """Notes which windows got holds in which hour."""

    def __init__(self, counters: Table, clock: Clock) -> None:
        self._table = counters
        self._clock = clock
        self._known: set[tuple[str, str]] = set()
        self._hour = 0

    def knows(self, windows: Iterable[tuple[str, str]], created: float) -> bool:
        """Whether nothing would have to be written for these."""
        return int(created // _HOUR) == self._hour and self._known.issuperset(windows)

    async def enlist(self, windows: Iterable[tuple[str, str]], created: float) -> None:
        """`windows` are (scope, window) keys. Raises StoreUnavailable; the next hold then tries again."""
        hour = int(created // _HOUR)
        if hour != self._hour or len(self._known) > _REMEMBERED:
            self._hour, self._known = hour, set()
        for scope, window in windows:
            if (scope, window) not in self._known:
                entry = {"pk": hold_register_pk(scope), "sk": hold_register_sk(hour, scope, window), "scope": scope, "window": window}
                await self._table.put({**entry, "ttl": int(created) + _KEEP})
                self._known.add((scope, window))


@dataclass(frozen=True, slots=True)
class ExpiredHold:
    """A hold that nobody settled. `amount` is in nano-USD; `scopes` are the counters it was open in, by (scope, window)."""

    id: str
    amount: int
    created: float
    scopes: tuple[tuple[str, str], ...]


class Janitor:
    """Run it every few minutes; two at once do no harm."""

    def __init__(self, counters: Table, clock: Clock, options: Options = Options(), events: EventSink = ignore) -> None:  # noqa: B008 - frozen
        self._table = counters
        self._clock = clock
        self._max_age = options.max_age
        self._booked = options.booked
        self._events = events

    async def sweep(self) -> list[ExpiredHold]:
        """Ends every hold older than `max_age` at its full amount and returns them, for the ledger to book as unconfirmed.

        Raises StoreUnavailable; the next sweep goes on where this one stopped.
        """
        oldest = self._clock.now() - self._max_age
        found: dict[str, ExpiredHold] = {}
        for shard in range(HOLD_SHARDS):
            for entry in await self._entries(f"holds#{shard}", oldest):
                for cell, hold, amount in await self._expire(str(entry["scope"]), str(entry["window"]), oldest):
                    known = found.get(hold)
                    places = (*known.scopes, (cell.pk, cell.sk)) if known else ((cell.pk, cell.sk),)
                    most = max(amount, known.amount if known else 0)
                    found[hold] = ExpiredHold(hold, most, counter.hold_created(hold), places)
                if (int(entry["sk"].split("#", 1)[0]) + 1) * _HOUR <= oldest:
                    await self._table.delete(entry["pk"], entry["sk"])
        return list(found.values())

    async def _entries(self, shard: str, oldest: float) -> list[Item]:
        entries: list[Item] = []
        after: str | None = None
        while True:
            page = await self._table.query(shard, after=after)
            entries += (item for item in page.items if int(item["sk"].split("#", 1)[0]) * _HOUR <= oldest)
            if page.next is None:
                return entries
            after = page.next

    async def _expire(self, scope: str, window: str, oldest: float) -> list[tuple[Cell, str, int]]:
        root = await self._table.get(scope, window, consistent=True) or {}
        numbers = View({0: root}).numbers()
        ended = await self._expire_item(Cell(scope, window), root, oldest)
        for number in numbers:
            cell = Cell(slice_pk(scope, number), window)
            ended += await self._expire_item(cell, await self._table.get(cell.pk, cell.sk, consistent=True) or {}, oldest)
        return ended

    async def _expire_item(self, cell: Cell, item: Item, oldest: float) -> list[tuple[Cell, str, int]]:
        ended = []
        for hold, amount in counter.open_holds(item).items():
            if (created := counter.hold_created(hold)) >= oldest:
                continue
            known = await self._booked(hold, created)
            item_after = await counter.settle(self._table, cell, hold, amount, amount if known is None else known)
            if item_after is not None and known is None:
                self._events(expired(cell, hold, amount))
                ended.append((cell, hold, amount))
        return ended
