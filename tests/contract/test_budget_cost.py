"""What a budget costs in the store: requests and write units per call for the common shapes, and as calls pile up.

Run with `-s` to see the figures. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

import pytest
from tests.support.counters import Bench, scope, usd

from tollkeeper.budgets.hold import Hold
from tollkeeper.budgets.reserve import Budgets


async def in_flight(bench: Bench, gateways: list[Budgets], count: int) -> list[tuple[Budgets, Hold]]:
    team = scope(max_budget=10_000.0)
    for gateway in gateways:  # each has handled a call before, as a warm sandbox has
        await gateway.settle(await gateway.reserve([team], usd(0.05)), usd(0.01))
    return [
        (gateways[number % len(gateways)], await gateways[number % len(gateways)].reserve([team], usd(0.05))) for number in range(count)
    ]


@pytest.mark.parametrize("shape", ["nothing", "key", "key and team", "key, team and parallel"])
async def test_a_common_shape_costs_two_writes_a_counter_and_no_read(shape: str) -> None:
    bench = Bench()
    scopes = {
        "nothing": [],
        "key": [scope("key", "k", max_budget=9.0)],
        "key and team": [scope("key", "k", max_budget=9.0), scope("team", "t", max_budget=9.0)],
        "key, team and parallel": [scope("key", "k", max_budget=9.0, max_parallel_requests=9), scope("team", "t", max_budget=9.0)],
    }[shape]
    await bench.budgets.release(await bench.budgets.reserve(scopes, usd(0.1)))
    bench.table.calls.clear()
    bench.table.write_units = 0
    hold = await bench.budgets.reserve(scopes, usd(0.1))
    before_the_call = len(bench.table.calls)
    await bench.budgets.settle(hold, usd(0.01))
    print(f"{shape}: {before_the_call} requests before the call, {len(bench.table.calls)} in all, {bench.table.write_units} write units")
    assert before_the_call == len(scopes)
    assert len(bench.table.calls) == bench.table.write_units == 2 * len(scopes)
    assert all(call.verb == "apply" for call in bench.table.calls)


@pytest.mark.parametrize("gateways", [1, 50])
@pytest.mark.parametrize("count", [1, 10, 100, 1_000])
async def test_write_units_a_call_stay_flat_as_calls_pile_up(count: int, gateways: int) -> None:
    bench = Bench()
    processes = [bench.process() for _ in range(gateways)]
    open_calls = await in_flight(bench, processes, count)
    team = scope(max_budget=10_000.0)
    bench.table.calls.clear()
    bench.table.write_units = 0
    calls = 200
    for number in range(calls):
        gateway = processes[number % gateways]
        entered = await gateway.reserve([team], usd(0.05))
        leaving, hold = open_calls[number % count]
        await leaving.settle(hold, usd(0.01))
        open_calls[number % count] = (gateway, entered)
    units, writes = bench.table.write_units / calls, sum(call.writes for call in bench.table.calls) / calls
    largest = max(sum(name[0] == "h" for name in item) for item in bench.table.items.values())
    print(f"{count} in flight, {gateways} gateways: {units:.2f} units, {writes:.2f} writes a call, {largest} holds in the fullest item")
    # 32 slices of 32 holds are all there may be: at 1,000 in flight the last few calls share what is left of the room.
    assert largest <= 2 * team.spread
    assert units <= 4
