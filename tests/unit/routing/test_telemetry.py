"""What is measured of each deployment, and what becomes of it: slow ones wait, canaries are rolled back, adaptive goes where it is well."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.counters import FakeClock, MemoryTable
from tests.support.routing import Router, deployment, snapshot

from tollkeeper.config.snapshot import Snapshot
from tollkeeper.errors import TollkeeperError, UpstreamFailed
from tollkeeper.routing.plan import Attempt
from tollkeeper.routing.statistics import GROWTH, Statistics, bucket_of, measured, summed

TWO = (deployment("g", "a", order=1), deployment("g", "b", order=2))


def settings(**model: Any) -> dict[str, Any]:
    return {"models": {"g": model}}


def timed(config: Snapshot, seconds: dict[str, float], clock: FakeClock | None = None, table: MemoryTable | None = None) -> Router:
    """Each deployment takes its seconds to answer."""
    clock = clock or FakeClock()

    def answer(step: Attempt) -> TollkeeperError | None:
        clock.time += seconds[step.deployment.id]
        return None

    return Router(config, answer, table or MemoryTable(), clock)


@given(st.lists(st.floats(0.011, 500), min_size=1, max_size=60), st.floats(0.5, 0.99))
def test_a_quantile_is_right_to_the_width_of_a_bucket(times: list[float], share: float) -> None:
    counts = Counter(bucket_of(time) for time in times)
    found = Statistics(firsts=counts).quantile(share, streamed=True)
    ranked = sorted(times)
    true = ranked[max(-(-int(share * len(times) * 1000) // 1000) - 1, 0)]
    assert found is not None
    assert true / GROWTH <= found * 1.0001
    assert found <= ranked[-1] * GROWTH * 1.0001


def test_too_few_samples_say_nothing() -> None:
    assert Statistics(firsts={3: 4}).quantile(0.5, streamed=True, samples=5) is None
    assert Statistics().error_rate is None
    assert Statistics().tokens_per_second is None


def test_a_minute_adds_up_over_processes() -> None:
    items = [measured(0.5, 2.5, streamed=True, output_tokens=100), measured(1.5, 2.5, streamed=True, output_tokens=50), {"errors": 1}]
    found = summed(items, "now")
    assert (found.ended, found.errors, found.error_rate) == (2, 1, pytest.approx(1 / 3))
    assert found.tokens_per_second == pytest.approx(150 / 3)
    assert found.latency(streamed=True) == pytest.approx(1.0)


async def test_a_deployment_that_became_slow_waits_behind_the_others_within_seconds_and_for_every_process() -> None:
    config = snapshot(*TWO, own=settings(latency={"slow": 3.0, "quantile": 0.95, "samples": 5}))
    seconds = {"a": 0.2, "b": 0.3}
    router = timed(config, seconds)
    other = timed(config, seconds, router.clock, router.table)  # type: ignore[arg-type]
    assert {await router.ask() for _ in range(10)} == {"a"}
    seconds["a"] = 8.0
    for _ in range(6):
        await router.ask()
    router.clock.time += 1
    assert {await router.ask(), await other.ask()} == {"b"}
    seconds["a"] = 0.2
    router.clock.time += 240
    assert await router.ask() == "a", "what was measured is minutes old: it is tried again"


async def test_where_all_of_a_group_are_slow_its_fallback_comes_first_and_they_come_last() -> None:
    rows = (deployment("g", "a"), deployment("f", "c"))
    config = snapshot(*rows, fallbacks={"g": ("f",)}, own=settings(latency={"slow": 3.0, "samples": 3}))
    dead: set[str] = set()
    clock = FakeClock()

    def answer(step: Attempt) -> TollkeeperError | None:
        clock.time += 9.0 if step.deployment.id == "a" else 0.1
        return UpstreamFailed("down", upstream_status=500) if step.deployment.id in dead else None

    router = Router(config, answer, MemoryTable(), clock)
    for _ in range(3):
        assert await router.ask() == "a"
    clock.time += 1
    assert await router.ask() == "c"
    dead.add("c")
    assert await router.ask() == "a", "slow is better than nothing"


async def test_adaptive_goes_where_calls_are_answered_quickly_and_without_errors() -> None:
    config = snapshot(*(deployment("g", name) for name in "abc"), router={"routing_strategy": "adaptive"}, num_retries=0)
    router = timed(config, {"a": 0.5, "b": 4.0, "c": 0.5})
    quick = router.upstream
    luck = Random(3)
    router.upstream = lambda step: (
        UpstreamFailed("down", upstream_status=500) if step.deployment.id == "c" and luck.random() < 0.3 else quick(step)
    )
    found: Counter[str] = Counter()
    for number in range(400):
        router.clock.time += 0.5
        try:
            name = await router.ask()
        except UpstreamFailed:
            name = "c"
        found[name] += number >= 100
    assert found["a"] > found["c"] > 0
    assert found["a"] > 3 * found["b"] > 0


def canary(share: float = 0.5) -> Snapshot:
    rows = (deployment("g", "old"), deployment("g", "new"))
    return snapshot(*rows, own=settings(canary={"deployment": "new", "share": share, "max_error_rate": 0.2, "min_requests": 10}))


async def test_a_canary_gets_its_share() -> None:
    router = Router(canary(0.2), lambda step: None)
    found = Counter([await router.ask() for _ in range(3000)])
    expected = {"new": 600, "old": 2400}
    # chi-square with one degree of freedom: 10.83 is passed once in a thousand runs, and the seed is fixed
    assert sum((found[name] - count) ** 2 / count for name, count in expected.items()) < 10.83


async def test_a_canary_that_fails_is_rolled_back_for_the_whole_fleet_and_its_callers_notice_nothing() -> None:
    table, clock = MemoryTable(), FakeClock()
    config = canary()

    def answer(step: Attempt) -> TollkeeperError | None:
        clock.time += 0.3
        return UpstreamFailed("bad build", upstream_status=500) if step.deployment.id == "new" else None

    one, two = (Router(config, answer, table, clock, seed) for seed in (1, 2))
    for _ in range(200):
        clock.time += 2
        assert await one.ask() == "old"
    clock.time += 60
    for router in (one, two):
        router.tried.clear()
        assert {await router.ask() for _ in range(40)} == {"old"}
        assert "new" not in router.tried
    again = Router(canary(0.4), answer, table, clock, 3)
    for _ in range(40):
        clock.time += 2
        await again.ask()
    assert "new" in again.tried, "other settings are another trial"


async def test_statistics_are_counted_everywhere_where_that_is_asked_for_and_cost_nothing_otherwise() -> None:
    quiet, loud = (Router(snapshot(*TWO, own=own), lambda step: None) for own in ({}, {"statistics": True}))
    for router in (quiet, loud):
        for _ in range(5):
            await router.ask()
    assert (quiet.calls("apply"), loud.calls("apply")) == (0, 5)
    row = loud.groups.find("g")
    assert row is not None
    assert loud.fleet.statistics(row.deployments[0]).ended == 5
