"""DynamoDB's side of an export, scripted: a table with its history, and files as DynamoDB writes them, in a folder that stands for S3.

`answer` plays the four operations for tests/support/upstream.py. It refuses what DynamoDB refuses (a window of the wrong length, a time out
of reach), and knows an export again by its client token.
"""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.upstream import Received, Reply, as_json

from tollkeeper.clock import Clock
from tollkeeper.store.attributes import marshal

DAY = 86400
ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/books"
Key = tuple[str, str]


@dataclass
class ExportingTable:
    """`created`, and times in `history` (time, key, item or None for a deletion) are epoch seconds. An export takes one look to be done."""

    folder: Path
    clock: Clock
    created: float
    history: list[tuple[float, Key, dict[str, Any] | None]] = field(default_factory=list)
    exports: dict[str, dict[str, Any]] = field(default_factory=dict)
    enabled: bool = True
    failing: int = 0
    """So many exports to come are going to fail."""
    deaf: int = 0
    """So many answers to come are lost."""

    def write(self, item: dict[str, Any], at: float) -> None:
        self.history.append((at, (item["pk"], item["sk"]), item))

    def delete(self, key: Key, at: float) -> None:
        self.history.append((at, key, None))

    def state(self, at: float) -> dict[Key, dict[str, Any]]:
        """The table as it was just before `at`."""
        found = {key: item for moment, key, item in sorted(self.history, key=lambda row: row[0]) if moment < at}
        return {key: item for key, item in found.items() if item is not None}

    def homes(self) -> list[Path]:
        """Of all exports that are done, in the order they were asked for in."""
        done = [each for each in self.exports.values() if each["ExportStatus"] == "COMPLETED"]
        return [self.folder / each["ExportManifest"].rpartition("/")[0] for each in done]

    def answer(self, request: Received) -> Reply:
        assert "AWS4-HMAC-SHA256 Credential=" in request.headers["authorization"]
        operation = request.headers["x-amz-target"].partition(".")[2]
        if operation == "DescribeTable":
            return as_json({"Table": {"TableArn": ARN, "TableName": request.json["TableName"]}})
        if operation == "DescribeContinuousBackups":
            return as_json({"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": self._recovery()}})
        if operation == "DescribeExport":
            return self._describe(request.json["ExportArn"])
        assert operation == "ExportTableToPointInTime"
        answer = self._start(request.json)
        if self.deaf:
            self.deaf -= 1
            return Reply(cut=True, pieces=[b"{"])
        return answer

    def _reach(self) -> tuple[float, float]:
        return max(self.created, self.clock.now() - 35 * DAY), self.clock.now() - 300

    def _recovery(self) -> dict[str, Any]:
        first, last = self._reach()
        if not self.enabled:
            return {"PointInTimeRecoveryStatus": "DISABLED"}
        return {"PointInTimeRecoveryStatus": "ENABLED", "EarliestRestorableDateTime": first, "LatestRestorableDateTime": last}

    def _start(self, wanted: dict[str, Any]) -> Reply:
        if known := [each for each in self.exports.values() if each["ClientToken"] == wanted["ClientToken"]]:
            return as_json({"ExportDescription": known[0]})
        window, (first, last) = wanted.get("IncrementalExportSpecification"), self._reach()
        times = [window["ExportFromTime"], window["ExportToTime"]] if window else [wanted["ExportTime"]]
        assert wanted["TableArn"] == ARN
        assert all(isinstance(moment, int) for moment in times)
        if not all(first <= moment <= last for moment in times):
            return _refused("InvalidExportTimeException", "The specified ExportTime is outside of the point in time recovery window.")
        if window and not 900 <= times[1] - times[0] <= DAY:
            return _refused("ValidationException", "The export period must be between 15 minutes and 24 hours.")
        name = f"{int(self.clock.now() * 1000)}-{len(self.exports):08x}"
        made = {**wanted, "ExportArn": f"{ARN}/export/{name}", "ExportStatus": "IN_PROGRESS", "StartTime": self.clock.now()}
        self.exports[made["ExportArn"]] = made
        return as_json({"ExportDescription": made})

    def _describe(self, arn: str) -> Reply:
        export = self.exports[arn]
        if export["ExportStatus"] == "IN_PROGRESS":
            if self.failing:
                self.failing -= 1
                export |= {"ExportStatus": "FAILED", "FailureCode": "S3AccessDenied", "FailureMessage": "Access Denied"}
            else:
                self._write(export)
        return as_json({"ExportDescription": export})

    def _write(self, export: dict[str, Any]) -> None:
        home = f"{export['S3Prefix']}/AWSDynamoDB/{export['ExportArn'].rpartition('/')[2]}"
        window = export.get("IncrementalExportSpecification")
        if window:
            lines, shared = self._changed(window["ExportFromTime"], window["ExportToTime"]), f"{export['S3Prefix']}/AWSDynamoDB/data"
            said = {"exportType": "INCREMENTAL_EXPORT", "outputView": "NEW_AND_OLD_IMAGES", "exportTime": None}
            said |= {"exportFromTime": _iso(window["ExportFromTime"]), "exportToTime": _iso(window["ExportToTime"])}
        else:
            lines, shared = [{"Item": marshal(item)} for item in self.state(export["ExportTime"]).values()], f"{home}/data"
            said = {"exportTime": _iso(export["ExportTime"])}
        parts = [self._part(f"{shared}/{len(self.exports):04}{number}.json.gz", lines[number::3]) for number in range(3)]
        self._manifest(f"{home}/manifest-files", b"\n".join(json.dumps(part).encode() for part in parts))
        summary = {"version": "2023-08-01", **said, "tableArn": ARN, "itemCount": len(lines), "outputFormat": "DYNAMODB_JSON"}
        self._manifest(f"{home}/manifest-summary", json.dumps(summary).encode())
        export |= {"ExportStatus": "COMPLETED", "ItemCount": len(lines), "ExportManifest": f"{home}/manifest-summary.json"}

    def _changed(self, start: float, end: float) -> list[dict[str, Any]]:
        """One line for each item that is another one at the end: what came and went between is not in it."""
        before, after = self.state(start), self.state(end)
        lines = []
        for key in dict.fromkeys(key for moment, key, _ in self.history if start <= moment < end):
            if key in before or key in after:
                images = {"OldImage": before.get(key), "NewImage": after.get(key)}
                shown = {name: marshal(item) for name, item in images.items() if item is not None}
                stamp = {"WriteTimestampMicros": {"N": str(int(start * 1e6))}}
                lines.append({"Metadata": stamp, "Keys": marshal({"pk": key[0], "sk": key[1]}), **shown})
        return lines

    def _part(self, name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        packed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._put(name, packed)
        return {"itemCount": len(lines), "md5Checksum": _md5(packed), "etag": "x", "dataFileS3Key": name}

    def _manifest(self, name: str, content: bytes) -> None:
        self._put(f"{name}.json", content)
        self._put(f"{name}.checksum", _md5(content).encode())

    def _put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _refused(code: str, message: str) -> Reply:
    return as_json({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}, status=400)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()
