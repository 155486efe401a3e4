"""A worker that may die at any write: every line ends exactly once, and none is sent twice."""

import asyncio
from contextlib import suppress

import pytest
from tests.support.batch_world import DAY, OWNER, Killed, Life, World

from tollkeeper.batches.journal import Journal
from tollkeeper.batches.runner import LineAnswer


async def killed_at(step: int, *, last_is_done: bool) -> bool:
    """Whether the process died before the batch was through."""
    world = World()
    batch = await world.batch(3)
    life = Life(step, last_is_done)
    with suppress(Killed):
        await world.worker(life, lines_at_once=2).work()
    died = life.left <= 0
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert batch.status == "completed"
    assert sorted(row["custom_id"] for row in [*good, *bad]) == ["r0", "r1", "r2"]
    assert all(times == 1 for times in world.script.sent.values())
    assert all(row["response"]["body"] == {"said": row["custom_id"]} for row in good)
    assert all(row["error"]["code"] == "unconfirmed" for row in bad)
    assert len(bad) <= 2
    assert batch.counts == (len(good), len(bad))
    assert [row["error"]["request_id"] for row in bad] == world.script.lost_calls
    return died


@pytest.mark.parametrize("last_is_done", [False, True])
async def test_a_process_that_dies_at_any_step(last_is_done: bool) -> None:
    step = 1
    while await killed_at(step, last_is_done=last_is_done):
        step += 1
    assert step > 20  # the batch took that many reads and writes, each of which was the last one once


async def test_two_workers_share_nothing() -> None:
    world = World()
    batch = await world.batch(30)
    await asyncio.gather(world.worker().work(), world.worker().work())
    batch = await world.register.get(batch.id, OWNER)
    assert (batch.status, batch.counts) == ("completed", (30, 0))
    assert set(world.script.sent.values()) == {1}


async def test_a_line_whose_sender_may_be_alive_is_left_alone() -> None:
    world = World()
    batch = await world.batch(2)
    alive_until = int(world.clock.now()) + 900
    await Journal(world.table, world.objects, world.clock).begin(batch.id, 1, "call", alive_until=alive_until, ttl=alive_until + DAY)
    await world.worker().work()
    assert (await world.register.get(batch.id, OWNER)).status == "in_progress"
    world.clock.advance(901)
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert ([row["custom_id"] for row in good], [row["error"]["code"] for row in bad]) == (["r1"], ["unconfirmed"])
    assert world.script.lost_calls == ["call"]


async def test_what_was_refused_for_now_is_sent_again() -> None:
    world = World()
    batch = await world.batch(2)
    busy = LineAnswer(429, {}, "c", again=0.001)
    world.script.answers["r0"] = [busy, busy, LineAnswer(200, {"said": "r0"}, "c")]
    await world.worker().work()
    batch = await world.register.get(batch.id, OWNER)
    assert (batch.status, batch.counts, world.script.sent) == ("completed", (2, 0), {"r0": 3, "r1": 1})


async def test_a_slice_begins_nothing_near_its_end_and_the_next_goes_on() -> None:
    world = World()
    batch = await world.batch(5)
    await world.worker().work(until=world.clock.now() + 100)
    assert (await world.register.get(batch.id, OWNER)).status == "in_progress"
    assert not world.script.sent
    assert await world.worker().work_until(world.clock.now() + 900) > 0
    assert (await world.register.get(batch.id, OWNER)).status == "completed"


async def test_time_runs_out() -> None:
    world = World()
    batch = await world.batch(3)
    with suppress(Killed):
        await world.worker(Life(14, last_is_done=True), lines_at_once=1).work()
    world.clock.advance(DAY)
    batch = await world.finish(batch)
    _, bad = await world.results(batch)
    assert batch.status == "expired"
    assert {row["error"]["code"] for row in bad} <= {"batch_expired", "unconfirmed"}
    assert len(bad) + batch.counts[0] == 3


async def test_a_caller_who_cancels_gets_what_was_answered() -> None:
    world = World()
    batch = await world.batch(40)
    world.script.gate = asyncio.Event()
    working = asyncio.create_task(world.worker(lines_at_once=4).work())
    while sum(world.script.sent.values()) < 4:
        await asyncio.sleep(0)
    await world.register.cancel(batch.id, OWNER)
    world.script.gate.set()
    await working
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert batch.status == "cancelled"
    assert len(good) == batch.counts[0] == sum(world.script.sent.values())
    assert bad == []


async def test_a_worker_that_has_lost_its_lease_writes_nothing() -> None:
    world = World()
    batch = await world.batch(4)
    world.script.gate = asyncio.Event()
    slow = asyncio.create_task(world.worker(lines_at_once=4).work())
    while sum(world.script.sent.values()) < 4:
        await asyncio.sleep(0)
    world.clock.advance(60)
    await world.worker().work()
    taken = await world.register.get(batch.id, OWNER)
    world.script.gate.set()
    await slow
    assert (await world.register.get(batch.id, OWNER)) == taken
    assert set(world.script.sent.values()) == {1}
