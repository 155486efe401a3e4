"""A hot scope spreads over several items: never past its cap, to the last cent, and back when the cap is lowered."""

import pytest
from tests.support.counters import Bench, Call, Fault, books, check, scope, usd

from tollkeeper.budgets.hold import Hold
from tollkeeper.errors import BudgetExceeded, RateLimited
from tollkeeper.money import NanoUSD


async def fill(bench: Bench, count: int, amount: float, **terms: object) -> list[Hold]:
    team = scope(**terms)
    return [await bench.budgets.reserve([team], usd(amount)) for _ in range(count)]


async def test_a_quiet_scope_is_one_item() -> None:
    bench = Bench()
    await fill(bench, 8, 0.01, max_budget=100.0)
    assert len([key for key in bench.table.items if key[0].startswith("team#")]) == 1


async def test_a_hot_scope_spreads_and_settles_to_exactly_what_was_spent() -> None:
    bench, team = Bench(), scope(max_budget=100.0)
    holds = await fill(bench, 200, 0.05, max_budget=100.0)
    assert check(bench.table, team).slices >= 5
    largest = max(sum(name[0] == "h" for name in item) for item in bench.table.items.values())
    assert largest <= team.spread
    for hold in holds:
        await bench.budgets.settle(hold, usd(0.01))
    found = check(bench.table, team)
    assert (found.spent, found.committed, found.in_flight) == (usd(2), usd(2), 0)
    assert await bench.budgets.balance(team) == await bench.process().balance(team)
    assert (await bench.budgets.balance(team)).spent == usd(2)


async def test_no_cent_is_lost_between_slices_and_none_is_spent_twice() -> None:
    bench, terms = Bench(), {"max_budget": 4.0, "spread": 4}
    team, admitted = scope(**terms), 0
    processes = [bench.process() for _ in range(5)]
    with pytest.raises(RateLimited):
        while True:
            await processes[admitted % 5].reserve([team], usd(0.03))
            admitted += 1
    assert admitted == 133
    assert check(bench.table, team).slices > 0
    # What is left is in pieces; together they are still worth a call.
    assert await bench.budgets.reserve([team], NanoUSD(usd(4) - 133 * usd(0.03)))
    assert check(bench.table, team).committed == team.cap


async def test_a_split_hold_settles_once_over_all_its_parts() -> None:
    bench, team = Bench(), scope(max_budget=4.0, spread=4)
    holds = await fill(bench, 38, 0.05, max_budget=4.0, spread=4)
    rest = await bench.budgets.reserve([team], usd(2.1))
    assert len(rest.parts) > 1
    await bench.budgets.settle(rest, usd(1.5))
    for hold in holds:
        await bench.budgets.release(hold)
    assert check(bench.table, team).spent == check(bench.table, team).committed == usd(1.5)


async def test_a_lowered_cap_binds_slices_too_and_gives_their_rest_back() -> None:
    bench = Bench()
    holds = await fill(bench, 60, 0.05, max_budget=40.0, spread=8)
    assert check(bench.table, scope(max_budget=40.0)).slices > 2
    lowered = scope(max_budget=2.9, spread=8)
    for process in (bench.budgets, bench.process()):
        with pytest.raises(RateLimited):
            await process.reserve([lowered], usd(0.05))
    for hold in holds:
        await bench.budgets.settle(hold, usd(0.01))
    spent, admitted = usd(0.6), 0
    with pytest.raises(BudgetExceeded):
        while True:
            await bench.budgets.settle(await bench.budgets.reserve([lowered], usd(0.1)), usd(0.1))
            admitted += 1
    assert admitted == 23
    assert check(bench.table, lowered).spent == spent + 23 * usd(0.1)


