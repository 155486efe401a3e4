"""Takes batches further, a few at a time: for a schedule until its time is over, on a server as long as it runs."""

import asyncio
import logging
from contextlib import suppress

from tollkeeper.batches.files import Files
from tollkeeper.batches.journal import Journal
from tollkeeper.batches.register import LeaseLost, Register
from tollkeeper.batches.runner import LineRunner
from tollkeeper.batches.slices import LONGEST_LINE_SECONDS, Slice
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable, TollkeeperError

log = logging.getLogger("tollkeeper.batches")

LINES_AT_ONCE = 16
BATCHES_AT_ONCE = 4
STOPPING_SECONDS = 8.0
"""How long a server that stops waits for what is under way."""
POLL_SECONDS = 1.0
IDLE_POLLS = 15
"""Long enough for the lease of a worker that was killed to run out (register.py)."""


class Worker:
    """One per process. Any number of processes may work at once: each batch is with one of them."""

    def __init__(
        self,
        register: Register,
        files: Files,
        journal: Journal,
        runner: LineRunner,
        clock: Clock,
        *,
        lines_at_once: int = LINES_AT_ONCE,
        look_seconds: float = 20.0,
    ) -> None:
        """`look_seconds`: between two looks at a batch that its provider runs."""
        self._register, self._files, self._journal, self._runner, self._clock = register, files, journal, runner, clock
        self._id, self._look_seconds = clock.new_id(), look_seconds
        self._lines = asyncio.Semaphore(lines_at_once)
        self._batches = asyncio.Semaphore(BATCHES_AT_ONCE)
        self._slices: set[Slice] = set()
        self._stopping = False
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """There is a new batch: `work_for_ever` looks at once."""
        self._nudged.set()

    async def work(self, until: float | None = None) -> int:
        """One slice of every open batch that nobody else has; how many. `until`: epoch seconds. Raises StoreUnavailable."""
        ids = await self._register.open_ids()
        return sum(await asyncio.gather(*(self._slice(batch_id, until) for batch_id in ids)))

    async def work_until(self, until: float) -> int:
        """Slices until nothing is left to do for now, or the time is over; how many. What others have, and what a provider has and will for
        a while, is left to the next call.
        """
        slices = idle = 0
        while self._clock.now() < until - LONGEST_LINE_SECONDS and idle < IDLE_POLLS:
            worked = await self.work(until)
            slices, idle = slices + worked, 0 if worked else idle + 1
            if not worked and not await self._register.open_ids():
                break
            await self._clock.sleep(0 if worked else POLL_SECONDS)
        return slices

    async def work_for_ever(self) -> None:
        """Until it is cancelled; then what is under way has `STOPPING_SECONDS` to come to its end."""
        running: dict[str, asyncio.Task[bool]] = {}
        try:
            while True:
                for batch_id in await self._open_now():
                    if batch_id not in running:
                        running[batch_id] = asyncio.create_task(self._slice(batch_id, None))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._nudged.wait(), POLL_SECONDS)
                self._nudged.clear()
                running = {batch_id: task for batch_id, task in running.items() if not task.done()}
        finally:
            await self._wind_up(set(running.values()))

    async def _wind_up(self, running: "set[asyncio.Task[bool]]") -> None:
        self._stopping = True
        for each in self._slices:
            each.stop()
        if running:
            _, late = await asyncio.wait(running, timeout=STOPPING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _open_now(self) -> list[str]:
        try:
            return await self._register.open_ids()
        except StoreUnavailable as error:
            log.warning("batches_not_worked %s", error.message)
            return []

    async def _slice(self, batch_id: str, until: float | None) -> bool:
        async with self._batches:
            batch = await self._register.claim(batch_id, self._id) if not self._stopping else None
            if batch is None:
                return False
            mine = Slice(
                batch,
                self._id,
                until,
                register=self._register,
                files=self._files,
                journal=self._journal,
                runner=self._runner,
                clock=self._clock,
                places=self._lines,
                look_seconds=self._look_seconds,
            )
            self._slices.add(mine)
            try:
                return await mine.run()
            except LeaseLost:
                log.info("batch_left %s", batch_id)  # cancelled by its caller, or another worker's now
            except TollkeeperError as error:
                log.warning("batch_slice_failed %s %s", batch_id, error.message)
            except Exception:
                log.exception("batch_slice_broke %s", batch_id)  # a later slice tries again
            finally:
                self._slices.discard(mine)
                with suppress(TollkeeperError):
                    await self._register.release(batch_id, self._id)
            return True
