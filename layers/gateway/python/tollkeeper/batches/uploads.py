"""A file that comes in parts, each small enough for any platform. https://platform.openai.com/docs/api-reference/uploads"""

from dataclasses import dataclass
from typing import Any

from tollkeeper.batches.files import Files, StoredFile
from tollkeeper.batches.owner import Owner
from tollkeeper.clock import Clock
from tollkeeper.errors import BadRequest, Conflict, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed, Equals, Item, Table

UPLOAD_SECONDS = 3_600
MAX_PARTS = 2_000
PENDING, COMPLETED, CANCELLED = "pending", "completed", "cancelled"


@dataclass(frozen=True, slots=True)
class Upload:
    """`seconds`: how long the file is to be kept."""

    id: str
    filename: str
    purpose: str
    bytes: int
    seconds: int
    created_at: int
    owner: Owner
    status: str = PENDING

    def shown(self, file: StoredFile | None = None) -> dict[str, Any]:
        """The API's `upload` object."""
        return {
            "id": self.id,
            "object": "upload",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.created_at + UPLOAD_SECONDS,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": self.status,
            "file": file.shown() if file else None,
        }


class Uploads:
    """One per process. Everything raises StoreUnavailable."""

    def __init__(self, table: Table, files: Files, clock: Clock) -> None:
        self._table, self._files, self._clock = table, files, clock

    def new_part_id(self) -> str:
        return f"part_{self._clock.new_id()}"

    async def create(self, filename: str, purpose: str, size: int, owner: Owner, *, seconds: int) -> Upload:
        now = int(self._clock.now())
        upload = Upload(f"upload_{self._clock.new_id()}", filename, purpose, size, seconds, now, owner)
        fields = {"filename": filename, "purpose": purpose, "bytes": size, "seconds": seconds, "created_at": now, "status": PENDING}
        place = {"pk": items.upload_pk(upload.id), "sk": items.UPLOAD_SK, "ttl": now + UPLOAD_SECONDS}
        await self._table.put({**place, "id": upload.id, **fields, **owner.fields()})
        return upload

    async def get(self, upload_id: str, owner: Owner) -> Upload:
        """Raises NotFound."""
        item = await self._table.get(items.upload_pk(upload_id), items.UPLOAD_SK, consistent=True)
        if item is None or not owner.sees(Owner.of(item)):
            raise NotFound(f"No such Upload object: {upload_id[:100]}", param="upload_id", type="invalid_request_error")
        return _upload(item)

    async def add_part(self, upload: Upload, part_id: str, parts: list[tuple[str, int]]) -> dict[str, Any]:
        now = int(self._clock.now())
        place = {"pk": items.upload_pk(upload.id), "sk": items.upload_part_sk(part_id), "ttl": now + UPLOAD_SECONDS}
        await self._table.put({**place, "parts": [list(part) for part in parts]})
        return {"id": part_id, "object": "upload.part", "created_at": now, "upload_id": upload.id}

    async def complete(self, upload: Upload, part_ids: list[str]) -> tuple[Upload, StoredFile]:
        """Raises BadRequest for a part that is none or a size that is not the announced one, Conflict for an upload that has ended."""
        parts: list[tuple[str, int]] = []
        for part_id in part_ids:
            item = await self._table.get(items.upload_pk(upload.id), items.upload_part_sk(part_id), consistent=True)
            if item is None:
                raise BadRequest(f"This upload has no part {part_id[:100]}.", param="part_ids", code="invalid_value")
            parts += [(key, int(size)) for key, size in item["parts"]]
        if (came := sum(size for _, size in parts)) != upload.bytes:
            raise BadRequest(f"The parts have {came} bytes, and the upload was announced with {upload.bytes}.", param="part_ids")
        ended = await self._end(upload, COMPLETED)
        file_id = self._files.new_id()
        file = await self._files.add(file_id, upload.filename, upload.purpose, upload.owner, parts, seconds=upload.seconds)
        return ended, file

    async def cancel(self, upload: Upload) -> Upload:
        """Raises Conflict."""
        return await self._end(upload, CANCELLED)

    async def _end(self, upload: Upload, status: str) -> Upload:
        try:
            item = await self._table.apply(
                items.upload_pk(upload.id), items.UPLOAD_SK, set={"status": status}, when=[Equals("status", PENDING)]
            )
        except ConditionFailed:
            raise Conflict(f"The upload {upload.id} has ended already.", type="invalid_request_error", param="upload_id") from None
        return _upload(item)


def _upload(item: Item) -> Upload:
    size, seconds, created_at = (int(item[name]) for name in ("bytes", "seconds", "created_at"))
    return Upload(item["id"], item["filename"], item["purpose"], size, seconds, created_at, Owner.of(item), item["status"])
