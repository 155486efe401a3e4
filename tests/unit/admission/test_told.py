"""The response headers LiteLLM's clients read, on answers, streams and errors."""

from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.upstream import completion, text_stream
from tests.support.wiring import Said, Wired, wire

from tollkeeper.clock import iso

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
PROVIDER = {"x-request-id": "up-1", "x-ratelimit-remaining-requests": "9", "set-cookie": "secret", "content-type": "application/json"}


async def wired_with(said: Any, **sections: Any) -> Wired:
    return await wire(
        lambda _: said() if callable(said) else said,
        model("fast", "openai/gpt-4o-mini", "http://x.test/v1", model_info={**PRICES, "id": "dep-1"}),
        router_settings={"num_retries": 0},
        **sections,
    )


async def test_an_answer_says_where_it_came_from_and_what_it_cost() -> None:
    wired = await wired_with(Said(body=completion(), headers=PROVIDER))
    headers = (await wired.chat()).headers
    assert headers["x-litellm-model-id"] == "dep-1"
    assert headers["x-litellm-model-name"] == "openai/gpt-4o-mini"
    assert headers["x-litellm-model-api-base"] == "http://x.test/v1"
    assert headers["x-litellm-model-group"] == "fast"
    assert headers["x-litellm-version"].count(".") == 2
    assert (headers["x-litellm-attempted-retries"], headers["x-litellm-attempted-fallbacks"]) == ("0", "0")
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(0.000129)
    assert float(headers["x-litellm-response-cost-input"]) == pytest.approx(0.000009)
    assert float(headers["x-litellm-response-cost-output"]) == pytest.approx(0.00012)
    assert float(headers["x-litellm-response-duration-ms"]) >= float(headers["x-litellm-overhead-duration-ms"]) >= 0


async def test_the_providers_headers_come_with_a_prefix_and_without_its_cookies() -> None:
    wired = await wired_with(Said(body=completion(), headers=PROVIDER))
    headers = (await wired.chat()).headers
    assert headers["llm_provider-x-request-id"] == "up-1"
    assert headers["llm_provider-x-ratelimit-remaining-requests"] == "9"
    assert not [name for name in headers if "cookie" in name or name == "llm_provider-content-type"]


async def test_a_key_sees_its_own_terms_and_its_spend() -> None:
    wired = await wired_with(lambda: Said(body=completion()))
    key = await wired.new_key(max_budget=2, rpm_limit=7, tpm_limit=9000)
    first, second = (await wired.chat(key, max_tokens=20)).headers, (await wired.chat(key, max_tokens=20)).headers
    assert first["x-litellm-key-max-budget"] == "2.0"
    assert (first["x-litellm-key-rpm-limit"], first["x-litellm-key-tpm-limit"]) == ("7", "9000")
    assert [float(headers["x-litellm-key-spend"]) for headers in (first, second)] == pytest.approx([0.000129, 0.000258])


async def test_a_temporary_increase_is_in_the_budget_a_key_is_told_until_it_ends() -> None:
    wired = await wired_with(lambda: Said(body=completion()))
    key = await wired.new_key(max_budget=0.0000001)
    changed = {"key": key, "temp_budget_increase": 100, "temp_budget_expiry": iso(wired.clock.now() + 3600)}
    assert (await wired.admin("POST", "/key/update", changed)).status_code == 200
    assert (await wired.chat(key, max_tokens=20)).headers["x-litellm-key-max-budget"] == "100.0000001"
    wired.clock.advance(3601)
    refused = await wired.chat(key, max_tokens=20)
    assert (refused.status_code, refused.json()["error"]["limit_usd"]) == (422, 0.0000001)


async def test_a_streams_headers_say_nothing_of_a_cost_that_is_not_known_yet() -> None:
    events = [b"data: " + orjson.dumps(event) + b"\n\n" for event in text_stream("a", "b")]
    wired = await wired_with(lambda: Said(pieces=[*events, b"data: [DONE]\n\n"], headers=PROVIDER))
    headers = (await wired.chat(stream=True)).headers
    assert not [name for name in headers if name.startswith("x-litellm-response-cost")]
    assert headers["x-litellm-model-id"] == "dep-1"
    assert headers["llm_provider-x-request-id"] == "up-1"


async def test_an_error_says_where_it_came_from_too() -> None:
    wired = await wired_with(Said(429, {"error": {"message": "slow down"}}, headers={**PROVIDER, "retry-after": "7"}))
    answer = await wired.client.post(
        "/v1/chat/completions",
        json={"model": "fast", "messages": []},
        headers={"authorization": "Bearer sk-master-0123456789abcdef", "x-litellm-call-id": "mine"},
    )
    headers = answer.headers
    assert (answer.status_code, headers["retry-after"], headers["x-litellm-call-id"]) == (429, "7", "mine")
    assert (headers["x-litellm-model-group"], headers["x-litellm-model-id"]) == ("fast", "dep-1")
    assert (headers["llm_provider-retry-after"], headers["llm_provider-x-request-id"]) == ("7", "up-1")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/nothing/here"])
async def test_every_refusal_has_an_id(path: str) -> None:
    wired = await wired_with(Said(body=completion()))
    for method in ("GET", "POST"):
        answer = await wired.client.request(method, path, json={})
        assert answer.status_code >= 400
        assert answer.headers["x-litellm-call-id"]


async def test_models_say_what_they_are_for_and_how_much_fits() -> None:
    wired = await wire(
        lambda _: Said(body=completion()),
        model("fast", "openai/gpt-4o-mini", "http://x.test/v1", model_info={"max_input_tokens": 1000, "max_output_tokens": 50}),
        model("fast", "openai/gpt-4o-mini", "http://y.test/v1", model_info={"max_input_tokens": 3000, "max_output_tokens": 20}),
        model("vectors", "openai/text-embedding-3-small", "http://x.test/v1"),
        model("mystery", "hosted_vllm/mystery", "http://x.test/v1"),
    )
    rows = {row["id"]: row for row in (await wired.admin("GET", "/v1/models")).json()["data"]}
    shown = {name: (row["mode"], row.get("max_input_tokens"), row.get("max_output_tokens")) for name, row in rows.items()}
    assert shown["fast"] == ("chat", 1000, 20)
    assert shown["vectors"][0] == "embedding"
    assert shown["mystery"] == ("chat", None, None)
    assert (await wired.admin("GET", "/models/fast")).json() == rows["fast"]
