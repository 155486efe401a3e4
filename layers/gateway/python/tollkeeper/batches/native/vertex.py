"""Vertex AI's batch prediction: a JSONL file in Cloud Storage, a job, and a folder of JSONL files beside it.

    {bucket}/{folder}/tollkeeper/{tag}/input.jsonl    Gemini: {"request": …}, with the line's number in its labels, which come back
                                                      Claude: {"custom_id", "request"}
    …/out/{…}/predictions.jsonl                       the same and {"response", "status"}, in any order

https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/batch
https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from typing import Any
from urllib.parse import quote, urlencode

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
    chat_answer,
    chat_row,
    count,
    dicts,
    fields,
    folder_of,
    named,
    refused,
    tree_of,
)
from tollkeeper.config.snapshot import BatchStorage, Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import UpstreamProtocolError
from tollkeeper.providers.target import target_for

_STORAGE = "https://storage.googleapis.com"
_LABEL, _LINE_LABEL = "tollkeeper_batch", "tollkeeper_line"
_ENDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
_CUT_SHORT = frozenset({"FAILED", "CANCELLED", "EXPIRED"})
_GEMINI = "gemini_generate"
_DIALECTS = frozenset({_GEMINI, "vertex_anthropic"})
_PUBLISHERS = "/publishers/"


class VertexBatches:
    """Implements BatchFormat."""

    by_number = True
    repeatable = False

    def __init__(self, deployment: Deployment, asked: Asked) -> None:
        self._deployment, self._asked = deployment, asked
        self._storage = deployment.batch_storage or BatchStorage("")
        self._place, _, self._publisher = deployment.base_url.partition(_PUBLISHERS)

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        placed = deployment.batch_storage is not None and _PUBLISHERS in deployment.base_url
        return placed and deployment.dialect in _DIALECTS and intake.endpoint == CHAT

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        name = f"{folder_of(self._storage, tag)}/input.jsonl"
        query = urlencode({"uploadType": "media", "name": name})
        yield self._stored("POST", f"/upload/storage/v1/b/{self._storage.bucket}/o?{query}", jsonl, {"content-type": "application/jsonl"})
        return f"gs://{self._storage.bucket}/{name}"

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        output = f"gs://{self._storage.bucket}/{folder_of(self._storage, tag)}/out"
        asked = {
            "displayName": tag,
            "labels": {_LABEL: tag.lower()},
            "model": f"publishers/{self._publisher}/models/{self._deployment.model}",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [staged]}},
            "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": output}},
        }
        made = tree_of(
            (yield Request(self._deployment, "POST", f"{self._place}/batchPredictionJobs", orjson.dumps(asked))), self._deployment
        )
        return named(made, "name", self._deployment)

    def find(self, tag: str) -> Steps[str | None]:
        query = urlencode({"filter": f'labels.{_LABEL}="{tag.lower()}"'})
        listed = tree_of((yield Request(self._deployment, "GET", f"{self._place}/batchPredictionJobs?{query}")), self._deployment)
        mine = (job for job in dicts(listed.get("batchPredictionJobs")) if job.get("displayName") == tag)
        return next((named(job, "name", self._deployment) for job in mine), None)

    def look(self, native_id: str, tag: str) -> Steps[Handed]:
        job = tree_of((yield Request(self._deployment, "GET", self._job_url(native_id))), self._deployment)
        state, stats = named(job, "state", self._deployment).removeprefix("JOB_STATE_"), fields(job.get("completionStats"))
        completed, failed = count(stats.get("successfulCount")), count(stats.get("failedCount"))
        if state not in _ENDED:
            return Handed(ended=False, completed=completed, failed=failed)
        results = yield from self._results(tag)
        failure = None
        if not results:
            if state not in _CUT_SHORT:
                raise UpstreamProtocolError("Vertex AI says that the batch has succeeded, and has written no results.")
            failure = str(fields(job.get("error")).get("message") or "It gave no reason.")[:500] if state == "FAILED" else None
        return Handed(True, completed, failed, results, failure, expired=state == "EXPIRED")

    def cancel(self, native_id: str) -> Steps[None]:
        yield Request(self._deployment, "POST", f"{self._job_url(native_id)}:cancel")

    def row_of(self, line: Line) -> Json:
        body, _ = chat_row(self._deployment.dialect, line, target_for(self._deployment, self._deployment.group, 0))
        if self._deployment.dialect != _GEMINI:
            return {"custom_id": str(line.number), "request": body}
        return {"request": {**body, "labels": {**fields(body.get("labels")), _LINE_LABEL: str(line.number)}}}

    def answer(self, row: Json) -> NativeAnswer:
        number = str(row.get("custom_id") or fields(fields(row.get("request")).get("labels")).get(_LINE_LABEL) or "")
        response, status = _parsed(row.get("response")), row.get("status")
        if status or not response:
            return refused(number, "provider_error", status or "Vertex AI gave no answer.")
        return chat_answer(self._deployment.dialect, self._deployment, self._asked, number, response)

    def _results(self, tag: str) -> Steps[tuple[Request, ...]]:
        """Listed, as their names are the job's to choose."""
        bucket, names, token = self._storage.bucket, list[str](), ""
        while True:
            query = urlencode({"prefix": f"{folder_of(self._storage, tag)}/out/", **({"pageToken": token} if token else {})})
            listed = tree_of((yield self._stored("GET", f"/storage/v1/b/{bucket}/o?{query}")), self._deployment)
            names += [str(item.get("name")) for item in dicts(listed.get("items"))]
            token = str(listed.get("nextPageToken") or "")
            if not token:
                break
        files = sorted(name for name in names if name.endswith(".jsonl"))
        return tuple(self._stored("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media") for name in files)

    def _job_url(self, name: str) -> str:
        """A job's name begins with its project, which need not be written as in our own address."""
        return f"{self._place.partition('/projects/')[0]}/{quote(name, safe='/')}"

    def _stored(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Request:
        return Request(self._deployment, method, f"{self._storage.endpoint or _STORAGE}{path}", body, headers or {})


def _parsed(response: Any) -> Any:
    """Some jobs write it as JSON in JSON."""
    if not isinstance(response, str):
        return response
    try:
        return orjson.loads(response)
    except orjson.JSONDecodeError:
        return None
