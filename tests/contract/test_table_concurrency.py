"""Many writers against one counter: the cap is met exactly, whoever comes in whatever order."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.stores import ATOMIC_ENGINES, Engine, engine, spend, spend_in_process

from tollkeeper.clock import system
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import ConditionFailed, Item, Missing

AMOUNT = 7
GRANTS = 40
CAP = AMOUNT * GRANTS + 3  # the rest is too small for one more


@pytest.fixture(scope="module", params=ATOMIC_ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
def pk() -> str:
    return f"test#{system.new_id()}"


async def test_tasks_never_exceed_the_cap(running: Engine, pk: str) -> None:
    async with running.open() as tables:
        granted = await asyncio.gather(*(spend(tables.counters, pk, amount=AMOUNT, cap=CAP, tries=4) for _ in range(16)))
        after = await tables.counters.get(pk, "window", consistent=True)
    assert sum(granted) == GRANTS
    assert after is not None
    assert after["committed"] == AMOUNT * GRANTS


def test_threads_with_their_own_loops_never_exceed_the_cap(running: Engine, pk: str) -> None:
    async def one() -> int:
        async with running.open() as tables:
            return await spend(tables.counters, pk, amount=AMOUNT, cap=CAP, tries=8)

    async def read() -> int:
        async with running.open() as tables:
            after = await tables.counters.get(pk, "window", consistent=True)
            return int(after["committed"]) if after else 0

    if running.name == "memory":
        pytest.skip("a store in memory belongs to whoever opened it; sharing one is the next test")
    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(lambda _: asyncio.run(one()), range(8)))
    assert granted == GRANTS
    assert asyncio.run(read()) == AMOUNT * GRANTS


@pytest.mark.parametrize("where", ["memory", "file"])
def test_threads_share_one_embedded_store(where: str, tmp_path: Path, pk: str) -> None:
    store = SqliteStore(":memory:" if where == "memory" else tmp_path)
    try:
        with ThreadPoolExecutor(8) as pool:
            granted = sum(
                pool.map(lambda _: asyncio.run(spend(store.counters, pk, amount=AMOUNT, cap=CAP, tries=20)), range(8)),
            )
        after = asyncio.run(store.counters.get(pk, "window"))
    finally:
        store.close()
    assert granted == GRANTS
    assert after is not None
    assert after["committed"] == AMOUNT * GRANTS


def test_processes_on_one_file_never_exceed_the_cap(tmp_path: Path, pk: str) -> None:
    # Nobody has made the file yet: four processes create it at once.
    folder = str(tmp_path / "state")
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(spend_in_process, folder, pk, AMOUNT, CAP, 100) for _ in range(4)]
        granted = sum(future.result(timeout=60) for future in futures)
    store = SqliteStore(folder)
    try:
        after = asyncio.run(store.counters.get(pk, "window"))
    finally:
        store.close()
    assert granted == GRANTS
    assert after is not None
    assert after["committed"] == AMOUNT * GRANTS


async def test_only_one_of_many_makes_a_new_item(running: Engine, pk: str) -> None:
    async with running.open() as tables:

        async def make(number: int) -> bool:
            try:
                await tables.directory.put_new({"pk": pk, "sk": "v", "owner": number})
            except ConditionFailed:
                return False
            return True

        made = await asyncio.gather(*(make(number) for number in range(16)))
        after = await tables.directory.get(pk, "v", consistent=True)
    assert sum(made) == 1
    assert after is not None
    assert after["owner"] == made.index(True)


async def test_a_write_guarded_by_its_own_name_happens_once(running: Engine, pk: str) -> None:
    """How a hold is made idempotent: the same write from many hands counts once."""
    async with running.open() as tables:
        refused: list[Item | None] = []

        async def reserve() -> bool:
            try:
                await tables.counters.apply(pk, "w", add={"committed": AMOUNT}, set={"hold#1": AMOUNT}, when=[Missing("hold#1")])
            except ConditionFailed as failed:
                refused.append(failed.old)
                return False
            return True

        done = await asyncio.gather(*(reserve() for _ in range(12)))
        after = await tables.counters.get(pk, "w", consistent=True)
    assert sum(done) == 1
    assert refused == [after] * 11
    assert after is not None
    assert after["committed"] == AMOUNT


async def test_an_expired_counter_is_begun_anew_once(running: Engine, pk: str) -> None:
    """All find the dead item, all try to remove it; no addition is lost and none lands on the old number."""
    now = int(system.now())
    async with running.open() as tables:
        await tables.counters.put({"pk": pk, "sk": "w", "n": 1000, "ttl": now - 60})
        await asyncio.gather(*(tables.counters.apply(pk, "w", add={"n": 1}, set={"ttl": now + 3600}) for _ in range(12)))
        after = await tables.counters.get(pk, "w", consistent=True)
    assert after == {"pk": pk, "sk": "w", "n": 12, "ttl": now + 3600}


WRITER = """
import asyncio, sys
from tollkeeper.store.sqlite import SqliteStore
async def main():
    store = SqliteStore(sys.argv[1])
    while True:
        print((await store.counters.apply("k", "w", add={"n": 1}))["n"], flush=True)
asyncio.run(main())
"""


def test_a_killed_process_loses_no_finished_write(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        for _ in range(200):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = [int(line) for line in process.stdout.read().split("\n") if line.isdigit()]
    store = SqliteStore(tmp_path)
    try:
        after = asyncio.run(store.counters.get("k", "w"))
        again = asyncio.run(store.counters.apply("k", "w", add={"n": 1}))
    finally:
        store.close()
    assert after is not None
    # The last number may be cut off in the pipe, and one write may have finished without being told.
    assert after["n"] >= max(told, default=200)
    assert again["n"] == after["n"] + 1
