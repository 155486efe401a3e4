"""A slice of a batch that its provider runs: hand it over once, look after it, and fetch its answers segment by segment.

Handing over is what must not happen twice. It has a mark in the journal like any line (number 0): whoever finds the mark without an id asks
the provider for a batch with our tag, and gives up rather than hand over again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from tollkeeper.batches.journal import Answered, Journal
from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.native import NativeAnswer, was_refused
from tollkeeper.batches.records import Batch
from tollkeeper.batches.runner import NativeRun
from tollkeeper.clock import Clock, time_ordered_id
from tollkeeper.errors import TollkeeperError

SEGMENT_LINES = 200


class HandingFailed(Exception):
    """The batch ends as failed."""

    def __init__(self, fault: LineFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Fetched:
    """A segment of answers, and where the next begins: which of the provider's files, and which row of it."""

    answers: list[Answered]
    file: int
    row: int


Note = Callable[[Fetched], Awaitable[None]]


class HandedBatch:
    """`lines` reads the batch's input anew."""

    def __init__(self, batch: Batch, run: NativeRun, journal: Journal, clock: Clock, lines: Callable[[], Awaitable[list[Line]]]) -> None:
        self._batch, self._run, self._journal, self._clock, self._lines = batch, run, journal, clock, lines

    async def hand_over(self) -> str:
        """The provider's id. Raises HandingFailed."""
        batch, tag = self._batch, self._batch.id
        mark = await self._journal.begin(batch.id, 0, self._clock.new_id(), alive_until=0, ttl=batch.ttl)
        if mark is None:
            try:
                return await self._run.submit(await self._lines(), tag)
            except TollkeeperError as error:
                if was_refused(error):
                    raise HandingFailed(LineFault(error.code or error.type, f"The provider refused the batch: {error.message}")) from None
        if (found := await self._run.find(tag)) is not None:
            return found
        message = "Whether the provider took the batch is not known; it is not handed over again. Look for it there before you repeat it."
        raise HandingFailed(LineFault("unconfirmed", message))

    async def fetch(self, results: tuple[str, ...], note: Note) -> None:
        """Every answer that has not been noted, in segments; each is booked before it is noted."""
        native = self._batch.native or {}
        names = {str(line.number): line.custom_id for line in await self._lines()} if native.get("by_number") else {}
        start_file, start_row = int(native.get("file", 0)), int(native.get("row", 0))
        for file in range(start_file, len(results)):
            row_number, answers = 0, list[Answered]()
            async for row in self._run.rows(results[file]):
                row_number += 1
                if file == start_file and row_number <= start_row:
                    continue
                answers.append(await self._answered(self._run.answer(row), names))
                if len(answers) >= SEGMENT_LINES:
                    await note(Fetched(answers, file, row_number))
                    answers = []
            await note(Fetched(answers, file + 1, 0))

    async def _answered(self, answer: NativeAnswer, names: dict[str, str]) -> Answered:
        batch = self._batch
        custom_id = names.get(answer.custom_id, answer.custom_id)
        noise = blake2b(f"{batch.id}\n{custom_id}".encode(errors="surrogatepass"), digest_size=10).digest()
        call_id = time_ordered_id(batch.created_at, noise)
        if answer.usage is not None:
            await self._run.book(answer, call_id=call_id, shown_id=f"{batch.id}:{custom_id}"[:128], at=batch.created_at)
        response: Any = None
        if answer.body is not None:
            response = {"status_code": answer.status, "request_id": call_id, "body": answer.body}
        row = {"id": f"batch_req_{call_id}", "custom_id": custom_id, "response": response, "error": answer.error}
        return Answered(response is not None and answer.status < 300, orjson.dumps(row) + b"\n")
