"""Proof 3: real concurrency on real stores. Not one nano-dollar over a cap at any sampled moment, and in the end committed = spent."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.budget_race import Tally, assert_settled, committed, race_scopes, storm, storm_in_process
from tests.support.stores import ATOMIC_ENGINES, Engine, Tables, engine, sqlite_tables

from tollkeeper.clock import system


@pytest.fixture(scope="module", params=ATOMIC_ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
def name() -> str:
    return system.new_id()


async def watch(tables: Tables, name: str, done: asyncio.Event) -> int:
    """Samples the counters all the while; how many samples there were."""
    samples = 0
    while not done.is_set():
        for one in race_scopes(name):
            if one.cap is not None:
                now = await committed(tables.counters, one)
                assert now <= one.cap, f"{one.pk}: {now - one.cap} nano-USD over its cap"
        samples += 1
        await asyncio.sleep(0.002)
    return samples


def total(tallies: list[Tally]) -> Tally:
    found = Tally()
    for tally in tallies:
        found = found.add(tally)
    return found


async def test_tasks_of_several_gateways_never_pass_a_cap(running: Engine, name: str) -> None:
    done = asyncio.Event()
    async with running.open() as tables:
        watching = asyncio.ensure_future(watch(tables, name, done))
        try:
            storms = (storm(tables.counters, name, workers=6, calls=6, seed=seed) for seed in range(3))
            found = total(await asyncio.gather(*storms))
        finally:
            done.set()
        assert await watching > 0
        await assert_settled(tables.counters, name, found.spent)
    assert found.answered > 0
    assert found.refused > 0


def test_threads_with_their_own_loops_never_pass_a_cap(running: Engine, name: str) -> None:
    if running.name == "memory":
        pytest.skip("a store in memory belongs to whoever opened it")

    async def gateway(seed: int) -> Tally:
        async with running.open() as tables:
            return await storm(tables.counters, name, workers=4, calls=5, seed=seed)

    async def check(spent: int) -> None:
        async with running.open() as tables:
            await assert_settled(tables.counters, name, spent)

    with ThreadPoolExecutor(4) as pool:
        found = total(list(pool.map(lambda seed: asyncio.run(gateway(seed)), range(4))))
    asyncio.run(check(found.spent))
    assert found.answered > 0


def test_processes_on_one_file_never_pass_a_cap(tmp_path: Path, name: str) -> None:
    folder = str(tmp_path / "state")

    async def check(spent: int) -> None:
        async with sqlite_tables(folder) as tables:
            await assert_settled(tables.counters, name, spent)

    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(storm_in_process, folder, name, 6, 12, seed) for seed in range(4)]
        found = total([future.result(timeout=120) for future in futures])
    asyncio.run(check(found.spent))
    assert found.answered > 0
    assert found.refused > 0
