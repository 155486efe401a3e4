"""Proof 2: every interleaving of a few requests, with a crash, a lost answer and a late duplicate at every single write."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
from tests.support.counters import Bench, check, scope, usd
from tests.support.explorer import FAULTS, Case, Move, explore

from tollkeeper.budgets.janitor import Janitor
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.errors import BudgetExceeded, RateLimited, StoreUnavailable
from tollkeeper.money import NanoUSD

Program = Callable[[], Awaitable[None]]


def call(budgets: Budgets, scopes: Sequence[ScopeCap], amount: int, actual: int, *, extend: int = 0, minimum: int | None = None) -> Program:
    """One request as the pipeline makes it."""

    async def program() -> None:
        try:
            hold = await budgets.reserve(scopes, NanoUSD(amount), minimum=None if minimum is None else NanoUSD(minimum))
        except (BudgetExceeded, RateLimited, StoreUnavailable):
            return
        if extend:
            try:
                hold = await budgets.extend(hold, NanoUSD(extend))
            except (BudgetExceeded, RateLimited, StoreUnavailable):
                await budgets.settle(hold, NanoUSD(0))
                return
        await budgets.settle(hold, NanoUSD(min(actual, hold.amount)))

    return program


def checks(bench: Bench, scopes: Sequence[ScopeCap]) -> tuple[Callable[[], None], Callable[[], Awaitable[None]]]:
    def after_step() -> None:
        for one in scopes:
            check(bench.table, one)

    async def at_end() -> None:
        while bench.table.repeats:
            bench.table.repeat()
        bench.clock.time += 10_000
        # A process that died between a hold and its entry is out of the sweep's sight: enter what such a scope's next request would.
        for one in scopes:
            await Budgets(bench.table, bench.clock, bench.options)._register.enlist([(one.pk, one.window.key)], bench.clock.time - 9_000)
        await Janitor(bench.table, bench.clock, bench.options).sweep()
        for one in scopes:
            found = check(bench.table, one)
            assert found.holds == 0
            assert found.spent == found.committed

    return after_step, at_end


def test_two_requests_for_one_budget_that_admits_one() -> None:
    async def make() -> Case:
        bench, team = Bench(), replace(scope(max_budget=1.0, max_slices=1), cap=NanoUSD(10))
        processes = [bench.process(team) for _ in range(2)]
        processes[0]._register._known.clear()
        programs = [call(processes[0], [team], 6, 5), call(processes[1], [team], 7, 7)]
        return Case(bench, programs, *checks(bench, [team]))

    assert explore(make, max_faults=2) > 1_000


def test_three_requests_for_one_budget() -> None:
    async def make() -> Case:
        bench, team = Bench(), replace(scope(max_budget=1.0, max_slices=1), cap=NanoUSD(10))
        processes = [bench.process(team) for _ in range(3)]
        return Case(bench, [call(each, [team], 5, 3) for each in processes], *checks(bench, [team]))

    assert explore(make, max_faults=1) > 1_000


@pytest.mark.parametrize("fault", FAULTS)
def test_two_requests_over_two_scopes_in_opposite_order(fault: Move) -> None:
    async def make() -> Case:
        bench = Bench()
        key = replace(scope("key", "k", max_budget=1.0, max_slices=1), cap=NanoUSD(9))
        team = replace(scope("team", "t", max_budget=1.0, max_slices=1), cap=NanoUSD(8))
        processes = [bench.process(key, team) for _ in range(2)]
        programs = [call(processes[0], [key, team], 5, 4), call(processes[1], [team, key], 5, 5)]
        return Case(bench, programs, *checks(bench, [key, team]))

    assert explore(make, max_faults=1, moves=[fault]) > 400


def test_extending_while_another_settles() -> None:
    async def make() -> Case:
        bench, team = Bench(), replace(scope(max_budget=1.0, max_slices=1), cap=NanoUSD(10))
        processes = [bench.process(team) for _ in range(2)]
        programs = [call(processes[0], [team], 3, 8, extend=8), call(processes[1], [team], 4, 2)]
        return Case(bench, programs, *checks(bench, [team]))

    assert explore(make, max_faults=2) > 1_000


def test_a_limit_of_one_parallel_call_and_a_clamp() -> None:
    async def make() -> Case:
        bench = Bench()
        key = replace(scope("key", "k", max_budget=1.0, max_parallel_requests=1), cap=NanoUSD(40))
        processes = [bench.process(key) for _ in range(2)]

        def after_step() -> None:
            assert check(bench.table, key).in_flight <= 1

        programs = [call(processes[0], [key], 100, 30, minimum=1), call(processes[1], [key], 100, 3, minimum=2)]
        return Case(bench, programs, after_step, checks(bench, [key])[1])

    assert explore(make, max_faults=2) > 1_000


async def crowded(cap: int, slices: int = 2) -> tuple[Bench, ScopeCap, list[Budgets]]:
    """A scope with money out in slices, and processes of which one knows it."""
    bench, team = Bench(), replace(scope(max_budget=1.0, spread=1, max_slices=slices + 1), cap=NanoUSD(cap))
    processes = [bench.process(team) for _ in range(3)]
    for process in (processes[2], processes[0], processes[2]):
        await process.reserve([team], NanoUSD(5))
    assert check(bench.table, team).slices == slices
    return bench, team, processes


@pytest.mark.parametrize("fault", FAULTS)
def test_slices_grow_while_requests_come_and_go(fault: Move) -> None:
    async def make() -> Case:
        bench, team, processes = await crowded(100)
        return Case(bench, [call(processes[0], [team], 5, 5), call(processes[1], [team], 5, 1)], *checks(bench, [team]))

    assert explore(make, max_faults=1, moves=[fault]) > 200


def test_the_cap_is_lowered_while_a_request_uses_a_slice() -> None:
    async def make() -> Case:
        bench, team, processes = await crowded(100, slices=1)
        # Two caps are believed in at this moment, and only the higher one can bind both. Calm scopes do not open slices again.
        lowered = replace(team, cap=NanoUSD(24), spread=32)
        programs = [call(processes[0], [replace(team, spread=32)], 4, 1), call(processes[1], [lowered], 6, 6)]
        return Case(bench, programs, *checks(bench, [team]))

    assert explore(make, max_faults=1) > 300


@pytest.mark.parametrize(
    "fault", ["crash", "crash_after", pytest.param("lost", marks=pytest.mark.slow), pytest.param("again", marks=pytest.mark.slow)]
)
def test_the_last_cents_are_split_between_racing_requests(fault: Move) -> None:
    async def make() -> Case:
        bench, team, processes = await crowded(40, slices=1)
        calm = replace(team, spread=32)
        programs = [call(processes[0], [calm], 17, 15), call(processes[1], [calm], 18, 18)]
        return Case(bench, programs, *checks(bench, [team]))

    assert explore(make, max_faults=1, moves=[fault]) > 200


@pytest.mark.slow
def test_the_last_cents_are_split_between_crowded_requests() -> None:
    async def make() -> Case:
        bench, team, processes = await crowded(40)
        programs = [call(processes[0], [team], 22, 20), call(processes[1], [team], 23, 23)]
        return Case(bench, programs, *checks(bench, [team]))

    assert explore(make, max_faults=0) > 1_000


async def test_after_a_lowered_cap_nobody_adds_to_what_is_over_it() -> None:
    """The cap goes up and down again while one process remembers slices of the first cap."""
    bench, team, processes = Bench(), replace(scope(max_budget=1.0, spread=2, max_slices=4), cap=NanoUSD(usd(1))), []
    processes = [bench.process() for _ in range(2)]
    for _ in range(6):
        await processes[0].reserve([team], NanoUSD(1_000))
    raised = replace(team, cap=NanoUSD(usd(10)), spread=32)
    await processes[1].reserve([raised], NanoUSD(usd(3)))
    for process in (*processes, bench.process()):
        with pytest.raises((BudgetExceeded, RateLimited)):
            await process.reserve([team], NanoUSD(1))
    check(bench.table, raised)
