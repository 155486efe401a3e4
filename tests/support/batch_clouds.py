"""Bedrock with S3, Vertex AI with Cloud Storage and the Gemini API as providers that run batches, as far as a batch needs them."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.upstream import Received, Reply, as_json

JOB = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
PROJECT = "projects/510528649030/locations/us-central1"
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 12},
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 12, "totalTokens": 21},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21},
    "modelVersion": "gemini",
    "responseId": "r",
}
PAGE = Reply(200, {"content-type": "text/html"}, [b"<html><body>Sign in</body></html>\n"])
_S3 = re.compile(r"/(?P<bucket>bucket[\w.-]*)/(?P<key>.+)")


class Clouds:
    """`hold` keeps jobs running; `lose_next` drops the answer to the next job, `pages` many answers about jobs and results are web pages,
    `missing` lines get no answer, `denied` answers what is in `buckets` with 403. `jobs` are the requests that made them, by the job's id.
    """

    def __init__(self) -> None:
        self.hold = False
        self.lose_next = False
        self.pages = 0
        self.missing: set[str] = set()
        self.denied = False
        self.buckets: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.cancelled: set[str] = set()
        self.asked: list[Received] = []

    def __call__(self, request: Received) -> Reply:
        url = urlsplit(request.path)
        self.asked.append(request)
        path, query = unquote(url.path), {name: values[0] for name, values in parse_qs(url.query).items()}
        for part in (self._bedrock, self._vertex, self._storage, self._gemini, self._s3):
            if (reply := part(request, path, query)) is not None:
                return reply
        if path == "/token":
            return as_json({"access_token": "google-token", "expires_in": 3600})
        if path.endswith("/converse"):
            return as_json(CONVERSE)
        return as_json({"message": f"nothing at {path}"}, 404)

    def _page(self) -> bool:
        self.pages -= 1
        return self.pages >= 0

    def _bedrock(self, request: Received, path: str, query: dict[str, str]) -> Reply | None:
        if path == "/model-invocation-jobs":
            found = [{"jobArn": JOB + job_id, "jobName": job["jobName"]} for job_id, job in self.jobs.items() if "jobName" in job]
            return as_json({"invocationJobSummaries": [job for job in found if query["nameContains"] in job["jobName"]]})
        if not path.startswith("/model-invocation-job"):
            return None
        if path == "/model-invocation-job":
            return self._made(f"job{len(self.jobs)}", request.json, lambda job_id: {"jobArn": JOB + job_id})
        job_id = path.removesuffix("/stop").rpartition("/")[2]
        if path.endswith("/stop"):
            self.cancelled.add(job_id)
            return as_json({})
        if self._page():
            return PAGE
        return as_json(self._bedrock_job(job_id))

    def _bedrock_job(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        rows = _jsonl(self.buckets[job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://")])
        status = "Stopped" if job_id in self.cancelled else "InProgress" if self.hold else "Completed"
        done = [] if self.hold else [row for row in rows if row["recordId"] not in self.missing]
        converse = job["modelInvocationType"] == "Converse"
        out = [_bedrock_row(row, CONVERSE if converse else CLAUDE) for row in reversed(done)]
        if done:
            folder = job["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].removeprefix("s3://")
            self.buckets[f"{folder}{job_id}/input.jsonl.out"] = b"\n".join(out) + b"\n"
        good = sum(b"modelOutput" in row for row in out)
        counts = {"totalRecordCount": len(rows), "processedRecordCount": len(out), "successRecordCount": good}
        return {"jobArn": JOB + job_id, "status": status, **counts, "errorRecordCount": len(out) - good}

    def _vertex(self, request: Received, path: str, query: dict[str, str]) -> Reply | None:
        if "/batchPredictionJobs" not in path:
            return None
        job_id = path.partition("/batchPredictionJobs")[2].strip("/")
        if not job_id and request.method == "POST":
            return self._made(f"{len(self.jobs)}", request.json, lambda made: {"name": f"{PROJECT}/batchPredictionJobs/{made}"})
        if not job_id:
            tags = {name: job.get("labels", {}).get("tollkeeper_batch") for name, job in self.jobs.items()}
            found = [name for name, tag in tags.items() if tag is not None and query["filter"] == f'labels.tollkeeper_batch="{tag}"']
            rows = [{"name": f"{PROJECT}/batchPredictionJobs/{name}", "displayName": self.jobs[name]["displayName"]} for name in found]
            return as_json({"batchPredictionJobs": rows} if rows else {})
        if job_id.endswith(":cancel"):
            self.cancelled.add(job_id.removesuffix(":cancel"))
            return as_json({})
        return PAGE if self._page() else as_json(self._vertex_job(job_id))

    def _vertex_job(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        rows = _jsonl(self.buckets[job["inputConfig"]["gcsSource"]["uris"][0].removeprefix("gs://")])
        state = "CANCELLED" if job_id in self.cancelled else "RUNNING" if self.hold else "SUCCEEDED"
        done = [] if state == "RUNNING" else rows[:1] if state == "CANCELLED" else rows
        answer = CLAUDE if "/anthropic/" in job["model"] else GEMINI
        out = [_vertex_row(row, answer) for number, row in reversed(list(enumerate(done, 1))) if str(number) not in self.missing]
        folder = job["outputConfig"]["gcsDestination"]["outputUriPrefix"].removeprefix("gs://")
        if out:
            self.buckets[f"{folder}/prediction-model-1/predictions.jsonl"] = b"\n".join(out)
            self.buckets[f"{folder}/prediction-model-1/manifest.txt"] = b"{}"
        good = sum(b'"status": ""' in row for row in out)
        stats = {"successfulCount": str(good), "failedCount": str(len(out) - good), "incompleteCount": "0"}
        return {"name": f"{PROJECT}/batchPredictionJobs/{job_id}", "state": f"JOB_STATE_{state}", "completionStats": stats}

    def _storage(self, request: Received, path: str, query: dict[str, str]) -> Reply | None:
        if "/storage/v1/b/" not in path:
            return None
        bucket, _, name = path.partition("/storage/v1/b/")[2].partition("/o")
        if path.startswith("/upload/"):
            self.buckets[f"{bucket}/{query['name']}"] = request.body
            return as_json({"name": query["name"]})
        if name:
            return PAGE if self._page() else Reply(200, {}, [self.buckets[f"{bucket}{name}"]])
        names = [key.partition("/")[2] for key in self.buckets if key.startswith(f"{bucket}/")]
        found = [{"name": key} for key in names if key.startswith(query["prefix"])]
        at = int(query.get("pageToken", 0))  # a page has one name
        return as_json({"items": found[at : at + 1], **({"nextPageToken": str(at + 1)} if at + 1 < len(found) else {})})

    def _gemini(self, request: Received, path: str, query: dict[str, str]) -> Reply | None:
        if path == "/upload/v1beta/files":
            file = f"files/{len(self.files)}"
            self.files[file] = request.body.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0]
            return as_json({"file": {"name": file, "state": "ACTIVE"}})
        if path.startswith("/download/v1beta/"):
            return PAGE if self._page() else Reply(200, {}, [self.files[path.removeprefix("/download/v1beta/").removesuffix(":download")]])
        if path.endswith(":batchGenerateContent"):
            return self._made(f"{len(self.jobs)}", {**request.json["batch"], "url": path}, lambda made: {"name": f"batches/{made}"})
        if not path.startswith("/v1beta/batches"):
            return None
        job_id = path.removeprefix("/v1beta/batches").strip("/")
        if not job_id:
            return as_json({"operations": [self._gemini_job(name) for name, job in self.jobs.items() if "url" in job]})
        if job_id.endswith(":cancel"):
            self.cancelled.add(job_id.removesuffix(":cancel"))
            return as_json({})
        return PAGE if self._page() else as_json(self._gemini_job(job_id))

    def _gemini_job(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        rows = _jsonl(self.files[job["inputConfig"]["fileName"]])
        state = "CANCELLED" if job_id in self.cancelled else "RUNNING" if self.hold else "SUCCEEDED"
        out = [_gemini_row(row) for row in rows if row["key"] not in self.missing] if state == "SUCCEEDED" else []
        stats = {"requestCount": str(len(rows)), "successfulRequestCount": str(sum(b'"response"' in row for row in out))}
        batch = {"displayName": job["displayName"], "state": f"BATCH_STATE_{state}", "batchStats": stats}
        self.files[f"files/out-{job_id}"] = b"\n".join(out)
        done = {"done": True, "response": {"responsesFile": f"files/out-{job_id}"}} if out else {}
        return {"name": f"batches/{job_id}", "metadata": batch, **done}

    def _s3(self, request: Received, path: str, query: dict[str, str]) -> Reply | None:
        if (place := _S3.fullmatch(path)) is None:
            return None
        if self.denied:
            return Reply(
                403, {"content-type": "application/xml"}, [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
            )
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()
        key = f"{place['bucket']}/{place['key']}"
        if request.method == "PUT":
            self.buckets[key] = request.body
            return Reply(200, {}, [])
        if key not in self.buckets:
            return Reply(
                404, {"content-type": "application/xml"}, [b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>"]
            )
        return PAGE if self._page() else Reply(200, {}, [self.buckets[key]])

    def _made(self, job_id: str, asked: dict[str, Any], shown: Any) -> Reply:
        token = asked.get("clientRequestToken")
        job_id = next((name for name, job in self.jobs.items() if token and job.get("clientRequestToken") == token), job_id)
        self.jobs[job_id] = asked
        if self.lose_next:
            self.lose_next = False
            return Reply(200, {}, [], cut=True)
        return as_json(shown(job_id))


def _jsonl(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines() if line]


def _refused(row: dict[str, Any]) -> bool:
    return "refuse me" in json.dumps(row)


def _bedrock_row(row: dict[str, Any], answer: dict[str, Any]) -> bytes:
    told = {"error": {"errorCode": 400, "errorMessage": "bad request"}} if _refused(row) else {"modelOutput": answer}
    return json.dumps({**row, **told}).encode()


def _vertex_row(row: dict[str, Any], answer: dict[str, Any]) -> bytes:
    if _refused(row):
        return json.dumps({"status": 'Bad Request: {"error": {"code": 400, "message": "bad request"}}', **row, "response": {}}).encode()
    return json.dumps({"status": "", "processed_time": "2026-11-26T20:00:00+00:00", **row, "response": answer}).encode()


def _gemini_row(row: dict[str, Any]) -> bytes:
    told = {"error": {"code": 3, "message": "bad request"}} if _refused(row) else {"response": GEMINI}
    return json.dumps({"key": row["key"], **told}).encode()
