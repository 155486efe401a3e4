"""Each strategy over a fleet: where calls go, and what the store is asked for it."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.support.counters import FakeClock, MemoryTable
from tests.support.routing import Router, deployment, down, snapshot

from tollkeeper.config.snapshot import Deployment, Prices, Rate
from tollkeeper.errors import NoDeployment, UpstreamFailed
from tollkeeper.routing.plan import Attempt, Plan

THREE = tuple(deployment("g", name) for name in "abc")


def well(*rows: Deployment, **fields: Any) -> Router:
    return Router(snapshot(*rows, **fields), down([], lambda: UpstreamFailed("x")))


async def shares(router: Router, count: int) -> dict[str, float]:
    found = Counter([await router.ask() for _ in range(count)])
    return {name: found[name] / count for name in sorted(found)}


async def test_simple_shuffle_follows_the_weights() -> None:
    router = well(deployment("g", "a", weight=6), deployment("g", "b", weight=4))
    count = 4000
    a = round((await shares(router, count))["a"] * count)
    # chi-square with one degree of freedom: 10.83 is passed once in a thousand runs, and the seed is fixed
    assert (a - 2400) ** 2 / 2400 + (count - a - 1600) ** 2 / 1600 < 10.83


@pytest.mark.parametrize("name", ["round_robin", "round-robin"])
async def test_round_robin_takes_turns(name: str) -> None:
    router = well(*THREE, router={"routing_strategy": name})
    order = [await router.ask() for _ in range(9)]
    assert order[:3] == order[3:6] == order[6:]
    assert sorted(order[:3]) == ["a", "b", "c"]


async def test_cost_based_takes_the_cheapest_that_stands_and_the_unpriced_last() -> None:
    def priced(name: str, price: int) -> Deployment:
        return deployment("g", name, prices=Prices({"input": Rate(price), "output": Rate(4 * price)}, "t"))

    rows = (priced("dear", 9), deployment("g", "unknown"), priced("cheap", 1), priced("fair", 3))
    router = Router(
        snapshot(*rows, router={"routing_strategy": "cost-based-routing"}, num_retries=3), down(["cheap"], lambda: UpstreamFailed("x"))
    )
    assert await router.ask() == "fair"
    assert router.tried == ["cheap", "fair"]
    assert router.calls("apply") == 1, "the fault, and nothing for the strategy"


async def test_least_busy_counts_the_calls_of_all_processes() -> None:
    table, clock = MemoryTable(), FakeClock()
    config = snapshot(*THREE, router={"routing_strategy": "least-busy"})
    one, two = (Router(config, down([], lambda: UpstreamFailed("x")), table, clock, seed) for seed in (1, 2))
    gate = asyncio.Event()
    entered: list[str] = []

    async def slow(step: Any) -> str:
        entered.append(step.deployment.id)
        await gate.wait()
        return str(step.deployment.id)

    one.attempt = two.attempt = slow  # type: ignore[method-assign]
    waiting = []
    for router in (one, two, one, two, one, two):
        waiting.append(asyncio.ensure_future(router.ask()))
        await asyncio.sleep(0.01)
        clock.time += 1
    assert sorted(Counter(entered).values()) == [2, 2, 2]
    gate.set()
    await asyncio.gather(*waiting)
    clock.time += 1
    await one.fleet.refresh(THREE)
    assert [one.fleet.statistics(row).in_flight for row in THREE] == [0, 0, 0]


async def test_latency_based_goes_where_it_is_quick_once_all_are_measured() -> None:
    speed = {"a": 0.9, "b": 0.1, "c": 0.5}
    table, clock = MemoryTable(), FakeClock()
    config = snapshot(*THREE, router={"routing_strategy": "latency-based-routing"})
    routers = [Router(config, down([], lambda: UpstreamFailed("x")), table, clock, seed) for seed in (1, 2)]

    def upstream(step: Any) -> None:
        clock.time += speed[step.deployment.id]

    for router in routers:
        router.upstream = upstream
    for _ in range(4):
        await routers[0].ask(body={"stream": True})
    clock.time += 1
    assert [await routers[1].ask(body={"stream": True}) for _ in range(10)] == ["b"] * 10
    clock.time += 300
    assert {await routers[0].ask(body={"stream": True}) for _ in range(3)} == {"a", "b", "c"}, "old figures are not trusted"


async def test_a_latency_buffer_makes_the_nearly_as_quick_equal() -> None:
    router = well(*THREE, router={"routing_strategy": "latency-based-routing", "routing_strategy_args": {"lowest_latency_buffer": 0.5}})
    speed = {"a": 0.10, "b": 0.14, "c": 0.40}

    def upstream(step: Any) -> None:
        router.clock.time += speed[step.deployment.id]

    router.upstream = upstream
    for _ in range(3):
        await router.ask(body={"stream": True})
    assert {await router.ask(body={"stream": True}) for _ in range(40)} == {"a", "b"}


async def test_usage_based_goes_where_the_fewest_tokens_were_used() -> None:
    router = well(*THREE, router={"routing_strategy": "usage-based-routing-v2"})
    assert await shares(router, 300) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


@pytest.mark.parametrize("limit", [{"rpm": 4}, {"tpm": 40}])
async def test_rpm_and_tpm_of_a_deployment_hold_over_all_processes(limit: dict[str, int]) -> None:
    table, clock = MemoryTable(), FakeClock()
    rows = (deployment("g", "a", **limit), deployment("g", "b", **limit))
    config = snapshot(*rows, router={"routing_strategy": "usage-based-routing-v2"})
    routers = [Router(config, down([], lambda: UpstreamFailed("x")), table, clock, seed) for seed in range(3)]
    answered: Counter[str] = Counter()
    for index in range(12):
        try:
            answered[await routers[index % 3].ask(body={"messages": [{"role": "user", "content": "x" * 39}]})] += 1
        except NoDeployment as refused:
            assert refused.status == 429
            assert refused.retry_after == 60 - clock.time % 60
    assert answered == {"a": 4, "b": 4}
    clock.time += 61
    await routers[0].ask()


async def test_enforce_model_rate_limits_does_so_under_any_strategy() -> None:
    rows = (deployment("g", "a", rpm=2), deployment("f", "b"))
    router = well(*rows, router={"optional_pre_call_checks": ["enforce_model_rate_limits"]}, fallbacks={"g": ("f",)})
    assert [await router.ask() for _ in range(4)] == ["a", "a", "b", "b"]


async def test_a_routing_group_has_a_strategy_of_its_own() -> None:
    groups = [{"group_name": "turns", "models": ["g"], "routing_strategy": "round_robin"}]
    rows = (*THREE, deployment("h", "d", weight=1), deployment("h", "e", weight=0))
    router = well(*rows, router={"routing_groups": groups})
    assert sorted([await router.ask() for _ in range(3)]) == ["a", "b", "c"]
    assert {await router.ask("h") for _ in range(20)} == {"d"}


async def test_tiers_hold_under_every_strategy() -> None:
    rows = (deployment("g", "a", order=2), deployment("g", "b", order=1))
    for name in ("least-busy", "latency-based-routing", "usage-based-routing-v2", "round_robin", "cost-based-routing"):
        router = well(*rows, router={"routing_strategy": name})
        assert {await router.ask() for _ in range(10)} == {"b"}, name


CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27}
"""Chi-square by degrees of freedom, passed once in a thousand runs; the seeds are fixed."""


def chi_square(found: dict[str, float], expected: dict[str, float], count: int) -> float:
    return sum((found.get(name, 0.0) * count - share * count) ** 2 / (share * count) for name, share in expected.items())


@pytest.mark.parametrize(
    "strategy", ["simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing-v2", "capability-based"]
)
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"a": {"weight": 60}, "b": {"weight": 40}}, {"a": 0.6, "b": 0.4}),
        ({"a": {"weight": 5}, "b": {"weight": 3}, "c": {"weight": 2}}, {"a": 0.5, "b": 0.3, "c": 0.2}),
        ({"a": {}, "b": {}, "c": {}, "d": {}}, dict.fromkeys("abcd", 0.25)),
    ],
)
async def test_where_a_strategy_sees_no_difference_the_weights_decide(
    strategy: str, rows: dict[str, dict[str, Any]], expected: dict[str, float]
) -> None:
    config = snapshot(*(deployment("g", name, **fields) for name, fields in rows.items()), router={"routing_strategy": strategy})
    count, found = 3000, Counter[str]()
    router = Router(config, down([], lambda: UpstreamFailed("x")), seed=5)
    group = router.groups.find("g")
    assert group is not None
    for _ in range(count):
        found[Plan(config, group, router.groups.find, router.random).first().deployment.id] += 1
    shares = {name: found[name] / count for name in found}
    assert chi_square(shares, expected, count) < CRITICAL[len(expected) - 1]


async def test_round_robin_over_many_processes_is_even() -> None:
    config = snapshot(*THREE, router={"routing_strategy": "round_robin"})
    found: Counter[str] = Counter()
    for seed in range(300):
        router = Router(config, down([], lambda: UpstreamFailed("x")), seed=seed)
        for _ in range(5):
            found[await router.ask()] += 1
    assert chi_square({name: found[name] / 1500 for name in found}, dict.fromkeys("abc", 1 / 3), 1500) < CRITICAL[2]


async def test_adaptive_divides_by_what_was_measured() -> None:
    """Two seconds against one: half as likely, within the width of a bucket."""
    table, clock = MemoryTable(), FakeClock()
    seconds = {"a": 1.0, "b": 2.0}

    def answer(step: Attempt) -> None:
        clock.time += seconds[step.deployment.id]

    config = snapshot(deployment("g", "a"), deployment("g", "b"), router={"routing_strategy": "adaptive"})
    router = Router(config, answer, table, clock, 4)
    for _ in range(40):
        await router.ask()
    group = router.groups.find("g")
    assert group is not None
    found = Counter(Plan(config, group, router.groups.find, router.random, health=router.fleet).first().deployment.id for _ in range(2000))
    assert 1.2 < found["a"] / found["b"] < 2.8
