"""Budgets and limits through the real program with the official client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion, text_stream

ASK: list[Any] = [{"role": "user", "content": "Say hello"}]


def obedient(request: Received) -> Reply:
    """Answers with exactly as many tokens as it was allowed, and says so."""
    body = request.json
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 50
    usage = {"prompt_tokens": 9, "completion_tokens": limit, "total_tokens": 9 + limit}
    if body.get("stream"):
        return as_sse(*text_stream("Hello", usage=usage))
    return as_json(completion(usage=usage))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(obedient) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    priced = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=priced),
        model("unpriced", "hosted_vllm/llama", f"{upstream.url}/v1"),
        model("down", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1", model_info=priced),
        router_settings={"num_retries": 0, "fallbacks": [{"down": ["fast"]}]},
        tollkeeper={"budgets": {"wait_seconds": 0.2}},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


def client_of(gateway: GatewayProcess, **key: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(**key), max_retries=0)


def info(gateway: GatewayProcess, client: openai.OpenAI) -> dict[str, Any]:
    found: dict[str, Any] = gateway.admin("GET", "/key/info", key=client.api_key).json()["info"]
    return found


def test_a_budget_ends_where_it_says_with_every_field_explained(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, max_budget=0.02, key_alias="small") as client:
        spent = 0
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            for _ in range(200):
                client.chat.completions.create(model="fast", messages=ASK, max_tokens=20)
                spent += 9 * 1_000 + 20 * 10_000
        error: Any = refused.value.body
        assert error["type"] == "budget_exceeded"
        assert error["message"].startswith("Budget has been exceeded! Key=small")
        assert error["scope"] == "key=small"
        assert (error["limit_usd"], error["spent_usd"]) == (0.02, spent / 10**9)
        assert error["remedy"]
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert info(gateway, client)["spend"] == spent / 10**9
        assert 0.95 * 0.02 * 10**9 < spent <= 0.02 * 10**9


def test_a_call_without_a_limit_is_clamped_to_what_is_affordable(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, max_budget=0.02) as client:
        raw = client.chat.completions.with_raw_response.create(model="fast", messages=ASK)
        limit = int(raw.headers["x-tollkeeper-max-tokens"])
        assert 64 <= limit < 2000
        assert upstream.received[-1].json["max_tokens"] == limit
        usage = raw.parse().usage
        assert usage is not None
        assert usage.completion_tokens == limit


def test_of_two_limits_the_smaller_one_goes_upstream_alone(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, max_budget=1) as client:
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=7, max_completion_tokens=4096)
    sent = upstream.received[-1].json
    assert [sent.get("max_tokens"), sent.get("max_completion_tokens")].count(7) == 1
    assert 4096 not in sent.values()


@pytest.mark.parametrize("field", ["n", "best_of", "max_tokens", "max_completion_tokens"])
def test_a_number_that_is_none_is_refused_under_a_budget_and_never_guessed_at(gateway: GatewayProcess, field: str) -> None:
    with client_of(gateway, max_budget=1) as client:
        for value in (0, -1, 1.5, "3", True):
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(model="fast", messages=ASK, extra_body={field: value})
            assert refused.value.param == field


def test_a_limit_hidden_in_extra_body_counts(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, max_budget=0.005) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="fast", messages=ASK, extra_body={"extra_body": {"max_tokens": 100_000, "n": 1}}
        )
        assert int(raw.headers["x-tollkeeper-max-tokens"]) < 500


def test_an_unknown_price_under_a_hard_budget_names_the_remedy(gateway: GatewayProcess) -> None:
    with client_of(gateway, max_budget=1) as client, pytest.raises(openai.BadRequestError, match="input_cost_per_token"):
        client.chat.completions.create(model="unpriced", messages=ASK)
    with client_of(gateway) as client:
        client.chat.completions.create(model="unpriced", messages=ASK)


def test_team_user_and_customer_budgets_bind_their_keys(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    team = gateway.admin("POST", "/team/new", {"team_alias": "t", "max_budget": 0.0001}).json()["team_id"]
    with client_of(gateway, team_id=team) as client, pytest.raises(openai.UnprocessableEntityError, match=f"Team={team}"):
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=100)
    gateway.admin("POST", "/user/new", {"user_id": "ada", "max_budget": 0.0001, "auto_create_key": False})
    with client_of(gateway, user_id="ada") as client, pytest.raises(openai.UnprocessableEntityError, match="User=ada"):
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=100)
    assert gateway.admin("POST", "/customer/new", {"user_id": "acme", "max_budget": 0.0001}).status_code == 200
    with client_of(gateway) as client:
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=100)
        with pytest.raises(openai.UnprocessableEntityError, match="End User=acme"):
            client.chat.completions.create(model="fast", messages=ASK, max_tokens=100, user="acme")


def test_one_models_budget_leaves_the_others_alone(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, model_max_budget={"fast": {"max_budget": 0.0001, "budget_duration": "1d"}}) as client:
        with pytest.raises(openai.UnprocessableEntityError, match="exceeded budget for model"):
            client.chat.completions.create(model="fast", messages=ASK, max_tokens=100)
        client.chat.completions.create(model="unpriced", messages=ASK, max_tokens=100)


def test_a_failed_call_costs_nothing_and_a_fallback_costs_once(gateway: GatewayProcess, upstream: Upstream) -> None:
    with client_of(gateway, max_budget=1) as client:
        upstream.handler = lambda _: as_json({"error": {"message": "overloaded"}}, 503)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="fast", messages=ASK, max_tokens=10)
        assert info(gateway, client)["spend"] == 0
        upstream.handler = obedient
        client.chat.completions.create(model="down", messages=ASK, max_tokens=10)
        assert info(gateway, client)["spend"] == (9 * 1_000 + 10 * 10_000) / 10**9


def test_a_cut_stream_is_charged_for_what_came_and_not_its_whole_hold(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"content": "Hello wor"}), done=False, cut=True)
    with client_of(gateway, max_budget=1) as client:
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="fast", messages=ASK, max_tokens=10_000, stream=True))
        spend = info(gateway, client)["spend"]
        entry = gateway.ledger()[-1]
    assert 0 < spend < 0.002
    assert (entry["cost"], entry["usage_at_least"], entry["status"]) == (round(spend * 10**9), True, "cut")


def test_resetting_spend_opens_the_key_again(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, max_budget=0.0012) as client:
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=50)
        with pytest.raises(openai.UnprocessableEntityError):
            client.chat.completions.create(model="fast", messages=ASK, max_tokens=64)
        answer = gateway.admin("POST", f"/key/{client.api_key}/reset_spend", {"reset_to": 0})
        assert answer.status_code == 200, answer.text
        assert answer.json()["previous_spend"] == 0.000509
        client.chat.completions.create(model="fast", messages=ASK, max_tokens=64)


def test_requests_a_minute_are_counted_exactly_and_said_on_every_answer(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = obedient
    with client_of(gateway, rpm_limit=5) as client:

        def one(_: int) -> str:
            try:
                raw = client.chat.completions.with_raw_response.create(model="fast", messages=ASK, max_tokens=1)
                return raw.headers["x-ratelimit-remaining-requests"]
            except openai.RateLimitError as error:
                body: Any = error.body
                assert body["type"] == "throttling_error"
                assert 0 < int(error.response.headers["retry-after"]) <= 60
                assert error.response.headers["rate_limit_type"] == "requests"
                return "refused"

        with ThreadPoolExecutor(12) as pool:
            outcomes = sorted(pool.map(one, range(12)))
    # A minute may end in between: then a second window begins.
    assert outcomes.count("refused") in {7, 2}
    assert {"0", "1", "2", "3", "4"} <= set(outcomes)


def test_parallel_requests_are_limited_while_they_run(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {"content-type": "application/json"}, [0.5, json.dumps(completion()).encode()])
    with client_of(gateway, max_parallel_requests=2) as client:

        def one(_: int) -> bool:
            try:
                client.chat.completions.create(model="fast", messages=ASK)
            except openai.RateLimitError as error:
                assert "max_parallel_requests" in str(error)
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(one, range(6))) == 2
        assert one(0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_budget": -1}, "max_budget"),
        ({"max_budget": 1e30}, "max_budget"),
        ({"budget_duration": "fortnight"}, "budget_duration"),
        ({"budget_limits": [{"budget_duration": "1d", "max_budget": -5}]}, "budget_limits"),
        ({"rpm_limit": -1}, "rpm_limit"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_by_name(gateway: GatewayProcess, fields: dict[str, Any], param: str) -> None:
    answer = gateway.admin("POST", "/key/generate", fields)
    assert answer.status_code == 400, answer.text
    assert str(answer.json()["error"]["param"]).startswith(param)
