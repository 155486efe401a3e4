"""The daily exports: one full export to begin with, then the changes of each day (UTC), and a full one on the first of each month.

The plan says how far they have come. It moves from one end to the next in one conditional write, so that each window is planned once by the
whole fleet, and begins where the one before ended. What the plan's last move calls for is entered by everybody who looks (the ids follow
from the window): whoever moved it may die before.
"""

from datetime import UTC, datetime, timedelta

from tollkeeper.clock import Clock, iso
from tollkeeper.reports.exports import FULL, INCREMENTAL, LONGEST_SECONDS, SHORTEST_SECONDS, Export, Exports, stamp
from tollkeeper.store.items import EXPORT_PLAN
from tollkeeper.store.pitr import ExportRefused
from tollkeeper.store.table import ConditionFailed, Equals, Item, Table

_MOST_AT_ONCE = 40


class DailyExports:
    """One per process."""

    def __init__(self, exports: Exports, table: Table, clock: Clock) -> None:
        self._exports, self._table, self._clock = exports, table, clock
        self._entered: float | None = None

    async def look(self) -> int:
        """Plans what is due; how many exports are new. Raises StoreUnavailable."""
        plan = await self._table.get(*EXPORT_PLAN, consistent=True)
        entered = 0
        if plan is not None:
            entered += await self._enter(plan)
            if next_end(plan["until"]) > self._clock.now():
                return entered
        try:
            first, last = await self._exports.exporter.reach()
        except ExportRefused as refusal:
            await self._exports.tell("daily", f"The ledger's daily export cannot begin: {refusal}")
            return entered
        for _ in range(_MOST_AT_ONCE):
            if (plan := await self._moved(plan, first, float(int(last)))) is None:
                break
            entered += await self._enter(plan)
        return entered

    async def _moved(self, plan: Item | None, first: float, last: float) -> Item | None:
        """The plan's next state; None: nothing is due."""
        if plan is None:
            if first > last:
                return None  # a table of the last minutes
            plan = {"pk": EXPORT_PLAN[0], "sk": EXPORT_PLAN[1], "until": last, "full": True}
            try:
                await self._table.put_new(plan)
            except ConditionFailed as other:
                return other.old
            return plan
        until = plan["until"]
        if until < first:
            lost = f"Changes of the ledger between {iso(until)} and {iso(first)} can no longer be exported: a full export begins anew."
            await self._exports.tell("daily", lost)
            return await self._set(until, last, start=None, full=True)
        end = next_end(until)
        return await self._set(until, end, start=until, full=_is_first(end)) if end <= last else None

    async def _set(self, until: float, end: float, *, start: float | None, full: bool) -> Item | None:
        changed = {"until": end, "full": full, **({} if start is None else {"start": start})}
        gone = ["start"] if start is None else []
        try:
            return await self._table.apply(*EXPORT_PLAN, set=changed, remove=gone, when=[Equals("until", int(until))])
        except ConditionFailed as other:
            return other.old

    async def _enter(self, plan: Item) -> int:
        if self._entered == plan["until"]:
            return 0
        end, start, now = float(plan["until"]), plan.get("start"), self._clock.now()
        found = 0
        for kind, begins in ((INCREMENTAL, start), (FULL, None)):
            if (kind == FULL and plan["full"]) or begins is not None:
                found += await self._exports.enter(Export(f"{stamp(end)}-{kind}", kind, end, now, begins, planned=True))
        self._entered = plan["until"]
        return found


def next_end(start: float) -> float:
    """Where a window ends that begins there: at midnight, or at noon where that is too soon."""
    day = datetime.fromtimestamp(start, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    end = day.timestamp()
    return end if end - start >= SHORTEST_SECONDS else start + LONGEST_SECONDS / 2


def _is_first(moment: float) -> bool:
    found = datetime.fromtimestamp(moment, UTC)
    return (found.day, found.hour, found.minute) == (1, 0, 0)
