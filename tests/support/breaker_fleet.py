"""One of many processes over one store: asks two deployments in turns, of which one dies for a while; tells every call."""

import asyncio
import os
import time
from dataclasses import dataclass
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

PAUSE = 0.4
"""Seconds between a process's requests."""


@dataclass(frozen=True)
class Sighting:
    """One call of one process, `at` seconds after all were ready; or, with `asked`, how many requests it made and had answered."""

    deployment: str = ""
    at: float = 0.0
    ok: bool = True
    trial: str = ""
    met: bool = False
    """A probe that found another one out."""
    asked: int = 0
    answers: int = 0


def serve_for(folder: str, seed: int, processes: int, seconds: float, dies: float, recovers: float) -> list[Sighting]:
    return asyncio.run(_Process(Path(folder), seed, dies, recovers).run(processes, seconds))


class _Process:
    def __init__(self, folder: Path, seed: int, dies: float, recovers: float) -> None:
        self._folder, self._random = folder, Random(seed)
        self._dies, self._recovers = dies, recovers
        self._seen: list[Sighting] = []
        self._began = 0.0

    async def run(self, processes: int, seconds: float) -> list[Sighting]:
        config = snapshot(deployment("g", "dying"), deployment("g", "well"), router={"cooldown_time": 2})
        groups = Groups(config)
        group = groups.find("g")
        assert group is not None
        self._began = await self._start(processes)
        asked = answers = 0
        async with sqlite_tables(self._folder / "state") as tables:
            fleet = Fleet(tables.counters, system, self._random)
            while self._now() < seconds:
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * PAUSE)
                plan = Plan(config, group, groups.find, self._random, health=fleet)
                asked += 1
                try:
                    await first_success(plan, self._attempt, system)
                    answers += 1
                except TollkeeperError:
                    pass
                finally:
                    await finish(plan)
        return [*self._seen, Sighting(asked=asked, answers=answers)]

    async def _start(self, processes: int) -> float:
        """When all are there, at a moment that the first to see it names."""
        (self._folder / f"here-{os.getpid()}").touch()
        named = self._folder / "begin"
        while len(list(self._folder.glob("here-*"))) < processes:
            await asyncio.sleep(0.1)
        try:
            with named.open("x") as file:
                file.write(str(time.time() + 1.0))
        except FileExistsError:
            await asyncio.sleep(0.5)
        return float(named.read_text())

    def _now(self) -> float:
        return time.time() - self._began

    async def _attempt(self, step: Attempt) -> None:
        name, at = step.deployment.id, self._now()
        ill = name == "dying" and self._dies <= at < self._recovers
        met = await self._probed() if step.trial == "probe" else False
        self._seen.append(Sighting(name, at, not ill, step.trial, met))
        if ill:
            raise UpstreamFailed("down", upstream_status=500)

    async def _probed(self) -> bool:
        """Takes its time, and tells whether another probe was out meanwhile."""
        lock = self._folder / "probing"
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return True
        await asyncio.sleep(0.05)
        os.close(handle)
        lock.unlink()
        return False
