"""Anthropic's Message Batches: requests are translated as any chat, and so are the messages that come back.

https://docs.claude.com/en/api/creating-message-batches
"""

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
    fields,
    named,
    refused,
    tree_of,
)
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.providers.target import target_for

_VERSION = {"anthropic-version": "2023-06-01"}
_DIALECT = "anthropic_messages"


class AnthropicBatches:
    """Implements BatchFormat."""

    by_number = True
    """Anthropic takes few characters in a custom_id."""
    repeatable = False

    def __init__(self, deployment: Deployment, asked: Asked) -> None:
        self._deployment, self._asked = deployment, asked
        self._headers: dict[str, str] = dict(_VERSION)

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        return at_home(deployment, "anthropic") and intake.endpoint == CHAT

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        yield from ()
        return "in the request"

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        body = b'{"requests":[' + jsonl.strip().replace(b"\n", b",") + b"]}"
        made = tree_of((yield self._request("POST", "", body)), self._deployment)
        return named(made, "id", self._deployment)

    def find(self, tag: str) -> Steps[str | None]:
        yield from ()
        return None  # nothing of ours is kept there

    def look(self, native_id: str, tag: str) -> Steps[Handed]:
        batch = tree_of((yield self._request("GET", f"/{native_id}")), self._deployment)
        counts = fields(batch.get("request_counts"))
        failed = sum(count(counts.get(name)) for name in ("errored", "canceled", "expired"))
        ended, url = batch.get("processing_status") == "ended", batch.get("results_url")
        results = (Request(self._deployment, "GET", str(url), headers=_VERSION),) if ended and url else ()
        return Handed(ended, count(counts.get("succeeded")), failed, results, expired=count(counts.get("expired")) > 0)

    def cancel(self, native_id: str) -> Steps[None]:
        yield self._request("POST", f"/{native_id}/cancel")

    def row_of(self, line: Line) -> Json:
        params, headers = chat_row(_DIALECT, line, target_for(self._deployment, self._deployment.group, 0))
        self._headers.update(headers)
        return {"custom_id": str(line.number), "params": params}

    def answer(self, row: Json) -> NativeAnswer:
        result, number = fields(row.get("result")), str(row.get("custom_id") or "")
        kind = result.get("type")
        if kind == "succeeded":
            return chat_answer(_DIALECT, self._deployment, self._asked, number, result.get("message"))
        error = fields(fields(result.get("error")).get("error"))
        return refused(number, error.get("type") or f"batch_{kind}", error.get("message") or f"The request was {kind}.")

    def _request(self, method: str, rest: str, body: bytes = b"") -> Request:
        base = self._deployment.base_url
        root = base if base.endswith("/v1") else f"{base}/v1"
        return Request(self._deployment, method, f"{root}/messages/batches{rest}", body, dict(self._headers))
