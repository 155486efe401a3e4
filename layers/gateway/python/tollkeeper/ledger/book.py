"""Writes ledger entries so that none is lost: idempotent by request id, retried, and as a last resort printed whole to the log."""

import logging

import orjson

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.entry import Entry, to_item
from tollkeeper.store.table import ConditionFailed, Table

RETRY_DELAYS = (0.05, 0.2, 1.0)
log = logging.getLogger("tollkeeper.ledger")


class Ledger:
    """The append side of the ledger table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def record(self, entry: Entry) -> None:
        """Never raises: the caller of a finished call has nothing to do about it.

        An entry that could not be written is logged as one line `ledger_entry_unwritten` that holds all of it, so that it can be put back.
        """
        item = to_item(entry)
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
