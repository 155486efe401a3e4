"""Who makes exports: DynamoDB itself, or this process from the embedded store. Both leave the same files (export_files.py).

ledger/full/AWSDynamoDB/<export>/…            manifests and data
ledger/incremental/AWSDynamoDB/<export>/…     manifests; the data of all incremental exports is in ledger/incremental/AWSDynamoDB/data
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import orjson

from tollkeeper.clock import iso
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.export_files import DATA, SUMMARY
from tollkeeper.reports.export_writer import Change, Place, write_changes, write_export
from tollkeeper.reports.exports import COMPLETED, FAILED, FULL, IN_PROGRESS, Export, Progress
from tollkeeper.store.objects import ObjectMissing, Objects
from tollkeeper.store.pitr import OUT_OF_REACH, ExportRefused, TableExports
from tollkeeper.store.table import Item

_HOME = "AWSDynamoDB"
_STATUS = {"IN_PROGRESS": IN_PROGRESS, "COMPLETED": COMPLETED}
_PAGE = 500


class TableExporter:
    """Exports by DynamoDB's point-in-time recovery."""

    only_now = False

    def __init__(self, exports: TableExports) -> None:
        self._exports = exports

    async def reach(self) -> tuple[float, float]:
        first, last = await self._exports.reach()
        return float(-int(-first // 1)), float(int(last))

    async def start(self, export: Export) -> Progress:
        # The same token is the same export: asked for again after an answer that was lost, it is not made twice.
        token, prefix = f"{export.id}-{export.attempt}", _prefix(export)
        if export.start is None:
            return self._progress(await self._exports.full(prefix, token, int(export.end)))
        return self._progress(await self._exports.incremental(prefix, token, int(export.start), int(export.end)))

    async def look(self, export: Export) -> Progress:
        return self._progress(await self._exports.describe(export.handle or ""))

    def _progress(self, said: dict[str, Any]) -> Progress:
        arn, prefix = str(said["ExportArn"]), str(said.get("S3Prefix") or "")
        home = f"{prefix}/{_HOME}/{arn.rpartition('/')[2]}".lstrip("/")
        status = _STATUS.get(str(said.get("ExportStatus")), FAILED)
        return Progress(
            status,
            handle=arn,
            location=f"s3://{self._exports.bucket}/{home}/",
            manifest=f"{home}/{SUMMARY}" if status == COMPLETED else None,
            items=said.get("ItemCount"),
            error=f"{said.get('FailureCode')}: {said.get('FailureMessage')}" if status == FAILED else None,
        )


class Changes(Protocol):
    """store/sqlite_changes.py, seen from here."""

    def now(self) -> float: ...
    def since(self) -> float: ...
    def entries(self, after: int) -> tuple[list[Item], int]: ...
    def between(self, start: float, end: float) -> list[tuple[str, str]]: ...
    def found(self, keys: Sequence[tuple[str, str]]) -> list[Change]: ...
    def prune(self) -> None: ...


class EmbeddedExporter:
    """Exports by a task of this process. `place` is how callers find the objects: a folder's path, or s3://<bucket>."""

    only_now = True

    def __init__(self, changes: Changes, objects: Objects, place: str) -> None:
        self._changes, self._objects, self._place = changes, objects, place
        self._tasks: dict[str, asyncio.Task[int]] = {}

    async def reach(self) -> tuple[float, float]:
        self._changes.prune()
        # Its clock counts milliseconds: what was written before somebody asked lies before the moment they get.
        await asyncio.sleep(0.002)
        return self._changes.since(), self._changes.now()

    async def start(self, export: Export) -> Progress:
        if export.start is not None and export.start < self._changes.since():
            raise ExportRefused(OUT_OF_REACH, f"changes are known since {iso(self._changes.since())}")
        self._tasks[export.id] = asyncio.create_task(self._write(export))
        return self._progress(export, IN_PROGRESS)

    async def look(self, export: Export) -> Progress:
        task = self._tasks.get(export.id)
        if task is not None and not task.done():
            return self._progress(export, IN_PROGRESS)
        self._tasks.pop(export.id, None)
        if task is not None and not task.cancelled() and (failed := task.exception()) is not None:
            return Progress(FAILED, error=str(failed) if isinstance(failed, StoreUnavailable) else type(failed).__name__)
        try:
            # Its summary comes last.
            summary = orjson.loads(await self._objects.read(f"{self._home(export)}/{SUMMARY}"))
        except ObjectMissing:
            return Progress(FAILED, error="its process ended before it was done")
        return self._progress(export, COMPLETED, summary["itemCount"])

    async def drain(self) -> None:
        """What is under way is given up: whoever looks next begins anew."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _progress(self, export: Export, status: str, items: int | None = None) -> Progress:
        home = self._home(export)
        manifest = f"{home}/{SUMMARY}" if status == COMPLETED else None
        return Progress(status, handle=export.id, location=f"{self._place}/{home}/", manifest=manifest, items=items)

    def _home(self, export: Export) -> str:
        return f"{_prefix(export)}/{_HOME}/{export.id}"

    async def _write(self, export: Export) -> int:
        home, shared = self._home(export), f"{_prefix(export)}/{_HOME}/{DATA}"
        if export.start is None:
            about = {"exportArn": export.id, "exportTime": iso(export.end)}
            return await write_export(self._entries(), self._objects.put, Place(f"{home}/", f"{home}/{DATA}/"), about)
        about = {"exportArn": export.id, "exportFromTime": iso(export.start), "exportToTime": iso(export.end)}
        pages = self._changed(export.start, export.end)
        return await write_changes(pages, self._objects.put, Place(f"{home}/", f"{shared}/{export.id}-"), about)

    async def _entries(self) -> AsyncIterator[list[Item]]:
        after = -1
        while after:
            items, after = self._changes.entries(max(after, 0))
            yield items
            # The store works inline: calls have their turn between two pages.
            await asyncio.sleep(0)

    async def _changed(self, start: float, end: float) -> AsyncIterator[list[Change]]:
        keys = self._changes.between(start, end)
        for first in range(0, len(keys), _PAGE):
            yield self._changes.found(keys[first : first + _PAGE])
            await asyncio.sleep(0)


def _prefix(export: Export) -> str:
    return "ledger/full" if export.type == FULL else "ledger/incremental"
