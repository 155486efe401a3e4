"""Writes ledger entries so that none is lost: idempotent by request id, retried, and as a last resort printed whole to the log."""

import logging
from collections.abc import AsyncIterator, Callable

import orjson

from tollkeeper.clock import Clock, iso, time_ordered_id
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.entry import Entry, to_item
from tollkeeper.store.items import LEDGER_SHARDS, ledger_pk
from tollkeeper.store.table import ConditionFailed, Item, Table

RETRY_DELAYS = (0.05, 0.2, 1.0)
log = logging.getLogger("tollkeeper.ledger")


_BUCKET_CHARACTERS, _BUCKET_SECONDS = 6, 262
"""So many characters of a time-ordered id are the same for so many seconds."""


class Ledger:
    """The append side of the ledger table, and the one question a janitor has."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        told: Callable[[Entry], None] = lambda _: None,
        *,
        keep_until: Callable[[float], int] | None = None,
    ) -> None:
        """`told` hears of every entry, for metrics; it must not block. `keep_until` says of a call's start (epoch seconds) when its entry
        goes; the sums it is in stay. None: entries stay for ever.
        """
        self._table = table
        self._clock = clock
        self._told = told
        self._keep_until = keep_until

    async def record(self, entry: Entry) -> None:
        """Never raises: the caller of a finished call has nothing to do about it.

        An entry that could not be written is logged as one line `ledger_entry_unwritten` that holds all of it, so that it can be put back.
        """
        self._told(entry)
        item = to_item(entry)
        if self._keep_until is not None:
            item["ttl"] = self._keep_until(entry.started_at)
        for delay in (*RETRY_DELAYS, None):
            try:
                await self._table.put_new(item)
                return
            except ConditionFailed:
                return  # an earlier try of this very entry got through
            except StoreUnavailable as error:
                if delay is None:
                    log.error("ledger_entry_unwritten %s %s", error.message, orjson.dumps(item).decode())
                    return
                await self._clock.sleep(delay)

    async def cost_of(self, request_id: str, at: float) -> int | None:
        """What the books have for a call that began at about `at` (epoch seconds), in nano-dollars; None: nothing.

        Raises StoreUnavailable.
        """
        for day in sorted({iso(moment)[:10] for moment in (at, at + _BUCKET_SECONDS)}):
            if (item := await self._table.get(ledger_pk(day, request_id), request_id)) is not None:
                return int(item["cost"])
        return None

    async def booked(self, hold_id: str, created: float) -> int | None:
        """The cost of the call that was paid from this hold, or None. `created` is when the hold was made.

        A call's id is a little older than its hold, so two stretches of ids are read in each shard of its day: slow, and rarely asked.
        Raises StoreUnavailable.
        """
        prefixes = {time_ordered_id(moment, bytes(10))[:_BUCKET_CHARACTERS] for moment in (created - _BUCKET_SECONDS, created)}
        days = {iso(moment)[:10] for moment in (created, created + _BUCKET_SECONDS)}
        for day in sorted(days):
            for shard in range(LEDGER_SHARDS):
                for prefix in sorted(prefixes):
                    async for item in self._entries(f"day#{day}#{shard}", prefix):
                        if hold_id in item.get("hold_ids", ()):
                            return int(item["cost"])
        return None

    async def _entries(self, pk: str, prefix: str) -> AsyncIterator[Item]:
        after: str | None = None
        while True:
            page = await self._table.query(pk, prefix=prefix, after=after, limit=1000)
            for item in page.items:
                yield item
            if page.next is None:
                return
            after = page.next
