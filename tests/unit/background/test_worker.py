"""Who works on a job, and how it ends: with its answer, cancelled from anywhere, or failed when its worker is gone. Time is the loop's."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support import virtual_time
from tests.support.stores import StillClock

from tollkeeper.background.jobs import LEASE_SECONDS, Job, Jobs, LeaseLost
from tollkeeper.background.said import Said
from tollkeeper.background.worker import AT_ONCE, LONGEST_SECONDS, Worker
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.archive import Archive
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table


class LoopClock(StillClock):
    """The loop's time, which jumps."""

    def now(self) -> float:
        return self.time + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Script:
    """Implements Runner: a job takes `seconds`."""

    seconds: float = 5
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    lost_ones: list[str] = field(default_factory=list)
    fault: Exception | None = None

    async def run(self, job: Job, until: float | None) -> str:
        self.begun.append(job.id)
        if self.fault is not None:
            raise self.fault
        await asyncio.sleep(self.seconds)
        self.ended.append(job.id)
        return "completed"

    async def lost(self, job: Job) -> str:
        self.lost_ones.append(job.id)
        return "failed"


class World:
    def __init__(self, table: Table, clock: LoopClock) -> None:
        self.table, self.clock, self.jobs, self.script = table, clock, Jobs(table, clock), Script()

    def worker(self) -> Worker:
        return Worker(self.jobs, self.script, self.clock)

    async def job(self, number: int = 0, **fields: Any) -> Job:
        now = int(self.clock.now())
        job = Job(f"resp_{number}", f"{number}", "key#k", "k", now, now + 86_400, **fields)
        await self.jobs.add(job)
        return job

    async def status(self, job: Job) -> str:
        found = await self.jobs.get(job.id)
        assert found is not None
        return found.status


def told(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    clock = LoopClock()
    store = SqliteStore(":memory:", clock=clock)
    virtual_time.run(lambda _: story(World(store.counters, clock)))
    store.close()


def test_an_invocation_runs_what_waits() -> None:
    async def story(world: World) -> None:
        jobs = [await world.job(number) for number in range(AT_ONCE + 3)]
        assert await world.worker().work_until(world.clock.now() + 900) == len(jobs)
        assert {await world.status(job) for job in jobs} == {"completed"}
        assert await world.jobs.open_ids() == []

    told(story)


def test_an_invocation_begins_nothing_it_cannot_finish() -> None:
    async def story(world: World) -> None:
        job = await world.job()
        assert await world.worker().work_until(world.clock.now() + LONGEST_SECONDS) == 0
        assert await world.status(job) == "queued"

    told(story)


def test_two_workers_do_not_do_one_job_twice() -> None:
    async def story(world: World) -> None:
        world.script.seconds = 10 * LEASE_SECONDS
        for number in range(4):
            await world.job(number)
        first, second = world.worker(), world.worker()
        await asyncio.gather(*(worker.work_until(world.clock.now() + 900) for worker in (first, second)))
        assert sorted(world.script.begun) == sorted(world.script.ended) == [f"resp_{number}" for number in range(4)]
        assert world.script.lost_ones == []

    told(story)


def test_one_that_was_begun_by_a_process_that_died_has_failed() -> None:
    async def story(world: World) -> None:
        job = await world.job()
        await world.jobs.claim(job.id, "somebody who is killed now")
        worker = world.worker()
        await worker.start(job.id, None)
        assert await world.status(job) == "in_progress", "its worker may still live"
        await asyncio.sleep(LEASE_SECONDS)
        await worker.start(job.id, None)
        assert (await world.status(job), world.script.begun, world.script.lost_ones) == ("failed", [], [job.id])
        assert await world.jobs.open_ids() == []

    told(story)


def test_a_cancellation_elsewhere_ends_it_within_a_heartbeat() -> None:
    async def story(world: World) -> None:
        world.script.seconds = 1_000
        job = await world.job()
        running = world.worker().start(job.id, None)
        await asyncio.sleep(1)
        assert await world.jobs.cancel(job.id)
        assert not await world.jobs.cancel(job.id)
        began = world.clock.now()
        await running
        assert world.clock.now() - began < 5
        assert (await world.status(job), world.script.ended, world.script.lost_ones) == ("cancelled", [], [])

    told(story)


def test_one_that_was_cancelled_before_it_began_never_does() -> None:
    async def story(world: World) -> None:
        job = await world.job()
        await world.jobs.cancel(job.id)
        await world.worker().start(job.id, None)
        assert (await world.status(job), world.script.begun) == ("cancelled", [])

    told(story)


def test_a_server_that_stops_lets_short_ones_end_and_fails_the_rest() -> None:
    async def story(world: World) -> None:
        short, long = await world.job(0), await world.job(1)
        worker = world.worker()
        serving = asyncio.create_task(worker.work_for_ever())
        await asyncio.sleep(4)
        world.script.seconds = 1_000
        late = await world.job(2)
        await asyncio.sleep(3)
        assert [await world.status(job) for job in (short, long)] == ["completed"] * 2
        serving.cancel()
        await asyncio.wait({serving})
        assert (await world.status(late), world.script.lost_ones) == ("failed", [late.id])

    told(story)


def test_a_store_that_fails_leaves_it_to_whoever_comes_later() -> None:
    async def story(world: World) -> None:
        world.script.fault = StoreUnavailable("down")
        job = await world.job()
        await world.worker().start(job.id, None)
        await asyncio.sleep(LEASE_SECONDS)
        await world.worker().start(job.id, None)
        assert (await world.status(job), world.script.lost_ones) == ("failed", [job.id])

    told(story)


def test_what_lost_its_lease_ends_nothing() -> None:
    async def story(world: World) -> None:
        job = await world.job()
        await world.jobs.claim(job.id, "one")
        await world.jobs.cancel(job.id)
        with pytest.raises(LeaseLost):
            await world.jobs.end(job.id, "one", "completed")
        assert await world.status(job) == "cancelled"

    told(story)


def test_what_is_said_elsewhere_is_followed_by_what_is_kept() -> None:
    async def story(world: World) -> None:
        archive = Archive(world.table, world.clock, seconds=86_400)
        here, there = (Said(archive, world.jobs, world.clock) for _ in range(2))
        job = await world.job(streamed=True)
        await world.jobs.claim(job.id, "one")
        live, heard = here.live(job), []

        async def listen() -> None:
            async for number, _ in there.follow(job):
                heard.append(number)

        listening = asyncio.create_task(listen())
        for start in (0, 3, 6):
            live.say([(start + step, b"event") for step in range(3)])
            await here.keep(live)
            await here.keep(live)
            await asyncio.sleep(3)
            assert heard == list(range(start + 3))
        await world.jobs.end(job.id, "one", "completed")
        await listening
        assert heard == list(range(9))

    told(story)
