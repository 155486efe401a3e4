"""What a call costs. Prices here are femto-dollars: 1,000,000 of them are a nano-dollar."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import Recording, recordings

from tollkeeper.catalog.prices import SOURCES, facts_of
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.ledger.cost import CostBreakdown, cost_of
from tollkeeper.money import NanoUSD

NANO = 10**6
DAY = date(2026, 11, 20)


def _prices(**rates: int | Rate) -> Prices:
    return Prices({name: rate if isinstance(rate, Rate) else Rate(rate * NANO) for name, rate in rates.items()}, "test")


ALL = _prices(
    input=10, output=100, cache_read=1, cache_creation=20, cache_creation_1h=40, reasoning=200, audio_input=50, audio_output=500, request=7
)


def test_each_token_is_billed_once_as_the_most_particular_thing_it_is() -> None:
    usage = Usage(input=100, output=50, cache_read=30, cache_creation=20, cache_creation_1h=5, audio_input=10, reasoning=15, audio_output=5)
    assert cost_of(usage, ALL) == CostBreakdown(
        total=NanoUSD(40 * 10 + 30 * 1 + 15 * 20 + 5 * 40 + 10 * 50 + 30 * 100 + 15 * 200 + 5 * 500 + 7),
        input=NanoUSD(400),
        cache_read=NanoUSD(30),
        cache_creation=NanoUSD(15 * 20 + 5 * 40),
        audio=NanoUSD(10 * 50 + 5 * 500),
        output=NanoUSD(3000),
        reasoning=NanoUSD(3000),
        request=NanoUSD(7),
    )


@pytest.mark.parametrize(
    ("missing", "usage", "as_if"),
    [
        ("cache_read", Usage(input=10, cache_read=4), 10 * 10),
        ("cache_creation", Usage(input=10, cache_creation=4), 10 * 10),
        ("cache_creation_1h", Usage(input=10, cache_creation=4, cache_creation_1h=4), 6 * 10 + 4 * 20),
        ("audio_input", Usage(input=10, audio_input=4), 10 * 10),
        ("audio_output", Usage(output=10, audio_output=4), 10 * 100),
        ("reasoning", Usage(output=10, reasoning=4), 10 * 100),
        ("output", Usage(output=10), 0),
    ],
)
def test_a_missing_rate_falls_back_to_what_it_is_a_part_of(missing: str, usage: Usage, as_if: int) -> None:
    rates = {name: rate for name, rate in ALL.rates.items() if name not in {missing, "request"}}
    assert cost_of(usage, Prices(rates, "test")).total == as_if


def test_a_request_fee_is_due_without_any_token() -> None:
    assert cost_of(Usage(), ALL) == CostBreakdown(NanoUSD(7), request=NanoUSD(7))


@pytest.mark.parametrize(("tokens", "rate"), [(100, 1), (101, 2), (200, 2), (201, 3)])
def test_above_a_threshold_every_token_pays_its_price(tokens: int, rate: int) -> None:
    tiers = Rate(1 * NANO, ((100, 2 * NANO), (200, 3 * NANO)))
    prices = _prices(input=tiers, output=tiers, cache_read=tiers)
    assert cost_of(Usage(input=tokens, output=10, cache_read=5), prices).total == (tokens + 10) * rate


def test_only_the_sum_is_rounded() -> None:
    half = _prices(input=Rate(NANO // 2), output=Rate(NANO // 2))
    breakdown = cost_of(Usage(input=1, output=1), half)
    assert (breakdown.total, breakdown.input, breakdown.output) == (1, 0, 0)


def test_the_providers_own_statement_wins() -> None:
    assert cost_of(Usage(input=100, output=50, cost_usd=0.0123), ALL) == CostBreakdown(NanoUSD(12_300_000))
    assert cost_of(Usage(input=100, cost_usd=0.0), ALL).total == 0


@pytest.mark.parametrize("stated", [-1.0, float("nan"), float("inf"), 1e12])
def test_an_absurd_statement_is_not_believed(stated: float) -> None:
    assert cost_of(Usage(input=1, cost_usd=stated), _prices(input=10)).total == 10


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input=10, cache_read=50), 10 * 10 + 50 * 1),
        (Usage(input=10, cache_creation=50), 10 * 10 + 50 * 20),
        (Usage(input=10, cache_creation=50, cache_read=20), 10 * 10 + 50 * 20 + 20 * 1),
        (Usage(input=0, cache_read=50), 50 * 1),
        (Usage(output=10, reasoning=50), 10 * 100 + 50 * 200),
        (Usage(input=10, cache_creation=0, cache_creation_1h=4), 6 * 10 + 4 * 40),
    ],
)
def test_a_part_larger_than_its_whole_was_counted_beside_it(usage: Usage, cost: int) -> None:
    assert cost_of(usage, ALL).total - 7 == cost


def test_tokens_counted_as_both_audio_and_cached_are_cached_audio() -> None:
    prices = _prices(input=10, cache_read=1, audio_input=50, cache_audio_read=3)
    assert cost_of(Usage(input=10, cache_read=8, audio_input=6), prices).total == 4 * 3 + 2 * 50 + 4 * 1


COUNT = st.integers(min_value=0, max_value=10**7)


@given(st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT))
def test_no_usage_costs_less_than_nothing_or_more_than_all_at_the_dearest(usage: Usage) -> None:
    counted = usage.input + usage.cache_read + usage.cache_creation + usage.cache_creation_1h + usage.audio_input
    said = usage.output + usage.reasoning + usage.audio_output
    assert usage.input + usage.output * 100 + 7 <= cost_of(usage, ALL).total <= counted * 50 + said * 500 + 7


PROVIDERS = {"together": "together_ai", "vertex": "vertex_ai", "zai": "zai"}
CHATS = [*recordings("openai.chat", status=200), *recordings("anthropic.messages", status=200)]


@pytest.mark.parametrize("recording", CHATS)
def test_our_cost_is_the_data_sets_own_for_every_recorded_call(recording: Recording) -> None:
    provider = PROVIDERS.get(recording.provider, recording.provider)
    raw = _usage_of(recording)
    prices = facts_of(provider, recording.model, DAY).prices
    if not raw or prices is None:
        pytest.skip("no usage in the recording" if not raw else f"the data set has no price for {provider}/{recording.model}")
    usage = replace(_anthropic(raw) if recording.dialect == "anthropic.messages" else usage_from_hub(raw), cost_usd=None)
    if usage.cache_read > usage.input:
        pytest.skip("the data set refuses a usage with more cached than input tokens")
    assert cost_of(usage, prices).total == _nano(_dearest_of_the_day(_listed(usage), recording.model, SOURCES[provider]))


def _anthropic(raw: dict[str, Any]) -> Usage:
    read, write = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    long_lived = (raw.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    return Usage(raw["input_tokens"] + read + write, raw["output_tokens"], read, write, long_lived)


def _listed(usage: Usage) -> ListedUsage:
    parts = {
        "output_reasoning_tokens": usage.reasoning,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_creation,
        "cache_write_1h_tokens": usage.cache_creation_1h,
        "input_audio_tokens": usage.audio_input,
        "output_audio_tokens": usage.audio_output,
    }
    return ListedUsage(input_tokens=usage.input, output_tokens=usage.output, **{name: count for name, count in parts.items() if count})


def _dearest_of_the_day(usage: ListedUsage, model: str, source: str) -> Decimal:
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    hours = (start + timedelta(hours=hour) for hour in range(24))
    return max(calc_price(usage, model, provider_id=source, genai_request_timestamp=hour).total_price for hour in hours)


def _nano(usd: Decimal) -> int:
    return int((usd * 10**9).to_integral_value())


def _usage_of(recording: Recording) -> dict[str, Any]:
    """The last statement of each field, wherever the exchange makes it."""
    if recording.kind == "json":
        body = json.loads(recording.body)
        return (body.get("usage") if isinstance(body, dict) else None) or {}
    usage: dict[str, Any] = {}
    for line in recording.body.decode().splitlines():
        if line.startswith("data:") and line[5:].strip() not in {"", "[DONE]"}:
            event = json.loads(line[5:])
            found = (event.get("message") or {}).get("usage") or event.get("usage") or (event.get("x_groq") or {}).get("usage")
            usage.update({key: value for key, value in (found or {}).items() if value is not None})
    return usage


TIERED = replace(ALL, tiers={"flex": 500_000, "priority": 2_000_000}, rates={**ALL.rates, "input@priority": Rate(25 * NANO)})


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("", 60 * 10 + 40 * 1 + 5 * 100 + 7), ("flex", 60 * 5 + 20 + 5 * 50 + 7), ("priority", 60 * 25 + 40 * 2 + 5 * 200 + 7)],
)
def test_a_service_tier_has_rates_of_its_own_or_a_factor(tier: str, expected: int) -> None:
    assert cost_of(Usage(input=100, output=5, cache_read=40, service_tier=tier), TIERED).total == expected


def test_a_tier_that_is_not_named_costs_what_is_listed() -> None:
    usage = Usage(input=100, output=5)
    assert cost_of(replace(usage, service_tier="scale"), TIERED) == cost_of(usage, TIERED)


def test_tools_the_provider_ran_have_fees() -> None:
    prices = replace(ALL, fees={"web_search": 10**7 * NANO})
    breakdown = cost_of(Usage(input=1, tools=(("web_search", 3), ("file_search", 2))), prices)
    assert (breakdown.tools, breakdown.total) == (3 * 10**7, 3 * 10**7 + 10 + 7)


def test_a_discount_comes_off_and_a_margin_goes_on() -> None:
    prices = replace(ALL, discount=100_000, margin=200_000, margin_fixed=9 * NANO)
    breakdown = cost_of(Usage(input=100), prices)
    assert (breakdown.listed, breakdown.discount, breakdown.total) == (1007, 101, round(1007 * 0.9 * 1.2) + 9)
    assert breakdown.margin == breakdown.total - breakdown.listed + breakdown.discount


def test_a_stated_cost_is_adjusted_too() -> None:
    assert cost_of(Usage(input=1, cost_usd=0.000001), replace(ALL, margin=500_000)).total == 1500


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**7), st.integers(0, 10**12))
def test_the_parts_of_an_adjusted_cost_add_up(tokens: int, discount: int, margin: int, fixed: int) -> None:
    breakdown = cost_of(Usage(input=tokens), replace(ALL, discount=discount, margin=margin, margin_fixed=fixed))
    assert breakdown.listed == tokens * 10 + 7
    assert breakdown.total == breakdown.listed - breakdown.discount + breakdown.margin
    assert breakdown.total >= 0


@pytest.mark.parametrize(
    ("said", "tier"),
    [("flex", "flex"), ("SERVICE_TIER_PRIORITY", "priority"), ("batch", "batch"), ("default", ""), ("standard", ""), (None, ""), (7, "")],
)
def test_the_tier_that_served_is_read_from_the_answer(said: Any, tier: str) -> None:
    assert usage_from_hub({"prompt_tokens": 1, "service_tier": said}).service_tier == tier


def test_searches_are_read_from_the_answer() -> None:
    usage = {"prompt_tokens": 1, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}
    assert usage_from_hub(usage).tools == (("web_search", 2),)
