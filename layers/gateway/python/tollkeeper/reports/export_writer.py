"""Writes exports of an embedded ledger in DynamoDB's form (export_files.py), part by part, the summary last: without it there is none."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.reports.export_files import DATA, FILES, FULL, INCREMENTAL, SUMMARY, Key, md5
from tollkeeper.store.attributes import marshal
from tollkeeper.store.table import Item

Put = Callable[[str, bytes], Awaitable[None]]
"""(path, bytes)"""
Change = tuple[Key, Item | None]
_PART_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """What the paths of an export's manifests and of its parts begin with."""

    manifests: str = ""
    parts: str = f"{DATA}/"


async def write_export(pages: AsyncIterator[Sequence[Item]], put: Put, place: Place, about: Mapping[str, Any]) -> int:
    """A full export of these items; → how many they were. `about`: further fields of the summary. Raises what `put` does."""
    return await _write(_items(pages), put, place, {"exportType": FULL, **about})


async def write_changes(pages: AsyncIterator[Sequence[Change]], put: Put, place: Place, about: Mapping[str, Any]) -> int:
    """An incremental export: each item as it is by now, or its keys alone where it is gone."""
    return await _write(_changes(pages), put, place, {"exportType": INCREMENTAL, "outputView": "NEW_IMAGE", **about})


async def _items(pages: AsyncIterator[Sequence[Item]]) -> AsyncIterator[list[bytes]]:
    async for page in pages:
        yield [orjson.dumps({"Item": marshal(item)}) for item in page]


async def _changes(pages: AsyncIterator[Sequence[Change]]) -> AsyncIterator[list[bytes]]:
    async for page in pages:
        yield [
            orjson.dumps({"Keys": marshal({"pk": key[0], "sk": key[1]}), **({"NewImage": marshal(item)} if item is not None else {})})
            for key, item in page
        ]


async def _write(pages: AsyncIterator[list[bytes]], put: Put, place: Place, about: Mapping[str, Any]) -> int:
    parts: list[dict[str, Any]] = []
    waiting: list[bytes] = []
    async for page in pages:
        waiting += page
        while len(waiting) >= _PART_ITEMS:
            parts.append(await _part(put, f"{place.parts}{len(parts):06}.json.gz", waiting[:_PART_ITEMS]))
            del waiting[:_PART_ITEMS]
    parts.append(await _part(put, f"{place.parts}{len(parts):06}.json.gz", waiting))
    total = sum(int(part["itemCount"]) for part in parts)
    await _manifest(put, place.manifests + FILES, b"".join(orjson.dumps(part) + b"\n" for part in parts))
    summary = {"version": "2023-08-01", **about, "itemCount": total, "outputFormat": "DYNAMODB_JSON"}
    await _manifest(put, place.manifests + SUMMARY, orjson.dumps(summary))
    return total


async def _part(put: Put, name: str, lines: list[bytes]) -> dict[str, Any]:
    packed = await asyncio.to_thread(lambda: gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))
    await put(name, packed)
    return {"itemCount": len(lines), "md5Checksum": md5(packed), "dataFileS3Key": name}


async def _manifest(put: Put, name: str, content: bytes) -> None:
    await put(name.removesuffix(".json") + ".checksum", md5(content).encode())
    await put(name, content)
