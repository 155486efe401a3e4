"""OpenAI's batches, and Azure OpenAI's, which are the same at other addresses.

https://platform.openai.com/docs/api-reference/batch https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch
"""

from collections.abc import Mapping
from typing import Any

import orjson

from tollkeeper.batches.lines import Line
from tollkeeper.batches.native.base import (
    Asked,
    Handed,
    Intake,
    NativeAnswer,
    Request,
    Steps,
    at_home,
    count,
    dicts,
    fields,
    named,
    tree_of,
)
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import UpstreamFailed

_BOUNDARY = "tollkeeper-batch"
_FORM = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_UNREADY = frozenset({"pending", "running", "notrunning", "uploading"})
_PAUSE_SECONDS, _PAUSES = 2.0, 30
"""Azure reads an uploaded file before it takes it."""
AZURE_ENDPOINTS: Mapping[str, str] = {
    "/v1/chat/completions": "/chat/completions",
    "/v1/embeddings": "/embeddings",
    "/v1/responses": "/v1/responses",
}
"""What Azure calls the endpoints its batches take."""


class OpenAIBatches:
    """Implements BatchFormat."""

    by_number = False
    repeatable = False

    def __init__(self, deployment: Deployment, asked: Asked) -> None:
        self._deployment, self._asked = deployment, asked

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        return at_home(deployment, "openai")

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        data = _form(tag, jsonl)
        file = tree_of((yield self._request("POST", "/files", data, _FORM)), self._deployment)
        file_id = named(file, "id", self._deployment)
        for _ in range(_PAUSES):
            if str(file.get("status")).lower() not in _UNREADY:
                return file_id
            file = tree_of((yield self._request("GET", f"/files/{file_id}", wait=_PAUSE_SECONDS)), self._deployment)
        raise UpstreamFailed(f"{self._deployment.provider} has not read the batch's file after {int(_PAUSES * _PAUSE_SECONDS)} seconds.")

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        asked = {"input_file_id": staged, "endpoint": self._endpoint(), "completion_window": "24h", "metadata": {"tollkeeper_batch": tag}}
        made = tree_of((yield self._request("POST", "/batches", orjson.dumps(asked))), self._deployment)
        return named(made, "id", self._deployment)

    def find(self, tag: str) -> Steps[str | None]:
        listed = tree_of((yield self._request("GET", "/batches", query="limit=100")), self._deployment)
        mine = (row for row in dicts(listed.get("data")) if fields(row.get("metadata")).get("tollkeeper_batch") == tag)
        return next((named(row, "id", self._deployment) for row in mine), None)

    def look(self, native_id: str, tag: str) -> Steps[Handed]:
        batch = tree_of((yield self._request("GET", f"/batches/{native_id}")), self._deployment)
        counts = fields(batch.get("request_counts"))
        completed, failed = count(counts.get("completed")), count(counts.get("failed"))
        status = str(batch.get("status")).lower()
        if status not in _ENDED:
            return Handed(ended=False, completed=completed, failed=failed)
        files = (batch.get("output_file_id"), batch.get("error_file_id"))
        results = tuple(self._request("GET", f"/files/{file_id}/content") for file_id in files if file_id)
        failure = orjson.dumps(batch.get("errors")).decode()[:500] if status == "failed" else None
        return Handed(True, completed, failed, results, failure, expired=status == "expired")

    def cancel(self, native_id: str) -> Steps[None]:
        yield self._request("POST", f"/batches/{native_id}/cancel")

    def row_of(self, line: Line) -> Json:
        body = {**line.body, "model": self._deployment.model}
        return {"custom_id": line.custom_id, "method": "POST", "url": self._line_url(), "body": body}

    def answer(self, row: Json) -> NativeAnswer:
        response = row.get("response") if isinstance(row.get("response"), dict) else None
        custom_id = str(row.get("custom_id") or "")
        if response is None:
            return NativeAnswer(custom_id, 0, None, row.get("error") or {"code": "unknown", "message": "No answer."}, None)
        body = fields(response.get("body"))
        status = count(response.get("status_code")) or 500
        usage = body.get("usage") if status < 300 else None
        return NativeAnswer(custom_id, status, {**body, "model": self._asked.alias} if "model" in body else body, None, _as_hub(usage))

    def _endpoint(self) -> str:
        return self._asked.endpoint

    def _line_url(self) -> str:
        return self._asked.endpoint

    def _root(self) -> str:
        return self._deployment.base_url

    def _request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, query: str = "", wait: float = 0.0
    ) -> Request:
        base, _, given = self._root().partition("?")
        asked = "&".join(part for part in (given, query) if part)
        url = f"{base}{path}" + (f"?{asked}" if asked else "")
        return Request(self._deployment, method, url, body, headers or {}, wait)


class AzureBatches(OpenAIBatches):
    """`{resource}/openai/batches?api-version=…`, or below `/openai/v1`; a line's model is the name of the deployment.

    Batches need a deployment of the type Global Batch or Data Zone Batch, which serves no single calls: model_info.mode says so.
    """

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        return deployment.mode == "batch" and intake.endpoint in AZURE_ENDPOINTS

    def _endpoint(self) -> str:
        return AZURE_ENDPOINTS[self._asked.endpoint]

    def _line_url(self) -> str:
        return self._asked.endpoint if self._root().partition("?")[0].endswith("/v1") else self._endpoint()

    def _root(self) -> str:
        base, mark, query = self._deployment.base_url.partition("?")
        return base.partition("/deployments/")[0] + mark + query


def _form(tag: str, data: bytes) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{tag}.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _as_hub(usage: Any) -> Json | None:
    """The Responses API counts under other names."""
    if not isinstance(usage, dict) or "input_tokens" not in usage:
        return usage if isinstance(usage, dict) else None
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
