"""What is kept for a while, on every engine: whole or not at all, its owner's, and gone at its end."""

import random
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.stores import Engine, StillClock, Tables, engine

from tollkeeper.clock import system
from tollkeeper.store.archive import MAX_PARTS, PART_CHARACTERS, Archive
from tollkeeper.store.items import kept_pk, part_sk


@pytest.fixture(scope="module", params=["sqlite", "moto"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
async def tables(running: Engine) -> AsyncIterator[Tables]:
    async with running.open() as opened:
        yield opened


def noise(size: int) -> str:
    return random.Random(size).randbytes(size // 2).hex()


@pytest.fixture
def archive(tables: Tables) -> Archive:
    return Archive(tables.counters, system, seconds=3600)


@pytest.mark.parametrize("size", [10, 1_500_000])
async def test_what_is_kept_is_found_as_it_was(archive: Archive, size: int) -> None:
    value = {"text": noise(size), "n": [1, None, "ü"]}
    assert await archive.keep("thing", f"found-{size}", "ada", value)
    assert await archive.find("thing", f"found-{size}") == ("ada", value)


async def test_what_is_forgotten_is_gone_with_all_its_parts(archive: Archive, tables: Tables) -> None:
    await archive.keep("thing", "gone", "ada", noise(1_500_000))
    await archive.forget("thing", "gone")
    assert await archive.find("thing", "gone") is None
    assert (await tables.counters.query(kept_pk("thing", "gone"))).items == []
    await archive.forget("thing", "gone")


async def test_another_owner_cannot_take_a_name(archive: Archive) -> None:
    await archive.keep("thing", "mine", "ada", "first")
    assert not await archive.keep("thing", "mine", "bob", "second")
    assert await archive.find("thing", "mine") == ("ada", "first")
    assert await archive.keep("thing", "mine", "ada", "third")
    assert await archive.find("thing", "mine") == ("ada", "third")


async def test_what_is_too_large_is_not_kept(archive: Archive) -> None:
    assert not await archive.keep("thing", "huge", "ada", noise(2 * MAX_PARTS * PART_CHARACTERS))
    assert await archive.find("thing", "huge") is None


async def test_what_misses_a_part_is_not_there(archive: Archive, tables: Tables) -> None:
    await archive.keep("thing", "holed", "ada", noise(1_500_000))
    await tables.counters.delete(kept_pk("thing", "holed"), part_sk(1))
    assert await archive.find("thing", "holed") is None


async def test_it_has_an_end(tables: Tables) -> None:
    archive = Archive(tables.counters, StillClock(system.now() - 7200), seconds=3600)
    await archive.keep("thing", "old", "ada", "x")
    assert await archive.find("thing", "old") is None
