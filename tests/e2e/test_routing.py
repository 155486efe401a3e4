"""Routing through the real program: the official client, a gateway process, and a provider that misbehaves on a socket."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.support.faults import DNS_URL, WAYS, FaultyProvider
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model

NAMES = ("a", "b", "house")
MESSAGES: Any = [{"role": "user", "content": "Say hello"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[FaultyProvider]:
    with FaultyProvider(NAMES) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: FaultyProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    patience = {"timeout": 2, "stream_timeout": 1}
    rows = [
        model("fast", "openai/m", provider.url("a"), model_info={"id": "a", "region": "us"}, order=1, **patience),
        model("fast", "openai/m", provider.url("b"), model_info={"id": "b", "region": "us"}, order=2, **patience),
        model("house", "openai/m", provider.url("house"), model_info={"id": "house", "labels": {"private": True}}),
        model("broken", "openai/m", provider.tls_url, model_info={"id": "tls"}, order=1, **patience),
        model("broken", "openai/m", DNS_URL, model_info={"id": "dns"}, order=2, **patience),
        model("broken", "openai/m", provider.url("b"), model_info={"id": "well"}, order=3),
        model("hedged", "openai/m", provider.url("a"), model_info={"id": "h1"}, order=1, timeout=30),
        model("hedged", "openai/m", provider.url("b"), model_info={"id": "h2"}, order=2, timeout=30),
    ]
    routing = {
        "rules": [{"name": "secrets", "when": {"metadata": {"classification": "secret"}}, "use": "route to house"}],
        "models": {"hedged": {"hedge": {"after": "300ms", "share": "100%"}}, "fast": {"fallbacks": "fast -> house"}},
    }
    config = config_of(*rows, tollkeeper={"routing": routing}, router_settings={"cooldown_time": 0.2})
    process = GatewayProcess(tmp_path_factory.mktemp("routing"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY, max_retries=0, timeout=30)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "cut mid-stream"])
def test_a_deployment_that_fails_in_any_way_is_not_noticed(client: openai.OpenAI, provider: FaultyProvider, way: str) -> None:
    provider.ways["a"] = way
    try:
        whole = client.chat.completions.create(model="fast", messages=MESSAGES)
        assert whole.choices[0].message.content
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(model="fast", messages=MESSAGES, stream=True)
            if chunk.choices
        )
        assert text == "Hello there"
    finally:
        provider.ways["a"] = ""


def test_a_stream_cut_after_its_first_content_ends_with_an_error_and_no_false_end(client: openai.OpenAI, provider: FaultyProvider) -> None:
    provider.ways |= {"a": "cut mid-stream", "b": "cut mid-stream"}
    try:
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="fast", messages=MESSAGES, stream=True))
    finally:
        provider.ways |= {"a": "", "b": ""}


def test_tls_and_dns_failures_are_gone_round(client: openai.OpenAI) -> None:
    answers = [client.chat.completions.with_raw_response.create(model="broken", messages=MESSAGES) for _ in range(3)]
    assert {answer.headers["x-litellm-model-id"] for answer in answers} == {"well"}


def test_a_slow_deployment_is_overtaken(client: openai.OpenAI, provider: FaultyProvider) -> None:
    provider.ways["a"] = "hang"
    try:
        answer = client.chat.completions.with_raw_response.create(model="hedged", messages=MESSAGES)
        assert answer.headers["x-litellm-model-id"] == "h2"
    finally:
        provider.ways["a"] = ""


def test_secrets_stay_in_the_house_whatever_fails(client: openai.OpenAI, provider: FaultyProvider) -> None:
    before = {name: provider.seen[name].calls for name in NAMES}
    secret = {"metadata": {"classification": "secret"}}
    answer = client.chat.completions.with_raw_response.create(model="fast", messages=MESSAGES, extra_body=secret)
    assert answer.headers["x-litellm-model-group"] == "house"
    required = client.chat.completions.create(model="fast", messages=MESSAGES, extra_headers={"x-tollkeeper-require": "private=true"})
    assert required.model == "fast"
    provider.ways["house"] = "500"
    try:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="fast", messages=MESSAGES, extra_headers={"x-tollkeeper-require": "private=true"})
    finally:
        provider.ways["house"] = ""
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="fast", messages=MESSAGES, extra_headers={"x-tollkeeper-require": "region=eu"})
    assert "region=eu (the request) is required" in str(refused.value)
    after = {name: provider.seen[name].calls for name in NAMES}
    assert (after["a"], after["b"]) == (before["a"], before["b"])


def test_the_plan_is_explained_and_kept(gateway: GatewayProcess, client: openai.OpenAI) -> None:
    said = gateway.admin(
        "POST", "/routing/explain", {"model": "fast", "messages": MESSAGES, "metadata": {"require": "private=true"}}
    ).json()
    assert {row["id"]: row["dropped_because"] for row in said["deployments"]} == {
        "a": "its private is not known, and private=true (the request) is required",
        "b": "its private is not known, and private=true (the request) is required",
    }
    assert said["first"] == "house"
    client.chat.completions.create(model="fast", messages=MESSAGES)
    assert gateway.ledger()[-1]["routing"]["tries"][-1]["outcome"] == "ok"
    latest = gateway.admin("GET", "/health/latest").json()
    assert latest["latest_health_checks"]["house"]["circuit"] == "closed"
    assert gateway.admin("GET", "/health/history").json()["total_records"] == 0
