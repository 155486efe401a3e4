"""Files and batches, wired: their endpoints, and the worker behind them."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tollkeeper.edge.door import Door
from tollkeeper.edge.later import later
from tollkeeper.edge.routes import Row
from tollkeeper.errors import StoreUnavailable

if TYPE_CHECKING:
    from tollkeeper.batches.worker import Worker
    from tollkeeper.bootstrap.running import Running


log = logging.getLogger("tollkeeper.batches")
_DAY = 86_400


_PATHS = (
    "/files", "/files/{file_id}", "/files/{file_id}/content",
    "/uploads", "/uploads/{upload_id}/parts", "/uploads/{upload_id}/complete", "/uploads/{upload_id}/cancel",
    "/batches", "/batches/{batch_id}", "/batches/{batch_id}/cancel",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchParts:
    worker: "Worker"
    rows: list[Row]


def batch_rows(running: "Running") -> list[Row]:
    """Their endpoints, loaded when one is used. None: the installation has nowhere to keep files."""
    if running.installation.objects is None:
        return []
    paths = [prefix + path for path in _PATHS for prefix in ("/v1", "")]
    return later(paths, lambda: running.batches.rows if running.batches else (), running.installation.clock)


def batch_parts(running: "Running") -> BatchParts | None:
    """None: the installation has nowhere to keep files."""
    from tollkeeper.batches.files import Files
    from tollkeeper.batches.journal import Journal
    from tollkeeper.batches.register import Register
    from tollkeeper.batches.uploads import Uploads
    from tollkeeper.batches.worker import Worker
    from tollkeeper.edge.batch_lines import GatewayLines
    from tollkeeper.edge.batch_native import Books
    from tollkeeper.edge.batches import BatchesEdge
    from tollkeeper.edge.files import FilesEdge
    from tollkeeper.edge.upload_parts import UploadsEdge

    installation = running.installation
    objects, clock, table = installation.objects, installation.clock, installation.store.counters
    if objects is None:
        return None
    files, register = Files(table, objects, clock), Register(table, clock)
    door = door_of(running)
    books = Books(
        running.gateway,
        running.doorkeeper,
        running.authenticator,
        running.ledger,
        groups=running.live.groups,
        guards=running.guards,
        clock=clock,
        client=running.client,
    )
    lines = GatewayLines(running.gateway, running.authenticator, running.ledger, books)
    most = installation.settings.max_file_bytes if installation.embedded else min(door.max_bytes, installation.settings.max_file_bytes)
    worker = Worker(register, files, Journal(table, objects, clock), lines, clock, look_seconds=installation.settings.batch_look_seconds)
    return BatchParts(
        worker,
        [
            *FilesEdge(door, files, running.pepper, max_bytes=most).routes(),
            *UploadsEdge(door, Uploads(table, files, clock), files, max_part_bytes=most).routes(),
            *BatchesEdge(door, register, files, running.authenticator, worker.nudge).routes(),
        ],
    )


async def sweep_files(running: "Running") -> None:
    """Until it is cancelled, once a day: files whose records have gone by their time. For a folder; a bucket has a lifecycle rule."""
    from tollkeeper.batches.files import KEPT_SECONDS
    from tollkeeper.store.objects import FolderObjects

    installation = running.installation
    while isinstance(folder := installation.objects, FolderObjects):
        try:
            await folder.sweep(installation.clock.now() - KEPT_SECONDS - _DAY)
        except StoreUnavailable as error:
            log.warning("files_not_swept %s", error.message)
        await asyncio.sleep(_DAY)


def door_of(running: "Running") -> Door:
    installation = running.installation
    most = installation.snapshot.max_request_bytes or installation.settings.max_request_bytes
    return Door(running.authenticator, installation.clock, max_bytes=most)
