"""What an owner's counters say, and what the ledger's entries add up to: the two sides that drift.py compares.

Compared are the lifetime counters of keys, teams, users, customers and team members (admission/spending.py) and every budget window that
is still there and that entries name (ledger/counted.py). What the janitor booked as `unconfirmed` is in windows but in no lifetime, and
`adjusted` is what an administrator has set a counter down by.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tollkeeper.budgets.counter import Cell, number_of, open_holds
from tollkeeper.budgets.slices import View
from tollkeeper.clock import Clock
from tollkeeper.ledger.counted import LIFETIME, SHORT, CounterName, is_short
from tollkeeper.ledger.sums import ALL
from tollkeeper.store.items import LIFETIME_SK, SUM_ALL_PK, scope_pk, slice_pk, sum_pk, sum_sk
from tollkeeper.store.table import Item, Table

OWNERS = ("team", "key", "user", "customer", "organization", "tag", "provider", "deployment", ALL)
"""Whose counters are compared."""
_WITH_LIFETIME = frozenset({"key", "team", "user", "customer"})
_SHORT_DAYS = 4
"""Yesterday's windows in every time zone, and what began a little before them."""

Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """One counter at a moment. Nano-dollars; `held` is what open holds may still become, `unbalanced` what `committed` is too high by."""

    owner: Owner
    cell: Cell
    counter: int
    ledger: int
    held: int = 0
    unbalanced: int = 0
    missing: bool = False
    """A counter that was never written."""

    @property
    def name(self) -> str:
        return f"{self.cell.pk} {self.cell.sk}"

    @property
    def kind(self) -> str:
        return self.cell.pk.partition("#")[0]

    @property
    def amount(self) -> int:
        """How far the counter is off, if nothing is under way but its open holds."""
        over = self.counter - self.ledger
        return self.unbalanced or (over if over > 0 else min(over + self.held, 0))


class Counters:
    """`asked` counts store requests."""

    def __init__(self, ledger: Table, counters: Table, clock: Clock) -> None:
        self._ledger, self._counters, self._clock = ledger, counters, clock
        self.asked = 0

    async def of(self, owner: Owner, months: Iterable[str]) -> list[Look]:
        """All of one owner's; `months` (yyyy-mm) are those of the ledger. The ledger is read first. Raises StoreUnavailable."""
        spent, named = await self._booked(owner, months)
        kind, value = owner
        looks = []
        if kind in _WITH_LIFETIME:
            looks.append(await self._lifetime(owner, scope_pk(kind, value), spent))
        for text, amount in named.items():
            name = CounterName.parse(text)
            if name.window == LIFETIME:
                looks.append(await self._lifetime(owner, name.pk(value), amount))
            elif (look := await self._window(owner, Cell(name.pk(value), name.window), amount)) is not None:
                looks.append(look)
        return looks

    async def _booked(self, owner: Owner, months: Iterable[str]) -> tuple[int, dict[str, int]]:
        """What the lifetime must have, and each named counter."""
        kind, value = owner
        spent, named, short = 0, dict[str, int](), False
        for cell in await self._cells(month_address(kind, value, month) for month in months):
            spent += number_of(cell, "spend") - number_of(cell, "unconfirmed")
            short = short or SHORT in cell
            _add(named, cell)
        if short:
            for text, amount in (await self._short(owner)).items():
                named[text] = named.get(text, 0) + amount
        return spent, named

    async def _short(self, owner: Owner) -> dict[str, int]:
        kind, value = owner
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        days = [(now - timedelta(days=back)).date().isoformat() for back in range(_SHORT_DAYS)]
        named: dict[str, int] = {}
        for cell in await self._cells(day_address(kind, value, day) for day in days):
            _add(named, cell)
        # Of an older window, earlier days may hold a part.
        return {text: amount for text, amount in named.items() if _began(text) >= days[1]}

    async def _cells(self, addresses: Iterable[tuple[str, str]]) -> list[Item]:
        wanted = list(addresses)
        self.asked += len(wanted)
        return [item for item in await asyncio.gather(*(self._ledger.get(pk, sk) for pk, sk in wanted)) if item is not None]

    async def _counter(self, pk: str, sk: str) -> Item | None:
        self.asked += 1
        return await self._counters.get(pk, sk, consistent=True)

    async def _lifetime(self, owner: Owner, pk: str, ledger: int) -> Look:
        item = await self._counter(pk, LIFETIME_SK)
        found = item or {}
        return Look(owner, Cell(pk, LIFETIME_SK), number_of(found, "spent") + number_of(found, "adjusted"), ledger, missing=item is None)

    async def _window(self, owner: Owner, cell: Cell, ledger: int) -> Look | None:
        """None: it has ended, and is gone."""
        if (root := await self._counter(cell.pk, cell.sk)) is None:
            return None
        numbers = View({0: root}).numbers()
        items = [root, *[await self._counter(slice_pk(cell.pk, number), cell.sk) or {} for number in numbers]]
        spent = sum(number_of(item, "spent") + number_of(item, "adjusted") for item in items)
        held = sum(sum(open_holds(item).values()) for item in items)
        return Look(owner, cell, spent, ledger, held, sum(_unbalanced(item) for item in items))


def month_address(kind: str, value: str, month: str) -> tuple[str, str]:
    return (SUM_ALL_PK, f"month#{month}") if kind == ALL else (sum_pk(kind, month), sum_sk(value))


def day_address(kind: str, value: str, day: str) -> tuple[str, str]:
    return (SUM_ALL_PK, f"day#{day}") if kind == ALL else (sum_pk(kind, day[:7]), sum_sk(value, day[8:]))


def _add(named: dict[str, int], cell: Mapping[str, int]) -> None:
    for text in cell:
        if "|" in text:
            named[text] = named.get(text, 0) + number_of(cell, text)


def _began(text: str) -> str:
    """The day (yyyy-mm-dd) in the key of a short window."""
    window = CounterName.parse(text).window
    return window.partition("#")[2][:10] if is_short(window) else ""


def _unbalanced(item: Item) -> int:
    """Of one item, `committed` is always what was spent, is held, and was handed to slices: one write changes them together."""
    handed_out = sum(number_of(item, name) for name in item if name[0] == "g" and name[1:].isdigit())
    return number_of(item, "committed") - number_of(item, "spent") - sum(open_holds(item).values()) - handed_out
