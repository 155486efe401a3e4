"""DynamoDB's own exports to S3 (point-in-time recovery), over the same signed HTTP as the table.

Starting is repeatable: the same client token within eight hours is the same export.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html
"""

from collections.abc import Mapping
from typing import Any

from tollkeeper.clock import Clock, system
from tollkeeper.store.aws import CredentialSource, HttpSend
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService

LATEST_SECONDS, KEPT_SECONDS = 300, 35 * 86400
"""What can be restored, and so exported, ends about five minutes ago and begins so long ago at the earliest.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
"""


OUT_OF_REACH = "InvalidExportTimeException"


class ExportRefused(Exception):
    """DynamoDB does not export this. `code` is its own word for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TableExports:
    """Exports of one table into one bucket. Raises ExportRefused and StoreUnavailable."""

    def __init__(
        self,
        table: str,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        bucket: str,
        clock: Clock = system,
    ) -> None:
        self.bucket = bucket
        self._table, self._arn, self._clock = table, "", clock
        service = AwsService("dynamodb", "DynamoDB_20120810", "1.0", f"the export of DynamoDB table {table}")
        self._aws = AwsJson(service, send, credentials, region, endpoint, clock=clock)

    async def reach(self) -> tuple[float, float]:
        """The first and the last moment that can be exported."""
        answer = await self._call("DescribeContinuousBackups", {"TableName": self._table})
        said = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription") or {}
        if said.get("PointInTimeRecoveryStatus") != "ENABLED":
            raise ExportRefused("PointInTimeRecoveryUnavailableException", f"point-in-time recovery of table {self._table} is not enabled")
        now = self._clock.now()
        first, last = said.get("EarliestRestorableDateTime"), said.get("LatestRestorableDateTime")
        return float(first or now - KEPT_SECONDS), float(last or now - LATEST_SECONDS)

    async def full(self, prefix: str, token: str, at: int) -> dict[str, Any]:
        """The export's description. `at`, and all times here: epoch seconds."""
        return await self._start(prefix, token, {"ExportType": "FULL_EXPORT", "ExportTime": at})

    async def incremental(self, prefix: str, token: str, start: int, end: int) -> dict[str, Any]:
        """What changed from `start` until before `end`, 15 minutes to 24 hours later."""
        window = {"ExportFromTime": start, "ExportToTime": end, "ExportViewType": "NEW_AND_OLD_IMAGES"}
        return await self._start(prefix, token, {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": window})

    async def describe(self, arn: str) -> dict[str, Any]:
        answer = await self._call("DescribeExport", {"ExportArn": arn})
        return dict(answer["ExportDescription"])

    async def _start(self, prefix: str, token: str, more: Mapping[str, Any]) -> dict[str, Any]:
        self._arn = self._arn or str((await self._call("DescribeTable", {"TableName": self._table}))["Table"]["TableArn"])
        request = {
            "TableArn": self._arn,
            "S3Bucket": self.bucket,
            "S3Prefix": prefix,
            "ClientToken": token,
            "ExportFormat": "DYNAMODB_JSON",
        }
        answer = await self._call("ExportTableToPointInTime", {**request, **more})
        return dict(answer["ExportDescription"])

    async def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._aws.call(operation, request, repeatable=True)
        except AwsRefused as refusal:
            raise ExportRefused(refusal.code, str(refusal)) from refusal
