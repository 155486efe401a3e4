"""What can be asked about models without calling one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Upstream, as_json, completion

NOWHERE = "http://127.0.0.1:9/v1"
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001, "cache_read_input_token_cost": 0.0000001}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("fast", "openai/gpt-4o-mini", NOWHERE, model_info=PRICES),
        model("thinker", "openai/gpt-5", NOWHERE),
        model("claude", "anthropic/claude-sonnet-4-5", NOWHERE),
        model("embed", "openai/text-embedding-3-small", NOWHERE),
        model("unpriced", "openai/who-knows", NOWHERE),
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


def asked(gateway: GatewayProcess, method: str, path: str, body: Any = None, key: str = MASTER_KEY) -> httpx.Response:
    return httpx.request(method, gateway.url + path, json=body, headers={"authorization": f"Bearer {key}"}, trust_env=False)


def test_tokens_are_counted_in_proportion(gateway: GatewayProcess) -> None:
    def count(**fields: Any) -> int:
        answer = asked(gateway, "POST", "/utils/token_counter", {"model": "fast", **fields}).json()
        assert (answer["request_model"], answer["model_used"], answer["error"]) == ("fast", "gpt-4o-mini", False)
        return int(answer["total_tokens"])

    assert 800 < count(prompt="word " * 1000) < 2000
    few, many = (count(messages=[{"role": "user", "content": "word " * n}]) for n in (10, 1000))
    assert few < 60 < many


def test_parameters_are_those_the_models_dialect_takes(gateway: GatewayProcess) -> None:
    def supported(name: str) -> set[str]:
        return set(asked(gateway, "GET", f"/utils/supported_openai_params?model={name}").json()["supported_openai_params"])

    assert {"temperature", "tools", "seed", "n", "logprobs"} <= supported("fast")
    assert {"temperature", "logprobs"}.isdisjoint(supported("thinker"))
    assert {"temperature", "tools", "tool_choice", "stop"} <= supported("claude")
    assert {"seed", "n", "logit_bias"}.isdisjoint(supported("claude"))


def test_a_request_is_shown_in_the_providers_words(gateway: GatewayProcess) -> None:
    request = {
        "model": "claude",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "max_tokens": 9,
    }
    shown = asked(gateway, "POST", "/utils/transform_request", {"call_type": "completion", "request_body": request}).json()
    assert shown["raw_request_api_base"] == f"{NOWHERE}/messages"
    assert shown["raw_request_body"]["system"] == "Be brief."
    assert shown["raw_request_headers"]["x-api-key"] == "****"
    key = gateway.new_key(models=["fast"])
    assert asked(gateway, "POST", "/utils/transform_request", {"request_body": request}, key).status_code in {401, 403}
    bad = asked(gateway, "POST", "/utils/transform_request", {"request_body": {**request, "n": 2}})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "n")


def test_a_cost_is_estimated(gateway: GatewayProcess) -> None:
    body = {"model": "fast", "input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 500, "num_requests_per_day": 10}
    answer = asked(gateway, "POST", "/cost/estimate", body).json()
    # 500 at a millionth, 500 cached at a tenth of it, 100 at a hundred-thousandth
    assert answer["cost_per_request"] == pytest.approx(0.00155)
    assert answer["output_cost_per_request"] == pytest.approx(0.001)
    assert (answer["daily_cost"], answer["monthly_cost"]) == (pytest.approx(0.0155), None)
    assert answer["provider"] == "openai"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"output_tokens": None}, "output_tokens"),
        ({"model": "unpriced"}, "model"),
        ({"model": 5}, "model"),
    ],
)
def test_bad_estimates_are_refused_by_name(gateway: GatewayProcess, change: dict[str, Any], param: str) -> None:
    answer = asked(gateway, "POST", "/cost/estimate", {"model": "fast", "input_tokens": 1, "output_tokens": 1, **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_health_tells_what_a_key_can_reach_and_calls_nobody(gateway: GatewayProcess) -> None:
    answer = asked(gateway, "GET", "/health", key=gateway.new_key(models=["fast", "embed"])).json()
    assert {(row["model_name"], row["mode"]) for row in answer["healthy_endpoints"]} == {("fast", "chat"), ("embed", "embedding")}
    assert (answer["healthy_count"], answer["unhealthy_count"], answer["probed"]) == (2, 0, False)
    assert asked(gateway, "GET", "/health?model=fast").json()["healthy_count"] == 1
    assert gateway.ledger() == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", "/utils/token_counter"), ("POST", "/cost/estimate")])
def test_a_stranger_is_told_nothing(gateway: GatewayProcess, method: str, path: str) -> None:
    body = {"model": "fast", "prompt": "x", "input_tokens": 1, "output_tokens": 1}
    assert asked(gateway, method, path, body if method == "POST" else None, key="sk-unknown").status_code == 401


def test_health_probes_when_an_admin_asks_and_only_then(tmp_path: Path) -> None:
    with Upstream(lambda request: as_json(completion("pong"))) as upstream:
        config = config_of(
            model("well", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES), model("ill", "openai/gpt-4o-mini", NOWHERE)
        )
        gateway = GatewayProcess(tmp_path, config).start()
        try:
            assert asked(gateway, "GET", "/health").json()["healthy_count"] == 2
            assert upstream.received == []
            assert asked(gateway, "GET", "/health?probe=true", key=gateway.new_key()).status_code == 403
            assert upstream.received == []
            probed = asked(gateway, "GET", "/health?probe=true").json()
            assert [row["model_name"] for row in probed["healthy_endpoints"]] == ["well"]
            assert [bool(row["error"]) for row in probed["unhealthy_endpoints"]] == [True]
            assert len(upstream.received) == 1
            assert any(entry["cost"] > 0 for entry in gateway.ledger()), "a probe is a paid call"
        finally:
            gateway.stop()


def test_readiness_details_need_a_key(gateway: GatewayProcess) -> None:
    assert httpx.get(f"{gateway.url}/health/readiness/details", trust_env=False).status_code == 401
    details = asked(gateway, "GET", "/health/readiness/details", key=gateway.new_key()).json()
    assert (details["status"], details["db"], details["store"]) == ("healthy", "connected", "sqlite")
    assert details["version"]


def test_what_is_known_of_a_model(gateway: GatewayProcess) -> None:
    info = asked(gateway, "GET", "/utils/model_info?model=fast").json()
    assert (info["key"], info["mode"], info["litellm_provider"]) == ("fast", "chat", "openai")
    assert (info["input_cost_per_token"], info["output_cost_per_token"]) == (0.000001, 0.00001)
    assert info["supports_function_calling"] is True
    assert asked(gateway, "GET", "/utils/model_info?model=unpriced").json()["input_cost_per_token"] is None
    assert asked(gateway, "GET", "/utils/model_info?model=nobody").status_code == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/realtime?model=fast"), ("POST", "/v1/realtime/client_secrets"), ("GET", "/realtime")]
)
def test_realtime_says_what_to_use_instead(gateway: GatewayProcess, method: str, path: str) -> None:
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "eA=="}
    answer = httpx.request(method, gateway.url + path, headers=headers if method == "GET" else {}, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "realtime_not_supported")
    assert "/v1/audio/speech" in answer.json()["error"]["message"]


def test_what_agents_report_home_is_taken_and_dropped(gateway: GatewayProcess) -> None:
    assert asked(gateway, "POST", "/api/event_logging/batch", {"events": []}).status_code == 200
