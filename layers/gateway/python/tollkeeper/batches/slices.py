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

from tollkeeper.batches.checking import check_file, lines_of
from tollkeeper.batches.files import Files, part_key
from tollkeeper.batches.handed import Fetched, HandedBatch, HandingFailed
from tollkeeper.batches.journal import Answered, Journal, Mark
from tollkeeper.batches.lines import Line, LineFault, RawLine, line_of
from tollkeeper.batches.native import MAX_BYTES
from tollkeeper.batches.records import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    FAILED,
    FINALIZING,
    IN_PROGRESS,
    KEPT_SECONDS,
    VALIDATING,
    Batch,
)
from tollkeeper.batches.register import LeaseLost, Register
from tollkeeper.batches.runner import LineAnswer, LineRunner, NativeRun
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
        self._batch, self._worker, self._until = batch, worker, until
        self._register, self._files, self._journal, self._runner = register, files, journal, runner
        self._clock, self._places, self._look_seconds = clock, places, look_seconds
        self._stop = asyncio.Event()
        self._lost = False
        self._put_off = False
        """A line has to wait for a later slice."""
        self._seen = batch.counts
        self._bytes = 0

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
                    await self._begin_finalizing(COMPLETED)
            if self._batch.status == IN_PROGRESS and self._expired():
                await self._settle_rest(whole_file=True)
                await self._begin_finalizing(EXPIRED)
            if self._batch.status == CANCELLING:
                await self._settle_rest(whole_file=False)
                await self._finalize(CANCELLED)
            if self._batch.status == FINALIZING:
                await self._finalize(self._batch.ending)
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
            await self._write({"faults": [gone.shown()]}, to=FAILED)
            return
        checked = await check_file(
            self._files.content(file), batch.endpoint, lambda line: self._runner.fault(batch.owner, batch.endpoint, line)
        )
        if checked.faults:
            await self._write({"faults": [fault.shown() for fault in checked.faults]}, to=FAILED)
            return
        fields: dict[str, object] = {"total": checked.total}
        if len(checked.models) == 1 and file.bytes <= MAX_BYTES:
            (model,) = checked.models
            if (run := await self._runner.native(batch.owner, batch.endpoint, model)) is not None:
                fields["native"] = {"model": model, "deployment": run.deployment_id, "by_number": run.by_number}
        await self._write(fields, to=IN_PROGRESS)

    async def _look_after(self, native: dict[str, Any]) -> bool:
        """A batch that its provider runs: one look, which may be its last."""
        batch, cancelling = self._batch, self._batch.status == CANCELLING
        if self._clock.now() < native.get("look_at", 0) and not (cancelling and not native.get("cancelled")):
            return False
        run = await self._runner.native(batch.owner, batch.endpoint, native["model"], native["deployment"])
        if run is None:
            gone = LineFault("deployment_gone", f"The deployment {native['deployment']} that runs this batch is no longer configured.")
            await self._write({"faults": [gone.shown()]}, to=CANCELLED if cancelling else FAILED)
            return True
        handed = HandedBatch(batch, run, self._journal, self._clock, self._all_lines)
        try:
            if "id" not in native:
                if cancelling and await self._journal.mark(batch.id, 0) is None:
                    await self._finalize(CANCELLED)
                    return True
                native = await self._note_native(native, id=await handed.hand_over())
            if cancelling and not native.get("cancelled"):
                await run.cancel(native["id"])
                native = await self._note_native(native, cancelled=True)
            await self._follow(run, handed, native, cancelling=cancelling)
        except HandingFailed as failed:
            await self._write({"faults": [failed.fault.shown()]}, to=CANCELLED if cancelling else FAILED)
        return True

    async def _follow(self, run: NativeRun, handed: HandedBatch, native: dict[str, Any], *, cancelling: bool) -> None:
        state = await run.look(native["id"])
        self._seen = state.completed, state.failed
        if not state.ended:
            await self._register.progress(self._batch, self._worker, *self._seen)
            await self._note_native(native, look_at=int(self._clock.now() + self._look_seconds))
            return
        if state.failure is not None:
            raise HandingFailed(LineFault("provider_failed", f"The provider says that the batch failed: {state.failure}"))

        async def note(fetched: Fetched) -> None:
            await self._note_answers(fetched.answers, {"native": {**native, "file": fetched.file, "row": fetched.row}})

        await handed.fetch(state.results, note)
        if cancelling:
            await self._finalize(CANCELLED)
        else:
            await self._begin_finalizing(COMPLETED if sum(self._batch.counts) >= self._batch.total else EXPIRED)
            await self._finalize(self._batch.ending)

    async def _note_native(self, native: dict[str, Any], **fields: object) -> dict[str, Any]:
        changed = {**native, **fields}
        await self._write({"native": changed})
        return changed

    async def _all_lines(self) -> list[Line]:
        file = await self._files.get(self._batch.input_file_id, self._batch.owner)
        found = [line_of(raw, self._batch.endpoint) async for raw in lines_of(self._files.content(file))]
        return [line for line in found if isinstance(line, Line)]

    async def _segment(self) -> bool:
        """Whether the file has come to its end. Raises LeaseLost."""
        self._seen, self._bytes = self._batch.counts, 0
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

    async def _lines_left(self) -> AsyncIterator[RawLine]:
        file = await self._files.get(self._batch.input_file_id, self._batch.owner)
        async for raw in lines_of(self._files.content(file, self._batch.offset), self._batch.line, self._batch.offset):
            yield raw

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
        await self._note_answers(answers, {"line": raws[-1].number, "offset": raws[-1].end})
        await asyncio.gather(*(self._journal.forget(self._batch.id, raw.number) for raw in raws))

    async def _note_answers(self, answers: Sequence[Answered], fields: dict[str, object]) -> None:
        good, bad = [answer.data for answer in answers if answer.good], [answer.data for answer in answers if not answer.good]
        completed, failed = self._batch.counts
        await self._write(
            {
                "out": await self._put("out", self._batch.out, good),
                "err": await self._put("err", self._batch.err, bad),
                "completed": completed + len(good),
                "failed": failed + len(bad),
                **fields,
            }
        )

    async def _put(self, name: str, parts: tuple[tuple[str, int], ...], rows: Sequence[bytes]) -> list[list[object]]:
        """A segment's answers as one more part. Its key says where it stands, so that a repetition replaces it."""
        listed = [list[object](part) for part in parts]
        if not rows:
            return listed
        key, data = part_key(f"{self._batch.id}-{name}", len(parts)), b"".join(rows)
        await self._files.objects.put(key, data)
        return [*listed, [key, len(data)]]

    async def _line(self, raw: RawLine) -> Answered:
        """Has a place, and gives it back."""
        try:
            answer = await self._answer(raw)
            self._bytes += len(answer.data)
            self._seen = (self._seen[0] + answer.good, self._seen[1] + (not answer.good))
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

    async def _begin_finalizing(self, ending: str) -> None:
        if self._batch.status == IN_PROGRESS:
            await self._write({"ending": ending}, to=FINALIZING)

    async def _finalize(self, to: str) -> None:
        """Makes the two files; may be repeated."""
        batch = self._batch
        made: dict[str, object] = {}
        for name, word, parts in (("out", "output", batch.out), ("err", "error", batch.err)):
            if parts:
                file_id = f"file-{batch.id.removeprefix('batch_')}{name}"
                await self._files.add(file_id, f"{batch.id}_{word}.jsonl", "batch_output", batch.owner, list(parts), seconds=KEPT_SECONDS)
                made[f"{word}_file_id"] = file_id
        await self._write(made, to=to)

    async def _write(self, fields: dict[str, object], *, to: str | None = None) -> None:
        """Raises LeaseLost; also where the caller has cancelled what is to enter a new status: then the batch is claimed and ended anew."""
        self._batch = await self._register.write(self._batch, self._worker, fields, to=to)

    async def _beat(self) -> None:
        """Keeps the lease, shows progress, and hears of a cancellation."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                now = await self._register.progress(self._batch, self._worker, *self._seen)
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
