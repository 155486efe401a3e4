"""Ends the holds of requests that died, and finds them without a scan.

The counters have no index: one on every hold would double the price of a hold. Instead each process writes one entry into the hold register
(`holds#<shard>`, `<hour>#<scope>#<window>`) beside its first hold of an hour in a window, in the same parallel round trip. An hour is swept
once its youngest hold is older than the longest possible request; then its entries are deleted, so a sweep reads only what was used lately.
Entries outlive a broken janitor by a week.

In the embedded store the entry is written first. Where both are under way at once, a process that dies with the hold written and the entry
lost leaves a hold that no sweep sees: its money stays committed, so the cap holds; a place it takes under `max_parallel_requests` is freed
by the next request that is refused because of it.

A hold is ended at its full amount, for nobody knows what the call cost: errors go toward the cap, never past it. Unless the ledger knows:
its entry is written before the hold is settled, and a process that died between the two has left the truth there.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

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
    """The holds of one call that nobody settled. `amount` is the most of any scope, in nano-USD; `scopes` are the counters it was open in,
    by (scope, window), and `amounts` what each of them held.
    """

    id: str
    amount: int
    created: float
    scopes: tuple[tuple[str, str], ...]
    amounts: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    """All of its holds: beside the caller's budgets those of the place it went to."""


Book = Callable[[ExpiredHold], Awaitable[None]]


async def _unbooked(hold: ExpiredHold) -> None:
    """For whoever keeps no ledger."""
    del hold


@dataclass(slots=True)
class _Dead:
    """One call's open holds: (scope, window) → what is where."""

    pieces: dict[tuple[str, str], list[tuple[Cell, str, int]]] = field(default_factory=dict)

    def expired(self) -> ExpiredHold:
        ids = sorted({hold for found in self.pieces.values() for _, hold, _ in found})
        amounts = tuple(sum(amount for _, _, amount in found) for found in self.pieces.values())
        return ExpiredHold(ids[0], max(amounts), counter.hold_created(ids[0]), tuple(self.pieces), amounts, tuple(ids))


class Janitor:
    """Run it every few minutes; two at once do no harm."""

    def __init__(self, counters: Table, clock: Clock, options: Options = Options(), events: EventSink = ignore) -> None:  # noqa: B008 - frozen
        self._table = counters
        self._clock = clock
        self._max_age = options.max_age
        self._booked = options.booked
        self._events = events

    async def sweep(self, book: Book = _unbooked) -> list[ExpiredHold]:
        """Ends every hold older than `max_age` at its full amount and returns them.

        Each is given to `book` before it is ended, for the ledger to have as unconfirmed: a janitor that dies in between is followed by one
        that finds it there. Raises StoreUnavailable; the next sweep goes on where this one stopped.
        """
        oldest = self._clock.now() - self._max_age
        dead: dict[str, _Dead] = {}
        swept: list[Item] = []
        for shard in range(HOLD_SHARDS):
            for entry in await self._entries(f"holds#{shard}", oldest):
                await self._collect(str(entry["scope"]), str(entry["window"]), oldest, dead)
                if (int(entry["sk"].split("#", 1)[0]) + 1) * _HOUR <= oldest:
                    swept.append(entry)
        ended = [expired for each in dead.values() if (expired := await self._end(each, book)) is not None]
        for entry in swept:
            await self._table.delete(entry["pk"], entry["sk"])
        return ended

    async def _entries(self, shard: str, oldest: float) -> list[Item]:
        entries: list[Item] = []
        after: str | None = None
        while True:
            page = await self._table.query(shard, after=after)
            entries += (item for item in page.items if int(item["sk"].split("#", 1)[0]) * _HOUR <= oldest)
            if page.next is None:
                return entries
            after = page.next

    async def _collect(self, scope: str, window: str, oldest: float, dead: dict[str, _Dead]) -> None:
        root = await self._table.get(scope, window, consistent=True) or {}
        cells = {Cell(scope, window): root}
        for number in View({0: root}).numbers():
            cell = Cell(slice_pk(scope, number), window)
            cells[cell] = await self._table.get(cell.pk, cell.sk, consistent=True) or {}
        for cell, item in cells.items():
            for hold, amount in counter.open_holds(item).items():
                if counter.hold_created(hold) < oldest:
                    found = dead.setdefault(counter.family_of(hold), _Dead()).pieces.setdefault((scope, window), [])
                    if (cell, hold, amount) not in found:
                        found.append((cell, hold, amount))

    async def _end(self, dead: _Dead, book: Book) -> ExpiredHold | None:
        """None: the ledger knew what the call had cost, or somebody else ended its holds."""
        expired_hold = dead.expired()
        known = await self._known(expired_hold)
        if known is None:
            await book(expired_hold)
        ended = False
        for pieces in dead.pieces.values():
            left = known or 0
            for place, (cell, hold, amount) in enumerate(pieces):
                share = amount if known is None else left if place == len(pieces) - 1 else min(left, amount)
                left -= share
                if await counter.settle(self._table, cell, hold, amount, share) is not None and known is None:
                    self._events(expired(cell, hold, amount))
                    ended = True
        return expired_hold if ended else None

    async def _known(self, dead: ExpiredHold) -> int | None:
        for hold in dead.ids:
            if (cost := await self._booked(hold, counter.hold_created(hold))) is not None:
                return cost
        return None
