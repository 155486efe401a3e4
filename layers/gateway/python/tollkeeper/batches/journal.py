"""What is known of each line of a batch: that it was sent, and what came back. Why a line is not paid twice.

    begin ─▶ the line's mark, put only if there is none ─▶ the request goes out ─▶ keep: the answer, as an object ─▶ segment, checkpoint

A worker that finds a mark it did not make knows that the line has been sent. With an answer beside it, that is the line's answer. Without
one, its worker died between sending and keeping: the provider may have answered and billed, and nobody can know. Such a line is never sent
again; it ends in the error file, marked unconfirmed, and its call id leads to what the books say of it.

Marks are the fence between workers too: of two that believe the line theirs, one put is refused. They go by TTL; answers are deleted when
the segment that holds them is written.
"""

from dataclasses import dataclass

from tollkeeper.clock import Clock
from tollkeeper.store import items
from tollkeeper.store.objects import ObjectMissing, Objects
from tollkeeper.store.table import ConditionFailed, Item, Table


@dataclass(frozen=True, slots=True)
class Mark:
    """`call_id` is the ledger's. `alive_until`: epoch seconds by which the worker that made it has certainly ended; 0: it has."""

    call_id: str
    at: int
    alive_until: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A finished line: its JSONL bytes, and which of the two files it belongs to."""

    good: bool
    data: bytes


class Journal:
    def __init__(self, table: Table, objects: Objects, clock: Clock) -> None:
        self._table = table
        self._objects = objects
        self._clock = clock

    async def begin(self, batch_id: str, line: int, call_id: str, *, alive_until: int, ttl: int) -> Mark | None:
        """None: the line is ours to send, once. Else the mark that was there before. Raises StoreUnavailable: then it must not be sent."""
        mark = {"call": call_id, "at": int(self._clock.now()), "alive_until": alive_until, "ttl": ttl}
        try:
            await self._table.put_new({"pk": items.batch_lines_pk(batch_id), "sk": items.batch_line_sk(line), **mark})
        except ConditionFailed as failed:
            old = failed.old or {}
            if old.get("call") == call_id:
                return None  # our own put, whose answer was lost on the way
            return _mark(old)
        return None

    async def mark(self, batch_id: str, line: int) -> Mark | None:
        """None: the line has not been sent."""
        item = await self._table.get(items.batch_lines_pk(batch_id), items.batch_line_sk(line), consistent=True)
        return None if item is None else _mark(item)

    async def undo(self, batch_id: str, line: int) -> None:
        """The line was refused before anything could be billed: it may be sent again."""
        await self._table.delete(items.batch_lines_pk(batch_id), items.batch_line_sk(line))

    async def keep(self, batch_id: str, line: int, answer: Answered) -> None:
        await self._objects.put(_key(batch_id, line), (b"+" if answer.good else b"-") + answer.data)

    async def kept(self, batch_id: str, line: int) -> Answered | None:
        try:
            data = await self._objects.read(_key(batch_id, line))
        except ObjectMissing:
            return None
        return Answered(data[:1] == b"+", data[1:])

    async def forget(self, batch_id: str, line: int) -> None:
        """After the checkpoint that makes the answer part of a segment."""
        await self._objects.delete(_key(batch_id, line))


def _mark(item: Item) -> Mark:
    return Mark(str(item.get("call", "")), int(item.get("at", 0)), int(item.get("alive_until", 0)))


def _key(batch_id: str, line: int) -> str:
    return f"batches/{batch_id}/lines/{line:09d}"
