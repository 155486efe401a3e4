"""What jobs say as they go: at once to who follows them in this process, and kept piece by piece for everybody else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tollkeeper.background.jobs import UNFINISHED, Job, Jobs
from tollkeeper.clock import Clock
from tollkeeper.store.archive import Archive

KIND = "events"
KEEP_SECONDS, LOOK_SECONDS = 1.0, 1.0

Event = tuple[int, bytes]
"""(sequence number, the server-sent event)"""


@dataclass(slots=True)
class Live:
    """One job that runs here. `ended`: nothing more will come; `whole`: because it was all there was."""

    job: Job
    events: list[Event] = field(default_factory=list)
    ended: bool = False
    whole: bool = False
    kept: int = 0
    """Events that are in the archive, and in how many pieces."""
    pieces: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, events: list[Event]) -> None:
        self.events += events
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


class Said:
    """One per process."""

    def __init__(self, archive: Archive, jobs: Jobs, clock: Clock) -> None:
        self._archive, self._jobs, self._clock = archive, jobs, clock
        self._live: dict[str, Live] = {}

    def live(self, job: Job) -> Live:
        """Where a job that runs here says what it says. `close` it."""
        return self._live.setdefault(job.id, Live(job))

    def close(self, job_id: str) -> None:
        if (live := self._live.pop(job_id, None)) is not None:
            live.end()

    async def keep(self, live: Live) -> None:
        """What has come since the last time. Raises StoreUnavailable."""
        if (upto := len(live.events)) == live.kept:
            return
        rows = [[number, data.decode()] for number, data in live.events[live.kept : upto]]
        await self._archive.keep(KIND, _piece(live.job.id, live.pieces), live.job.owner, rows)
        live.kept, live.pieces = upto, live.pieces + 1

    async def follow(self, job: Job) -> AsyncIterator[Event]:
        """Everything it has said and will say, until it has ended. Raises StoreUnavailable."""
        told = 0
        if (live := self._live.get(job.id)) is not None:
            while True:
                news = live.news
                for event in live.events[told:]:
                    told += 1
                    yield event
                if live.ended:
                    break
                if told == len(live.events):
                    await news.wait()
            if live.whole:
                return
        async for event in self._kept(job, told):
            yield event

    async def _kept(self, job: Job, told: int) -> AsyncIterator[Event]:
        piece, place = 0, 0
        while True:
            now = await self._jobs.get(job.id)  # before its pieces, so that none is missed
            while (found := await self._archive.find(KIND, _piece(job.id, piece))) is not None:
                piece += 1
                for number, data in found[1]:
                    place += 1
                    if place > told:
                        yield int(number), str(data).encode()
            if now is None or now.status not in UNFINISHED:
                return
            await self._clock.sleep(LOOK_SECONDS)


def _piece(job_id: str, number: int) -> str:
    return f"{job_id}.{number}"
