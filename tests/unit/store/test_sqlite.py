"""The embedded store as a file: what an operator sees when it is locked, full, damaged or in the wrong place."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.stores import StillClock

from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.sqlite_file import FILE_NAME


@contextmanager
def opened(folder: Path | str, **options: float) -> Iterator[SqliteStore]:
    with closing(SqliteStore(folder, **options)) as store:
        yield store


@contextmanager
def locked_by_another(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    with opened(folder) as store:
        await store.directory.put({"pk": "a", "sk": "b", "n": 2**70})
        await store.ledger.put({"pk": "a", "sk": "c", "gsi1pk": "i", "gsi1sk": "1"})
    with opened(folder) as store:
        assert await store.directory.get("a", "b") == {"pk": "a", "sk": "b", "n": 2**70}
        assert len((await store.ledger.query("i", index="gsi1")).items) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_two_stores_on_one_file_see_each_other_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as two:
        await one.counters.apply("a", "b", add={"n": 1})
        assert await two.counters.apply("a", "b", add={"n": 1}) == {"pk": "a", "sk": "b", "n": 2}
        assert await one.counters.get("a", "b") == {"pk": "a", "sk": "b", "n": 2}


async def test_stores_in_memory_are_apart() -> None:
    with opened(":memory:") as one, opened(":memory:") as two:
        await one.directory.put({"pk": "a", "sk": "b"})
        assert await two.directory.get("a", "b") is None


async def test_a_file_locked_beyond_the_wait_is_unavailable_for_writes_and_open_for_reads(tmp_path: Path) -> None:
    with opened(tmp_path, busy_seconds=0.05) as store:
        await store.counters.apply("a", "b", add={"n": 1})
        with locked_by_another(tmp_path):
            with pytest.raises(StoreUnavailable, match="locked by another process") as failed:
                await store.counters.apply("a", "b", add={"n": 1})
            assert failed.value.status == 503
            assert await store.counters.get("a", "b") == {"pk": "a", "sk": "b", "n": 1}
        assert (await store.counters.apply("a", "b", add={"n": 1}))["n"] == 2


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(StoreUnavailable, match="state") as failed:
        SqliteStore(tmp_path / "state")
    assert "\n" not in failed.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnavailable, match="cannot be"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"hello " * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqliteStore(tmp_path)


def test_a_file_of_a_newer_layout_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(StoreUnavailable, match="layout 99"):
        SqliteStore(tmp_path)


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.directory.get("a", "b")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.directory.put({"pk": "a", "sk": "b"})


FILLER = """
import asyncio, resource, sys
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.sqlite import SqliteStore
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
async def main():
    store = SqliteStore(sys.argv[1])
    written = 0
    try:
        while True:
            await store.directory.put({"pk": "a", "sk": str(written), "text": "x" * 100_000})
            written += 1
    except StoreUnavailable as error:
        print(written, error.message.count(chr(10)))
    present = len((await store.directory.query("a", limit=1000)).items)
    print(present)
asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_is_unavailable_and_keeps_what_it_has(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    written, newlines, present = map(int, result.stdout.split())
    assert 5 < written < 40
    assert present == written
    assert newlines == 0


async def test_expired_items_do_not_pile_up(tmp_path: Path) -> None:
    clock = StillClock()
    with closing(SqliteStore(tmp_path, clock=clock)) as store:
        for number in range(1000):
            await store.counters.apply("rate", f"minute#{number}", add={"n": 1}, set={"ttl": int(clock.now()) + 60})
            clock.advance(10)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            (rows,) = other.execute("SELECT count(*) FROM counters").fetchone()
    assert rows < 100


async def test_ttl_turns_with_the_clock_and_can_be_extended() -> None:
    clock = StillClock()
    with closing(SqliteStore(":memory:", clock=clock)) as store:
        table = store.counters
        await table.put({"pk": "a", "sk": "b", "n": 1, "ttl": int(clock.now()) + 10})
        clock.advance(9)
        await table.apply("a", "b", set={"ttl": int(clock.now()) + 10})
        clock.advance(9)
        assert (await table.query("a")).items == [await table.get("a", "b")]
        clock.advance(1)
        assert await table.get("a", "b") is None
        assert (await table.query("a")).items == []
        await table.put({"pk": "a", "sk": "far", "ttl": 10**30})
        assert (await table.get("a", "far") or {})["ttl"] == 10**30
