"""Batches in the store: made, listed, cancelled by their callers; claimed, checkpointed and ended by one worker at a time.

A claim is a lease that its worker keeps renewing. Every write of a worker depends on it, so that one that was thought dead and is not
writes nothing any more. What a lease cannot stop, a request already under way, the journal does (journal.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tollkeeper.batches.owner import Owner, enlist, ids_of
from tollkeeper.batches.records import (
    CANCELLING,
    ENDED,
    IN_PROGRESS,
    VALIDATING,
    WINDOW_SECONDS,
    Batch,
    batch_of,
)
from tollkeeper.clock import Clock
from tollkeeper.errors import Conflict, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Item, Table

LEASE_SECONDS = 10
"""How long a batch stands still whose worker was killed."""


class LeaseLost(Exception):
    """Another worker has the batch, or its caller has changed its status: look again."""


class Register:
    """One per process. Everything raises StoreUnavailable."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def create(
        self,
        endpoint: str,
        input_file_id: str,
        owner: Owner,
        *,
        metadata: dict[str, str] | None = None,
        native: dict[str, Any] | None = None,
    ) -> Batch:
        now = int(self._clock.now())
        batch = Batch(
            f"batch_{self._clock.new_id()}", endpoint, input_file_id, now, now + WINDOW_SECONDS, owner, metadata=metadata, native=native
        )
        await self._table.put(batch.item() | ({"native": native} if native else {}))
        await enlist(self._table, owner, "batches", batch.id, batch.ttl)
        # Last: from here on a worker may find it.
        await self._table.put({"pk": items.OPEN_BATCHES_PK, "sk": batch.id, "ttl": batch.ttl})
        return batch

    async def get(self, batch_id: str, owner: Owner) -> Batch:
        """Raises NotFound."""
        item = await self._read(batch_id)
        if item is None or not owner.sees(Owner.of(item)):
            raise NotFound(f"No batch found with id '{batch_id[:100]}'.", param="batch_id", type="invalid_request_error")
        return batch_of(item)

    async def page(self, owner: Owner, *, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """Newest first: a page, and whether there is more."""
        ids = await ids_of(self._table, owner, "batches", after=after, limit=limit + 1)
        found = [await self._read(batch_id) for batch_id in ids[:limit]]
        return [batch_of(item) for item in found if item is not None], len(ids) > limit

    async def cancel(self, batch_id: str, owner: Owner) -> Batch:
        """What is under way comes to its end; nothing more is begun. Raises NotFound, Conflict."""
        for _ in range(10):
            batch = await self.get(batch_id, owner)
            if batch.status == CANCELLING:
                return batch
            if batch.status not in {VALIDATING, IN_PROGRESS}:
                raise Conflict(f"A batch that is {batch.status} cannot be cancelled.", type="invalid_request_error", param="batch_id")
            try:
                return await self._apply(batch_id, self._at(CANCELLING), [Equals("status", batch.status)])
            except ConditionFailed:
                continue
        raise Conflict("The batch keeps changing; try again.", type="invalid_request_error")

    async def open_ids(self) -> list[str]:
        """Batches with work left, oldest first; at most a page of them."""
        return [item["sk"] for item in (await self._table.query(items.OPEN_BATCHES_PK, limit=100)).items]

    async def claim(self, batch_id: str, worker: str) -> Batch | None:
        """None: somebody else has it, or there is nothing left to do."""
        now = int(self._clock.now())
        try:
            batch = await self._apply(batch_id, self._lease(worker), [AtMost("lease_until", now), Equals("id", batch_id)])
        except ConditionFailed as failed:
            if failed.old is None:
                await self._strike(batch_id)
            return None
        if batch.status in ENDED:
            await self._strike(batch_id)
            return None
        return batch

    async def release(self, batch_id: str, worker: str) -> None:
        """For another worker to go on at once."""
        try:
            await self._apply(batch_id, {"lease_until": 0}, [Equals("lease", worker)])
        except ConditionFailed:
            return

    async def progress(self, batch: Batch, worker: str, completed: int, failed: int) -> Batch:
        """Renews the lease, and shows how far it has got. Raises LeaseLost."""
        return await self.write(batch, worker, {"seen_completed": completed, "seen_failed": failed})

    async def write(self, batch: Batch, worker: str, fields: Mapping[str, Any], *, to: str | None = None) -> Batch:
        """A checkpoint, whatever the caller has done meanwhile; or a step to the status `to`, if the status is what it was.

        Raises LeaseLost.
        """
        when: list[Condition] = [Equals("lease", worker)]
        if to:
            when.append(Equals("status", batch.status))
        changes = {**self._lease(worker), **fields, **(self._at(to) if to else {})}
        try:
            written = await self._apply(batch.id, changes, when)
        except ConditionFailed:
            raise LeaseLost from None
        if to in ENDED:
            await self._strike(batch.id)
        return written

    def _lease(self, worker: str) -> dict[str, Any]:
        return {"lease": worker, "lease_until": int(self._clock.now()) + LEASE_SECONDS}

    def _at(self, status: str) -> dict[str, Any]:
        return {"status": status, f"{status}_at": int(self._clock.now())}

    async def _read(self, batch_id: str) -> Item | None:
        return await self._table.get(items.batch_pk(batch_id), items.BATCH_SK, consistent=True)

    async def _apply(self, batch_id: str, changes: Mapping[str, Any], when: Sequence[Condition]) -> Batch:
        return batch_of(await self._table.apply(items.batch_pk(batch_id), items.BATCH_SK, set=changes, when=when))

    async def _strike(self, batch_id: str) -> None:
        await self._table.delete(items.OPEN_BATCHES_PK, batch_id)
