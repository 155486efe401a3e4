"""Batches that the provider runs itself, through the real program: handed over once, at batch prices, in OpenAI's format all the same."""

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.support.batch_providers import BatchProvider
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Upstream

PRICES = {
    "input_cost_per_token": 0.000001,
    "output_cost_per_token": 0.00001,
    "input_cost_per_token_batches": 0.0000005,
    "output_cost_per_token_batches": 0.000005,
}
HALF = (9 * 1_000 + 12 * 10_000) // 2


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(BatchProvider()) as server:
        yield server


@pytest.fixture
def provider(upstream: Upstream) -> BatchProvider:
    upstream.handler = made = BatchProvider()
    return made


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info={"mode": "batch", **PRICES}),
        model("azure", "azure/team-batch", upstream.url, api_version="2024-10-21", model_info={"mode": "batch", **PRICES}),
        model("azure-v1", "azure/team-batch", upstream.url, model_info={"mode": "batch", **PRICES}),
        model("azure-single", "azure/team-standard", upstream.url, api_version="2024-10-21", model_info=PRICES),
        model("claude", "anthropic/claude-sonnet-5", upstream.url, model_info={"mode": "batch", **PRICES}),
        guardrails=[{"guardrail_name": "quiet", "litellm_params": {"guardrail": "litellm_content_filter", "blocked_words": [SECRET]}}],
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, {"TOLLKEEPER_BATCH_LOOK_SECONDS": "1"}).start()
    yield process
    process.stop()


SECRET = {"keyword": "secret", "action": "BLOCK"}


def begin(client: openai.OpenAI, rows: dict[str, str], model_name: str = "fast") -> str:
    lines = [
        {
            "custom_id": custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model_name, "max_tokens": 20, "messages": [{"role": "user", "content": said}]},
        }
        for custom_id, said in rows.items()
    ]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id


def until(client: openai.OpenAI, batch_id: str, *statuses: str) -> Any:
    for _ in range(600):
        batch = client.batches.retrieve(batch_id)
        if batch.status in statuses:
            return batch
        time.sleep(0.05)
    raise AssertionError(batch)


def content(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def booked(gateway: GatewayProcess, batch_id: str) -> list[dict[str, Any]]:
    return [entry for entry in gateway.ledger() if entry["call_id"].startswith(batch_id)]


def client_for(gateway: GatewayProcess, **key: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(**key), max_retries=0)


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with client_for(gateway) as made:
        yield made


def test_openai_runs_it_at_batch_prices(client: openai.OpenAI, gateway: GatewayProcess, provider: BatchProvider) -> None:
    batch = until(client, begin(client, {"a": "one", "bad": "two", "c": "three"}), "completed", "failed")
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed, batch.request_counts.total) == (2, 1, 3)
    good, bad = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert [(row["custom_id"], row["response"]["body"]["choices"][0]["message"]["content"]) for row in good] == [
        ("a", "native one"),
        ("c", "native three"),
    ]
    assert {row["response"]["body"]["model"] for row in good} == {"fast"}
    assert [(row["custom_id"], row["response"]["status_code"]) for row in bad] == [("bad", 400)]
    sent = json.loads(next(iter(provider.batches.values()))["input"].splitlines()[0])
    assert sent["body"]["model"] == "gpt-4o-mini"
    entries = booked(gateway, batch.id)
    assert [(entry["cost"], entry["service_tier"], entry["call_type"]) for entry in entries] == [(HALF, "batch", "aretrieve_batch")] * 2
    assert {entry["request_id"] for entry in entries} == {row["response"]["request_id"] for row in good}


def test_anthropic_runs_it_and_answers_as_a_chat(client: openai.OpenAI, gateway: GatewayProcess, provider: BatchProvider) -> None:
    batch = until(client, begin(client, {"any text at all!": "one", "x": "refuse me"}, "claude"), "completed", "failed")
    (good,), (bad,) = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert good["custom_id"] == "any text at all!"
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "hello"
    assert good["response"]["body"]["model"] == "claude"
    assert (bad["custom_id"], bad["error"]["code"]) == ("x", "invalid_request_error")
    assert [entry["cost"] for entry in booked(gateway, batch.id)] == [HALF]


