"""Every entry is in the sums once: whatever is delivered twice, late, in pieces, by several at once, or by one that dies on the way."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.entries import Company, entries, expected
from tests.support.faulty_table import FaultyTable
from tests.support.stores import ENGINES, Engine, engine
from tests.support.sums import stored

from tollkeeper.clock import system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.rebuild import EntriesGone, Rebuild
from tollkeeper.ledger.roller import BATCH, LANES, Roller, lane_of
from tollkeeper.ledger.stream import roll_event
from tollkeeper.store.attributes import marshal
from tollkeeper.store.items import LANE_SK, lane_pk
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

MONTH = "2026-11"


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
async def memory() -> AsyncIterator[Table]:
    store = SqliteStore(":memory:")
    yield store.ledger
    store.close()


async def book(table: Table, found: list[dict[str, Any]]) -> None:
    for item in found:
        await table.put(item)


def records(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventName": "INSERT",
                "dynamodb": {
                    "SequenceNumber": str(1000 + place),
                    "Keys": marshal({"pk": item["pk"], "sk": item["sk"]}),
                    "NewImage": marshal(item),
                },
            }
            for place, item in enumerate(found)
        ]
    }


async def test_on_every_engine_batches_in_any_order_and_number_add_up_to_the_ledger(running: Engine) -> None:
    found = list(entries(6, seed=4, days=0.1, company=Company(keys=2, teams=1, users=1, tags=1)))
    async with running.open() as tables:
        await book(tables.ledger, found)
        roller = Roller(tables.ledger, system)
        assert await roll_event(roller, records([*found[2:5], found[2]])) == {"batchItemFailures": []}
        await asyncio.gather(roller.roll(reversed(found)), Roller(tables.ledger, system).roll(found))
        assert await stored(tables.ledger, MONTH) == expected(found)


async def test_many_overlapping_batches_add_up_to_the_ledger_and_the_rebuild_says_so(memory: Table) -> None:
    found, chance = list(entries(400, seed=4)), random.Random(3)
    await book(memory, found)
    for _ in range(8):
        some = chance.sample(found, 90)
        assert await roll_event(Roller(memory, system), records([*some, *some[:30]])) == {"batchItemFailures": []}
    await Roller(memory, system).roll(reversed(found))
    assert await stored(memory, MONTH) == expected(found)
    again = await Rebuild(memory, system).month(MONTH)
    assert (again.wrong, again.entries, again.spend) == (0, 400, sum(item["cost"] for item in found))


@pytest.mark.parametrize("step", range(1, 60, 3))
async def test_a_roller_that_dies_after_any_write_is_finished_by_the_next(memory: Table, step: int) -> None:
    found = list(entries(9, seed=step, days=0.1))
    await book(memory, found)
    faulty = FaultyTable(memory)
    faulty.cut(step, happened=False)
    with pytest.raises(StoreUnavailable):
        await Roller(faulty, system).roll(found)
    faulty.cut(step, happened=True)
    with suppress(StoreUnavailable):  # what is left may be done before the next cut
        await Roller(faulty, system).roll(found)
    await Roller(memory, system).roll(found)
    assert await stored(memory, MONTH) == expected(found)
    lanes = [await memory.get(lane_pk(lane), LANE_SK) or {} for lane in range(LANES)]
    assert not any("pending" in lane for lane in lanes)


@pytest.mark.parametrize("turn", range(1, 40, 4))
async def test_a_roller_that_slept_through_the_next_batch_changes_nothing(memory: Table, turn: int) -> None:
    lane = [item for item in entries(40, seed=5, days=0.1) if lane_of(item["sk"]) == 0]
    first, second = lane[:3], lane[3:6]
    await book(memory, lane)

    slow = FaultyTable(memory)
    slow.before_write = lambda write: Roller(memory, system).roll(second) if write == turn else None
    await Roller(slow, system).roll(first)
    assert await stored(memory, MONTH) == expected(first + second)


async def test_several_at_once_share_the_lanes(memory: Table) -> None:
    found = list(entries(4 * BATCH, seed=8))
    await book(memory, found)
    await asyncio.gather(*(Roller(memory, system, batch=30).roll(random.Random(seed).sample(found, len(found))) for seed in range(4)))
    assert await stored(memory, MONTH) == expected(found)


async def test_what_is_no_entry_is_reported_alone_and_the_rest_is_added(memory: Table) -> None:
    found = list(entries(6, seed=2, days=0.1))
    await book(memory, found)
    event = records(found)
    event["Records"][2]["dynamodb"]["NewImage"]["cost"] = {"S": "1; drop"}
    event["Records"][3]["dynamodb"]["NewImage"]["cost"] = {"N": "one"}
    del event["Records"][4]["dynamodb"]["NewImage"]
    event["Records"].append(
        {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "2000", "Keys": {"pk": {"S": "day#x"}, "sk": {"S": "y"}}}}
    )
    answer = await roll_event(Roller(memory, system), event)
    assert answer == {"batchItemFailures": [{"itemIdentifier": number} for number in ("1002", "1003", "1004")]}
    assert await stored(memory, MONTH) == expected([item for place, item in enumerate(found) if place not in {2, 3, 4}])


async def test_while_the_store_is_away_every_record_comes_back(memory: Table) -> None:
    found = list(entries(3, seed=2, days=0.1))
    away = FaultyTable(memory)
    away.down = True
    answer = await roll_event(Roller(away, system), records(found))
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["1000", "1001", "1002"]


async def test_a_rebuild_finds_and_mends_what_somebody_changed(memory: Table) -> None:
    found = list(entries(50, seed=6))
    await book(memory, found)
    await Roller(memory, system).roll(found)
    await memory.apply("sum#all", f"month#{MONTH}", add={"spend": 1})
    await memory.apply("sum#key#2026-11", "month#a ghost", add={"spend": 7}, set={"value": "a ghost"})
    await memory.delete("sum#team#2026-11", "month#team-1")
    seen = await Rebuild(memory, system).month(MONTH)
    assert (seen.wrong, seen.written) == (3, False)
    assert (await Rebuild(memory, system).month(MONTH, write=True)).wrong == 3
    assert await stored(memory, MONTH) == expected(found)
    assert (await Rebuild(memory, system).month(MONTH)).wrong == 0


async def test_a_rebuild_counts_what_the_stream_has_not_brought_yet_and_then_brings_in_vain(memory: Table) -> None:
    found = list(entries(50, seed=6, start=system.now() - 86400, days=0.5))
    await book(memory, found)
    await Roller(memory, system).roll(found[:20])
    months = {item["started_at"][:7] for item in found}
    for month in months:
        await Rebuild(memory, system).month(month, write=True)
    assert await roll_event(Roller(memory, system), records(found)) == {"batchItemFailures": []}
    sums = [await stored(memory, month) for month in sorted(months)]
    assert {name: cell for month in sums for name, cell in month.items()} == expected(found)


async def test_a_rebuild_does_not_lose_what_only_the_sums_still_know(memory: Table) -> None:
    found = list(entries(30, seed=6, days=2))
    await book(memory, found)
    await Roller(memory, system).roll(found)
    for item in found:
        if item["started_at"].startswith("2026-11-01"):
            await memory.delete(item["pk"], item["sk"])
    with pytest.raises(EntriesGone, match=r"0 of \d+ entries of 2026-11-01"):
        await Rebuild(memory, system).month(MONTH, write=True)
    assert await stored(memory, MONTH) == expected(found)
    await Roller(memory, system).roll(entries(3, seed=7, days=1))


async def test_the_embedded_stream_is_written_with_the_entry_and_outlives_the_process(tmp_path: Path) -> None:
    found = list(entries(5, seed=1, days=0.1))
    store = SqliteStore(tmp_path)
    for item in found:
        await store.ledger.put_new(item)
    await store.ledger.put_new({"pk": "audit", "sk": "1"})
    waiting = store.stream.read(10)
    store.stream.forget([number for number, _, _ in waiting[:2]])
    store.close()
    again = SqliteStore(tmp_path)
    assert [sk for _, _, sk in waiting] == [item["sk"] for item in found]
    assert again.stream.read(10) == waiting[2:]
    again.close()
