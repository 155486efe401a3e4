"""Works on jobs: as soon as they are made where the process outlives its requests, when a schedule wakes it where it does not.

A job has one task that runs it and one that renews its lease, which is also how a worker hears that its job was cancelled elsewhere.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from tollkeeper.background.jobs import UNFINISHED, Job, Jobs, LeaseLost
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable, TollkeeperError

log = logging.getLogger("tollkeeper.background")

AT_ONCE = 16
"""Jobs that a schedule's invocation runs; a server runs what it is asked for, as it would if their callers waited."""
HEARTBEAT_SECONDS, POLL_SECONDS = 2.0, 2.0
LONGEST_SECONDS = 240.0
"""A schedule's invocation begins no job later than this before its end."""
STOPPING_SECONDS = 8.0
"""How long a server that stops waits for what is under way."""


class Runner(Protocol):
    """The worker's seam to the rest of the gateway."""

    async def run(self, job: Job, until: float | None) -> str:
        """Answers the request and keeps the answer; its status. `until`: epoch seconds at which the process ends.

        Raises StoreUnavailable.
        """
        ...

    async def lost(self, job: Job) -> str:
        """A job that was begun and that nobody works on any more: sees to its books and to what is kept; its status."""
        ...


class Worker:
    """One per process. Any number of processes may work at once: each job is with one of them."""

    def __init__(self, jobs: Jobs, runner: Runner, clock: Clock) -> None:
        self._jobs, self._runner, self._clock = jobs, runner, clock
        self._id = clock.new_id()
        self._running: dict[str, asyncio.Task[bool]] = {}

    def start(self, job_id: str, until: float | None) -> "asyncio.Task[bool]":
        """Runs a job here and now, whoever waits for it. `until`: epoch seconds at which this process ends."""
        return self._started(job_id, until)

    def stop(self, job_id: str) -> None:
        """A job that was cancelled through this process need not wait for its next heartbeat."""
        if (task := self._running.get(job_id)) is not None:
            task.cancel()

    async def work_until(self, until: float) -> int:
        """Runs what waits until nothing does or the time is over; how many jobs that were. Another worker's are left to it."""
        tasks: set[asyncio.Task[bool]] = set()
        seen: set[str] = set()
        while self._clock.now() < until - LONGEST_SECONDS:
            fresh = [job_id for job_id in await self._open_ids() if job_id not in seen]
            for job_id in fresh[: AT_ONCE - len(self._running)]:
                seen.add(job_id)
                tasks.add(self._started(job_id, until))
            if not self._running:
                break
            await asyncio.wait(self._running.values(), timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return sum(await asyncio.gather(*tasks))

    async def work_for_ever(self) -> None:
        """Until it is cancelled: what others have left behind. Then what is under way has a moment to come to its end."""
        try:
            while True:
                for job_id in await self._open_ids():
                    if job_id not in self._running:
                        self._started(job_id, None)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._wind_up()

    async def _wind_up(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running.values(), timeout=STOPPING_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _open_ids(self) -> list[str]:
        try:
            return await self._jobs.open_ids()
        except StoreUnavailable as error:
            log.warning("background_not_worked %s", error.message)
            return []

    def _started(self, job_id: str, until: float | None) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self._work(job_id, until))
        self._running[job_id] = task
        task.add_done_callback(lambda _: self._running.pop(job_id, None))
        return task

    async def _work(self, job_id: str, until: float | None) -> bool:
        """Whether there was anything to do here."""
        try:
            if (job := await self._jobs.claim(job_id, self._id)) is not None:
                await self._run(job, until)
                return True
            if (job := await self._jobs.take_over(job_id, self._id)) is not None:
                await self._give_up(job)
                return True
            if await self._over(job_id):
                await self._jobs.strike(job_id)
        except TollkeeperError as error:
            log.warning("background_failed %s %s", job_id, error.message)
        except Exception:
            log.exception("background_broke %s", job_id)  # its lease runs out, and it ends as failed
        return False

    async def _run(self, job: Job, until: float | None) -> None:
        running = asyncio.ensure_future(self._runner.run(job, until))
        beating = asyncio.create_task(self._beat(job, running))
        try:
            status = await running
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            with suppress(LeaseLost):
                await self._jobs.renew(job.id, self._id)  # not cancelled by its caller: the process stops
                await self._give_up(job)
            return
        finally:
            beating.cancel()
        with suppress(LeaseLost):
            await self._jobs.end(job.id, self._id, status)

    async def _give_up(self, job: Job) -> None:
        status = await self._runner.lost(job)
        with suppress(LeaseLost):
            await self._jobs.end(job.id, self._id, status)

    async def _beat(self, job: Job, running: "asyncio.Future[str]") -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._jobs.renew(job.id, self._id)
            except LeaseLost:
                running.cancel()
                return
            except StoreUnavailable:
                continue

    async def _over(self, job_id: str) -> bool:
        job = await self._jobs.get(job_id)
        return job is None or job.status not in UNFINISHED
