"""The bound is a promise: no usage within a request's means may cost more than was set aside for it."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.budgets.bound import UNKNOWN_OUTPUT, UNKNOWN_WINDOW, Bound, PriceUnknown, Tariff, worst_case
from tollkeeper.budgets.media import TOOL_FEE_FEMTO
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.dialects.usage import Usage
from tollkeeper.ledger.cost import cost_of
from tollkeeper.money import NanoUSD

UNITS = ("input", "output", "cache_read", "cache_creation", "cache_creation_1h", "reasoning", "audio_input", "audio_output", "request")
ONE = Prices({"input": Rate(1), "output": Rate(10**6)}, "test")


def ask(text: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def tariff(prices: Prices | None = ONE, **fields: Any) -> Tariff:
    return Tariff(**{"name": "d", "provider": "openai", "model": "gpt-4.1", "prices": prices, "max_output_tokens": 8_000, **fields})


def bound(request: dict[str, Any], *tariffs: Tariff, **options: Any) -> Bound:
    return worst_case(request, tariffs or (tariff(),), **options)


def line(request: dict[str, Any], **fields: Any) -> tuple[int, int]:
    """(fixed, per token) in femto-USD, where a token of input costs one."""
    [found] = bound(request, tariff(**fields)).lines
    return found.fixed, found.per_token


rates = st.builds(
    lambda price, tiers: Rate(price, tuple(sorted(tiers))),
    st.integers(0, 10**11),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 10**11)), max_size=2, unique_by=lambda tier: tier[0]),
)


@given(
    st.dictionaries(st.sampled_from(("input", "output", "input@flex", "output@priority", "request")), rates),
    st.sampled_from(("flex", "priority", "default")),
    st.dictionaries(st.sampled_from(("flex", "priority")), st.integers(0, 3 * 10**6)),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**7), st.integers(0, 10**12)),
    st.integers(0, 200),
)
def test_nor_any_tier_or_margin(
    priced: dict[str, Rate], tier: str, factors: dict[str, int], adjusted: tuple[int, int, int], output: int
) -> None:
    request = ask("hello", max_tokens=200, service_tier=tier)
    discount, margin, fixed = adjusted
    prices = Prices(priced, "test", tiers=factors, discount=discount, margin=margin, margin_fixed=fixed)
    found = bound(request, tariff(prices))
    for served in (tier, ""):
        usage = Usage(input=len(orjson.dumps(request)), output=output, service_tier=served if served != "default" else "")
        assert cost_of(usage, prices).total <= found.amount_for(200)


@given(st.dictionaries(st.sampled_from(UNITS), rates), st.text(max_size=200), st.integers(1, 500), st.integers(1, 4), st.data())
def test_no_usage_a_request_can_cause_costs_more(priced: dict[str, Rate], text: str, limit: int, n: int, data: st.DataObject) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 800, "format": "mp3"}}
    parts = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}, sound]
    request = ask(parts, max_tokens=limit, n=n, modalities=["text", "audio"])
    prices = Prices(priced, "test")
    tokens, output = data.draw(st.integers(0, len(text.encode()) + 50)), data.draw(st.integers(0, limit * n))
    creation = data.draw(st.integers(0, tokens))
    usage = Usage(
        input=tokens,
        output=output,
        cache_read=data.draw(st.integers(0, tokens - creation)),
        cache_creation=creation,
        cache_creation_1h=data.draw(st.integers(0, creation)),
        reasoning=data.draw(st.integers(0, output)),
        audio_input=data.draw(st.integers(0, 50)),
        audio_output=data.draw(st.integers(0, output)),
    )
    assert cost_of(usage, prices).total <= bound(request, tariff(prices)).amount


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**9), st.integers(16, 5_000)), min_size=1, max_size=4),
    st.integers(0, 10**7),
)
def test_what_an_amount_buys_costs_at_most_that_amount(rows: list[tuple[int, int, int]], amount: int) -> None:
    tariffs = [tariff(Prices({"request": Rate(fee), "output": Rate(price)}, "t"), max_output_tokens=most) for fee, price, most in rows]
    found = bound(ask(), *tariffs)
    tokens = found.tokens_for(NanoUSD(amount))
    assert tokens <= found.output_tokens
    if tokens >= 0:
        assert found.amount_for(tokens) <= amount
    if tokens < found.output_tokens:
        assert found.amount_for(max(tokens, -1) + 1) > amount
    assert found.tokens_for(found.amount) == found.output_tokens
    assert found.tokens_for(found.minimum(64)) >= min(64, found.output_tokens)


def test_the_smallest_limit_counts_whatever_it_is_called() -> None:
    assert bound(ask(max_tokens=20, max_completion_tokens=4096)).output_tokens == 20
    assert bound(ask(max_tokens=4096, max_completion_tokens=70)).output_tokens == 70
    assert bound({"contents": [], "generationConfig": {"maxOutputTokens": 300}}).output_tokens == 300
    assert bound(ask(inferenceConfig={"maxTokens": 200})).output_tokens == 200


def test_a_limit_is_never_taken_below_what_providers_bill_nor_above_what_the_model_can() -> None:
    assert bound(ask(max_tokens=1)).output_tokens == 16
    assert bound(ask(max_tokens=10**9)).output_tokens == 8_000
    assert bound(ask()).output_tokens == 8_000
    assert bound(ask(), tariff(max_output_tokens=None)).output_tokens == UNKNOWN_OUTPUT


@pytest.mark.parametrize("strange", [-5, "many", None, True, 1.5e300, [], {}])
def test_a_limit_that_is_none_never_lowers_the_bound(strange: Any) -> None:
    assert bound(ask(max_tokens=strange)).amount >= bound(ask()).amount


def test_every_answer_asked_for_is_paid() -> None:
    one = line(ask())[1]
    assert line(ask(n=3))[1] == line(ask(n=2, best_of=3))[1] == 3 * one
    assert line(ask(generationConfig={"candidateCount": 4}))[1] == 4 * one


def test_the_dearest_deployment_of_the_plan_is_paid() -> None:
    cheap, dear = tariff(), tariff(Prices({"input": Rate(5), "output": Rate(10**7)}, "t"), max_output_tokens=100)
    assert bound(ask(), cheap, dear).amount == max(bound(ask(), cheap).amount, bound(ask(), dear).amount)
    assert bound(ask(max_tokens=90), cheap, dear).amount == bound(ask(max_tokens=90), dear).amount


def test_input_is_never_more_than_the_context_window() -> None:
    assert line(ask("x" * 10_000), max_input_tokens=2_000)[0] == 2_000


def test_a_tier_counts_when_the_input_may_reach_it() -> None:
    tiered = Prices({"input": Rate(1, ((2_000, 7),)), "output": Rate(1, ((2_000, 9),))}, "t")
    assert line(ask("x"), prices=tiered)[1] == 1
    assert line(ask("x" * 4_000), prices=tiered)[1] == 9
    assert line(ask("x" * 4_000), prices=tiered)[0] > 7 * 4_000


def test_the_long_cache_is_paid_only_where_it_is_asked_for() -> None:
    cached = Prices({"input": Rate(100), "cache_creation": Rate(125), "cache_creation_1h": Rate(200), "output": Rate(0)}, "t")
    plain, asked = ask("hi"), ask([{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
    assert line(plain, prices=cached)[0] % 125 == 0
    assert line(asked, prices=cached)[0] % 200 == 0


def test_priority_costs_its_factor() -> None:
    standard, priority = bound(ask(max_tokens=100)), bound(ask(max_tokens=100, service_tier="priority"))
    assert priority.lines[0].per_token == 2 * standard.lines[0].per_token


def test_a_rejected_prediction_is_paid_as_output() -> None:
    text = {"type": "content", "content": "y" * 500}
    assert line(ask(prediction=text))[0] - line(ask())[0] >= 500 * 10**6


def test_reasoning_beyond_the_limit_is_in_the_fixed_part() -> None:
    [found] = bound(ask(max_tokens=10), tariff(provider="xai", model="grok-4")).lines
    assert found.per_token == 0
    assert found.fixed >= 8_000 * 10**6


def test_tools_that_the_provider_runs_read_the_window_again_and_cost_a_fee() -> None:
    search = ask(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}])
    assert line(search, max_input_tokens=1_000)[0] == 4 * 1_000 + 3 * TOOL_FEE_FEMTO
    assert line(ask(web_search_options={}, tools=[]), max_input_tokens=1_000)[0] < TOOL_FEE_FEMTO
    assert line(ask(web_search_options={"search_context_size": "low"}), max_input_tokens=1_000)[0] > 10 * TOOL_FEE_FEMTO


def test_what_lies_with_the_provider_fills_the_window() -> None:
    for stored in ({"previous_response_id": "r"}, {"cachedContent": "c"}, {"prompt": {"id": "p"}}):
        assert line(ask(**stored), max_input_tokens=5_000)[0] == 5_000
        assert line(ask(**stored))[0] == UNKNOWN_WINDOW


def test_an_unknown_price_is_refused_with_its_remedy_unless_the_budget_is_soft() -> None:
    unknown = tariff(None, name="onprem-llama", provider="hosted_vllm", model="llama")
    with pytest.raises(PriceUnknown, match="input_cost_per_token") as refused:
        bound(ask(), tariff(), unknown)
    assert (refused.value.status, refused.value.code) == (400, "price_unknown")
    assert "onprem-llama" in refused.value.message
    assert bound(ask(), unknown, hard=False).amount == 0
    assert bound(ask(), tariff(), unknown, hard=False).amount == bound(ask()).amount


def test_a_free_model_costs_nothing() -> None:
    assert bound(ask(), tariff(Prices({"input": Rate(0), "output": Rate(0)}, "t"))).amount == 0


def test_an_endpoint_without_output_pays_for_input_only() -> None:
    embedding = bound({"model": "e", "input": ["a" * 100]}, output=False)
    assert embedding.output_tokens == 0
    assert embedding.lines[0].fixed >= 100


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_json_breaks_the_bound(value: Any) -> None:
    for name in ("messages", "tools", "input", "contents", "max_tokens", "n", "modalities", "prediction", "service_tier", "options"):
        request = {"model": "m", name: value}
        try:
            raw = orjson.dumps(request)
        except TypeError:
            return  # an integer no JSON reader of ours lets in
        assert worst_case(request, [tariff()], body=raw).amount > 0
