"""Gets every ledger entry to every sink at least once, and loses none silently.

An entry is offered to a sink straight from the ledger's stream. What a sink does not take is noted in the counters table
(`outbox#<sink>` / entry id) and offered again: by the next batch that finds the sink well, and by the janitor. While a sink is failing
it is left alone for a while that doubles each time, so that a dead collector costs nothing. A note is kept for a fortnight; one that
runs out is counted in the log as given up.
"""

import asyncio
import logging
from collections.abc import Sequence

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable, TollkeeperError
from tollkeeper.sinks.base import MOST_AT_ONCE, Sink, SinkFailed
from tollkeeper.store.items import OUTBOX_STATE_SK, outbox_pk
from tollkeeper.store.table import AtMost, ConditionFailed, Item, Table

log = logging.getLogger("tollkeeper.sinks")

FLUSH_SECONDS = 1.0
KEPT_SECONDS = 14 * 86400
_GIVE_UP_SECONDS = 13 * 86400
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 900
_LEASE_SECONDS = 60


class Outbox:
    """One per process; several may work at once."""

    def __init__(self, sinks: Sequence[Sink], counters: Table, ledger: Table, clock: Clock) -> None:
        self._sinks = sinks
        self._counters = counters
        self._ledger = ledger
        self._clock = clock

    async def offer(self, entries: Sequence[Item]) -> None:
        """New entries, oldest first. Raises StoreUnavailable when what a sink refused could not be noted: offer them again then."""
        for sink in self._sinks:
            for start in range(0, len(entries), MOST_AT_ONCE):
                await self._offer(sink, entries[start : start + MOST_AT_ONCE])

    async def note(self, entries: Sequence[Item]) -> None:
        """For later, without an attempt: where a report waits for its own writes, it must not wait for a sink too."""
        for sink in self._sinks:
            await self._note(sink, entries)

    async def flush(self) -> int:
        """Offers again what waits. Returns how many entries were taken. Raises StoreUnavailable."""
        return sum([await self._flush(sink) for sink in self._sinks])

    async def _offer(self, sink: Sink, entries: Sequence[Item]) -> None:
        if await self._resting(sink) or not await self._sent(sink, entries):
            await self._note(sink, entries)

    async def _flush(self, sink: Sink) -> int:
        taken = 0
        if await self._resting(sink) or not await self._leased(sink):
            return 0
        while waiting := (await self._counters.query(outbox_pk(sink.name), prefix="0", limit=MOST_AT_ONCE)).items:
            entries = [await self._ledger.get(note["of"], note["sk"][1:]) for note in waiting]
            found = [entry for entry in entries if entry is not None]
            if found and not await self._sent(sink, found):
                self._say_old(sink, waiting)
                return taken
            for note in waiting:
                await self._counters.delete(note["pk"], note["sk"])
            taken += len(found)
        await self._counters.delete(outbox_pk(sink.name), OUTBOX_STATE_SK)
        return taken

    async def _sent(self, sink: Sink, entries: Sequence[Item]) -> bool:
        try:
            await sink.send(entries)
        except (SinkFailed, TollkeeperError) as failure:
            log.warning("sink_failed %s %s", sink.name, failure)
            await self._rest(sink)
            return False
        return True

    async def _note(self, sink: Sink, entries: Sequence[Item]) -> None:
        until = int(self._clock.now()) + KEPT_SECONDS
        for entry in entries:
            await self._counters.put({"pk": outbox_pk(sink.name), "sk": f"0{entry['sk']}", "of": entry["pk"], "ttl": until})

    async def _resting(self, sink: Sink) -> bool:
        state = await self._counters.get(outbox_pk(sink.name), OUTBOX_STATE_SK) or {}
        return int(state.get("rest_until", 0)) > self._clock.now()

    async def _rest(self, sink: Sink) -> None:
        now = int(self._clock.now())
        state = await self._counters.apply(outbox_pk(sink.name), OUTBOX_STATE_SK, add={"failures": 1}, set={"ttl": now + KEPT_SECONDS})
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(int(state["failures"]), 16))
        await self._counters.apply(outbox_pk(sink.name), OUTBOX_STATE_SK, set={"rest_until": now + pause, "leased_until": 0})

    async def _leased(self, sink: Sink) -> bool:
        """Two that flush at once would send everything twice."""
        now = int(self._clock.now())
        try:
            await self._counters.apply(
                outbox_pk(sink.name),
                OUTBOX_STATE_SK,
                set={"leased_until": now + _LEASE_SECONDS, "ttl": now + KEPT_SECONDS},
                when=[AtMost("leased_until", now)],
            )
        except ConditionFailed:
            return False
        return True

    def _say_old(self, sink: Sink, waiting: Sequence[Item]) -> None:
        aged = [note for note in waiting if note["ttl"] - KEPT_SECONDS + _GIVE_UP_SECONDS < self._clock.now()]
        if aged:
            log.error("sink_gives_up %s %d entries from %s on", sink.name, len(aged), aged[0]["sk"][1:])

    async def flush_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.flush()
            except StoreUnavailable as error:
                log.warning("outbox_waits %s", error.message)
            await asyncio.sleep(FLUSH_SECONDS)
