"""A counters table in memory whose every verb a test can hold up, lose, repeat or count; a clock that stands still; what books show."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tollkeeper.budgets.counter import open_holds
from tollkeeper.budgets.hold import BudgetEvent, Options
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.scopes import Owner, ScopeCap, ScopeKind, Terms, scope_caps
from tollkeeper.budgets.slices import View, cell_of
from tollkeeper.clock import time_ordered_id
from tollkeeper.errors import StoreUnavailable
from tollkeeper.money import NanoUSD, usd_to_nano
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Exists, Item, Missing, Page

Fault = Literal["", "down", "lost", "again"]
"""`down`: not applied, StoreUnavailable. `lost`: applied, StoreUnavailable. `again`: applied now, and once more when `repeat` is called."""

START = 1_795_000_000.0


@dataclass
class FakeClock:
    """Time passes only in `sleep` and by hand."""

    time: float = START
    made: int = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)

    def new_id(self) -> str:
        self.made += 1
        return time_ordered_id(self.time, self.made.to_bytes(10, "big"))


@dataclass(frozen=True)
class Call:
    verb: str
    pk: str
    sk: str

    @property
    def writes(self) -> bool:
        return self.verb in {"apply", "put", "put_new", "delete"}


async def _straight(call: Call) -> Fault:
    del call
    return ""


@dataclass
class MemoryTable:
    """`store.table.Table`. `gate` is awaited before each verb and says what goes wrong with it."""

    gate: Callable[[Call], Awaitable[Fault]] = _straight
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    write_units: int = 0
    repeats: list[Callable[[], None]] = field(default_factory=list)

    async def get(self, pk: str, sk: str, *, consistent: bool = False) -> Item | None:
        if await self._enter("get", pk, sk):
            raise StoreUnavailable("down")
        item = self.items.get((pk, sk))
        return None if item is None else dict(item)

    async def query(
        self, pk: str, *, index: str | None = None, prefix: str = "", after: str | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        assert index is None
        assert not descending
        if await self._enter("query", pk, prefix):
            raise StoreUnavailable("down")
        keys = sorted(sk for found, sk in self.items if found == pk and sk.startswith(prefix) and (after is None or sk > after))
        items = [dict(self.items[pk, sk]) for sk in keys[:limit]]
        return Page(items, keys[limit - 1] if len(keys) > limit else None)

    async def put_new(self, item: Item) -> None:
        await self._write("put_new", item["pk"], item["sk"], lambda old: dict(item), [Missing()])

    async def put(self, item: Item) -> None:
        await self._write("put", item["pk"], item["sk"], lambda old: dict(item), [])

    async def delete(self, pk: str, sk: str) -> Item | None:
        old = self.items.get((pk, sk))
        if await self._enter("delete", pk, sk) == "down":
            raise StoreUnavailable("down")
        self.items.pop((pk, sk), None)
        return old

    async def apply(
        self,
        pk: str,
        sk: str,
        *,
        add: Mapping[str, int] | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002
        remove: Iterable[str] = (),
        when: Sequence[Condition] = (),
    ) -> Item:
        gone = tuple(remove)

        def change(old: Item) -> Item:
            new = {"pk": pk, "sk": sk, **old, **(set or {})}
            for name, amount in (add or {}).items():
                new[name] = new.get(name, 0) + amount
            return {name: value for name, value in new.items() if name not in gone}

        return await self._write("apply", pk, sk, change, when)

    def repeat(self) -> None:
        """One delayed duplicate arrives."""
        self.repeats.pop(0)()

    async def _enter(self, verb: str, pk: str, sk: str) -> Fault:
        call = Call(verb, pk, sk)
        fault = await self.gate(call)
        self.calls.append(call)
        return fault

    async def _write(self, verb: str, pk: str, sk: str, change: Callable[[Item], Item], when: Sequence[Condition]) -> Item:
        fault = await self._enter(verb, pk, sk)
        if fault == "down":
            raise StoreUnavailable("down")

        def run() -> Item:
            old = self.items.get((pk, sk))
            if not all(_holds(condition, old) for condition in when):
                self.write_units += _units(old)
                raise ConditionFailed(None if old is None else dict(old))
            new = self.items[pk, sk] = change(dict(old or {}))
            self.write_units += max(_units(old), _units(new))
            return dict(new)

        if fault == "again":
            self.repeats.append(lambda: _quietly(run))
        if fault == "lost":
            _quietly(run)
            raise StoreUnavailable("lost")
        return run()


def _quietly(run: Callable[[], Item]) -> None:
    try:
        run()
    except ConditionFailed:
        return


def _holds(condition: Condition, old: Item | None) -> bool:
    item = old or {}
    match condition:
        case Exists(name):
            return old is not None if name is None else name in item
        case Missing(name):
            return old is None if name is None else name not in item
        case AtMost(name, limit):
            return bool(item.get(name, 0) <= limit)
        case Equals(name, value):
            return name in item and bool(item[name] == value)


def _units(item: Item | None) -> int:
    """DynamoDB write units: one per started KB. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    if item is None:
        return 1
    return -(-sum(len(name.encode()) + _size(value) for name, value in item.items()) // 1024)


def _size(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else 1 + -(-len(str(abs(value)).rstrip("0")) // 2)


@dataclass
class Books:
    """What one scope's items say, summed."""

    committed: int
    spent: int
    held: int
    holds: int
    in_flight: int
    slices: int


def books(table: MemoryTable, scope: ScopeCap) -> Books:
    root = table.items.get((scope.pk, scope.window.key), {})
    numbers = View({0: root}).numbers()
    items = [root] + [table.items.get((cell_of(scope, n).pk, scope.window.key), {}) for n in numbers]
    held = [open_holds(item) for item in items]
    return Books(
        committed=sum(item.get("committed", 0) for item in items) - sum(root.get(f"g{n}", 0) for n in numbers),
        spent=sum(item.get("spent", 0) for item in items),
        held=sum(sum(each.values()) for each in held),
        holds=sum(len(each) for each in held),
        in_flight=sum(item.get("in_flight", 0) for item in items),
        slices=len(numbers),
    )


def check(table: MemoryTable, scope: ScopeCap, highest_cap: int | None = None) -> Books:
    """The invariants of one scope: books balance, every hold counts once, and nothing is committed beyond the cap."""
    found = books(table, scope)
    assert found.committed == found.spent + found.held, f"{scope.pk}: {found}"
    assert found.in_flight == found.holds, f"{scope.pk}: {found}"
    cap = scope.cap if highest_cap is None else highest_cap
    if cap is not None and scope.enforcement == "hard" and scope.mode == "enforce":
        assert found.committed <= cap, f"{scope.pk}: {found} over {cap}"
    return found


def usd(amount: float) -> NanoUSD:
    return NanoUSD(round(amount * 10**9))


def dollar_terms(**terms: Any) -> Terms:
    """Terms with their money in dollars, as tests read best."""
    for name in ("max_budget", "soft_budget", "temp_budget_increase"):
        if terms.get(name) is not None:
            terms[name] = usd_to_nano(terms[name])
    if "budget_limits" in terms:
        terms["budget_limits"] = tuple((duration, usd_to_nano(amount)) for duration, amount in terms["budget_limits"])
    return Terms(**terms)


def scope(kind: ScopeKind = "team", name: str = "marketing", **terms: Any) -> ScopeCap:
    """One counter, as a record with these fields makes it."""
    [cap] = scope_caps([Owner(kind, (name,), dollar_terms(**terms))], START)
    return cap


class Bench:
    """Budgets over a table in memory, and everything they said."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.table = MemoryTable()
        self.events: list[BudgetEvent] = []
        self.processes = 0
        self.options = Options(**{"wait_seconds": 0.0, **options})
        self.budgets = self.process()

    def process(self, *scopes: ScopeCap) -> Budgets:
        """One more process on the same table. With `scopes` it has its own clock, and has noted them in the hold register before."""
        self.processes += 1
        clock = FakeClock(self.clock.time, self.processes * 10**6) if scopes else self.clock
        made = Budgets(self.table, clock, self.options, self.events.append)
        made._register._known |= {(scope.pk, scope.window.key) for scope in scopes}
        made._register._hour = int(self.clock.time // 3600) if scopes else 0
        return made

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def fail(self, fault: Callable[[Call], Fault]) -> None:
        async def gate(call: Call) -> Fault:
            return fault(call)

        self.table.gate = gate
