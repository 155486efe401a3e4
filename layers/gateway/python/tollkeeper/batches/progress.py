"""A worker's hold on one batch: everything it writes of it, each on the condition that the batch is still its own."""

from collections.abc import AsyncIterator, Sequence

import orjson

from tollkeeper.batches.checking import lines_of
from tollkeeper.batches.files import Files, part_key
from tollkeeper.batches.journal import Answered
from tollkeeper.batches.lines import Line, LineFault, RawLine, line_of
from tollkeeper.batches.records import CANCELLED, CANCELLING, FAILED, FINALIZING, IN_PROGRESS, KEPT_SECONDS, Batch
from tollkeeper.batches.register import Register


class Progress:
    """`batch` is as it was last written; `seen` the counts to show, which run ahead of the checkpoint's. Everything raises LeaseLost and
    StoreUnavailable.
    """

    def __init__(self, batch: Batch, worker: str, register: Register, files: Files) -> None:
        self.batch = batch
        self.seen = batch.counts
        self._worker, self._register, self._files = worker, register, files

    async def write(self, fields: dict[str, object], *, to: str | None = None) -> None:
        """Raises LeaseLost also where the caller has cancelled what is to enter a new status: then the batch is claimed and ended anew."""
        self.batch = await self._register.write(self.batch, self._worker, fields, to=to)

    async def show(self) -> Batch:
        """Renews the lease; the batch as it is now."""
        return await self._register.progress(self.batch, self._worker, *self.seen)

    async def answers(self, answers: Sequence[Answered], fields: dict[str, object]) -> None:
        """A segment of finished lines, and the checkpoint after it."""
        good, bad = [answer.data for answer in answers if answer.good], [answer.data for answer in answers if not answer.good]
        completed, failed = self.batch.counts
        await self.write(
            {
                "out": await self._put("out", self.batch.out, good),
                "err": await self._put("err", self.batch.err, bad),
                "completed": completed + len(good),
                "failed": failed + len(bad),
                **fields,
            }
        )

    async def fail(self, fault: LineFault) -> None:
        await self.write({"faults": [fault.shown()]}, to=CANCELLED if self.batch.status == CANCELLING else FAILED)

    async def begin_finalizing(self, ending: str) -> None:
        if self.batch.status == IN_PROGRESS:
            await self.write({"ending": ending}, to=FINALIZING)

    async def finalize(self, to: str) -> None:
        """Makes the two files; may be repeated."""
        batch = self.batch
        made: dict[str, object] = {}
        for name, word, parts in (("out", "output", batch.out), ("err", "error", batch.err)):
            if parts:
                file_id = f"file-{batch.id.removeprefix('batch_')}{name}"
                await self._files.add(file_id, f"{batch.id}_{word}.jsonl", "batch_output", batch.owner, list(parts), seconds=KEPT_SECONDS)
                made[f"{word}_file_id"] = file_id
        await self.write(made, to=to)

    async def raw_lines(self, *, number: int = 0, offset: int = 0) -> AsyncIterator[RawLine]:
        """The input from a checkpoint on."""
        file = await self._files.get(self.batch.input_file_id, self.batch.owner)
        async for raw in lines_of(self._files.content(file, offset), number, offset):
            yield raw

    async def lines(self) -> AsyncIterator[Line]:
        """The whole input, which has been checked."""
        async for raw in self.raw_lines():
            if isinstance(line := line_of(raw, self.batch.endpoint), Line):
                yield line

    async def answered_ids(self) -> set[str]:
        """The custom_ids of the lines that have been written."""
        found: set[str] = set()
        for key, _ in (*self.batch.out, *self.batch.err):
            rows = (await self._files.objects.read(key)).split(b"\n")
            found.update(orjson.loads(row)["custom_id"] for row in rows if row)
        return found

    async def _put(self, name: str, parts: tuple[tuple[str, int], ...], rows: Sequence[bytes]) -> list[list[object]]:
        """A segment's answers as one more part. Its key says where it stands, so that a repetition replaces it."""
        listed = [list[object](part) for part in parts]
        if not rows:
            return listed
        key, data = part_key(f"{self.batch.id}-{name}", len(parts)), b"".join(rows)
        await self._files.objects.put(key, data)
        return [*listed, [key, len(data)]]
