"""What is too large for an item: files callers upload, and what batches answer. Few verbs over whole objects, in a folder or in S3.

A key is a path of plain words (`files/<id>/000001`). `put` replaces, and an object is never seen half written: the folder renames, S3 does
so by itself. Two implementations pass one contract suite (tests/contract/test_objects.py): this folder, and `s3.py`.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from tollkeeper.errors import StoreUnavailable

T = TypeVar("T")
_KEY = re.compile(r"[A-Za-z0-9_\-]+(?:/[A-Za-z0-9_\-.]+)*")


class ObjectMissing(Exception):
    """There is no object of this key."""


class Objects(Protocol):
    """All verbs raise StoreUnavailable, and ValueError for a key that is none."""

    async def put(self, key: str, data: bytes) -> None: ...

    async def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start`, fewer at the end of the object. Raises ObjectMissing."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes; None: there is no such object."""
        ...

    async def delete(self, key: str) -> None:
        """What is not there is deleted already."""
        ...

    async def upload_url(self, key: str, seconds: int) -> str | None:
        """Where anyone may PUT this one object for so many seconds. None: this store has no door of its own."""
        ...


def checked(key: str) -> str:
    """Raises ValueError: keys come from our own ids, and a path must never leave its folder."""
    if len(key) > 512 or not _KEY.fullmatch(key) or ".." in key:
        raise ValueError(f"{key[:80]!r} is no object key")
    return key


class MemoryObjects:
    """For an installation that keeps nothing (`:memory:`)."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        self._objects[checked(key)] = data

    async def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if (data := self._objects.get(checked(key))) is None:
            raise ObjectMissing(key)
        return data[start:] if length is None else data[start : start + length]

    async def size(self, key: str) -> int | None:
        data = self._objects.get(checked(key))
        return None if data is None else len(data)

    async def delete(self, key: str) -> None:
        self._objects.pop(checked(key), None)

    async def upload_url(self, key: str, seconds: int) -> str | None:
        return None


class FolderObjects:
    """Files below one folder, inside the state folder that only its owner may enter. Disk work is done in threads."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    async def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        await self._on_disk(lambda: self._write(path, data))

    async def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        path = self._path(key)
        data = await self._on_disk(lambda: _read(path, start, length))
        if data is None:
            raise ObjectMissing(key)
        return data

    async def size(self, key: str) -> int | None:
        path = self._path(key)
        return await self._on_disk(lambda: path.stat().st_size if path.exists() else None)

    async def delete(self, key: str) -> None:
        path = self._path(key)
        await self._on_disk(lambda: _remove(path, self._folder))

    async def upload_url(self, key: str, seconds: int) -> str | None:
        return None

    async def sweep(self, before: float) -> int:
        """Removes what was written before `before` (epoch seconds); how many. In S3 a lifecycle rule does it."""
        return await self._on_disk(lambda: _sweep(self._folder, before))

    def _path(self, key: str) -> Path:
        return self._folder / checked(key)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.{os.getpid()}~")
        try:
            half.write_bytes(data)
            half.replace(path)
        except FileNotFoundError:
            # The folder went with the last object in it, between our two steps.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise StoreUnavailable(f"the object folder {self._folder} is not available: {error.strerror}") from error


def _read(path: Path, start: int, length: int | None) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)
    except FileNotFoundError:
        return None


def _sweep(folder: Path, before: float) -> int:
    old = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime < before]
    for path in old:
        _remove(path, folder)
    return len(old)


def _remove(path: Path, top: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # a folder that is not empty stays
        if path.parent != top:
            path.parent.rmdir()
