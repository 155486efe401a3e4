"""The Gemini API's batch mode: a JSONL file among its files, a job, and another file.

    {"key": the line's number, "request": …} ─▶ {"key", "response" | "error"}

https://ai.google.dev/gemini-api/docs/batch-api https://ai.google.dev/api/batch-api https://ai.google.dev/api/files
"""

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from tollkeeper.batches.lines import Line
from tollkeeper.batches.native.base import (
    CHAT,
    Asked,
    Handed,
    Intake,
    NativeAnswer,
    Request,
    Steps,
    at_home,
    chat_answer,
    chat_row,
    count,
    dicts,
    fields,
    named,
    refused,
    tree_of,
)
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import UpstreamProtocolError
from tollkeeper.providers.target import target_for

_DIALECT = "gemini_generate"
_BOUNDARY = "tollkeeper-batch"
_UPLOAD = {"x-goog-upload-protocol": "multipart", "content-type": f"multipart/related; boundary={_BOUNDARY}"}
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})


class GeminiBatches:
    """Implements BatchFormat."""

    by_number = True
    repeatable = False

    def __init__(self, deployment: Deployment, asked: Asked) -> None:
        self._deployment, self._asked = deployment, asked
        self._base = deployment.base_url
        self._host, _, self._version = deployment.base_url.rpartition("/")

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        """Not with JSON schemas: the batch mode answers in shapes of its own to responseJsonSchema."""
        fits = intake.endpoint == CHAT and "schema" not in intake.needs
        return fits and deployment.dialect == _DIALECT and at_home(deployment, "gemini")

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        data = _multipart(tag, jsonl)
        answer = tree_of((yield self._request("POST", f"{self._host}/upload/{self._version}/files", data, _UPLOAD)), self._deployment)
        return named(fields(answer.get("file")), "name", self._deployment)

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        asked = {"batch": {"displayName": tag, "inputConfig": {"fileName": staged}}}
        model = quote(self._deployment.model.removeprefix("models/"), safe="/@:._-")
        url = f"{self._base}/models/{model}:batchGenerateContent"
        return named(tree_of((yield self._request("POST", url, orjson.dumps(asked))), self._deployment), "name", self._deployment)

    def find(self, tag: str) -> Steps[str | None]:
        listed = tree_of((yield self._request("GET", f"{self._base}/batches?pageSize=100")), self._deployment)
        jobs = dicts(listed.get("operations") or listed.get("batches"))
        return next((named(job, "name", self._deployment) for job in jobs if _batch_of(job).get("displayName") == tag), None)

    def look(self, native_id: str, tag: str) -> Steps[Handed]:
        job = tree_of((yield self._request("GET", f"{self._base}/{native_id}")), self._deployment)
        batch = _batch_of(job)
        state, stats = named(batch, "state", self._deployment).rpartition("STATE_")[2], fields(batch.get("batchStats"))
        completed, failed = count(stats.get("successfulRequestCount")), count(stats.get("failedRequestCount"))
        if state not in _ENDED:
            return Handed(ended=False, completed=completed, failed=failed)
        if state == "FAILED":
            return Handed(True, completed, failed, failure=str(fields(job.get("error")).get("message") or "It gave no reason.")[:500])
        file = fields(job.get("response")).get("responsesFile") or fields(batch.get("output")).get("responsesFile")
        if not file and state == "SUCCEEDED":
            raise UpstreamProtocolError("Gemini says that the batch has succeeded, and names no results.")
        results = (self._request("GET", f"{self._host}/download/{self._version}/{file}:download?alt=media"),) if file else ()
        return Handed(True, completed, failed, results, expired=state == "EXPIRED")

    def cancel(self, native_id: str) -> Steps[None]:
        yield self._request("POST", f"{self._base}/{native_id}:cancel")

    def row_of(self, line: Line) -> Json:
        body, _ = chat_row(_DIALECT, line, target_for(self._deployment, self._deployment.group, 0))
        return {"key": str(line.number), "request": body}

    def answer(self, row: Json) -> NativeAnswer:
        number, response = str(row.get("key") or ""), row.get("response")
        if isinstance(response, dict):
            return chat_answer(_DIALECT, self._deployment, self._asked, number, response)
        error = fields(row.get("error") or row.get("status"))
        return refused(number, error.get("status") or error.get("code") or "no_answer", error.get("message") or "Gemini gave no answer.")

    def _request(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
        return Request(self._deployment, method, url, body, headers or {})


def _batch_of(job: Json) -> Json:
    """What is asked for is an operation around the batch; what is listed may be the batch itself."""
    return fields(job.get("metadata")) or job


def _multipart(tag: str, data: bytes) -> bytes:
    about = orjson.dumps({"file": {"displayName": tag, "mimeType": "application/jsonl"}})
    head = b"--%b\r\nContent-Type: application/json\r\n\r\n%b\r\n--%b\r\nContent-Type: application/jsonl\r\n\r\n"
    return head % (_BOUNDARY.encode(), about, _BOUNDARY.encode()) + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
