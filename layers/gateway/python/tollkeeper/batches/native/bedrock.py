"""Amazon Bedrock's batch inference: a JSONL file in S3, a job, and a JSONL file beside it.

    {bucket}/{folder}/tollkeeper/{tag}/input.jsonl              {"recordId", "modelInput"}
    …/out/{job id}/input.jsonl.out                              {"recordId", "modelInput", "modelOutput" | "error"}

Claude is asked in InvokeModel's words, with which a batch may have tools; what else Converse serves is asked in Converse's, without.
https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html …/batch-inference-results.html
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

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
from tollkeeper.config.snapshot import Auth, BatchStorage, Deployment, Secret
from tollkeeper.dialects.base import Json
from tollkeeper.providers.target import target_for

MIN_LINES = 100
"""Of a job. https://docs.aws.amazon.com/general/latest/gr/bedrock.html"""
_HOURS = 24
_RUNNING = frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
_CUT_SHORT = frozenset({"Stopped", "Expired"})
_CONVERSE, _INVOKE = "bedrock_converse", "bedrock_invoke"
_DIALECTS = frozenset({_CONVERSE, _INVOKE, "bedrock_family"})


class BedrockBatches:
    """Implements BatchFormat."""

    by_number = True
    repeatable = True
    """By clientRequestToken."""

    def __init__(self, deployment: Deployment, asked: Asked) -> None:
        self._deployment, self._asked = deployment, asked
        self._dialect = _dialect_of(deployment)
        self._storage = deployment.batch_storage or BatchStorage("")
        self._s3 = _s3_door(deployment, self._storage)

    @staticmethod
    def takes(deployment: Deployment, intake: Intake) -> bool:
        if deployment.batch_storage is None or deployment.dialect not in _DIALECTS:
            return False
        toolless = "tools" in intake.needs and _dialect_of(deployment) == _CONVERSE
        return intake.endpoint == CHAT and intake.lines >= MIN_LINES and not toolless

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        key = f"{folder_of(self._storage, tag)}/input.jsonl"
        yield Request(self._s3, "PUT", self._object_url(self._storage.bucket, key), jsonl, {"content-type": "application/jsonl"})
        return f"s3://{self._storage.bucket}/{key}"

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        output: Json = {"s3Uri": f"s3://{self._output_bucket}/{folder_of(self._storage, tag)}/out/"}
        if self._storage.encryption_key:
            output["s3EncryptionKeyId"] = self._storage.encryption_key
        asked = {
            "jobName": _name(tag),
            "clientRequestToken": _name(tag),
            "roleArn": self._storage.role,
            "modelId": self._deployment.model,
            "modelInvocationType": "Converse" if self._dialect == _CONVERSE else "InvokeModel",
            "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": staged}},
            "outputDataConfig": {"s3OutputDataConfig": output},
            "timeoutDurationInHours": _HOURS,
        }
        made = tree_of((yield self._job_request("POST", "", orjson.dumps(asked))), self._deployment)
        return named(made, "jobArn", self._deployment)

    def find(self, tag: str) -> Steps[str | None]:
        url = f"{_control_plane(self._deployment)}/model-invocation-jobs?{urlencode({'nameContains': _name(tag)})}"
        listed = tree_of((yield Request(self._deployment, "GET", url)), self._deployment)
        jobs = dicts(listed.get("invocationJobSummaries"))
        return next((named(job, "jobArn", self._deployment) for job in jobs if job.get("jobName") == _name(tag)), None)

    def look(self, native_id: str, tag: str) -> Steps[Handed]:
        job = tree_of((yield self._job_request("GET", _path(native_id))), self._deployment)
        status = named(job, "status", self._deployment)
        completed, failed = count(job.get("successRecordCount")), count(job.get("errorRecordCount"))
        if status in _RUNNING:
            return Handed(ended=False, completed=completed, failed=failed)
        if status == "Failed":
            return Handed(True, completed, failed, failure=str(job.get("message") or "It gave no reason.")[:500])
        nothing = status in _CUT_SHORT and job.get("processedRecordCount") == 0
        results = () if nothing else (self._results(native_id, tag),)
        return Handed(True, completed, failed, results, expired=status == "Expired")

    def cancel(self, native_id: str) -> Steps[None]:
        yield self._job_request("POST", f"{_path(native_id)}/stop")

    def row_of(self, line: Line) -> Json:
        body, _ = chat_row(self._dialect, line, target_for(self._deployment, self._deployment.group, 0))
        return {"recordId": str(line.number), "modelInput": body}

    def answer(self, row: Json) -> NativeAnswer:
        number, output = str(row.get("recordId") or ""), row.get("modelOutput")
        if isinstance(output, dict):
            return chat_answer(self._dialect, self._deployment, self._asked, number, output)
        error = fields(row.get("error"))
        return refused(number, error.get("errorCode") or "no_answer", error.get("errorMessage") or "Bedrock gave no answer.")

    @property
    def _output_bucket(self) -> str:
        return self._storage.output_bucket or self._storage.bucket

    def _results(self, native_id: str, tag: str) -> Request:
        key = f"{folder_of(self._storage, tag)}/out/{native_id.rpartition('/')[2]}/input.jsonl.out"
        return Request(self._s3, "GET", self._object_url(self._output_bucket, key))

    def _object_url(self, bucket: str, key: str) -> str:
        region = self._s3.auth.params["region"].value
        suffix = f"{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
        if self._storage.endpoint:
            root = f"{self._storage.endpoint}/{bucket}"
        else:  # a dot in a bucket's name is no subdomain that the certificate knows
            root = f"https://s3.{suffix}/{bucket}" if "." in bucket else f"https://{bucket}.s3.{suffix}"
        return f"{root}/{quote(key, safe='/')}"

    def _job_request(self, method: str, path: str, body: bytes = b"") -> Request:
        return Request(self._deployment, method, f"{_control_plane(self._deployment)}/model-invocation-job{path}", body)


def _dialect_of(deployment: Deployment) -> str:
    return _INVOKE if deployment.dialect == _CONVERSE and "claude" in deployment.model else deployment.dialect


def _name(tag: str) -> str:
    """Jobs and tokens are named without underscores."""
    return tag.replace("_", "-")


def _path(arn: str) -> str:
    return f"/{quote(arn, safe='')}"


def _region(deployment: Deployment) -> str:
    region = deployment.auth.params.get("region")
    return region.value if region is not None and region.value else (urlsplit(deployment.base_url).hostname or "..").split(".")[1]


def _control_plane(deployment: Deployment) -> str:
    """Beside the runtime's address; a private endpoint for the runtime serves nothing else."""
    if ".vpce." in deployment.base_url:
        return f"https://bedrock.{_region(deployment)}.amazonaws.com"
    return deployment.base_url.replace("bedrock-runtime", "bedrock", 1)


def _s3_door(deployment: Deployment, storage: BatchStorage) -> Deployment:
    """The deployment as S3 is asked: signed for that service in the bucket's region, with the bucket's own keys if it has any."""
    where: dict[str, Any] = {"service": Secret("literal", "s3"), "region": Secret("literal", storage.region or _region(deployment))}
    params = {**(storage.keys or deployment.auth.params), **where}
    return replace(deployment, api_key=None, headers={}, auth=Auth("sigv4", params))
