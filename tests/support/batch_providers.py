"""OpenAI and Anthropic as providers that run batches themselves, as far as a batch needs them."""

import json
import re
from typing import Any

from tests.support.upstream import Received, Reply, as_json, completion

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 12},
}


class BatchProvider:
    """`hold` keeps batches running until it is False; `submitted` counts them; `lose_next` drops the answer to the next submission.
    `azure`: files are read before they can be used, states are written large, and counts come late.
    """

    def __init__(self, *, azure: bool = False) -> None:
        self.azure = azure
        self.unread: set[str] = set()
        self.hold = False
        self.lose_next = False
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}

    @property
    def submitted(self) -> int:
        return len(self.batches)

    def __call__(self, request: Received) -> Reply:
        path = request.path.partition("?")[0]
        if "/messages/batches" in path:
            return self._anthropic(request, path)
        if path.endswith("/files"):
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = re.split(rb"\r\n\r\n", request.body)[2].partition(b"\r\n--")[0]
            self.unread |= {file_id} if self.azure else set()
            return as_json({"id": file_id, "object": "file", "status": "pending" if self.azure else "processed"})
        if request.method == "GET" and path.split("/")[-2] == "files":
            self.unread.discard(path.split("/")[-1])
            return as_json({"id": path.split("/")[-1], "object": "file", "status": "processed"})
        if path.endswith("/content"):
            return Reply(200, {"content-type": "application/octet-stream"}, [self.files[path.split("/")[-2]]])
        if path.endswith("/batches") and request.method == "POST":
            asked = request.json
            if asked["input_file_id"] in self.unread:
                return as_json({"error": {"code": "invalidPayload", "message": "The file is not ready."}}, 400)
            return self._made({"input": self.files[asked["input_file_id"]], "metadata": asked["metadata"], "endpoint": asked["endpoint"]})
        if path.endswith("/batches"):
            return as_json({"data": [self._shown(batch_id) for batch_id in self.batches]})
        if "/batches/" in path:
            batch_id = path.split("/batches/")[1].split("/")[0]
            if path.endswith("/cancel"):
                self.batches[batch_id]["cancelled"] = True
            return as_json(self._shown(batch_id))
        return as_json(completion("one by one"))

    def _made(self, batch: dict[str, Any]) -> Reply:
        batch_id = f"batch_{len(self.batches)}"
        self.batches[batch_id] = batch
        if self.lose_next:
            self.lose_next = False
            return Reply(200, {}, [], cut=True)
        return as_json({"id": batch_id, "status": "validating"})

    def _shown(self, batch_id: str) -> dict[str, Any]:
        batch = self.batches[batch_id]
        rows = [json.loads(line) for line in batch["input"].splitlines()]
        status = "cancelled" if batch.get("cancelled") else "in_progress" if self.hold else "completed"
        done = rows[:1] if batch.get("cancelled") else [] if self.hold else rows
        good = [row for row in done if row["custom_id"] != "bad"]
        self.files[f"out-{batch_id}"] = b"\n".join(_answer(row) for row in good)
        self.files[f"err-{batch_id}"] = b"\n".join(_refusal(row) for row in done if row not in good)
        counts = {"total": len(rows), "completed": len(good), "failed": len(done) - len(good)}
        files = {"output_file_id": f"out-{batch_id}", "error_file_id": f"err-{batch_id}" if len(good) < len(done) else None}
        if self.azure:
            status = status.title()
            counts = counts if done else {"total": None, "completed": None, "failed": None}
        return {"id": batch_id, "status": status, "request_counts": counts, "metadata": batch["metadata"], **(files if done else {})}

    def _anthropic(self, request: Received, path: str) -> Reply:
        if request.method == "POST" and path.endswith("/batches"):
            return self._made({"requests": request.json["requests"]})
        batch_id = path.split("/batches/")[1].split("/", maxsplit=1)[0]
        rows = self.batches[batch_id]["requests"]
        if path.endswith("/results"):
            return Reply(200, {}, [b"\n".join(_message(row) for row in rows)])
        counts = {"succeeded": 0 if self.hold else len(rows), "errored": 0, "canceled": 0, "expired": 0, "processing": 0}
        url = f"http://{request.headers['host']}/v1/messages/batches/{batch_id}/results"
        return as_json(
            {
                "id": batch_id,
                "processing_status": "in_progress" if self.hold else "ended",
                "request_counts": counts,
                "results_url": None if self.hold else url,
            }
        )


def _answer(row: dict[str, Any]) -> bytes:
    body = completion(f"native {row['body']['messages'][-1]['content']}", model=row["body"]["model"])
    return json.dumps(
        {"id": "r", "custom_id": row["custom_id"], "response": {"status_code": 200, "request_id": "q", "body": body}}
    ).encode()


def _refusal(row: dict[str, Any]) -> bytes:
    response = {"status_code": 400, "request_id": "q", "body": {"error": {"message": "no", "code": "bad"}}}
    return json.dumps({"id": "r", "custom_id": row["custom_id"], "response": response, "error": None}).encode()


def _message(row: dict[str, Any]) -> bytes:
    if "refuse me" in json.dumps(row["params"]):
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
        return json.dumps({"custom_id": row["custom_id"], "result": {"type": "errored", "error": error}}).encode()
    return json.dumps({"custom_id": row["custom_id"], "result": {"type": "succeeded", "message": MESSAGE}}).encode()
