"""Processes that share a store file and one dead deployment, each trying it whenever its breaker lets it."""

import asyncio
import os
from pathlib import Path
from random import Random

from tests.support.routing import deployment, snapshot
from tests.support.stores import sqlite_tables

from tollkeeper.clock import system
from tollkeeper.errors import TollkeeperError, UpstreamFailed
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.plan import Attempt, Plan
from tollkeeper.routing.resolve import Groups


async def _race(folder: Path, seed: int, requests: int) -> tuple[int, int, int]:
    random, lock = Random(seed), folder / "probing"
    rows = (deployment("g", "dead", order=1), deployment("g", "well", order=2))
    config = snapshot(*rows, router={"cooldown_time": 0.005, "allowed_fails": 0})
    groups = Groups(config)
    group = groups.find("g")
    assert group is not None
    answered = probes = together = 0

    async def attempt(step: Attempt) -> None:
        nonlocal probes, together
        if step.deployment.id == "well":
            return
        if step.trial == "probe":
            probes += 1
            try:
                handle = os.open(lock, os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                together += 1
            else:
                await asyncio.sleep(0.003)
                os.close(handle)
                lock.unlink()
        raise UpstreamFailed("down", upstream_status=500)

    async with sqlite_tables(folder / "state") as tables:
        fleet = Fleet(tables.counters, system, random)

        async def ask() -> int:
            plan = Plan(config, group, groups.find, random, health=fleet)
            try:
                await first_success(plan, attempt, system)
            except TollkeeperError:
                return 0
            finally:
                await finish(plan)
            return 1

        for _ in range(requests // 4):
            answered += sum(await asyncio.gather(*(ask() for _ in range(4))))
            await asyncio.sleep(random.uniform(0.001, 0.01))
    return answered, probes, together


def race_in_process(folder: str, seed: int, requests: int) -> tuple[int, int, int]:
    """Calls answered, probes sent, and probes that met another one."""
    return asyncio.run(_race(Path(folder), seed, requests))