def test_a_restart_neither_hands_over_nor_books_again(client: openai.OpenAI, gateway: GatewayProcess, provider: BatchProvider) -> None:
    provider.hold = True
    batch_id = begin(client, {"a": "one", "b": "two"})
    until(client, batch_id, "in_progress")
    while not provider.submitted:
        time.sleep(0.02)
    gateway.kill()
    provider.hold = False
    gateway.start()
    batch = until(client, batch_id, "completed", "failed")
    assert (batch.status, provider.submitted) == ("completed", 1)
    assert len(booked(gateway, batch.id)) == 2


def test_a_submission_whose_answer_was_lost_is_found_again(client: openai.OpenAI, provider: BatchProvider) -> None:
    provider.lose_next = True
    batch = until(client, begin(client, {"a": "one"}), "completed", "failed")
    assert (batch.status, provider.submitted) == ("completed", 1)


def test_where_it_cannot_be_found_it_is_not_handed_over_again(client: openai.OpenAI, provider: BatchProvider) -> None:
    provider.lose_next = True
    batch = until(client, begin(client, {"a": "one"}, "claude"), "completed", "failed")
    assert (batch.status, provider.submitted) == ("failed", 1)
    assert batch.errors.data[0].code == "unconfirmed"


def test_a_cancelled_one_keeps_what_the_provider_had_done(client: openai.OpenAI, provider: BatchProvider) -> None:
    provider.hold = True
    batch_id = begin(client, {"a": "one", "b": "two"})
    while not provider.submitted:
        time.sleep(0.02)
    client.batches.cancel(batch_id)
    batch = until(client, batch_id, "cancelled")
    assert [row["custom_id"] for row in content(client, batch.output_file_id)] == ["a"]


def test_a_hard_budget_has_it_run_line_by_line(gateway: GatewayProcess, provider: BatchProvider) -> None:
    with client_for(gateway, max_budget=1) as poor:
        batch = until(poor, begin(poor, {"a": "one"}), "completed", "failed")
        (row,) = content(poor, batch.output_file_id)
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "one by one"
    assert provider.submitted == 0


def test_guardrails_have_it_run_line_by_line(gateway: GatewayProcess, provider: BatchProvider) -> None:
    with client_for(gateway, guardrails=["quiet"]) as guarded:
        batch = until(guarded, begin(guarded, {"a": "one", "b": "secret"}), "completed", "failed")
        ((good,), (bad,)) = content(guarded, batch.output_file_id), content(guarded, batch.error_file_id)
    assert (good["custom_id"], bad["custom_id"], bad["response"]["status_code"]) == ("a", "b", 400)
    assert provider.submitted == 0


@pytest.mark.parametrize(
    ("model_name", "root", "query", "line_url"),
    [
        ("azure", "/openai", "?api-version=2024-10-21", "/chat/completions"),
        ("azure-v1", "/openai/v1", "", "/v1/chat/completions"),
    ],
)
def test_azure_runs_it_at_its_own_addresses(
    client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream, model_name: str, root: str, query: str, line_url: str
) -> None:
    upstream.handler, upstream.received = (provider := BatchProvider(azure=True)), []
    batch = until(client, begin(client, {"a": "one", "bad": "two"}, model_name), "completed", "failed")
    (good,), (bad,) = content(client, batch.output_file_id), content(client, batch.error_file_id)
    assert (good["custom_id"], good["response"]["body"]["model"], bad["custom_id"]) == ("a", model_name, "bad")
    (made,) = provider.batches.values()
    sent = json.loads(made["input"].splitlines()[0])
    assert (sent["url"], sent["body"]["model"], made["endpoint"]) == (line_url, "team-batch", "/chat/completions")
    called = [request.path for request in upstream.received]
    assert called[:3] == [f"{root}/files{query}", f"{root}/files/file-0{query}", f"{root}/batches{query}"]
    assert all(path.startswith(f"{root}/") and path.endswith(query) for path in called)
    assert {request.headers["api-key"] for request in upstream.received} == {"sk-upstream"}
    assert [entry["cost"] for entry in booked(gateway, batch.id)] == [HALF]


def test_an_azure_deployment_that_is_none_for_batches_is_run_line_by_line(client: openai.OpenAI, provider: BatchProvider) -> None:
    batch = until(client, begin(client, {"a": "one"}, "azure-single"), "completed", "failed")
    (row,) = content(client, batch.output_file_id)
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "one by one"
    assert provider.submitted == 0
