"""One worker's time with one batch: validate it, take it some segments further, end it.

    segment = up to SEGMENT_LINES lines, a few of them under way at once
              each: journal.begin ▶ run ▶ journal.keep
              then: write the segment's answers ▶ checkpoint ▶ forget the lines' own answers

Between two checkpoints nothing is lost but time: lines that were answered are found in the journal, lines that were not sent are sent,
and a line that was sent and not answered is said to be unconfirmed. In memory is one segment, whatever the size of the file.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import orjson

from tollkeeper.batches.checking import check_file
from tollkeeper.batches.files import Files
from tollkeeper.batches.journal import Answered, Journal, Mark
from tollkeeper.batches.lines import Line, LineFault, RawLine, line_of
from tollkeeper.batches.native.base import MAX_BYTES, Intake
from tollkeeper.batches.progress import Progress
from tollkeeper.batches.records import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    FAILED,
    FINALIZING,
    IN_PROGRESS,
    VALIDATING,
    Batch,
)
from tollkeeper.batches.register import LeaseLost, Register
from tollkeeper.batches.runner import LineAnswer, LineRunner
from tollkeeper.batches.watch import Watch, is_due
from tollkeeper.clock import Clock
from tollkeeper.errors import NotFound, StoreUnavailable

SEGMENT_LINES, SEGMENT_BYTES = 200, 8 * 2**20
HEARTBEAT_SECONDS = 2.0
LONGEST_LINE_SECONDS = 240.0
"""A slice begins no line later than this before its end."""


class _Deferred(Exception):
    """The line was not sent; a later slice does it."""


class Slice:
    def __init__(
        self,
        batch: Batch,
        worker: str,
        until: float | None,
        *,
        register: Register,
        files: Files,
        journal: Journal,
        runner: LineRunner,
        clock: Clock,
        places: asyncio.Semaphore,
        look_seconds: float,
    ) -> None:
        """`until`: epoch seconds at which this process ends (None: nobody knows); `places`: how many lines may be under way;
        `look_seconds`: between two looks at a batch that its provider runs.
        """
        self._progress, self._until = Progress(batch, worker, register, files), until
        self._files, self._journal, self._runner = files, journal, runner
        self._clock, self._places, self._look_seconds = clock, places, look_seconds
        self._stop = asyncio.Event()
        self._lost = False
        self._put_off = False
        """A line has to wait for a later slice."""
        self._bytes = 0

    @property
    def _batch(self) -> Batch:
        return self._progress.batch

    def stop(self) -> None:
        """Begins no further line; what is under way comes to its end."""
        self._stop.set()

    async def run(self) -> bool:
        """Whether it got on. Raises LeaseLost, StoreUnavailable; a later slice goes on."""
        beat = asyncio.ensure_future(self._beat())
        try:
            if self._batch.status == VALIDATING:
                await self._validate()
            if self._batch.native is not None and self._batch.status in {IN_PROGRESS, CANCELLING}:
                return await self._look_after(self._batch.native)
            while self._batch.status == IN_PROGRESS and self._may_begin() and not self._put_off:
                if await self._segment():
                    await self._progress.begin_finalizing(COMPLETED)
            if self._batch.status == IN_PROGRESS and self._expired():
                await self._settle_rest(whole_file=True)
                await self._progress.begin_finalizing(EXPIRED)
            if self._batch.status == CANCELLING:
                await self._settle_rest(whole_file=False)
                await self._progress.finalize(CANCELLED)
            if self._batch.status == FINALIZING:
                await self._progress.finalize(self._batch.ending)
            return True
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def _validate(self) -> None:
        batch = self._batch
        try:
            file = await self._files.get(batch.input_file_id, batch.owner)
        except NotFound:
            gone = LineFault("file_not_found", "The input file is no longer there.")
            await self._progress.write({"faults": [gone.shown()]}, to=FAILED)
            return
        checked = await check_file(
            self._files.content(file), batch.endpoint, lambda line: self._runner.fault(batch.owner, batch.endpoint, line)
        )
        if checked.faults:
            await self._progress.write({"faults": [fault.shown() for fault in checked.faults]}, to=FAILED)
            return
        fields: dict[str, object] = {"total": checked.total}
        if len(checked.models) == 1 and file.bytes <= MAX_BYTES:
            (model,) = checked.models
            intake = Intake(batch.endpoint, checked.total, frozenset(checked.needs))
            if (run := await self._runner.native(batch.owner, intake, model)) is not None:
                fields["native"] = {"model": model, "deployment": run.deployment_id}
        await self._progress.write(fields, to=IN_PROGRESS)

    async def _look_after(self, native: dict[str, Any]) -> bool:
        """A batch that its provider runs: one look, if it is time."""
        batch = self._batch
        if not is_due(batch, self._clock.now()):
            return False
        run = await self._runner.native(batch.owner, Intake(batch.endpoint), native["model"], native["deployment"])
        if run is None:
            gone = LineFault("deployment_gone", f"The deployment {native['deployment']} that runs this batch is no longer configured.")
            await self._progress.fail(gone)
            return True
        await Watch(self._progress, run, self._journal, self._clock, self._look_seconds).look()
        return True

    async def _segment(self) -> bool:
        """Whether the file has come to its end. Raises LeaseLost."""
        self._progress.seen, self._bytes = self._batch.counts, 0
        tasks: list[tuple[RawLine, asyncio.Task[Answered]]] = []
        try:
            ended = await self._begin_lines(tasks)
            answers = await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
        except BaseException:
            for _, task in tasks:
                task.cancel()
            await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
            raise
        return await self._checkpoint([raw for raw, _ in tasks], answers) and ended

    async def _begin_lines(self, tasks: list[tuple[RawLine, asyncio.Task[Answered]]]) -> bool:
        """Adds a task for each line of the segment; whether the file has come to its end."""
        async for raw in self._lines_left():
            if len(tasks) >= SEGMENT_LINES or self._bytes >= SEGMENT_BYTES or not self._may_begin():
                return False
            await self._places.acquire()
            tasks.append((raw, asyncio.ensure_future(self._line(raw))))
        return True

    def _lines_left(self) -> AsyncIterator[RawLine]:
        return self._progress.raw_lines(number=self._batch.line, offset=self._batch.offset)

    async def _checkpoint(self, raws: Sequence[RawLine], answers: Sequence[Answered | BaseException | None]) -> bool:
        """Notes the answers up to the first line that failed, None being one that needs none; whether all had one. Raises what that line
        raised, unless it was put off.
        """
        if self._lost:
            raise LeaseLost
        first = next((at for at, answer in enumerate(answers) if isinstance(answer, BaseException)), len(answers))
        if first:
            await self._note(raws[:first], [answer for answer in answers[:first] if isinstance(answer, Answered)])
        if first < len(answers) and not isinstance(answers[first], _Deferred):
            cause = answers[first]
            raise (
                cause
                if isinstance(cause, StoreUnavailable | asyncio.CancelledError)
                else StoreUnavailable(f"a line failed: {cause!r:.200}")
            )
        self._put_off = first < len(answers)
        return not self._put_off

    async def _note(self, raws: Sequence[RawLine], answers: Sequence[Answered]) -> None:
        await self._progress.answers(answers, {"line": raws[-1].number, "offset": raws[-1].end})
        await asyncio.gather(*(self._journal.forget(self._batch.id, raw.number) for raw in raws))

    async def _line(self, raw: RawLine) -> Answered:
        """Has a place, and gives it back."""
        try:
            answer = await self._answer(raw)
            self._bytes += len(answer.data)
            self._progress.seen = (self._progress.seen[0] + answer.good, self._progress.seen[1] + (not answer.good))
            return answer
        finally:
            self._places.release()

    async def _answer(self, raw: RawLine) -> Answered:
        batch = self._batch
        line = line_of(raw, batch.endpoint)
        if isinstance(line, LineFault):  # validated once; the file cannot have changed but by hand
            return _told(batch, raw.number, "", code=line.code, message=line.message)
        while True:
            call_id = self._clock.new_id()
            alive = int(self._until) if self._until is not None else 0
            mark = await self._journal.begin(batch.id, line.number, call_id, alive_until=alive, ttl=batch.ttl)
            if mark is not None:
                return await self._found(line, mark)
            shown = f"{batch.id}:{line.number}"
            answer = await self._runner.run(batch.owner, batch.endpoint, line, call_id=call_id, shown_id=shown, deadline=self._until)
            if answer.again is None:
                finished = _finished(batch, line, answer)
                await self._journal.keep(batch.id, line.number, finished)
                return finished
            await self._journal.undo(batch.id, line.number)
            await self._pause(answer.again)

    async def _found(self, line: Line, mark: Mark) -> Answered:
        """A line that a slice before this one has sent."""
        batch = self._batch
        if (kept := await self._journal.kept(batch.id, line.number)) is not None:
            return kept
        if mark.alive_until > self._clock.now():
            raise _Deferred  # its sender may still be waiting for the answer
        shown = f"{batch.id}:{line.number}"
        known = await self._runner.lost(batch.owner, batch.endpoint, line, call_id=mark.call_id, shown_id=shown, at=mark.at)
        message = f"The gateway was stopped after this request was sent and before its answer was kept; it is not sent again. {known}"
        finished = _told(batch, line.number, line.custom_id, code="unconfirmed", message=message, call_id=mark.call_id)
        await self._journal.keep(batch.id, line.number, finished)
        return finished

    async def _pause(self, seconds: float) -> None:
        """Raises _Deferred when the slice ends before the line's turn comes again."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        if not self._may_begin():
            raise _Deferred

    async def _settle_rest(self, *, whole_file: bool) -> None:
        """Nothing more is sent. What an earlier slice has sent is accounted for; with `whole_file` every other line is told that its time
        is over. Without it nothing behind one segment can have been sent.
        """
        raws: list[RawLine] = []
        async for raw in self._lines_left():
            raws.append(raw)
            if len(raws) >= SEGMENT_LINES:
                await self._settle(raws, expired=whole_file)
                if not whole_file:
                    return
                raws = []
        await self._settle(raws, expired=whole_file)

    async def _settle(self, raws: Sequence[RawLine], *, expired: bool) -> None:
        if not await self._checkpoint(raws, [await self._end_of(raw, expired=expired) for raw in raws]):
            raise LeaseLost  # a line's sender may still be alive: later

    async def _end_of(self, raw: RawLine, *, expired: bool) -> Answered | BaseException | None:
        line = line_of(raw, self._batch.endpoint)
        mark = await self._journal.mark(self._batch.id, raw.number)
        if mark is not None and isinstance(line, Line):
            try:
                return await self._found(line, mark)
            except _Deferred as later:
                return later
        custom_id = line.custom_id if isinstance(line, Line) else ""
        message = "This request could not be run before the completion window was over."
        return _told(self._batch, raw.number, custom_id, code="batch_expired", message=message) if expired else None

    async def _beat(self) -> None:
        """Keeps the lease, shows progress, and hears of a cancellation."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                now = await self._progress.show()
            except LeaseLost:
                self._lost = True
                self._stop.set()
                return
            except StoreUnavailable:
                continue
            if now.status == CANCELLING and self._batch.status != CANCELLING:
                self._stop.set()

    def _may_begin(self) -> bool:
        if self._stop.is_set() or self._expired():
            return False
        return self._until is None or self._clock.now() < self._until - LONGEST_LINE_SECONDS

    def _expired(self) -> bool:
        return self._clock.now() >= self._batch.expires_at


def _finished(batch: Batch, line: Line, answer: LineAnswer) -> Answered:
    response = {"status_code": answer.status, "request_id": answer.request_id, "body": answer.body}
    return Answered(answer.status < 300, _row(batch, line.number, line.custom_id, response, None))


def _told(batch: Batch, number: int, custom_id: str, *, code: str, message: str, call_id: str | None = None) -> Answered:
    """A line without an answer."""
    error = {"code": code, "message": message, **({"request_id": call_id} if call_id else {})}
    return Answered(False, _row(batch, number, custom_id, None, error))


def _row(batch: Batch, number: int, custom_id: str, response: object, error: object) -> bytes:
    """https://platform.openai.com/docs/api-reference/batch/request-output"""
    row_id = f"batch_req_{batch.id.removeprefix('batch_')}{number}"
    return orjson.dumps({"id": row_id, "custom_id": custom_id, "response": response, "error": error}) + b"\n"
