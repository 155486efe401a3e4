"""Ledger exports in the form in which DynamoDB writes them to S3, read and written, so that one reader serves the cloud and the laptop.

    <prefix>/manifest-summary.json      one object: exportType, itemCount …
    <prefix>/manifest-files.json        one object a line: dataFileS3Key, itemCount, md5Checksum
    <prefix>/data/<name>.json.gz        one item a line: {"Item": {…}}, or of an incremental export {"Keys": …, "NewImage": {…}}

Every part is checked against the manifest before one of its items is believed: an export is read whole or refused.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import base64
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson

from tollkeeper.errors import CallerError
from tollkeeper.store.attributes import marshal, unmarshal
from tollkeeper.store.table import Item

SUMMARY, FILES, DATA = "manifest-summary.json", "manifest-files.json", "data"
FULL, INCREMENTAL = "FULL_EXPORT", "INCREMENTAL_EXPORT"
_PART_ITEMS = 10_000


class ExportUnusable(CallerError):
    """The export is not what its manifest says; the message names the part."""


def read_export(folder: Path) -> Iterator[Item]:
    """The items of a full or incremental export whose prefix is `folder`. Raises ExportUnusable."""
    summary = _json((folder / SUMMARY).read_bytes() if (folder / SUMMARY).is_file() else b"", SUMMARY)
    parts = [_json(line, FILES) for line in _bytes(folder / FILES).splitlines() if line.strip()]
    seen = 0
    for part in parts:
        items = _part(folder, part)
        seen += len(items)
        yield from items
    if seen != summary.get("itemCount"):
        raise ExportUnusable(f"{SUMMARY}: {summary.get('itemCount')} items were exported, the parts have {seen}")


def ledger_entries(items: Iterator[Item]) -> Iterator[Item]:
    """Without the sums and the audit log, which lie in the same table."""
    return (item for item in items if str(item["pk"]).startswith("day#"))


async def write_export(pages: AsyncIterator[list[Item]], folder: Path, *, export_id: str, exported_at: str) -> int:
    """A full export of these items into a folder that must not be one already; returns how many they were. Raises OSError."""
    (folder / DATA).mkdir(parents=True)
    parts: list[dict[str, Any]] = []
    waiting: list[Item] = []
    async for page in pages:
        waiting += page
        while len(waiting) >= _PART_ITEMS:
            parts.append(_write_part(folder, len(parts), waiting[:_PART_ITEMS]))
            waiting = waiting[_PART_ITEMS:]
    parts.append(_write_part(folder, len(parts), waiting))
    total = sum(int(part["itemCount"]) for part in parts)
    (folder / FILES).write_bytes(b"".join(orjson.dumps(part) + b"\n" for part in parts))
    summary = {"version": "2023-08-01", "exportArn": export_id, "exportTime": exported_at, "exportType": FULL, "itemCount": total}
    # The summary comes last: an export without one was interrupted.
    (folder / SUMMARY).write_bytes(orjson.dumps({**summary, "outputFormat": "DYNAMODB_JSON"}))
    return total


def _write_part(folder: Path, number: int, items: list[Item]) -> dict[str, Any]:
    lines = b"".join(orjson.dumps({"Item": marshal(item)}) + b"\n" for item in items)
    packed, name = gzip.compress(lines, mtime=0), f"{DATA}/{number:06}.json.gz"
    (folder / name).write_bytes(packed)
    return {"itemCount": len(items), "md5Checksum": _md5(packed), "dataFileS3Key": name}


def _part(folder: Path, part: dict[str, Any]) -> list[Item]:
    # The key is a path in the bucket; in a copied folder only its end is the same.
    name = str(part.get("dataFileS3Key", "")).rpartition("/")[2]
    packed = _bytes(folder / DATA / name)
    if part.get("md5Checksum") and _md5(packed) != part["md5Checksum"]:
        raise ExportUnusable(f"{name}: damaged: its checksum is not the manifest's")
    try:
        items = [_item(orjson.loads(line)) for line in gzip.decompress(packed).splitlines() if line.strip()]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
        raise ExportUnusable(f"{name}: damaged: {type(error).__name__}") from None
    if len(items) != part.get("itemCount"):
        raise ExportUnusable(f"{name}: {part.get('itemCount')} items were exported, the file has {len(items)}")
    return [item for item in items if item is not None]


def _item(line: dict[str, Any]) -> Item | None:
    """None: the line says that an item was deleted."""
    image = line.get("Item") or line.get("NewImage")
    if image is None and "Keys" not in line:
        raise KeyError("Item")
    return unmarshal(image) if image else None


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ExportUnusable(f"{name}: missing, or not as DynamoDB writes it")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ExportUnusable(f"{path.name}: missing") from None


def _md5(data: bytes) -> str:
    """As DynamoDB writes it: it guards against damage, not against anybody."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
