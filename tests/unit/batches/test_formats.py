"""Each provider's way to run batches, without a wire: what is sent, and what is made of what comes back."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from botocore.session import Session
from botocore.validate import validate_parameters

from tollkeeper.batches.lines import Line
from tollkeeper.batches.native.base import Asked, BatchFormat, Handed, Intake, Made, Request, Steps
from tollkeeper.batches.native.choice import format_for, runs_natively
from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import UpstreamFailed, UpstreamProtocolError

CHAT = "/v1/chat/completions"
ROWS = b"{}\n"
TAG = "batch_01KB0000000000000000000000"
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc123def456"
ROLE = "arn:aws:iam::123456789012:role/batches"
BEDROCK = {"model": "bedrock/amazon.nova-pro-v1:0", "aws_region_name": "us-east-1", "s3_bucket_name": "ours", "aws_batch_role_arn": ROLE}
VERTEX = {"model": "vertex_ai/gemini-3.5-flash", "vertex_project": "p", "vertex_location": "us-central1", "gcs_bucket_name": "ours"}
GEMINI = {"model": "gemini/gemini-3.5-flash", "api_key": "os.environ/K"}
AZURE = {"model": "azure/dep", "api_base": "https://r.openai.azure.com", "api_key": "os.environ/K"}
LINES = [Line(number, f"id {number}", {"model": "m", "messages": [{"role": "user", "content": "x"}]}, 1) for number in (1, 2)]


def deployment(params: Mapping[str, Any], **info: Any) -> Deployment:
    rows = [{"model_name": "m", "litellm_params": dict(params), "model_info": info}]
    return compile_config(orjson.dumps({"model_list": rows}).decode(), env={"K": "k"}.get).deployments[0]


def way(params: Mapping[str, Any], endpoint: str = CHAT) -> BatchFormat:
    found = format_for(deployment(params), Asked("alias", endpoint, 1_700_000_000))
    assert found is not None
    return found


def staged_by(found: BatchFormat) -> Steps[str]:
    return found.stage(b"".join(orjson.dumps(found.row_of(line)) + b"\n" for line in LINES), TAG)


def walked(steps: Steps[Made], *answers: Any) -> tuple[Made, list[Request]]:
    """What the steps made, and what they sent."""
    sent, left = [next(steps)], list(answers)
    while True:
        try:
            sent.append(steps.send(orjson.dumps(left.pop(0))))
        except StopIteration as done:
            assert not left
            return done.value, sent


def looked(params: Mapping[str, Any], native_id: str, *answers: Any) -> Handed:
    return walked(way(params).look(native_id, TAG), *answers)[0]


def test_a_job_is_what_botocore_knows_as_one() -> None:
    made, (sent,) = walked(way(BEDROCK | {"s3_encryption_key_id": "key"}).create("s3://ours/in.jsonl", ROWS, TAG), {"jobArn": ARN})
    shape = Session().get_service_model("bedrock").operation_model("CreateModelInvocationJob").input_shape
    body = orjson.loads(sent.body)
    validate_parameters(body, shape)
    for name in ("jobName", "clientRequestToken", "roleArn"):
        assert re.fullmatch(shape.members[name].metadata["pattern"], body[name]), name
    assert len(body["jobName"]) <= shape.members["jobName"].metadata["max"]
    assert (made, sent.method, sent.url) == (ARN, "POST", "https://bedrock.us-east-1.amazonaws.com/model-invocation-job")


@pytest.mark.parametrize(
    ("more", "host", "region"),
    [
        ({}, "https://ours.s3.us-east-1.amazonaws.com", "us-east-1"),
        ({"s3_region_name": "eu-west-1"}, "https://ours.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"aws_region_name": "cn-north-1"}, "https://ours.s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ({"s3_bucket_name": "ours.example"}, "https://s3.us-east-1.amazonaws.com/ours.example", "us-east-1"),
        ({"s3_endpoint_url": "http://minio:9000"}, "http://minio:9000/ours", "us-east-1"),
    ],
)
def test_where_the_lines_of_a_job_go(more: Mapping[str, Any], host: str, region: str) -> None:
    _, (sent,) = walked(staged_by(way({**BEDROCK, **more})), {})
    assert sent.url == f"{host}/tollkeeper/{TAG}/input.jsonl"
    assert (sent.through.auth.params["service"].value, sent.through.auth.params["region"].value) == ("s3", region)
    assert [orjson.loads(row)["recordId"] for row in sent.body.splitlines()] == ["1", "2"]


@pytest.mark.parametrize(
    ("base", "control"),
    [
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com", "https://bedrock-fips.us-east-1.amazonaws.com"),
        ("https://vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com", "https://bedrock.us-east-1.amazonaws.com"),
    ],
)
def test_jobs_are_not_asked_of_the_runtime(base: str, control: str) -> None:
    _, (sent,) = walked(way({**BEDROCK, "api_base": base}).look(ARN, TAG), {"status": "InProgress"})
    assert sent.url == f"{control}/model-invocation-job/{ARN.replace(':', '%3A').replace('/', '%2F')}"


@pytest.mark.parametrize(
    ("job", "ended", "results", "failure", "expired"),
    [
        *(({"status": status}, False, 0, None, False) for status in ("Submitted", "Validating", "Scheduled", "InProgress", "Stopping")),
        ({"status": "Completed", "successRecordCount": 2}, True, 1, None, False),
        ({"status": "PartiallyCompleted"}, True, 1, None, False),
        ({"status": "Stopped", "processedRecordCount": 0}, True, 0, None, False),
        ({"status": "Stopped", "processedRecordCount": 1}, True, 1, None, False),
        ({"status": "Expired", "processedRecordCount": 1}, True, 1, None, True),
        ({"status": "Failed", "message": "no access to the bucket"}, True, 0, "no access to the bucket", False),
    ],
)
def test_how_a_job_of_bedrocks_stands(job: Any, ended: bool, results: int, failure: str | None, expired: bool) -> None:
    state = looked(BEDROCK, ARN, job)
    assert (state.ended, len(state.results), state.failure, state.expired) == (ended, results, failure, expired)
    for file in state.results:
        assert file.url.endswith(f"/tollkeeper/{TAG}/out/abc123def456/input.jsonl.out")


def test_a_job_is_found_by_its_whole_name() -> None:
    name = TAG.replace("_", "-")
    jobs = [{"jobArn": f"{ARN}-other", "jobName": f"{name}-other"}, {"jobArn": ARN, "jobName": name}]
    assert walked(way(BEDROCK).find(TAG), {"invocationJobSummaries": jobs})[0] == ARN
    assert walked(way(BEDROCK).find(TAG), {"invocationJobSummaries": jobs[:1]})[0] is None


@pytest.mark.parametrize("tree", [{}, {"status": ""}, {"jobArn": None}])
def test_an_answer_without_what_it_must_have_is_none(tree: Any) -> None:
    with pytest.raises(UpstreamProtocolError):
        looked(BEDROCK, ARN, tree)
    with pytest.raises(UpstreamProtocolError):
        walked(way(BEDROCK).create("s3://ours/in.jsonl", ROWS, TAG), tree)


@pytest.mark.parametrize("row", [{}, {"recordId": "1"}, {"recordId": "1", "modelOutput": {}}, {"recordId": "1", "modelOutput": "?"}])
def test_a_row_without_an_answer_is_an_error_of_its_line(row: Any) -> None:
    for params in (BEDROCK, VERTEX, GEMINI):
        answer = way(params).answer(row)
        assert (answer.body, answer.usage) == (None, None)
        assert answer.error is not None


def test_vertex_at_its_own_addresses() -> None:
    place = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    staged, (put,) = walked(staged_by(way(VERTEX)), {"name": "x"})
    assert staged == f"gs://ours/tollkeeper/{TAG}/input.jsonl"
    assert put.url == f"https://storage.googleapis.com/upload/storage/v1/b/ours/o?uploadType=media&name=tollkeeper%2F{TAG}%2Finput.jsonl"
    name = "projects/12/locations/us-central1/batchPredictionJobs/3"
    _, (made,) = walked(way(VERTEX).create(staged, ROWS, TAG), {"name": name})
    assert made.url == f"{place}/batchPredictionJobs"
    _, (seen,) = walked(way(VERTEX).look(name, TAG), {"state": "JOB_STATE_RUNNING"})
    assert seen.url == f"https://us-central1-aiplatform.googleapis.com/v1/{name}"
    _, (everywhere,) = walked(way(VERTEX | {"vertex_location": "global"}).create(staged, ROWS, TAG), {"name": name})
    assert everywhere.url == "https://aiplatform.googleapis.com/v1/projects/p/locations/global/batchPredictionJobs"


@pytest.mark.parametrize(
    ("job", "names", "results", "failure", "expired"),
    [
        ({"state": "JOB_STATE_SUCCEEDED"}, ["out/b.jsonl", "out/a.jsonl", "out/manifest.txt"], ["a.jsonl", "b.jsonl"], None, False),
        ({"state": "JOB_STATE_PARTIALLY_SUCCEEDED"}, ["out/a.jsonl"], ["a.jsonl"], None, False),
        ({"state": "JOB_STATE_FAILED", "error": {"message": "why"}}, [], [], "why", False),
        ({"state": "JOB_STATE_FAILED", "error": {"message": "why"}}, ["out/a.jsonl"], ["a.jsonl"], None, False),
        ({"state": "JOB_STATE_CANCELLED"}, [], [], None, False),
        ({"state": "JOB_STATE_EXPIRED"}, ["out/a.jsonl"], ["a.jsonl"], None, True),
    ],
)
def test_how_a_job_of_vertexs_stands(job: Any, names: list[str], results: list[str], failure: str | None, expired: bool) -> None:
    state = looked(VERTEX, "projects/1/locations/l/batchPredictionJobs/3", job, {"items": [{"name": name} for name in names]})
    files = [file.url.partition("?")[0].rpartition("%2F")[2] for file in state.results]
    assert (state.ended, files, state.failure, state.expired) == (True, results, failure, expired)


def test_a_success_without_results_is_asked_for_again() -> None:
    with pytest.raises(UpstreamProtocolError):
        looked(VERTEX, "projects/1/locations/l/batchPredictionJobs/3", {"state": "JOB_STATE_SUCCEEDED"}, {})
    with pytest.raises(UpstreamProtocolError):
        looked(GEMINI, "batches/1", {"metadata": {"state": "BATCH_STATE_SUCCEEDED"}})


def test_vertex_may_write_an_answer_as_text() -> None:
    answer = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}
    row = {"request": {"labels": {"tollkeeper_line": "7"}}, "status": "", "response": orjson.dumps(answer).decode()}
    found = way(VERTEX).answer(row)
    assert found.body is not None
    assert (found.custom_id, found.body["choices"][0]["message"]["content"], found.body["model"]) == ("7", "hi", "alias")


@pytest.mark.parametrize(
    ("job", "ended", "results", "failure"),
    [
        ({"metadata": {"state": "BATCH_STATE_RUNNING"}}, False, 0, None),
        ({"name": "batches/1", "state": "JOB_STATE_PENDING"}, False, 0, None),
        ({"metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "response": {"responsesFile": "files/o"}}, True, 1, None),
        ({"metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/o"}}}, True, 1, None),
        ({"metadata": {"state": "BATCH_STATE_CANCELLED"}}, True, 0, None),
        ({"metadata": {"state": "BATCH_STATE_FAILED"}, "error": {"message": "why"}}, True, 0, "why"),
    ],
)
def test_how_a_batch_of_geminis_stands(job: Any, ended: bool, results: int, failure: str | None) -> None:
    state = looked(GEMINI, "batches/1", job)
    assert (state.ended, len(state.results), state.failure) == (ended, results, failure)
    for file in state.results:
        assert file.url == "https://generativelanguage.googleapis.com/download/v1beta/files/o:download?alt=media"


def test_gemini_takes_a_file_in_one_request() -> None:
    staged, (sent,) = walked(staged_by(way(GEMINI)), {"file": {"name": "files/1"}})
    assert (staged, sent.url) == ("files/1", "https://generativelanguage.googleapis.com/upload/v1beta/files")
    about, rows = (part.partition(b"\r\n\r\n")[2].rstrip() for part in sent.body.split(b"--tollkeeper-batch")[1:3])
    assert orjson.loads(about)["file"]["displayName"] == TAG
    assert [orjson.loads(row)["key"] for row in rows.splitlines()] == ["1", "2"]


@pytest.mark.parametrize(
    ("more", "root", "query"),
    [
        ({"api_version": "2024-10-21"}, "/openai", "?api-version=2024-10-21"),
        ({}, "/openai/v1", ""),
        ({"api_version": "preview"}, "/openai/v1", "?api-version=preview"),
        ({"api_version": "2025-04-01-preview", "model": "azure/responses/dep"}, "/openai", "?api-version=2025-04-01-preview"),
        (
            {"api_base": "https://r.openai.azure.com/openai/deployments/dep", "api_version": "2024-10-21"},
            "/openai",
            "?api-version=2024-10-21",
        ),
    ],
)
def test_azure_addresses(more: Mapping[str, Any], root: str, query: str) -> None:
    azure = way({**AZURE, **more})
    _, (made,) = walked(azure.create("file-1", ROWS, TAG), {"id": "b"})
    _, (found,) = walked(azure.find(TAG), {"data": []})
    assert made.url == f"https://r.openai.azure.com{root}/batches{query}"
    assert found.url == f"https://r.openai.azure.com{root}/batches{query or '?'}{'&' if query else ''}limit=100"


def test_azure_that_never_reads_a_file() -> None:
    with pytest.raises(UpstreamFailed):
        walked(way(AZURE).stage(ROWS, TAG), *[{"id": "file-1", "status": "pending"}] * 31)


@pytest.mark.parametrize(
    ("params", "info", "intake", "natively"),
    [
        (BEDROCK, {}, Intake(CHAT, 100), True),
        (BEDROCK, {}, Intake(CHAT, 99), False),
        (BEDROCK, {}, Intake("/v1/embeddings", 100), False),
        (BEDROCK, {}, Intake(CHAT, 100, frozenset({"tools"})), False),
        (BEDROCK | {"model": "bedrock/us.anthropic.claude-x"}, {}, Intake(CHAT, 100, frozenset({"tools"})), True),
        (BEDROCK | {"model": "bedrock/invoke/us.anthropic.claude-x"}, {}, Intake(CHAT, 100), True),
        (VERTEX, {}, Intake(CHAT, 1), True),
        (VERTEX | {"model": "vertex_ai/claude-sonnet-5"}, {}, Intake(CHAT, 1), True),
        (VERTEX | {"model": "vertex_ai/meta/llama-4"}, {}, Intake(CHAT, 1), False),
        ({name: VERTEX[name] for name in ("model", "vertex_project", "vertex_location")}, {}, Intake(CHAT, 1), False),
        (GEMINI, {}, Intake(CHAT, 1), True),
        (GEMINI, {}, Intake(CHAT, 1, frozenset({"schema"})), False),
        (GEMINI | {"api_base": "https://elsewhere.example/v1beta"}, {}, Intake(CHAT, 1), False),
        (AZURE, {"mode": "batch"}, Intake(CHAT, 1), True),
        (AZURE, {"mode": "batch"}, Intake("/v1/completions", 1), False),
        (AZURE, {}, Intake(CHAT, 1), False),
        ({"model": "groq/llama-x", "api_key": "os.environ/K"}, {}, Intake(CHAT, 1), False),
    ],
)
def test_whose_batches_are_run_by_whom(params: Mapping[str, Any], info: Any, intake: Intake, natively: bool) -> None:
    assert runs_natively(deployment(params, **info), intake) is natively
