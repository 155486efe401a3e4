"""A batch that its provider runs: hand it over once, and fetch its answers segment by segment.

    stage ─▶ note where ─▶ the journal's mark (number 0) ─▶ create ─▶ note the provider's id

Creating is what must not happen twice. Whoever finds the mark without an id asks the provider for a batch with our tag, and gives up rather
than create again, unless the provider sees to that itself. What is staged costs nothing, so that is simply repeated.
Which lines are done is read from what has been written of them, so an answer that comes twice, or again after a restart, counts once.
"""

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from tollkeeper.batches.journal import Answered, Journal
from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.native.base import NativeAnswer, Request
from tollkeeper.batches.progress import Progress
from tollkeeper.batches.runner import NativeRun
from tollkeeper.clock import Clock, time_ordered_id
from tollkeeper.errors import (
    CallerError,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from tollkeeper.providers.transport import NeverSent

SEGMENT_LINES, BOOKED_AT_ONCE = 200, 16
_SAYS_NO = (CallerError, UpstreamRejected, UpstreamAuthFailed, UpstreamQuotaExceeded)
_NOTHING_MADE = (UpstreamRateLimited, NeverSent)
_CONFLICT = 409


class HandingFailed(Exception):
    """The batch ends as failed."""

    def __init__(self, fault: LineFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Rest:
    """What is said of lines that have no answer in the provider's results."""

    code: str
    message: str


class HandedBatch:
    """Raises UpstreamError where a later look may do better."""

    def __init__(self, progress: Progress, run: NativeRun, journal: Journal, clock: Clock) -> None:
        self._progress, self._run, self._journal, self._clock = progress, run, journal, clock
        self._tag = progress.batch.id
        self._made: bytes | None = None

    async def stage(self) -> str:
        """What `create` needs to find the lines. Raises HandingFailed."""
        try:
            return await self._run.stage(await self._jsonl(), self._tag)
        except _SAYS_NO as error:
            raise _refused(error) from None

    async def create(self, staged: str) -> str:
        """The provider's id. Raises HandingFailed."""
        batch = self._progress.batch
        mark = await self._journal.begin(batch.id, 0, self._clock.new_id(), alive_until=0, ttl=batch.ttl)
        said = ""
        if mark is None:
            try:
                return await self._created(staged)
            except _NOTHING_MADE:
                raise
            except UpstreamError as error:
                said = f" It said: {error.message}"
        if (found := await self._run.find(self._tag)) is not None:
            return found
        if self._run.repeatable:
            return await self._created(staged)
        message = "Whether the provider took the batch is not known; it is not handed over again. Look for it there before you repeat it."
        raise HandingFailed(LineFault("unconfirmed", message + said))

    async def _created(self, staged: str) -> str:
        """Raises HandingFailed where there is certainly nothing at the provider, and UpstreamError where there may be something."""
        try:
            return await self._run.create(staged, await self._jsonl(), self._tag)
        except _NOTHING_MADE as error:
            if isinstance(error, UpstreamQuotaExceeded):
                raise _refused(error) from None
            await self._journal.undo(self._progress.batch.id, 0)
            raise
        except _SAYS_NO as error:
            if self._run.repeatable and error.status == _CONFLICT:
                raise  # an earlier try has made it, and is not listed yet
            raise _refused(error) from None

    async def fetch(self, results: tuple[Request, ...], rest: Rest | None) -> int:
        """Every answer that has not been written yet, each booked before it is; then the lines without any, if they are told at all. How
        many those were.
        """
        names = {self._key(line): line.custom_id async for line in self._progress.lines()}
        done = await self._progress.answered_ids()
        found: list[tuple[str, NativeAnswer]] = []
        for file in results:
            async for row in self._run.rows(file):
                answer = self._run.answer(row)
                custom_id = names.get(answer.custom_id)
                if custom_id is None or custom_id in done:
                    continue
                done.add(custom_id)
                found.append((custom_id, answer))
                if len(found) >= SEGMENT_LINES:
                    await self._keep(found)
                    found = []
        await self._keep(found)
        return await self._tell(rest, done) if rest is not None and len(done) < len(names) else 0

    async def _keep(self, found: list[tuple[str, NativeAnswer]]) -> None:
        """Books a segment, some lines at once, and writes it."""
        if not found:
            return
        places = asyncio.Semaphore(BOOKED_AT_ONCE)
        booked = await asyncio.gather(*(self._book(custom_id, answer, places) for custom_id, answer in found), return_exceptions=True)
        for failure in booked:
            if isinstance(failure, BaseException):
                raise failure
        await self._progress.answers([self._row(custom_id, answer) for custom_id, answer in found], {})

    async def _book(self, custom_id: str, answer: NativeAnswer, places: asyncio.Semaphore) -> None:
        batch = self._progress.batch
        if answer.usage is None:
            return
        async with places:
            shown = f"{batch.id}:{custom_id}"[:128]
            await self._run.book(answer, call_id=self._call_id(custom_id), shown_id=shown, at=batch.created_at)

    async def _tell(self, rest: Rest, done: set[str]) -> int:
        told, answers = 0, list[Answered]()
        async for line in self._progress.lines():
            if line.custom_id in done:
                continue
            fault = self._fault(line) or LineFault(rest.code, rest.message)
            error = {"code": fault.code, "message": fault.message}
            answers.append(self._row(line.custom_id, NativeAnswer(line.custom_id, 0, None, error, None)))
            told, answers = told + 1, await self._written(answers, SEGMENT_LINES)
        await self._written(answers, 1)
        return told

    async def _written(self, answers: list[Answered], least: int) -> list[Answered]:
        """What is left to write: nothing, once there were `least` of them."""
        if len(answers) < least:
            return answers
        await self._progress.answers(answers, {})
        return []

    def _key(self, line: Line) -> str:
        return str(line.number) if self._run.by_number else line.custom_id

    async def _jsonl(self) -> bytes:
        """The lines as they are sent, without those that cannot be: in one piece, as so many small ones would take several times the room.
        Raises what the first of these raised if there is no other.
        """
        if self._made is None:
            made, left_out = bytearray(), None
            async for line in self._progress.lines():
                try:
                    made += self._run.row_of(line) + b"\n"
                except TollkeeperError as error:
                    left_out = left_out or error
            if not made and left_out is not None:
                raise left_out
            self._made = bytes(made)
        return self._made

    def _fault(self, line: Line) -> LineFault | None:
        """Why a line was left out; None: it was not."""
        try:
            self._run.row_of(line)
        except TollkeeperError as error:
            return LineFault(error.code or error.type, error.message, line.number, error.param)
        return None

    def _row(self, custom_id: str, answer: NativeAnswer) -> Answered:
        call_id, response = self._call_id(custom_id), None
        if answer.body is not None:
            response = {"status_code": answer.status, "request_id": call_id, "body": answer.body}
        row: dict[str, Any] = {"id": f"batch_req_{call_id}", "custom_id": custom_id, "response": response, "error": answer.error}
        return Answered(response is not None and answer.status < 300, orjson.dumps(row) + b"\n")

    def _call_id(self, custom_id: str) -> str:
        """The same, however often a line's answer is fetched: it is booked once."""
        batch = self._progress.batch
        noise = blake2b(f"{batch.id}\n{custom_id}".encode(errors="surrogatepass"), digest_size=10).digest()
        return time_ordered_id(batch.created_at, noise)


def _refused(error: TollkeeperError) -> HandingFailed:
    return HandingFailed(LineFault(error.code or error.type, f"The provider refused the batch: {error.message}"))
