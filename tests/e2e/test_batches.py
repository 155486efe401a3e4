"""Files and batches through the real program, as the official openai client uses them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, completion

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
MAX_FILE_BYTES = 14_000_000
COST = 9 * 1_000 + 12 * 10_000
"""Nano-dollars of one scripted answer."""


def provider(request: Received) -> Reply:
    body = request.json
    if request.path.endswith("/embeddings"):
        rows = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
        return as_json({"object": "list", "model": "e", "data": rows, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    said = body["messages"][-1]["content"] if "messages" in body else ""
    if said == "refuse me":
        return as_json({"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "bad"}}, 400)
    return as_json(completion(f"echo {said}"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES),
        model("vectors", "openai/text-embedding-3-small", f"{upstream.url}/v1", model_info={"mode": "embedding", **PRICES}),
        router_settings={"num_retries": 0},
    )
    limit = {"TOLLKEEPER_MAX_FILE_BYTES": str(MAX_FILE_BYTES)}
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, limit).start()
    yield process
    process.stop()


def client_for(gateway: GatewayProcess, **key: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(**key), max_retries=0, timeout=30)


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with client_for(gateway) as made:
        yield made


def row(custom_id: str, said: str = "hi", *, url: str = "/v1/chat/completions", **body: Any) -> str:
    asked = {"model": "fast", "messages": [{"role": "user", "content": said}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": asked})


def jsonl(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def uploaded(client: openai.OpenAI, *rows: str) -> str:
    return client.files.create(file=("in.jsonl", jsonl(*rows)), purpose="batch").id


def begun(client: openai.OpenAI, *rows: str, endpoint: Any = "/v1/chat/completions", **fields: Any) -> Any:
    return client.batches.create(input_file_id=uploaded(client, *rows), endpoint=endpoint, completion_window="24h", **fields)


def ended(client: openai.OpenAI, batch_id: str) -> Any:
    for _ in range(600):
        batch = client.batches.retrieve(batch_id)
        if batch.status in {"completed", "failed", "expired", "cancelled"}:
            return batch
        time.sleep(0.05)
    raise AssertionError(batch)


def content(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_a_file_is_kept_shown_listed_read_and_deleted(client: openai.OpenAI) -> None:
    data = bytes(range(256)) * 50_000  # 12.8 MB: four parts
    made = client.files.create(file=("data.bin", data), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert (made.object, made.bytes, made.filename, made.purpose, made.status) == ("file", len(data), "data.bin", "user_data", "processed")
    assert made.expires_at == made.created_at + 3600
    assert client.files.retrieve(made.id) == made
    other = client.files.create(file=("b.jsonl", b"{}"), purpose="batch")
    assert [file.id for file in client.files.list()] == [other.id, made.id]
    assert [file.id for file in client.files.list(order="asc")] == [made.id, other.id]
    assert [file.id for file in client.files.list(purpose="batch")] == [other.id]
    first = client.files.list(limit=1)
    assert ([file.id for file in first.data], first.has_more) == ([other.id], True)
    assert [file.id for file in client.files.list(limit=1, after=other.id).data] == [made.id]
    assert client.files.content(made.id).read() == data
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(made.id)
    assert [file.id for file in client.files.list()] == [other.id]


def test_a_batch_runs_and_its_files_are_openais(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    batch = begun(client, row("a", "one"), row("b", "refuse me"), "", row("c", "three"), metadata={"job": "nightly"})
    assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"job": "nightly"})
    assert batch.expires_at == batch.created_at + 86_400
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
    assert batch.in_progress_at
    assert batch.finalizing_at
    assert batch.completed_at
    good, bad = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert [line["custom_id"] for line in good] == ["a", "c"]
    assert [line["response"]["body"]["choices"][0]["message"]["content"] for line in good] == ["echo one", "echo three"]
    assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in good)
    assert good[0]["response"]["body"]["model"] == "fast"
    ((refused),) = bad
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("b", 400)
    assert refused["response"]["body"]["error"]["code"] == "bad"
    assert client.files.retrieve(batch.output_file_id).purpose == "batch_output"
    booked = {entry["request_id"]: entry for entry in gateway.ledger() if entry["call_id"].startswith(batch.id)}
    assert [booked[line["response"]["request_id"]]["cost"] for line in good] == [COST, COST]
    assert [each.id for each in client.batches.list(limit=1)][:1] == [batch.id]


@pytest.mark.parametrize(
    ("endpoint", "body", "found"),
    [
        ("/v1/embeddings", {"model": "vectors", "input": "x"}, lambda body: body["data"][0]["embedding"] == [0.5, 0.25]),
        ("/v1/completions", {"model": "fast", "prompt": "hello"}, lambda body: body["choices"][0]["text"] == "echo hello"),
        ("/v1/responses", {"model": "fast", "input": "hello"}, lambda body: body["output"][0]["content"][0]["text"] == "echo hello"),
    ],
)
def test_every_endpoint_of_a_batch(client: openai.OpenAI, endpoint: str, body: dict[str, Any], found: Any) -> None:
    line = json.dumps({"custom_id": "a", "method": "POST", "url": endpoint, "body": body})
    batch = ended(client, begun(client, line, endpoint=endpoint).id)
    assert batch.status == "completed", batch
    (answer,) = content(client, batch.output_file_id)
    assert found(answer["response"]["body"])


BROKEN: list[tuple[str, list[str], str, int | None, str]] = [
    ("broken JSON", [row("a"), '{"custom_id": '], "invalid_json_line", 2, "not valid JSON"),
    ("no object", ["[1]"], "invalid_json_line", 1, "not a JSON object"),
    ("twice", [row("a"), row("b"), row("a")], "duplicate_custom_id", 3, "'a'"),
    ("another endpoint", [row("a", url="/v1/embeddings")], "mismatched_endpoint", 1, "/v1/embeddings"),
    ("no model", [row("a", model=None)], "missing_required_parameter", 1, "model"),
    ("unknown model", [row("a"), row("b", model="gone")], "model_not_found", 2, "gone"),
    ("a stream", [row("a", stream=True)], "unsupported_parameter", 1, "stream"),
    ("no messages", [row("a", messages=None)], "invalid_type", 1, "messages"),
    ("nothing", [""], "empty_file", None, "no requests"),
]


@pytest.mark.parametrize(("rows", "code", "line", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_file_fails_before_anything_is_run(
    client: openai.OpenAI, upstream: Upstream, rows: list[str], code: str, line: int | None, said: str
) -> None:
    asked = len(upstream.received)
    batch = ended(client, begun(client, *rows).id)
    assert batch.status == "failed"
    assert batch.failed_at
    assert batch.output_file_id is None
    (fault,) = batch.errors.data
    assert (fault.code, fault.line) == (code, line)
    assert said in fault.message
    assert len(upstream.received) == asked


def test_what_is_wrong_with_a_request_is_said_at_once(client: openai.OpenAI) -> None:
    file_id = uploaded(client, row("a"))
    wrong = client.files.create(file=("x", b"x"), purpose="user_data").id
    window: Any = "7d"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"input_file_id": "file-gone", "endpoint": "/v1/embeddings"}, "input_file_id"),
        ({"input_file_id": wrong, "endpoint": "/v1/embeddings"}, "input_file_id"),
        ({"input_file_id": file_id, "endpoint": "/v1/nothing"}, "endpoint"),
        ({"input_file_id": file_id, "endpoint": "/v1/embeddings", "completion_window": window}, "completion_window"),
        ({"input_file_id": file_id, "endpoint": "/v1/embeddings", "metadata": {"a": "x" * 600}}, "metadata"),
    ]
    for fields, param in cases:
        with pytest.raises(openai.BadRequestError) as caught:
            client.batches.create(**{"completion_window": "24h", **fields})
        assert caught.value.param == param
    purpose: Any = "nonsense"
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("x", b"x"), purpose=purpose)
    assert caught.value.param == "purpose"
    for ask in (lambda: client.batches.retrieve("batch_gone"), lambda: client.batches.cancel("batch_gone")):
        with pytest.raises(openai.NotFoundError):
            ask()


def test_files_and_batches_are_their_owners(gateway: GatewayProcess, client: openai.OpenAI) -> None:
    gateway.admin("POST", "/team/new", {"team_id": "red"})
    with client_for(gateway, team_id="red") as first, client_for(gateway, team_id="red") as mate, client_for(gateway) as stranger:
        file_id = uploaded(first, row("a"))
        batch = first.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
        assert mate.files.retrieve(file_id).id == file_id
        assert mate.batches.retrieve(batch.id).id == batch.id
        assert [file.id for file in stranger.files.list()] == []
        assert stranger.batches.list().data == []
        asks: list[Any] = [
            lambda: stranger.files.retrieve(file_id),
            lambda: stranger.files.content(file_id),
            lambda: stranger.files.delete(file_id),
            lambda: stranger.batches.retrieve(batch.id),
            lambda: stranger.batches.cancel(batch.id),
        ]
        for ask in asks:
            with pytest.raises(openai.NotFoundError):
                ask()
        with pytest.raises(openai.BadRequestError, match="No such File"):
            stranger.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
        ended(first, batch.id)


def test_a_cancelled_batch_keeps_what_was_answered(client: openai.OpenAI, upstream: Upstream) -> None:
    def slow(request: Received) -> Reply:
        reply = provider(request)
        return Reply(reply.status, reply.headers, [0.2, *reply.pieces])

    upstream.handler = slow
    batch = begun(client, *(row(f"r{number}") for number in range(2000)))
    while client.batches.retrieve(batch.id).status == "validating":
        time.sleep(0.02)
    time.sleep(0.5)
    assert client.batches.cancel(batch.id).status in {"cancelling", "cancelled"}
    batch = ended(client, batch.id)
    assert batch.status == "cancelled"
    assert batch.cancelling_at
    assert batch.cancelled_at
    done = content(client, batch.output_file_id)
    assert 0 < len(done) == batch.request_counts.completed < 2000
    assert batch.request_counts.total == 2000
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(ended(client, begun(client, row("a")).id).id)


def test_a_batch_spends_its_keys_budget_line_by_line(gateway: GatewayProcess, client: openai.OpenAI) -> None:
    with client_for(gateway, max_budget=20 * COST / 10**9) as poor:
        batch = ended(poor, begun(poor, *(row(f"r{number}", max_tokens=12) for number in range(40))).id)
        assert batch.status == "completed"
        good, bad = content(poor, batch.output_file_id), content(poor, batch.error_file_id)
        assert {line["response"]["body"]["error"]["type"] for line in bad} == {"budget_exceeded"}
    spent = sum(entry["cost"] for entry in gateway.ledger() if entry["call_id"].startswith(batch.id))
    assert 10 * COST < spent == len(good) * COST <= 20 * COST


def test_a_large_file_comes_by_url(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    announced = httpx.post(
        f"{gateway.url}/v1/files",
        json={"purpose": "batch", "filename": "big.jsonl"},
        headers={"authorization": f"Bearer {client.api_key}"},
        trust_env=False,
    ).json()
    assert (announced["status"], announced["upload_method"]) == ("pending", "PUT")
    with pytest.raises(openai.BadRequestError, match="not been uploaded"):
        client.batches.create(input_file_id=announced["id"], endpoint="/v1/chat/completions", completion_window="24h")
    forged = announced["upload_url"].replace("signature=", "signature=0")
    assert httpx.put(forged, content=b"x", trust_env=False).status_code == 403
    assert httpx.put(announced["upload_url"], content=jsonl(row("a")), trust_env=False).status_code == 200
    assert client.files.retrieve(announced["id"]).status == "processed"
    batch = client.batches.create(input_file_id=announced["id"], endpoint="/v1/chat/completions", completion_window="24h")
    assert ended(client, batch.id).status == "completed"


def test_a_file_above_the_limit_is_told_another_way(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    before = set((gateway.state / "objects").rglob("*"))
    with pytest.raises(openai.APIStatusError, match="upload_url") as caught:
        client.files.create(file=("x", b"x" * (MAX_FILE_BYTES + 100_000)), purpose="batch")
    assert caught.value.status_code == 413
    assert set((gateway.state / "objects").rglob("*")) == before


def test_a_large_file_comes_in_parts(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    data = bytes(range(256)) * 20_000  # 5.1 MB
    done = client.uploads.upload_file_chunked(
        file=data, filename="big.jsonl", bytes=len(data), mime_type="text/jsonl", purpose="batch", part_size=2_000_000
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.bytes, done.file.filename, done.file.purpose) == (len(data), "big.jsonl", "batch")
    assert client.files.content(done.file.id).read() == data
    begun_one = client.uploads.create(bytes=4, filename="a", mime_type="x", purpose="batch")
    part = client.uploads.parts.create(begun_one.id, data=b"abcd")
    for part_ids, param in ((["part_gone"], "part_ids"), ([part.id, part.id], "part_ids"), ([], "part_ids")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.uploads.complete(begun_one.id, part_ids=part_ids)
        assert caught.value.param == param
    with client_for(gateway) as stranger, pytest.raises(openai.NotFoundError):
        stranger.uploads.complete(begun_one.id, part_ids=[part.id])
    assert client.uploads.cancel(begun_one.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.uploads.complete(begun_one.id, part_ids=[part.id])
    with pytest.raises(openai.BadRequestError, match="bytes"):
        client.uploads.create(bytes=0, filename="a", mime_type="x", purpose="batch")
