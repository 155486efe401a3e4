"""The breaker's item on real engines: what one fleet member writes another reads, and of many that claim the probe one gets it."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest
from tests.support.routing import deployment, snapshot
from tests.support.stores import ATOMIC_ENGINES, Engine, StillClock, engine

from tollkeeper.clock import system
from tollkeeper.errors import UpstreamRateLimited
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.health import Passage
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.resolve import Groups


@pytest.fixture(scope="module", params=ATOMIC_ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


async def test_what_one_process_learns_every_other_goes_by(running: Engine) -> None:
    name, clock = f"g {system.new_id()}", StillClock(system.now())
    rows = (deployment(name, "a#1"), deployment(name, "b"))
    groups = Groups(snapshot(*rows, router={"routing_strategy": "least-busy"}))
    group = groups.find(name)
    assert group is not None
    rules = group.policy.rules_for(rows[0], peers=True)

    def passage(trial: str = "") -> Passage:
        plan = Plan(groups.snapshot, group, groups.find, Random(1))
        made = plan.passage_for(plan.first())
        return Passage(rows[0], made.policy, rules, "probe" if trial else "", tokens=7)

    async with running.open() as tables:
        members = [Fleet(tables.counters, clock, Random(seed)) for seed in range(8)]
        first = passage()
        assert await members[0].enter(first)
        await members[1].refresh(rows)
        assert members[1].statistics(rows[0]).in_flight == 1
        assert members[1].statistics(rows[0]).tokens == 7
        await members[0].failed(first, UpstreamRateLimited("full", upstream_status=429, retry_after=9))
        clock.advance(2)
        await asyncio.gather(*(member.refresh(rows) for member in members))
        assert [member.standing(rows[0]).resting for member in members] == [True] * 8
        assert members[1].statistics(rows[0]).in_flight == 0
        clock.advance(8)
        probes = [passage("probe") for _ in members]
        entered = await asyncio.gather(*(member.enter(probe) for member, probe in zip(members, probes, strict=True)))
        assert entered.count(True) == 1
        winner = entered.index(True)
        members[winner].succeeded(probes[winner])
        await members[winner].close(probes[winner], tokens=3, output_tokens=1, error=None)
        clock.advance(2)
        await asyncio.gather(*(member.refresh(rows) for member in members))
        assert not any(member.standing(rows[0]).open for member in members)