async def test_a_process_that_remembers_a_closed_slice_cannot_spend_it_again() -> None:
    bench = Bench()
    crowd, calm = scope(max_budget=10.0, spread=2), scope(max_budget=10.0, spread=32)
    remembering = [bench.process() for _ in range(8)]
    for process in remembering:
        await process.release(await process.reserve([crowd], usd(0.01)))
    for process in (*remembering, *remembering):
        await process.reserve([crowd], usd(0.01))
    assert check(bench.table, crowd).slices > 2
    await bench.process().reserve([scope(max_budget=5.0, spread=32)], usd(0.01))
    left = usd(10) - check(bench.table, crowd).committed
    await bench.process().reserve([calm], NanoUSD(left))
    for process in remembering:
        with pytest.raises(RateLimited):
            await process.reserve([calm], usd(0.01))
    assert check(bench.table, crowd).committed == usd(10)


async def test_a_raised_cap_uses_the_slices_there_are() -> None:
    bench = Bench()
    await fill(bench, 60, 0.05, max_budget=4.0, spread=8)
    raised = scope(max_budget=100.0, spread=8)
    for _ in range(60):
        await bench.process().reserve([raised], usd(0.5))
    assert check(bench.table, raised).committed == usd(33)


async def test_extending_a_hold_in_a_slice_stays_under_the_cap() -> None:
    bench, team = Bench(), scope(max_budget=10.0, spread=2)
    holds = await fill(bench, 12, 0.1, max_budget=10.0, spread=2)
    grown = [await bench.budgets.extend(hold, usd(0.8)) for hold in holds]
    assert check(bench.table, team).committed == usd(9.6)
    with pytest.raises(RateLimited):
        await bench.budgets.extend(grown[3], usd(1.8))
    assert check(bench.table, team).committed == usd(9.6)
    for hold in grown:
        await bench.budgets.settle(hold, usd(0.2))
    assert check(bench.table, team).committed == usd(2.4)


async def test_a_limit_on_parallel_calls_is_kept_in_one_item() -> None:
    bench = Bench()
    with pytest.raises(RateLimited):
        await fill(bench, 51, 0.01, max_budget=100.0, max_parallel_requests=50)
    assert check(bench.table, scope(max_budget=100.0)).slices == 0


async def test_soft_budget_of_a_sliced_scope_is_told() -> None:
    bench = Bench()
    holds = await fill(bench, 40, 0.1, max_budget=50.0, soft_budget=3.0, spread=4)
    for hold in holds:
        await bench.budgets.settle(hold, usd(0.1))
    assert bench.kinds() == ["soft_budget"]


async def test_spend_of_a_sliced_scope_can_be_reset() -> None:
    bench, team = Bench(), scope(max_budget=5.0, spread=4)
    for hold in await fill(bench, 40, 0.1, max_budget=5.0, spread=4):
        await bench.budgets.settle(hold, usd(0.1))
    assert (await bench.budgets.reset_spend(team)).spent == 0
    assert books(bench.table, team).committed == 0
    await bench.process().reserve([team], usd(4.9))


async def test_a_store_that_fails_while_slices_move_loses_nothing() -> None:
    bench, team = Bench(), scope(max_budget=20.0, spread=3)
    count = 0

    def every_third(call: Call) -> Fault:
        nonlocal count
        count += call.verb == "apply"
        return "lost" if call.verb == "apply" and count % 3 == 0 else "down" if call.verb == "apply" and count % 7 == 0 else ""

    bench.fail(every_third)
    holds = [await bench.budgets.reserve([team], usd(0.1)) for _ in range(60)]
    assert check(bench.table, team).held == usd(6)
    for hold in holds:
        await bench.budgets.settle(hold, usd(0.04))
    assert check(bench.table, team).committed == check(bench.table, team).spent == usd(2.4)


async def test_a_clamp_sees_what_is_left_in_all_slices() -> None:
    bench, team = Bench(), scope(max_budget=8.0, spread=4)
    holds = await fill(bench, 40, 0.1, max_budget=8.0, spread=4)
    clamped = await bench.budgets.reserve([team], usd(20), minimum=usd(0.01))
    assert clamped.amount == usd(1)
    for hold in [*holds, clamped]:
        await bench.budgets.release(hold)
    assert check(bench.table, team).committed == 0
