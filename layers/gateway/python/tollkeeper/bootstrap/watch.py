"""Looks at the days so far once a day, for the whole fleet, and tells of what was unusual and of budgets that will not last.

Called by the janitor and by a server. Whoever spent most yesterday is looked at, of each kind so many.
"""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tollkeeper.admission.owners import Allowance, KnownOwner, Owners
from tollkeeper.alerts.alert import Alert, dollars
from tollkeeper.alerts.board import Board
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.outlook import anomalies, course
from tollkeeper.reports.ranges import Days
from tollkeeper.reports.reader import Reader, largest
from tollkeeper.store.items import WATCHED_PK
from tollkeeper.store.table import ConditionFailed, Table

_KINDS = ("key", "team", "user", "organization", "customer", "tag")
_JUDGED_BY_DAY = ("key", "team")
_LOOK_BACK = timedelta(days=56)
_MOST_JUDGED = 500
_LEAST_DAYS = 3
"""Of spending, before anything is foretold from it."""
_AHEAD = timedelta(days=14)
"""How far a budget that is never reset is looked ahead: a lifetime runs out some day, and nobody need know years before."""
_KEPT_SECONDS = 3 * 86400
_SETTLED_SECONDS = 1800
"""After midnight: calls of the day before are still under way."""
ROUND_SECONDS = 60.0
log = logging.getLogger("tollkeeper.alerts")


class Watch:
    """One per process."""

    def __init__(self, board: Board, reader: Reader, owners: Owners, counters: Table, clock: Clock) -> None:
        self._board, self._reader, self._owners, self._counters, self._clock = board, reader, owners, counters, clock
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
        owner = await self._owners.find(kind, name)
        if kind not in _JUDGED_BY_DAY and not owner.allowances:
            return 0
        today = day + timedelta(days=1)
        tallies = await self._reader.daily(kind, name, Days(day - _LOOK_BACK, today))
        daily = {each: tally["spend"] for each, tally in tallies.items()}
        found = [_overrun(owner, allowance, daily, today) for allowance in owner.allowances]
        if kind in _JUDGED_BY_DAY:
            found += _unusual(owner, daily, day)
        return sum([await self._board.put_up(alert) for alert in found if alert is not None])


def _unusual(owner: KnownOwner, daily: dict[str, int], day: date) -> list[Alert | None]:
    return [
        Alert(
            "spend_anomaly",
            f"{owner.kind}#{owner.name}",
            each.day,
            f"{_who(owner)} spent {dollars(each.spent)} on {each.day}; on such days it spends about {dollars(each.baseline)}.",
            facts={**_facts(owner), "spent": each.spent, "baseline": each.baseline},
        )
        for each in anomalies(daily, day, day)
    ]


def _overrun(owner: KnownOwner, budget: Allowance, daily: dict[str, int], today: date) -> Alert | None:
    """None: it lasts as things are, is spent already (which is another alert), or too few days are known."""
    if budget.spent >= budget.cap or sum(day < today.isoformat() for day in daily) < _LEAST_DAYS:
        return None
    resets = datetime.fromtimestamp(budget.resets, UTC).date() if budget.resets is not None else None
    days = list(course(daily, today, budget.spent, resets or today + _AHEAD))
    ends = next((day for day, spent in days if spent >= budget.cap), None)
    if ends is None:
        return None
    period = f"is reset on {resets}" if resets else "is never reset"
    message = (
        f"A budget will not last: {_who(owner)} has spent {dollars(budget.spent)} of {dollars(budget.cap)},"
        f" which runs out about {ends} and {period}; by {days[-1][0]} it would be {dollars(days[-1][1])}."
    )
    facts = {"spent": budget.spent, "max_budget": budget.cap, "projected": days[-1][1], "exceeded_on": ends.isoformat()}
    # A budget that was raised may be too small again.
    once = f"{resets or 'total'}#{budget.duration or ''}#{budget.cap}"
    return Alert("projected_limit_exceeded", f"{owner.kind}#{owner.name}", once, message, facts={**_facts(owner), **facts})


def _who(owner: KnownOwner) -> str:
    return f"{owner.kind} {owner.alias or owner.name}"


def _facts(owner: KnownOwner) -> dict[str, Any]:
    aliases = {"key_alias": owner.alias, "token": owner.name} if owner.kind == "key" else {}
    return {"kind": owner.kind, "name": owner.name, **aliases}
