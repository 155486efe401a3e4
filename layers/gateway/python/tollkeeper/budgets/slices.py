"""One scope, one hold: where it goes, and how a hot scope spreads over several items without ever passing its cap.

DynamoDB writes one item about 1,000 times a second and bills by its size, so a counter with hundreds of open holds is dear, then stuck.
A scope whose own item holds more than `spread` of them hands money to slices:

    scope's own item   committed = spent + held here + handed out   ≤ cap      checked by every write
    slice n            committed = spent + held here                ≤ g<n>     what the own item says it handed to n

So what is committed over all of them is at most the own item's `committed`, and that is at most the cap, in every interleaving: handing
out is one write (`g<n>` and `committed` move together), and `g<n>` only grows while the slice is open, so a process that remembers an old
one is merely stricter. The number of slices is no configuration and needs no agreement. All open slices belong to one cap, the own item's
`label`, and while there is one nobody moves money in the own item under another: who comes with a changed cap first closes the slices and
takes back what they did not commit. Near the end a hold may lie in several slices, so that the last cent is still of use.

A process remembers what it last saw of scopes that have slices, and chooses by the hold's id the emptier of two candidates; a view that is
wrong costs a refused write, whose answer mends it. A scope without slices needs exactly one write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tollkeeper.budgets import counter
from tollkeeper.budgets.counter import Cell, Refused, number_of
from tollkeeper.budgets.hold import Balance, BudgetEvent, EventSink, Options, Outcome, Part, Refusal, RefusalKind, ignore
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.items import slice_pk
from tollkeeper.store.table import Condition, Equals, Exists, Item, Missing, Table

_MOVES = 12
_REMEMBERED = 4096
_T = TypeVar("_T")


@dataclass(slots=True)
class View:
    """Items of one window by slice number (0: the scope's own), as last seen; `fresh` are those seen in this move."""

    items: dict[int, Item] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)

    def see(self, number: int, item: Item) -> None:
        self.items[number] = item
        self.fresh.add(number)

    @property
    def root(self) -> Item:
        return self.items.get(0, {})

    @property
    def label(self) -> int | None:
        return number_of(self.root, "label") if "label" in self.root else None

    def numbers(self) -> list[int]:
        """Every slice the own item knows, open or closed."""
        return sorted(int(name[1:]) for name in self.root if name[0] == "g" and name[1:].isdigit())

    def usable(self, cap: int) -> list[int]:
        """The own item and the open slices; none while they belong to another cap."""
        if self.label is None:
            return [0]
        open_slices = (n for n in self.numbers() if f"o{n}" in self.root and "closed" not in self.items.get(n, {}))
        return [0, *open_slices] if self.label == cap else []

    def guard(self, number: int) -> Condition:
        """What has to be true still for a hold to go there: the slice is open, the own item's slices are those of this cap."""
        if number:
            return Missing("closed")
        return Missing("label") if self.label is None else Equals("label", self.label)

    def free(self, number: int, cap: int) -> int:
        return self.limit(number, cap) - number_of(self.items.get(number, {}), "committed")

    def limit(self, number: int, cap: int) -> int:
        return number_of(self.root, f"g{number}") if number else cap

    def in_flight(self, number: int) -> int:
        return number_of(self.items.get(number, {}), "in_flight")

    def balance(self) -> Balance:
        items = [self.root, *(self.items.get(n, {}) for n in self.numbers())]
        handed_out = sum(number_of(self.root, f"g{n}") for n in self.numbers())
        committed = sum(number_of(item, "committed") for item in items) - handed_out
        return Balance(sum(number_of(item, "spent") for item in items), committed, sum(number_of(item, "in_flight") for item in items))


def expired(cell: Cell, hold: str, amount: int) -> BudgetEvent:
    return BudgetEvent("hold_expired", cell.pk, cell.sk, {"hold": hold, "amount": amount, "created": counter.hold_created(hold)})


def cell_of(scope: ScopeCap, number: int = 0) -> Cell:
    return Cell(slice_pk(scope.pk, number), scope.window.key, scope.ttl)


