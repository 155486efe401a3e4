"""Exports of the ledger: started when somebody asks or the daily plan says so (export_plan.py), looked after until they are done.

    counters   exports        <export id>   the record; ids begin with a time, so that they sort by it
               exports#open   <export id>   those that are not done

Every step is claimed by moving `next_at`, so that one process of the fleet takes it, and whoever dies over it leaves it to the next. One
that fails is an alert. A planned one is then tried again for as long as its time can still be exported; one that was asked for is not.
"""

import logging
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from tollkeeper.alerts.alert import Alert
from tollkeeper.alerts.board import Board
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import BadRequest, Conflict, StoreUnavailable
from tollkeeper.store.items import EXPORTS_PK, OPEN_EXPORTS_PK
from tollkeeper.store.pitr import OUT_OF_REACH, ExportRefused
from tollkeeper.store.table import ConditionFailed, Equals, Item, Page, Table

FULL, INCREMENTAL = "full", "incremental"
IN_PROGRESS, COMPLETED, FAILED = "in_progress", "completed", "failed"
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 86400
"""Of an incremental export's window. https://aws.amazon.com/blogs/database/introducing-incremental-export-from-amazon-dynamodb-to-amazon-s3/"""
LOOK_SECONDS, LEASE_SECONDS = 60, 300
_PATIENCE = (900, 3600, 4 * 3600)
"""Before the second, third and every later try."""
_KEPT_SECONDS = 400 * 86400
_REQUEST_AT_FAULT = frozenset((OUT_OF_REACH, "ValidationException"))
log = logging.getLogger("tollkeeper.exports")


@dataclass(frozen=True, slots=True)
class Export:
    """Times are epoch seconds. A full export is the ledger at `end`, an incremental one what changed from `start` until before `end`."""

    id: str
    type: str
    end: float
    requested_at: float
    start: float | None = None
    planned: bool = False
    requested_by: str | None = None
    status: str = IN_PROGRESS
    attempt: int = 1
    next_at: int = 0
    """When somebody is to look after it."""
    handle: str | None = None
    """How the exporter finds a started one again."""
    location: str | None = None
    manifest: str | None = None
    items: int | None = None
    error: str | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    status: str
    handle: str | None = None
    location: str | None = None
    manifest: str | None = None
    items: int | None = None
    error: str | None = None


class Exporter(Protocol):
    """Raises ExportRefused and StoreUnavailable."""

    @property
    def only_now(self) -> bool:
        """A full export is always of the present."""
        ...

    async def reach(self) -> tuple[float, float]:
        """The first and the last moment that can be exported."""
        ...

    async def start(self, export: Export) -> Progress:
        """Again for the same attempt: no second export."""
        ...

    async def look(self, export: Export) -> Progress: ...


