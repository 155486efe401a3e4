"""Exports of the ledger, wired: who makes them, where they go, and whether there is one a day.

tollkeeper: {exports: daily}      # or off, which is the default: only those that are asked for
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.export_plan import DailyExports
from tollkeeper.reports.exporters import EmbeddedExporter, TableExporter
from tollkeeper.reports.exports import Exporter, Exports
from tollkeeper.store.pitr import ExportRefused, TableExports

if TYPE_CHECKING:
    from tollkeeper.bootstrap.alerts import Alerting
    from tollkeeper.store.objects import Objects

ROUND_SECONDS = 30.0
log = logging.getLogger("tollkeeper.exports")


@dataclass(frozen=True, slots=True)
class ExportParts:
    exports: Exports
    exporter: Exporter
    daily: DailyExports | None

    async def look(self) -> int:
        """Plans what is due, and takes what is open a step further; how many exports were seen to. Raises StoreUnavailable."""
        planned = await self.daily.look() if self.daily is not None else 0
        return planned + await self.exports.look_after()

    async def look_quietly(self) -> None:
        """Whatever else its caller has to do does not wait for DynamoDB's exports."""
        try:
            await self.look()
        except (StoreUnavailable, ExportRefused) as error:
            log.warning("exports_wait %s", error)

    async def look_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        try:
            while True:
                await self.look_quietly()
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            if isinstance(self.exporter, EmbeddedExporter):
                await self.exporter.drain()


def export_parts(installation: Installation, alerting: "Alerting | None") -> ExportParts | None:
    """None: this installation has nowhere to put exports."""
    exporter, store, clock = _exporter(installation), installation.store, installation.clock
    if exporter is None:
        return None
    exports = Exports(exporter, store.counters, clock, alerting.board if alerting else None)
    daily = installation.snapshot.settings.get("tollkeeper", {}).get("exports") == "daily"
    return ExportParts(exports, exporter, DailyExports(exports, store.counters, clock) if daily else None)


def _exporter(installation: Installation) -> Exporter | None:
    settings, changes = installation.settings, installation.store.changes
    where = settings.aws_region, settings.aws_endpoint or None
    if changes is not None:
        return EmbeddedExporter(changes, *_objects(installation))
    if not settings.exports_bucket or installation.embedded:
        return None
    name, bucket, clock = settings.ledger_table, settings.exports_bucket, installation.clock
    return TableExporter(TableExports(name, installation.http_send, installation.aws_credentials, *where, bucket=bucket, clock=clock))


def _objects(installation: Installation) -> "tuple[Objects, str]":
    from tollkeeper.store.objects import FolderObjects, MemoryObjects

    settings = installation.settings
    if bucket := settings.exports_bucket:
        from tollkeeper.store.s3 import S3Objects

        where = settings.aws_region, settings.aws_endpoint or None
        return S3Objects(bucket, installation.http_send, installation.aws_credentials, *where, clock=installation.clock), f"s3://{bucket}"
    if settings.state == ":memory:":
        return MemoryObjects(), "memory:"
    folder = Path(settings.state) / "exports"
    return FolderObjects(folder), str(folder.resolve())