class Slices:
    """Places holds in counters. Every write is repeated when its answer is lost; after that StoreUnavailable tells."""

    def __init__(self, table: Table, clock: Clock, options: Options, events: EventSink = ignore) -> None:
        self._events = events
        self._table = table
        self._clock = clock
        self._options = options
        self._views: dict[tuple[str, str], View] = {}

    async def take(self, scope: ScopeCap, hold: str, amount: int) -> Outcome:
        """Reserves `amount` in one scope while its cap admits it (shadow: always). Never raises."""
        part = Part(scope, cell_of(scope), 0, hold, amount)
        known = self._views.get((scope.pk, scope.window.key))
        view = View(dict(known.items)) if known else View()
        try:
            outcome = await (self._spread(view, part, scope.cap or 0) if scope.sliceable else self._single(view, part))
        except StoreUnavailable as error:
            touched = (part, *(self._at(part, n) for n in view.numbers() if scope.sliceable))
            return Outcome(touched, error=error)
        if view.numbers():
            self._remember(scope, view)
        return outcome

    async def look(self, scope: ScopeCap) -> View:
        """Every item of the scope's window as it stands now. Raises StoreUnavailable."""
        view = View()
        await self._look(scope, view, [0])
        await self._look(scope, view, view.numbers())
        return view

    async def balance(self, scope: ScopeCap) -> Balance:
        """What the scope's window stands at now. Raises StoreUnavailable."""
        return (await self.look(scope)).balance()

    async def persist(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """The same idempotent write until its answer arrives. Raises StoreUnavailable after the last attempt."""
        for attempt in range(1, self._options.store_attempts):
            try:
                return await write()
            except StoreUnavailable:
                await self._clock.sleep(0.02 * 4**attempt)
        return await write()

    async def grow(self, part: Part, amount: int) -> None:
        """Makes an open hold `amount` where it is. Raises Refused (there is no room there) or StoreUnavailable."""
        scope, number = part.scope, part.slice
        limit: int | None = scope.cap if scope.mode == "enforce" else None
        guard: Condition | None = None
        if scope.sliceable and scope.cap is not None:
            view = self._views.get((scope.pk, scope.window.key)) or View()
            limit, guard = view.limit(number, scope.cap) if number in view.usable(scope.cap) else 0, view.guard(number)
        cell, hold, held = part.cell, part.hold, part.amount
        await self.persist(lambda: counter.resize(self._table, cell, hold, held, amount, limit=limit, guard=guard))

    async def _single(self, view: View, part: Part) -> Outcome:
        scope, most = part.scope, self._options.max_holds
        enforce = scope.mode == "enforce"
        places = min(most, scope.max_parallel) if enforce and scope.max_parallel is not None else most
        for last in (False, True):
            try:
                return await self._reserve(view, part, scope.cap if enforce else None, places, None)
            except Refused:
                if last or not (await self._close(view, scope) or (view.in_flight(0) >= places and await self._expire(part, view.root))):
                    break
        if view.in_flight(0) < places:
            return self._refuse(view, part, "money")
        return self._refuse(view, part, "parallel" if places == scope.max_parallel else "full")

    async def _spread(self, view: View, part: Part, cap: int) -> Outcome:
        refused = 0
        for _ in range(_MOVES):
            number, stale = self._choose(view, part, cap), {0, *view.numbers()} - view.fresh
            # Two wrong guesses say that what is remembered is too old to guess from.
            if number is not None and (refused < 2 or not stale):
                places = part.scope.spread if self._calm(view, part, number) else self._options.max_holds
                try:
                    return await self._reserve(view, self._at(part, number), view.limit(number, cap), places, view.guard(number))
                except Refused:
                    refused += 1
            elif stale:
                await self._look(part.scope, view, stale)
            elif not (await self._hand_out(view, part, cap) or (view.label != cap and await self._close(view, part.scope))):
                return await self._split(view, part, cap)
        return self._refuse(view, part, "full")

    def _choose(self, view: View, part: Part, cap: int) -> int | None:
        """The slice to try next; None when, as far as is known, none has both the money and a place."""
        if 0 not in view.items or (view.label is None and 0 not in view.fresh):
            return 0
        rich = [n for n in view.usable(cap) if view.free(n, cap) >= part.amount]
        calm = [n for n in rich if self._calm(view, part, n)]
        if calm:
            luck = int.from_bytes(part.hold[-6:].encode(), "big")
            return min(calm[luck % len(calm)], calm[luck // 64 % len(calm)], key=view.in_flight)
        placed = [n for n in rich if view.in_flight(n) < self._options.max_holds]
        return min(placed, key=view.in_flight) if placed and not self._growth(view, part, cap) else None

    def _calm(self, view: View, part: Part, number: int) -> bool:
        return view.in_flight(number) < part.scope.spread

    def _growth(self, view: View, part: Part, cap: int) -> int:
        """How much to hand out when every slice with money is crowded: enough for a crowd, at most half of what is free; 0: too little."""
        free, scope = view.free(0, cap), part.scope
        amount = min(free // 2, max(scope.spread * part.amount, free // scope.max_slices))
        return amount if amount >= max(part.amount, 1) and self._target(view, part, cap) else 0

    def _target(self, view: View, part: Part, cap: int) -> int:
        """The slice to fill: one with places and no money, else a new one; 0 when there are as many as may be."""
        if calm := [n for n in view.usable(cap) if n and self._calm(view, part, n)]:
            return min(calm, key=view.in_flight)
        return 1 + max(view.numbers(), default=0) if 0 < len(view.usable(cap)) < part.scope.max_slices else 0

    async def _hand_out(self, view: View, part: Part, cap: int) -> bool:
        """Fills a slice when all with money are crowded. True: look again."""
        amount, number = self._growth(view, part, cap), self._target(view, part, cap)
        if not amount or not any(view.free(n, cap) >= part.amount for n in view.usable(cap)):
            return False
        guards = [view.guard(0), Exists(f"o{number}") if number in view.numbers() else Missing(f"g{number}")]
        try:
            root = cell_of(part.scope)
            view.see(0, await self.persist(lambda: counter.hand_out(self._table, root, number, amount, cap=cap, guards=guards)))
        except Refused as refused:
            view.see(0, refused.item)
        return True

    async def _close(self, view: View, scope: ScopeCap) -> bool:
        """Ends the slices of another cap: takes back what they did not commit. True: look again."""
        if view.root.get("label") is None and not self._idle(view):
            return False
        root, label, numbers = cell_of(scope), view.label, view.numbers()
        await self._look(scope, view, numbers)
        try:
            for number in numbers:
                if number in self._idle(view) or f"o{number}" in view.root:
                    view.see(0, await self._take_back(view, scope, number))
            if label is not None:
                view.see(0, await self.persist(lambda: counter.unlabel(self._table, root, label, numbers)))
        except Refused as refused:
            view.see(0, refused.item)
        return True

    async def _take_back(self, view: View, scope: ScopeCap, number: int) -> Item:
        root, child, granted = cell_of(scope), cell_of(scope, number), number_of(view.root, f"g{number}")
        return await self.persist(lambda: counter.take_back(self._table, root, child, number, granted))

    def _idle(self, view: View) -> list[int]:
        """Closed slices that have settled for less since."""
        return [n for n in view.numbers() if f"o{n}" not in view.root and n in view.items and view.free(n, 0) > 0]

    async def _split(self, view: View, part: Part, cap: int) -> Outcome:
        """No slice has room for the whole: several may. Everything in `view` is fresh."""
        rest, pieces = part.amount, []
        for number in sorted(view.usable(cap), key=lambda n: -view.free(n, cap)):
            size = min(rest, view.free(number, cap))
            if size > 0 and view.in_flight(number) < self._options.max_holds:
                pieces.append(self._at(part, number, size))
                rest -= size
        if rest or len(pieces) < 2:
            return self._refuse(view, part, "money")
        most = self._options.max_holds
        tries = (self._reserve(view, piece, view.limit(piece.slice, cap), most, view.guard(piece.slice)) for piece in pieces)
        answers = await asyncio.gather(*tries, return_exceptions=True)
        held = tuple(found for answer in answers if isinstance(answer, Outcome) for found in answer.parts)
        if len(held) == len(pieces):
            return Outcome(held)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Refused):
                raise answer
        return Outcome(held, refusal=self._refuse(view, part, "full").refusal)

    async def _reserve(self, view: View, part: Part, limit: int | None, places: int, guard: Condition | None) -> Outcome:
        cell, hold, amount = part.cell, part.hold, part.amount
        try:
            item = await self.persist(
                lambda: counter.reserve(self._table, cell, hold, amount, limit=limit, max_in_flight=places, guard=guard)
            )
        except Refused as refused:
            view.see(part.slice, refused.item)
            raise
        view.see(part.slice, item)
        return Outcome((part,), balance=view.balance())

    async def _expire(self, part: Part, item: Item) -> bool:
        """Ends holds no living request can own, which costs nothing to find: the refusal has just shown them. True: there were some."""
        oldest = self._clock.now() - self._options.max_age
        old = [(name, amount) for name, amount in counter.open_holds(item).items() if counter.hold_created(name) < oldest]
        for name, amount in old:
            known = await self._options.booked(name, counter.hold_created(name))
            if await self.end(part.cell, name, amount, amount if known is None else known) and known is None:
                self._events(expired(part.cell, name, amount))
        return bool(old)

    async def end(self, cell: Cell, hold: str, amount: int, actual: int) -> Item | None:
        """`counter.settle`, persisted."""
        return await self.persist(lambda: counter.settle(self._table, cell, hold, amount, actual))

    async def _look(self, scope: ScopeCap, view: View, numbers: Iterable[int]) -> None:
        wanted = list(numbers)
        cells = [cell_of(scope, number) for number in wanted]
        found = await asyncio.gather(*(self.persist(partial(self._table.get, cell.pk, cell.sk, consistent=True)) for cell in cells))
        for number, item in zip(wanted, found, strict=True):
            view.see(number, item or {})

    def _refuse(self, view: View, part: Part, kind: RefusalKind) -> Outcome:
        return Outcome(refusal=Refusal(part.scope, kind, view.balance(), part.amount))

    def _at(self, part: Part, number: int, amount: int | None = None) -> Part:
        return Part(part.scope, cell_of(part.scope, number), number, part.hold, part.amount if amount is None else amount)

    def _remember(self, scope: ScopeCap, view: View) -> None:
        key = (scope.pk, scope.window.key)
        self._views.pop(key, None)
        if len(self._views) >= _REMEMBERED:
            del self._views[next(iter(self._views))]
        self._views[key] = view
