"""Looks at yesterday's spending once, for the whole fleet, and tells of what was unusual. Called by the janitor and by a server."""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta

from tollkeeper.alerts.alert import Alert, dollars
from tollkeeper.alerts.board import Board
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.outlook import anomalies
from tollkeeper.reports.ranges import Days
from tollkeeper.reports.reader import Reader, largest
from tollkeeper.store.items import WATCHED_PK
from tollkeeper.store.table import ConditionFailed, Table

_KINDS = ("key", "team")
_LOOK_BACK = timedelta(days=56)
_MOST_JUDGED = 100
_KEPT_SECONDS = 3 * 86400
_SETTLED_SECONDS = 1800
"""After midnight: calls of the day before are still under way."""
ROUND_SECONDS = 60.0
log = logging.getLogger("tollkeeper.alerts")


class Watch:
    """One per process."""

    def __init__(self, board: Board, reader: Reader, counters: Table, clock: Clock) -> None:
        self._board, self._reader, self._counters, self._clock = board, reader, counters, clock
        self._watched: date | None = None

    async def look(self) -> int:
        """Returns how many alerts are new. Raises StoreUnavailable; the day is then looked at by whoever comes next."""
        yesterday = datetime.fromtimestamp(self._clock.now() - _SETTLED_SECONDS, UTC).date() - timedelta(days=1)
        if self._watched == yesterday or not await self._is_mine(yesterday):
            self._watched = yesterday
            return 0
        await self._reader.fresh()
        fresh = 0
        for kind in _KINDS:
            spenders = largest(await self._reader.by_value(kind, Days(yesterday, yesterday)), _MOST_JUDGED)
            for name in (name for name, _ in spenders if name):
                fresh += await self._judge(kind, name, yesterday)
        await self._counters.apply(WATCHED_PK, yesterday.isoformat(), set={"done": True})
        self._watched = yesterday
        return fresh

    async def look_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("watch_waits %s", error.message)
            await asyncio.sleep(ROUND_SECONDS)

    async def _is_mine(self, day: date) -> bool:
        """Whoever died over it leaves it to the next hour's looker: alerts are put up once however often a day is judged."""
        until, hour = int(self._clock.now()) + _KEPT_SECONDS, int(self._clock.now() // 3600)
        try:
            await self._counters.put_new({"pk": WATCHED_PK, "sk": day.isoformat(), "hour": hour, "ttl": until})
        except ConditionFailed as known:
            old = known.old or {}
            return not old.get("done") and int(old.get("hour", hour)) < hour
        return True

    async def _judge(self, kind: str, name: str, day: date) -> int:
        days = await self._reader.daily(kind, name, Days(day - _LOOK_BACK, day))
        found = anomalies({each: tally["spend"] for each, tally in days.items()}, day, day)
        fresh = 0
        for each in found:
            message = f"{kind} {name} spent {dollars(each.spent)} on {each.day}; on such days it spends about {dollars(each.baseline)}."
            facts = {"kind": kind, "name": name, "spent": each.spent, "baseline": each.baseline}
            fresh += await self._board.put_up(Alert("spend_anomaly", f"{kind}#{name}", each.day, message, facts=facts))
        return fresh