class Exports:
    """One per process. `board` None: nobody is to be told but the log."""

    def __init__(self, exporter: Exporter, table: Table, clock: Clock, board: Board | None = None) -> None:
        self.exporter = exporter
        self._table, self._clock, self._board = table, clock, board

    async def request(self, kind: str, start: float | None, end: float | None, by: str) -> Export:
        """Starts one. Raises BadRequest naming the field at fault, Conflict where nothing can be exported, StoreUnavailable."""
        now = self._clock.now()
        # DynamoDB counts whole seconds.
        start, end = (moment if moment is None else float(int(moment)) for moment in (start, end))
        try:
            first, last = await self.exporter.reach()
            window = (
                full_window(start, end, first, last, only_now=self.exporter.only_now)
                if kind == FULL
                else window_of(start, end, first, last)
            )
            name = f"{stamp(now)}-{kind}-{self._clock.new_id()[-8:]}"
            export = Export(name, kind, window[1], now, window[0], requested_by=by, next_at=int(now) + LEASE_SECONDS)
            await self.enter(export)
            return await self._note(export, await self._started(export))
        except ExportRefused as refusal:
            raise _refused(refusal) from refusal

    async def get(self, export_id: str) -> Export | None:
        """As it is by now."""
        item = await self._table.get(EXPORTS_PK, export_id, consistent=True)
        return await self._refreshed(_export(item)) if item else None

    async def listed(self, limit: int, after: str | None) -> tuple[list[Export], str | None]:
        """The newest first. Raises ValueError for an `after` that is not ours."""
        page: Page = await self._table.query(EXPORTS_PK, limit=limit, after=after, descending=True)
        return [await self._refreshed(_export(item)) for item in page.items], page.next

    async def enter(self, export: Export) -> bool:
        """Notes one that is to be made, once; whether it is new."""
        await self._table.put({"pk": OPEN_EXPORTS_PK, "sk": export.id, "entered": int(self._clock.now())})
        item = {name: value for name in _FIELDS if (value := getattr(export, name)) is not None}
        try:
            await self._table.put_new({"pk": EXPORTS_PK, "sk": export.id, **item, "ttl": int(self._clock.now()) + _KEPT_SECONDS})
        except ConditionFailed:
            return False
        return True

    async def look_after(self) -> int:
        """Takes every open export a step further; how many were due."""
        page = await self._table.query(OPEN_EXPORTS_PK, limit=100)
        return sum([await self._turn(mark) for mark in page.items])

    async def tell(self, export_id: str, message: str) -> None:
        """Once a day for each export."""
        now = self._clock.now()
        log.error("export_failed %s %s", export_id, message)
        if self._board is not None:
            facts = {"kind": "gateway", "name": export_id}
            await self._board.put_up(Alert("export_failed", f"export#{export_id}", iso(now)[:10], message, facts=facts))

    async def _turn(self, mark: Item) -> bool:
        item = await self._table.get(EXPORTS_PK, mark["sk"], consistent=True)
        now = int(self._clock.now())
        if item is None or (export := _export(item)).status == COMPLETED:
            if item is not None or mark["entered"] < now - LEASE_SECONDS:
                await self._table.delete(OPEN_EXPORTS_PK, mark["sk"])
            return False
        if export.next_at > now:
            return False
        try:
            held = {"next_at": now + LEASE_SECONDS}
            await self._table.apply(EXPORTS_PK, export.id, set=held, when=[Equals("next_at", export.next_at)])
        except ConditionFailed:
            return False
        await self._step(replace(export, next_at=held["next_at"]))
        return True

    async def _step(self, export: Export) -> None:
        try:
            progress = await (self.exporter.start(export) if export.handle is None else self.exporter.look(export))
        except ExportRefused as refusal:
            if refusal.code == OUT_OF_REACH and (export.end if export.start is None else export.start) < (await self.exporter.reach())[0]:
                await self._give_up(export)
                return
            progress = Progress(FAILED, error=str(refusal))
        except StoreUnavailable as error:
            # Perhaps it was started: the same attempt is asked for again. One that lasts has to be known.
            await self.tell(export.id, f"The {export.type} export {export.id} of the ledger waits: {error.message}")
            return
        await self._note(export, progress)

    async def _started(self, export: Export) -> Progress:
        """For somebody who waits for it: what is refused leaves no record."""
        try:
            return await self.exporter.start(export)
        except ExportRefused:
            await self._table.delete(EXPORTS_PK, export.id)
            await self._table.delete(OPEN_EXPORTS_PK, export.id)
            raise

    async def _refreshed(self, export: Export) -> Export:
        if export.status != IN_PROGRESS or export.handle is None:
            return export
        try:
            return await self._note(export, await self.exporter.look(export))
        except (ExportRefused, StoreUnavailable) as error:
            log.warning("export_not_seen %s %s", export.id, error)
            return export

    async def _note(self, export: Export, progress: Progress) -> Export:
        """Whoever is first to see a failure counts it."""
        now, again = self._clock.now(), export.planned and progress.status == FAILED
        wait = _PATIENCE[min(export.attempt, len(_PATIENCE)) - 1] if again else LOOK_SECONDS
        changed: dict[str, Any] = {
            "status": progress.status,
            "attempt": export.attempt + again,
            "next_at": int(now) + wait,
            "handle": None if again else progress.handle,
            "location": progress.location,
            "manifest": progress.manifest,
            "items": progress.items,
            "error": progress.error,
            "ended_at": None if progress.status == IN_PROGRESS else now,
        }
        known = {name: value for name, value in changed.items() if value is not None}
        gone = [name for name in ("handle", "error", "ended_at") if changed[name] is None]
        try:
            same = [Equals("attempt", export.attempt), Equals("status", export.status)]
            item = await self._table.apply(EXPORTS_PK, export.id, set=known, remove=gone, when=same)
        except ConditionFailed as other:
            return _export(other.old) if other.old else export
        if progress.status != IN_PROGRESS and not again:
            await self._table.delete(OPEN_EXPORTS_PK, export.id)
        if progress.status == FAILED:
            later = f" It is tried again at {iso(changed['next_at'])[:16]}Z." if again else ""
            await self.tell(export.id, f"The {export.type} export {export.id} of the ledger failed: {progress.error}.{later}")
        return _export(item)

    async def _give_up(self, export: Export) -> None:
        """Its time can no longer be exported. Changes that are missing for good need a full export to go on from."""
        why, now = "what it was to hold can no longer be exported", self._clock.now()
        await self._table.apply(EXPORTS_PK, export.id, set={"status": FAILED, "error": why, "ended_at": now})
        if export.planned and export.type == INCREMENTAL:
            last = (await self.exporter.reach())[1]
            await self.enter(Export(f"{stamp(last)}-{FULL}", FULL, last, now, planned=True))
        await self._table.delete(OPEN_EXPORTS_PK, export.id)
        await self.tell(export.id, f"The {export.type} export {export.id} of the ledger failed for good: {why}.")


