"""Proof 1: random histories of everything that can happen to a budget, with the books checked after every step.

Requests of several processes over four scopes (a key, a sliced team, a user with a limit on parallel calls, a tag with a soft budget),
answers that get lost, writes that arrive again later, processes that die, the janitor, and caps that change while money is held.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from tests.support.counters import Bench, Call, Fault, books, check, scope

from tollkeeper.budgets.hold import Hold
from tollkeeper.budgets.janitor import Janitor
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.errors import BudgetExceeded, RateLimited, StoreUnavailable
from tollkeeper.money import NanoUSD

CAPS = {"key": 300, "team": 600, "user": 80, "tag": 70}
FAULTS: list[Fault] = ["", "", "", "", "down", "lost", "again"]
AMOUNT = st.integers(0, 40)


@dataclass
class Open:
    process: int
    hold: Hold


class History(RuleBasedStateMachine):
    running = Bundle("running")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = Bench(max_age=900.0)
        self.processes = [self.bench.process() for _ in range(3)]
        self.scopes = {
            "key": self.cap("key", 300, spread=1, max_slices=8),
            "team": self.cap("team", 600, spread=2, max_slices=4),
            "user": self.cap("user", 80, max_parallel_requests=3),
            "tag": self.cap("tag", 70, enforcement="soft"),
        }
        self.highest = dict(CAPS)
        self.faults: list[Fault] = []
        self.bench.fail(self.fault)

    def cap(self, kind: Any, nano: int, **terms: Any) -> ScopeCap:
        return replace(scope(kind, kind, max_budget=1.0, **terms), cap=NanoUSD(nano))

    def fault(self, call: Call) -> Fault:
        return self.faults.pop() if call.verb == "apply" and self.faults else ""

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(
        target=running,
        process=st.integers(0, 2),
        names=st.sets(st.sampled_from(sorted(CAPS)), min_size=1),
        amount=AMOUNT,
        minimum=st.none() | st.integers(1, 10),
        calm=st.booleans(),
        faults=st.lists(st.sampled_from(FAULTS), max_size=5),
    )
    def reserve(self, process: int, names: set[str], amount: int, minimum: int | None, calm: bool, faults: list[Fault]) -> Any:
        wanted, self.faults = [self.scopes[name] for name in sorted(names)], faults
        if calm:  # not crowded enough to open slices, but not to overlook those there are
            wanted = [replace(one, spread=32) for one in wanted]
        try:
            hold = self.run(self.processes[process].reserve(wanted, NanoUSD(amount), minimum=None if minimum is None else NanoUSD(minimum)))
        except (BudgetExceeded, RateLimited, StoreUnavailable):
            return Open(process, Hold("", NanoUSD(0), 0.0))
        assert hold.amount <= amount
        for one in wanted:
            if one.enforcement == "hard":
                assert books(self.bench.table, one).committed <= (one.cap or 0), f"granted over {one.pk}'s cap of this moment"
                if one.max_parallel is not None:
                    assert books(self.bench.table, one).in_flight <= one.max_parallel
        return Open(process, hold)

    @rule(target=ended, held=consumes(running), share=st.integers(0, 100), faults=st.lists(st.sampled_from(FAULTS), max_size=3))
    def settle(self, held: Open, share: int, faults: list[Fault]) -> Open:
        self.faults = faults
        self.run(self.processes[held.process].settle(held.hold, NanoUSD(held.hold.amount * share // 100)))
        return held

    @rule(held=ended, process=st.integers(0, 2))
    def settle_again(self, held: Open, process: int) -> None:
        before = {name: books(self.bench.table, one).spent for name, one in self.scopes.items()}
        repeated = {name for part in held.hold.parts for name in self.scopes if part.scope.pk == self.scopes[name].pk}
        open_still = {part.hold for part in held.hold.parts} & {name for item in self.bench.table.items.values() for name in item}
        self.run(self.processes[process].settle(held.hold, held.hold.amount))
        if not open_still:
            assert {name: books(self.bench.table, self.scopes[name]).spent for name in repeated} == {
                name: before[name] for name in repeated
            }

    @rule(held=consumes(running))
    def crash(self, held: Open) -> None:
        self.processes[held.process] = self.bench.process()

    @rule(target=running, held=consumes(running), more=st.integers(1, 40), faults=st.lists(st.sampled_from(FAULTS), max_size=4))
    def extend(self, held: Open, more: int, faults: list[Fault]) -> Open:
        if not held.hold.parts:
            return held
        self.faults = faults
        try:
            grown = self.run(self.processes[held.process].extend(held.hold, NanoUSD(held.hold.amount + more)))
        except (BudgetExceeded, RateLimited, StoreUnavailable):
            return held
        return Open(held.process, grown)

    @rule(name=st.sampled_from(sorted(CAPS)), cap=st.integers(10, 900))
    def change_cap(self, name: str, cap: int) -> None:
        self.scopes[name] = replace(self.scopes[name], cap=NanoUSD(cap))
        self.highest[name] = max(self.highest[name], cap)

    @rule()
    def late_duplicate(self) -> None:
        if self.bench.table.repeats:
            self.bench.table.repeat()

    @rule(seconds=st.sampled_from([60.0, 600.0, 1000.0]))
    def sweep(self, seconds: float) -> None:
        self.faults = []
        self.bench.clock.time += seconds
        if seconds > 60:
            self.bench.table.repeats.clear()  # no network keeps a packet for ten minutes
        self.run(Janitor(self.bench.table, self.bench.clock, self.bench.options).sweep())

    @invariant()
    def books_balance(self) -> None:
        for name, one in self.scopes.items():
            check(self.bench.table, one, self.highest[name])

    def teardown(self) -> None:
        try:
            self.ends_balanced()
        finally:
            self.loop.close()

    def ends_balanced(self) -> None:
        self.faults = []
        while self.bench.table.repeats:
            self.bench.table.repeat()
        self.bench.clock.time += 4_000
        self.run(Janitor(self.bench.table, self.bench.clock, self.bench.options).sweep())
        for name, one in self.scopes.items():
            found = check(self.bench.table, one, self.highest[name])
            assert found.holds == 0
            assert found.committed == found.spent


TestHistories = History.TestCase
TestHistories.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
