"""Holds of dead requests are found and booked, and nothing else is."""

from tests.support.counters import START, Bench, check, scope, usd

from tollkeeper.budgets.janitor import Janitor
from tollkeeper.money import NanoUSD


def janitor(bench: Bench) -> Janitor:
    return Janitor(bench.table, bench.clock, bench.options, bench.events.append)


def register(bench: Bench) -> int:
    return sum(pk.startswith("holds#") for pk, _ in bench.table.items)


async def test_a_dead_requests_hold_is_booked_in_full_in_all_its_scopes() -> None:
    bench = Bench(max_age=900.0)
    key, team = scope("key", "k", max_budget=1.0), scope("team", "t", max_budget=1.0, budget_duration="1d")
    await bench.budgets.reserve([key, team], usd(0.4))
    bench.clock.time += 901
    [expired] = await janitor(bench).sweep()
    assert expired.amount == usd(0.4)
    assert abs(expired.created - START) < 0.2
    assert {scope for scope, _ in expired.scopes} == {key.pk, team.pk}
    assert check(bench.table, key).spent == check(bench.table, team).spent == usd(0.4)
    assert bench.kinds() == ["hold_expired", "hold_expired"]


async def test_living_requests_are_left_alone_and_settle_later() -> None:
    bench, team = Bench(max_age=900.0), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    bench.clock.time += 899
    assert await janitor(bench).sweep() == []
    await bench.budgets.settle(hold, usd(0.1))
    assert check(bench.table, team).spent == usd(0.1)


async def test_a_settlement_after_the_janitor_changes_nothing() -> None:
    bench, team = Bench(max_age=900.0), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    bench.clock.time += 901
    await janitor(bench).sweep()
    late = await bench.budgets.settle(hold, usd(0.1))
    assert len(late.gone) == 1
    assert check(bench.table, team).spent == usd(0.4)


async def test_holds_in_slices_are_found() -> None:
    bench, team = Bench(max_age=900.0), scope(max_budget=90.0, spread=4)
    for _ in range(30):
        await bench.budgets.reserve([team], usd(0.1))
    bench.clock.time += 901
    assert len(await janitor(bench).sweep()) == 30
    assert check(bench.table, team).spent == usd(3)


async def test_swept_hours_leave_the_register_and_new_holds_enter_it_again() -> None:
    bench, team = Bench(max_age=900.0), scope(max_budget=1.0)
    for hour in range(3):
        await bench.budgets.reserve([team], usd(0.1))
        assert register(bench) == 1, hour
        bench.clock.time += 7200
        assert len(await janitor(bench).sweep()) == 1
        assert register(bench) == 0


async def test_the_register_costs_one_write_per_process_window_and_hour() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    for _ in range(20):
        await bench.budgets.release(await bench.budgets.reserve([team], NanoUSD(1)))
    assert sum(call.verb == "put" for call in bench.table.calls) == 1


async def test_many_scopes_are_swept_over_pages() -> None:
    bench = Bench(max_age=900.0)
    for number in range(450):
        await bench.budgets.reserve([scope("customer", f"c#{number}", max_budget=1.0)], usd(0.1))
    bench.clock.time += 901
    assert len(await janitor(bench).sweep()) == 450
