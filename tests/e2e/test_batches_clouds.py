"""Batches that Bedrock, Vertex AI and the Gemini API run, through the real program and the official client: handed over once, at batch
prices, and every line told what became of it.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.batch_clouds import Clouds
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of
from tests.support.upstream import Upstream

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
"""Without prices for batches: the half that every one of these clouds publishes."""
HALF = (9 * 1_000 + 12 * 10_000) // 2
ROLE = "arn:aws:iam::123456789012:role/batches"


@dataclass(frozen=True)
class Case:
    """`lines` the least its provider takes; `failing` the code of a line it refuses."""

    model: str
    lines: int = 3
    failing: str = "provider_error"


CASES = [
    Case("nova", 100, "400"),
    Case("bedrock-claude", 100, "400"),
    Case("vertex-gemini"),
    Case("vertex-claude"),
    Case("gemini", failing="3"),
]
by_cloud = pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
by_api = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.model, marks=[pytest.mark.slow] if "claude" in case.model else []) for case in CASES]
)
"""Claude goes the same ways as its neighbours do; in its own words it is asked in every run."""


def account(url: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return json.dumps({"type": "service_account", "client_email": "a@b", "private_key": pem, "token_uri": f"{url}/token"})


def models(url: str) -> list[dict[str, Any]]:
    bedrock = {
        "api_base": url,
        "aws_region_name": "us-east-1",
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "secret",
        "aws_batch_role_arn": ROLE,
        "s3_bucket_name": "bucket/some/folder",
        "s3_region_name": "eu-west-1",
        "s3_access_key_id": "AKIDS3",
        "s3_secret_access_key": "secret",
        "s3_endpoint_url": url,
    }
    vertex = {
        "api_base": url,
        "vertex_project": "p",
        "vertex_location": "us-central1",
        "vertex_credentials": account(url),
        "gcs_bucket_name": "gcs-bucket",
    }
    rows = {
        "nova": {"model": "bedrock/us.amazon.nova-pro-v1:0", **bedrock, "s3_output_bucket_name": "bucket-out"},
        "bedrock-claude": {"model": "bedrock/us.anthropic.claude-sonnet-5-v1:0", **bedrock},
        "no-bucket": {"model": "bedrock/us.amazon.nova-pro-v1:0", **{name: bedrock[name] for name in list(bedrock)[:4]}},
        "vertex-gemini": {"model": "vertex_ai/gemini-3.5-flash", **vertex},
        "vertex-claude": {"model": "vertex_ai/claude-sonnet-5", **vertex},
        "gemini": {"model": "gemini/gemini-3.5-flash", "api_base": f"{url}/v1beta", "api_key": "sk-upstream"},
    }
    info = {"gemini": {**PRICES, "mode": "batch"}}
    return [{"model_name": name, "litellm_params": params, "model_info": info.get(name, PRICES)} for name, params in rows.items()]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(Clouds()) as server:
        yield server


@pytest.fixture
def clouds(upstream: Upstream) -> Clouds:
    upstream.handler = made = Clouds()
    return made


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    env = {"TOLLKEEPER_BATCH_LOOK_SECONDS": "0.1", "STORAGE_EMULATOR_HOST": upstream.url}
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config_of(*models(upstream.url)), env).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


def begin(client: openai.OpenAI, case: Case, *, second: str = "Hello", **body: Any) -> str:
    rows = [
        {
            "custom_id": f"Any id, {number}!",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": case.model, "max_tokens": 20, "messages": [{"role": "user", "content": said}], **body},
        }
        for number, said in enumerate(["Hello", second, *["Hello"] * (case.lines - 2)], 1)
    ]
    file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, rows)).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id


def until(client: openai.OpenAI, batch_id: str, *statuses: str) -> Any:
    for _ in range(300):
        batch = client.batches.retrieve(batch_id)
        if batch.status in statuses or batch.status in {"completed", "failed", "cancelled", "expired"}:
            assert batch.status in statuses, batch
            return batch
        time.sleep(0.2)
    raise AssertionError(batch)


def content(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()] if file_id else []


def booked(gateway: GatewayProcess, batch_id: str) -> list[dict[str, Any]]:
    return [entry for entry in gateway.ledger() if entry["call_id"].startswith(batch_id)]


@by_cloud
def test_it_is_run_at_batch_prices(client: openai.OpenAI, gateway: GatewayProcess, clouds: Clouds, case: Case) -> None:
    batch = until(client, begin(client, case, second="refuse me"), "completed")
    good, bad = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert (len(clouds.jobs), batch.request_counts.completed, batch.request_counts.failed) == (1, case.lines - 1, 1)
    assert {row["custom_id"] for row in good} == {f"Any id, {number}!" for number in range(1, case.lines + 1) if number != 2}
    answers = [row["response"]["body"] for row in good]
    assert {(body["choices"][0]["message"]["content"], body["model"], body["usage"]["total_tokens"]) for body in answers} == {
        ("hello", case.model, 21)
    }
    assert all(body["created"] > 0 for body in answers)
    assert [(row["custom_id"], row["response"], row["error"]["code"]) for row in bad] == [("Any id, 2!", None, case.failing)]
    assert "bad request" in bad[0]["error"]["message"]
    entries = booked(gateway, batch.id)
    assert len(entries) == case.lines - 1
    assert {(entry["cost"], entry["service_tier"], entry["model"]) for entry in entries} == {(HALF, "batch", case.model)}


@by_api
def test_a_job_whose_answer_was_lost_is_found_again(client: openai.OpenAI, clouds: Clouds, case: Case) -> None:
    clouds.lose_next = True
    until(client, begin(client, case), "completed")
    assert len(clouds.jobs) == 1


def test_a_restart_neither_hands_over_nor_books_again(client: openai.OpenAI, gateway: GatewayProcess, clouds: Clouds) -> None:
    clouds.hold = True
    begun = {begin(client, case): case for case in CASES}
    while len(clouds.jobs) < len(CASES):
        time.sleep(0.02)
    gateway.kill()
    clouds.hold = False
    gateway.start()
    for batch_id, case in begun.items():
        until(client, batch_id, "completed")
        assert len(booked(gateway, batch_id)) == case.lines
    assert len(clouds.jobs) == len(CASES)


def test_a_key_that_is_deleted_meanwhile_is_still_booked(gateway: GatewayProcess, clouds: Clouds) -> None:
    clouds.hold, key = True, gateway.new_key(team_id=gateway.admin("POST", "/team/new", {}).json()["team_id"])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as gone:
        batch_id = begin(gone, CASES[2])
    while not clouds.jobs:
        time.sleep(0.02)
    assert gateway.admin("POST", "/key/delete", {"keys": [key]}).status_code == 200
    clouds.hold = False
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY, max_retries=0) as master:
        until(master, batch_id, "completed")
    assert [entry["cost"] for entry in booked(gateway, batch_id)] == [HALF] * 3


@by_api
def test_a_cancelled_one_is_cancelled_there(client: openai.OpenAI, clouds: Clouds, case: Case) -> None:
    clouds.hold = True
    batch_id = begin(client, case)
    while not clouds.jobs:
        time.sleep(0.02)
    client.batches.cancel(batch_id)
    until(client, batch_id, "cancelled")
    assert clouds.cancelled == set(clouds.jobs)


@by_api
def test_web_pages_in_place_of_answers_and_a_missing_line(client: openai.OpenAI, clouds: Clouds, case: Case) -> None:
    clouds.pages, clouds.missing = 4, {"2"}
    batch = until(client, begin(client, case), "completed")
    (bad,) = content(client, batch.error_file_id)
    assert (bad["custom_id"], bad["error"]["code"]) == ("Any id, 2!", "no_answer")
    assert (batch.request_counts.completed, len(clouds.jobs)) == (case.lines - 1, 1)


def test_a_hard_budget_has_it_run_line_by_line(gateway: GatewayProcess, clouds: Clouds) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=1), max_retries=0) as poor:
        batch = until(poor, begin(poor, CASES[0]), "completed")
    assert (batch.request_counts.completed, clouds.jobs) == (100, {})


def test_bedrock_is_asked_in_its_own_words(client: openai.OpenAI, clouds: Clouds) -> None:
    until(client, batch_id := begin(client, CASES[0]), "completed")
    (job,) = clouds.jobs.values()
    name = batch_id.replace("_", "-")
    place = f"bucket/some/folder/tollkeeper/{batch_id}"
    assert job == {
        "jobName": name,
        "clientRequestToken": name,
        "roleArn": ROLE,
        "modelId": "us.amazon.nova-pro-v1:0",
        "modelInvocationType": "Converse",
        "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": f"s3://{place}/input.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{place.replace('bucket', 'bucket-out', 1)}/out/"}},
        "timeoutDurationInHours": 24,
    }
    first = json.loads(clouds.buckets[f"{place}/input.jsonl"].splitlines()[0])
    assert first["recordId"] == "1"
    assert first["modelInput"]["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]
    scopes = {request.headers["authorization"].partition("Credential=")[2].partition(",")[0] for request in clouds.asked}
    assert {(parts[0], *parts[2:]) for parts in (scope.split("/") for scope in scopes)} == {
        ("AKIDEXAMPLE", "us-east-1", "bedrock", "aws4_request"),
        ("AKIDS3", "eu-west-1", "s3", "aws4_request"),
    }


def test_claude_on_bedrock_may_have_tools(client: openai.OpenAI, clouds: Clouds) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    until(client, begin(client, CASES[1], tools=[tool]), "completed")
    (job,) = clouds.jobs.values()
    assert job["modelInvocationType"] == "InvokeModel"
    uri = job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://")
    asked = json.loads(clouds.buckets[uri].splitlines()[0])["modelInput"]
    assert (asked["anthropic_version"], asked["tools"][0]["name"]) == ("bedrock-2023-05-31", "f")


@pytest.mark.slow
@pytest.mark.parametrize("case", [Case("nova", 99), Case("no-bucket", 100)], ids=["too few", "no bucket"])
def test_what_bedrock_would_not_take_is_run_line_by_line(client: openai.OpenAI, clouds: Clouds, case: Case) -> None:
    batch = until(client, begin(client, case), "completed")
    assert (batch.request_counts.completed, clouds.jobs) == (case.lines, {})


def test_a_bucket_that_may_not_be_written_fails_the_batch_and_says_so(client: openai.OpenAI, clouds: Clouds) -> None:
    clouds.denied = True
    batch = until(client, begin(client, CASES[0]), "failed")
    assert "Access Denied" in batch.errors.data[0].message
    assert not clouds.jobs


def test_vertex_is_asked_in_its_own_words(client: openai.OpenAI, clouds: Clouds) -> None:
    until(client, batch_id := begin(client, CASES[2]), "completed")
    (job,) = clouds.jobs.values()
    place = f"gs://gcs-bucket/tollkeeper/{batch_id}"
    assert job == {
        "displayName": batch_id,
        "labels": {"tollkeeper_batch": batch_id.lower()},
        "model": "publishers/google/models/gemini-3.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"{place}/input.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": f"{place}/out"}},
    }
    made = next(request for request in clouds.asked if request.path.endswith("/batchPredictionJobs"))
    assert made.path == "/v1/projects/p/locations/us-central1/batchPredictionJobs"
    asked = [request.headers.get("authorization") for request in clouds.asked if request.path != "/token"]
    assert set(asked) == {"Bearer google-token"}


def test_gemini_runs_no_batch_with_schemas(client: openai.OpenAI, clouds: Clouds) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "properties": {}}}}
    until(client, begin(client, CASES[4], response_format=schema), "completed")
    assert not clouds.jobs


def test_a_line_that_cannot_be_translated_is_told_so_and_the_others_run(client: openai.OpenAI, clouds: Clouds) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:nonsense"}}]}]},
    ]
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": {"model": "vertex-gemini", **body}}
        for number, body in enumerate(rows)
    ]
    file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    batch = until(client, made.id, "completed")
    (good,), (bad,) = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert (good["custom_id"], bad["custom_id"], len(clouds.jobs)) == ("0", "1", 1)
    assert bad["error"]["message"] == "A data: URL has no data."


@pytest.mark.slow
def test_ten_thousand_lines_killed_twice(client: openai.OpenAI, gateway: GatewayProcess, clouds: Clouds) -> None:
    case = Case("nova", 10_000)
    batch_id = begin(client, case)
    while not clouds.jobs:
        time.sleep(0.02)
    gateway.kill()
    gateway.start()
    while not len(booked(gateway, batch_id)) > 2_000:
        time.sleep(0.2)
    gateway.kill()
    gateway.start()
    batch = until(client, batch_id, "completed")
    entries, rows = booked(gateway, batch_id), content(client, batch.output_file_id)
    assert (len(clouds.jobs), batch.request_counts.completed, len(rows)) == (1, 10_000, 10_000)
    assert len({row["custom_id"] for row in rows}) == 10_000
    assert (len(entries), sum(entry["cost"] for entry in entries)) == (10_000, 10_000 * HALF)
    assert {row["response"]["request_id"] for row in rows} == {entry["request_id"] for entry in entries}