_FIELDS = tuple(field.name for field in fields(Export))


def _export(item: Item) -> Export:
    return Export(**{name: item[name] for name in _FIELDS if name in item})


def stamp(moment: float) -> str:
    """yyyymmddThhmmssZ"""
    return iso(moment)[:19].replace("-", "").replace(":", "") + "Z"


def full_window(start: float | None, end: float | None, first: float, last: float, *, only_now: bool) -> tuple[None, float]:
    """Raises BadRequest."""
    if start is not None:
        raise BadRequest("A full export has no `from`: it is the whole ledger.", param="from")
    if end is not None and only_now:
        raise BadRequest("An embedded ledger is exported as it is now: leave `to` out.", param="to")
    if (end := _before(last, end)) < first:
        raise BadRequest(f"to={iso(end)} is too early: the ledger can be exported as it was since {iso(first)}.", param="to")
    return None, end


def window_of(start: float | None, end: float | None, first: float, last: float) -> tuple[float, float]:
    """Raises BadRequest naming the field at fault."""
    if start is None:
        raise BadRequest("An incremental export needs `from`, the time since which changes are wanted.", param="from")
    if start < first:
        raise BadRequest(f"from={iso(start)} is too early: changes are known since {iso(first)}.", param="from")
    end = _before(last, end)
    if end <= start:
        raise BadRequest(f"to={iso(end)} is not after from={iso(start)}.", param="to")
    if not SHORTEST_SECONDS <= end - start <= LONGEST_SECONDS:
        raise BadRequest("`from` and `to` lie 15 minutes to 24 hours apart.", param="to")
    return start, end


def _before(last: float, end: float | None) -> float:
    if end is not None and end > last:
        raise BadRequest(f"to={iso(end)} is too late: what can be exported ends at {iso(last)}.", param="to")
    return last if end is None else end


def _refused(refusal: ExportRefused) -> BadRequest | Conflict:
    if refusal.code in _REQUEST_AT_FAULT:
        return BadRequest(f"DynamoDB does not export this: {refusal}", param="to")
    return Conflict(f"The ledger cannot be exported: {refusal}")


def shown(export: Export) -> dict[str, Any]:
    """For a caller."""
    moments = {"from": export.start, "to": export.end, "requested_at": export.requested_at, "ended_at": export.ended_at}
    return {
        "id": export.id,
        "object": "ledger.export",
        "type": export.type,
        "status": export.status,
        **{name: iso(moment) if moment is not None else None for name, moment in moments.items()},
        "planned": export.planned,
        "requested_by": export.requested_by,
        "attempt": export.attempt,
        "location": export.location,
        "manifest": export.manifest,
        "items": export.items,
        "error": export.error,
    }
