"""What brings the ledger's new entries to the roller: DynamoDB's stream on AWS, the embedded store's own elsewhere.

Both deliver at least once. An entry that cannot be added up is not in the way of the others: on AWS it is reported by itself and set aside
after its tries (a dead-letter queue), in the embedded store it is logged and stays in the ledger only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.roller import Roller
from tollkeeper.store.attributes import unmarshal
from tollkeeper.store.table import Item, Table

log = logging.getLogger("tollkeeper.rollup")

POLL_SECONDS = 0.5
_AT_A_TIME = 1000


class LedgerStream(Protocol):
    """store/sqlite_stream.py, seen from here."""

    def read(self, limit: int) -> list[tuple[int, str, str]]:
        """The oldest of what is waiting: (number, pk, sk)."""
        ...

    def forget(self, numbers: Sequence[int]) -> None: ...


Listener = Callable[[Sequence[Item]], Awaitable[None]]
"""Told of entries that are in the sums, at least once. Raises StoreUnavailable to be told again."""


async def nobody(entries: Sequence[Item]) -> None:
    """The listener of whoever does not listen."""
    del entries


async def roll_event(roller: Roller, event: Mapping[str, Any], listener: Listener = nobody) -> dict[str, list[dict[str, str]]]:
    """A DynamoDB stream event → `{"batchItemFailures": [{"itemIdentifier": <sequence number>}]}`.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    good: dict[str, Item] = {}
    bad: list[str] = []
    for record in event.get("Records", ()):
        number = str(record["dynamodb"]["SequenceNumber"])
        try:
            entry = _entry(record)
        except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            log.error("rollup_record_unusable %s %s", number, type(error).__name__)
            bad.append(number)
            continue
        if entry is not None:
            good[number] = entry
    failed = await _roll_what_can_be(roller, good)
    bad += [*failed, *await _tell(listener, {number: entry for number, entry in good.items() if number not in failed})]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in sorted(bad, key=int)]}


def _entry(record: Mapping[str, Any]) -> Item | None:
    """None for a removal, and for what is no ledger entry. Entries are never changed, so a change is only told again."""
    if record["eventName"] == "REMOVE" or not record["dynamodb"]["Keys"]["pk"]["S"].startswith("day#"):
        return None
    return unmarshal(record["dynamodb"]["NewImage"])


async def _roll_what_can_be(roller: Roller, entries: Mapping[str, Item]) -> list[str]:
    """The numbers of those that could not be rolled."""
    try:
        await roller.roll(entries.values())
        return []
    except StoreUnavailable as error:
        log.warning("rollup_waits %s", error.message)
        return list(entries)
    except (KeyError, ValueError, TypeError):
        return await _one_by_one(roller, entries)


async def _tell(listener: Listener, entries: Mapping[str, Item]) -> list[str]:
    """The numbers of those that must be told again."""
    try:
        await listener(list(entries.values()))
    except StoreUnavailable as error:
        log.warning("listener_waits %s", error.message)
        return list(entries)
    return []


async def _one_by_one(roller: Roller, entries: Mapping[str, Item]) -> list[str]:
    failed = []
    for number, entry in entries.items():
        try:
            await roller.roll([entry])
        except (StoreUnavailable, KeyError, ValueError, TypeError) as error:
            log.error("rollup_entry_unusable %s %s", entry.get("sk"), type(error).__name__)
            failed.append(number)
    return failed


class Pump:
    """Moves entries from the embedded store's stream into the sums; `catch_up` before a report makes it read its caller's own writes."""

    def __init__(self, stream: LedgerStream, table: Table, roller: Roller, clock: Clock, listener: Listener = nobody) -> None:
        self._listener = listener
        self._stream = stream
        self._table = table
        self._roller = roller
        self._clock = clock
        self._turn = asyncio.Lock()

    async def catch_up(self) -> None:
        """Until nothing waits. Raises StoreUnavailable; what waits then goes on waiting."""
        async with self._turn:
            while waiting := self._stream.read(_AT_A_TIME):
                await self._roll(waiting)

    async def run_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                log.warning("rollup_waits %s", error.message)
            await asyncio.sleep(POLL_SECONDS)

    async def _roll(self, waiting: list[tuple[int, str, str]]) -> None:
        entries: dict[str, Item] = {}
        for number, pk, sk in waiting:
            if (entry := await self._table.get(pk, sk)) is not None:
                entries[str(number)] = entry
        try:
            await self._roller.roll(entries.values())
        except (KeyError, ValueError, TypeError):
            await _one_by_one(self._roller, entries)
        await self._listener(list(entries.values()))
        self._stream.forget([number for number, _, _ in waiting])
