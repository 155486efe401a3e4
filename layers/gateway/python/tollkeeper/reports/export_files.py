"""Ledger exports as DynamoDB writes them to S3, read so that one reader serves the cloud and the laptop (export_writer.py writes them).

    <prefix>/AWSDynamoDB/<export>/manifest-summary.json    one object: exportType, exportTime or exportFromTime and exportToTime, itemCount
    <prefix>/AWSDynamoDB/<export>/manifest-files.json      one object a line: dataFileS3Key, itemCount, md5Checksum
    <prefix>/AWSDynamoDB/<export>/data/<name>.json.gz      of a full export, one item a line: {"Item": {…}}
    <prefix>/AWSDynamoDB/data/<name>.json.gz               of an incremental one: {"Keys": {…}, "NewImage": {…}, "OldImage": {…}}

Every part is checked against the manifest before one of its items is believed: an export is read whole or refused. A summary without
`exportType` is a full export's. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tollkeeper.clock import from_iso
from tollkeeper.errors import CallerError
from tollkeeper.store.attributes import unmarshal
from tollkeeper.store.table import Item

SUMMARY, FILES, DATA = "manifest-summary.json", "manifest-files.json", "data"
FULL, INCREMENTAL = "FULL_EXPORT", "INCREMENTAL_EXPORT"
Key = tuple[str, str]


class ExportUnusable(CallerError):
    """The export is not what its manifest says; the message names the part."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Epoch seconds: a full export is the table at `end`; an incremental one has what changed from `start` until before `end`. `slice`:
    some days of a ledger (`tollkeeper finance export`).
    """

    folder: Path
    incremental: bool
    start: float | None
    end: float | None
    items: int
    slice: bool = False

    @property
    def name(self) -> str:
        return self.folder.name


def manifest_of(folder: Path) -> Manifest:
    """Raises ExportUnusable."""
    summary = _json(folder / SUMMARY)
    incremental = summary.get("exportType") == INCREMENTAL
    start, end = ("exportFromTime", "exportToTime") if incremental else ("", "exportTime")
    items = summary.get("itemCount")
    if not isinstance(items, int):
        raise ExportUnusable(f"{folder.name}/{SUMMARY}: itemCount is missing")
    if str(summary.get("outputFormat") or "DYNAMODB_JSON") != "DYNAMODB_JSON":
        raise ExportUnusable(f"{folder.name}/{SUMMARY}: outputFormat {summary['outputFormat']!r} is not read, only DYNAMODB_JSON")
    return Manifest(folder, incremental, _moment(summary, start), _moment(summary, end), items, bool(summary.get("slice")))


def changes_of(manifest: Manifest) -> Iterator[tuple[Key, Item | None]]:
    """Every line of an export: what the item is by now; None: it is gone. Raises ExportUnusable."""
    seen = 0
    for part in _parts(manifest.folder):
        lines = _lines(manifest.folder, part)
        seen += len(lines)
        yield from lines
    if seen != manifest.items:
        raise ExportUnusable(f"{SUMMARY}: {manifest.items} items were exported, the parts have {seen}")


def read_export(folder: Path) -> Iterator[Item]:
    """The items of one export, without those that are gone. Raises ExportUnusable."""
    return (item for _, item in changes_of(manifest_of(folder)) if item is not None)


def ledger_entries(items: Iterator[Item]) -> Iterator[Item]:
    """Without the sums and the audit log, which lie in the same table."""
    return (item for item in items if str(item["pk"]).startswith("day#"))


def _parts(folder: Path) -> Iterator[dict[str, Any]]:
    lines = _bytes(folder / FILES)
    _check_sum(folder / FILES, lines)
    for line in lines.splitlines():
        if line.strip():
            yield _object(line, FILES)


def _lines(folder: Path, part: Mapping[str, Any]) -> list[tuple[Key, Item | None]]:
    # The key is a path in the bucket; in a copied folder only its end is the same.
    name = str(part.get("dataFileS3Key", "")).rpartition("/")[2]
    packed = _bytes(_data_file(folder, name))
    if part.get("md5Checksum") and md5(packed) != part["md5Checksum"]:
        raise ExportUnusable(f"{name}: damaged: its checksum is not the manifest's")
    try:
        lines = [_line(orjson.loads(line)) for line in gzip.decompress(packed).splitlines() if line.strip()]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
        raise ExportUnusable(f"{name}: damaged: {type(error).__name__}") from None
    if len(lines) != part.get("itemCount"):
        raise ExportUnusable(f"{name}: {part.get('itemCount')} items were exported, the file has {len(lines)}")
    return lines


def _data_file(folder: Path, name: str) -> Path:
    shared = folder.parent / DATA / name
    return shared if name and shared.is_file() and not (folder / DATA / name).is_file() else folder / DATA / name


def _line(line: dict[str, Any]) -> tuple[Key, Item | None]:
    image = line.get("Item") or line.get("NewImage")
    item = unmarshal(image) if image else None
    keys = item if item is not None else unmarshal(line["Keys"])
    return (str(keys["pk"]), str(keys["sk"])), item


def _json(path: Path) -> dict[str, Any]:
    data = path.read_bytes() if path.is_file() else b""
    if data:
        _check_sum(path, data)
    return _object(data, path.name)


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ExportUnusable(f"{name}: missing, or not as DynamoDB writes it")
    return found


def _check_sum(path: Path, data: bytes) -> None:
    """A manifest has its MD5 beside it, where that was copied, too."""
    beside = path.with_suffix(".checksum")
    if beside.is_file() and (said := beside.read_text().strip()) and said not in {md5(data), _hex(data)}:
        raise ExportUnusable(f"{path.name}: damaged: its checksum is not that of {beside.name}")


def _moment(summary: Mapping[str, Any], name: str) -> float | None:
    text = summary.get(name)
    if not text:
        return None
    try:
        return from_iso(str(text))
    except ValueError:
        raise ExportUnusable(f"{SUMMARY}: {name}={str(text)[:40]!r} is no time") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ExportUnusable(f"{path.name}: missing") from None


def md5(data: bytes) -> str:
    """As DynamoDB writes it: it guards against damage, not against anybody."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _hex(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
