"""File records over the object store. https://platform.openai.com/docs/api-reference/files

A file is a list of parts, read one after another: uploads arrive in blocks, batches write segments, and nothing is ever whole in memory.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.batches.owner import Owner, enlist, ids_of, strike
from tollkeeper.clock import Clock
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.objects import ObjectMissing, Objects
from tollkeeper.store.table import ConditionFailed, Exists, Item, Table

BLOCK = 2**20
"""Bytes read at a time."""
PART_BYTES = 4 * 2**20
"""An upload is cut into objects of this size."""
KEPT_SECONDS = 30 * 86_400
"""How long a file is kept whose uploader said nothing else."""
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
PENDING, PROCESSED = "pending", "processed"
UPLOAD_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`parts` are (object key, bytes). `pending`: its upload URL has been given out, and nothing has arrived yet that we know of."""

    id: str
    filename: str
    purpose: str
    created_at: int
    expires_at: int
    owner: Owner
    parts: tuple[tuple[str, int], ...] = ()
    status: str = PROCESSED
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.parts)

    def shown(self) -> dict[str, Any]:
        """The API's `file` object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": self.status,
            "status_details": None,
        }

    def item(self) -> Item:
        return {
            "pk": items.file_pk(self.id),
            "sk": items.FILE_SK,
            "ttl": self.expires_at,
            "id": self.id,
            "filename": self.filename,
            "purpose": self.purpose,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "status": self.status,
            "parts": [list(part) for part in self.parts],
            **self.owner.fields(),
        }


class FileWriter:
    """Takes bytes in any split and puts them away part by part."""

    def __init__(self, objects: Objects, file_id: str) -> None:
        self._objects = objects
        self._id = file_id
        self._waiting = bytearray()
        self.parts: list[tuple[str, int]] = []

    async def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= PART_BYTES:
            await self._put(bytes(self._waiting[:PART_BYTES]))
            del self._waiting[:PART_BYTES]

    async def close(self) -> None:
        if self._waiting or not self.parts:
            await self._put(bytes(self._waiting))
            self._waiting.clear()

    async def abandon(self) -> None:
        for key, _ in self.parts:
            await self._objects.delete(key)

    async def _put(self, data: bytes) -> None:
        key = part_key(self._id, len(self.parts))
        await self._objects.put(key, data)
        self.parts.append((key, len(data)))


class Files:
    """One per process. Everything raises StoreUnavailable; what an owner may not see does not exist for it."""

    def __init__(self, table: Table, objects: Objects, clock: Clock) -> None:
        self._table = table
        self.objects = objects
        self._clock = clock

    def new_id(self) -> str:
        return f"file-{self._clock.new_id()}"

    def writer(self, file_id: str) -> FileWriter:
        return FileWriter(self.objects, file_id)

    async def add(
        self,
        file_id: str,
        filename: str,
        purpose: str,
        owner: Owner,
        parts: list[tuple[str, int]],
        *,
        seconds: int = KEPT_SECONDS,
        status: str = PROCESSED,
    ) -> StoredFile:
        now = int(self._clock.now())
        file = StoredFile(file_id, filename, purpose, now, now + seconds, owner, tuple(parts), status)
        await self._table.put(file.item())
        await enlist(self._table, owner, "files", file_id, file.expires_at)
        return file

    async def expect(self, filename: str, purpose: str, owner: Owner, *, seconds: int = KEPT_SECONDS) -> tuple[StoredFile, str | None]:
        """A file whose bytes will be PUT to the store's own door; the URL for it, None where there is no such door."""
        file_id = self.new_id()
        key = part_key(file_id, 0)
        url = await self.objects.upload_url(key, UPLOAD_SECONDS)
        return await self.add(file_id, filename, purpose, owner, [(key, 0)], seconds=seconds, status=PENDING), url

    async def fill(self, file_id: str, parts: list[tuple[str, int]]) -> None:
        """The bytes of a pending file have come. Raises NotFound."""
        changes = {"status": PROCESSED, "parts": [list(part) for part in parts]}
        try:
            await self._table.apply(items.file_pk(file_id), items.FILE_SK, set=changes, when=[Exists()])
        except ConditionFailed:
            raise no_such_file(file_id) from None

    async def get(self, file_id: str, owner: Owner) -> StoredFile:
        """Raises NotFound."""
        item = await self._table.get(items.file_pk(file_id), items.FILE_SK, consistent=True)
        if item is None or not owner.sees(Owner.of(item)):
            raise no_such_file(file_id)
        file = _file(item)
        return await self._arrived(file) if file.status == PENDING else file

    async def page(
        self, owner: Owner, *, purpose: str | None = None, after: str | None = None, limit: int = 10_000, newest_first: bool = True
    ) -> tuple[list[StoredFile], bool]:
        """A page, and whether there is more."""
        found: list[StoredFile] = []
        while len(found) <= limit:
            ids = await ids_of(self._table, owner, "files", after=after, limit=200, newest_first=newest_first)
            for file_id in ids:
                item = await self._table.get(items.file_pk(file_id), items.FILE_SK)
                if item is not None and (purpose is None or item["purpose"] == purpose):
                    found.append(_file(item))
            if len(ids) < 200:
                break
            after = ids[-1]
        return found[:limit], len(found) > limit

    async def delete(self, file_id: str, owner: Owner) -> None:
        """Raises NotFound."""
        file = await self.get(file_id, owner)
        await self._table.delete(items.file_pk(file_id), items.FILE_SK)
        await strike(self._table, file.owner, "files", file_id)
        for key, _ in file.parts:
            await self.objects.delete(key)

    async def content(self, file: StoredFile, start: int = 0) -> AsyncIterator[bytes]:
        """Its bytes from `start` on, in blocks. Raises BadRequest where nothing has been uploaded yet."""
        if file.status == PENDING:
            raise BadRequest(f"The file {file.id} has not been uploaded yet.", param="file_id")
        for key, size in file.parts:
            at = start
            start = max(0, start - size)
            while at < size:
                try:
                    block = await self.objects.read(key, at, min(BLOCK, size - at))
                except ObjectMissing:
                    raise no_such_file(file.id) from None
                if not block:
                    break
                yield block
                at += len(block)

    async def _arrived(self, file: StoredFile) -> StoredFile:
        """A pending file, looked for."""
        ((key, _),) = file.parts
        size = await self.objects.size(key)
        if size is None:
            return file
        item = await self._table.apply(items.file_pk(file.id), items.FILE_SK, set={"status": PROCESSED, "parts": [[key, size]]})
        return _file(item)


def no_such_file(file_id: str) -> NotFound:
    return NotFound(f"No such File object: {file_id[:100]}", param="id", type="invalid_request_error")


def part_key(file_id: str, number: int) -> str:
    return f"files/{file_id}/{number:06d}"


def checked_purpose(purpose: Any) -> str:
    """Raises BadRequest."""
    if purpose not in PURPOSES:
        shown = "missing" if purpose is None else f"'{str(purpose)[:50]}'"
        raise BadRequest(f"'purpose' must be one of {', '.join(PURPOSES)}; it is {shown}.", param="purpose", code="invalid_value")
    return str(purpose)


def _file(item: Item) -> StoredFile:
    parts = tuple((key, int(size)) for key, size in item["parts"])
    times = int(item["created_at"]), int(item["expires_at"])
    return StoredFile(item["id"], item["filename"], item["purpose"], *times, Owner.of(item), parts, item["status"])
