"""Pinned prices, against the data set they come from."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from tollkeeper.catalog.prices import SOURCES, UNKNOWN, facts_of, patterns_of, version
from tollkeeper.config.snapshot import PriceBook, Rate

DAY = date(2026, 11, 20)


def _rates(provider: str, model: str, at: date = DAY, base_model: str | None = None) -> dict[str, Rate]:
    prices = facts_of(provider, model, at, base_model=base_model).prices
    assert prices is not None
    return prices.rates


def test_rates_are_exact_femto_dollars_per_token() -> None:
    assert _rates("openai", "gpt-4o") == {"input": Rate(2_500_000_000), "output": Rate(10_000_000_000), "cache_read": Rate(1_250_000_000)}


def test_the_version_says_where_they_come_from() -> None:
    assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+", version())
    found = facts_of("openai", "gpt-4o", DAY).prices
    assert found is not None
    assert found.version == version()


def test_cache_writes_have_both_lifetimes() -> None:
    rates = _rates("anthropic", "claude-3-5-haiku-latest")
    assert (rates["cache_creation"], rates["cache_creation_1h"]) == (Rate(1_000_000_000), Rate(1_600_000_000))


def test_thresholds_are_tiers() -> None:
    assert _rates("gemini", "gemini-2.5-pro")["input"] == Rate(1_250_000_000, ((200_000, 2_500_000_000),))


def test_audio_reasoning_and_request_fees_are_there() -> None:
    assert _rates("openai", "gpt-realtime")["audio_output"] == Rate(64_000_000_000)
    assert _rates("perplexity", "sonar-pro")["request"] == Rate(14 * 10**12)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2024-11-20"),
        ("azure", "gpt-4o"),
        ("azure", "claude-sonnet-4-5"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("vertex_ai", "claude-sonnet-4-5@20250929"),
        ("huggingface", "together/meta-llama/Llama-3.3-70B-Instruct"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:together"),
    ],
)
def test_a_model_is_found_under_the_names_providers_give_it(provider: str, model: str) -> None:
    assert _rates(provider, model)["input"].price > 0


def test_the_base_model_wins() -> None:
    assert _rates("azure", "my-deployment", base_model="gpt-4o") == _rates("azure", "gpt-4o")
    assert _rates("azure", "my-deployment", base_model="azure/gpt-4o") == _rates("azure", "gpt-4o")
    assert _rates("openrouter", "x", base_model="openai/gpt-4o") == _rates("openai", "gpt-4o")


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no-such-model"), ("ollama", "gpt-4o"), ("hosted_vllm", "gpt-4o"), ("huggingface", "x/y")]
)
def test_what_nobody_knows_is_unknown_and_not_free(provider: str, model: str) -> None:
    assert facts_of(provider, model, DAY) == UNKNOWN


def test_a_price_with_a_start_date_is_the_one_of_the_day() -> None:
    assert _rates("openai", "o3", date(2025, 6, 9))["input"] == Rate(10_000_000_000)
    assert _rates("openai", "o3", date(2025, 6, 10))["input"] == Rate(2_000_000_000)


def test_an_announced_change_is_known() -> None:
    before, after = facts_of("openai", "o3", date(2025, 6, 9)).prices, facts_of("openai", "o3", DAY).prices
    assert before is not None
    assert after is not None
    day = datetime(2025, 6, 10, tzinfo=UTC).timestamp()
    assert before.at(day - 1).rates["input"] == Rate(10_000_000_000)
    assert before.at(day).rates == after.rates
    assert after.later == ()


def test_a_price_that_changes_with_the_hour_is_pinned_at_its_dearest() -> None:
    usage, midnight = Usage(input_tokens=10**6), datetime(2026, 11, 20, tzinfo=UTC)
    hourly = [
        calc_price(usage, "deepseek-chat", provider_id="deepseek", genai_request_timestamp=midnight + timedelta(hours=hour)).total_price
        for hour in range(24)
    ]
    assert min(hourly) < max(hourly)
    assert _rates("deepseek", "deepseek-chat")["input"] == Rate(int(max(hourly) * 10**9))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "azure", "vertex_ai", "deepseek", "groq", "bedrock"])
def test_a_price_book_agrees_with_the_single_look_up(provider: str) -> None:
    from genai_prices.data import providers

    book = PriceBook(patterns_of(provider, DAY))
    source = next(row for row in providers if row.id == SOURCES[provider])
    names = [info.id for info in source.models] + ["gpt-4o-2024-11-20", "claude-sonnet-4-5-20250929", "no-such-model", "x\ngpt-4o", ""]
    assert {name: book.get(name) for name in names} == {name: facts_of(provider, name, DAY).prices for name in names}


def test_a_provider_without_prices_has_an_empty_book() -> None:
    assert patterns_of("ollama", DAY) == ()


def test_every_source_exists_in_the_data_set() -> None:
    from genai_prices.data import providers

    assert set(SOURCES.values()) <= {row.id for row in providers}


def test_every_plain_input_price_is_exact() -> None:
    from genai_prices.data import providers

    openai = next(row for row in providers if row.id == "openai")
    for info in openai.models:
        listed = info.get_prices(datetime(2026, 11, 20, tzinfo=UTC)).input_mtok
        if isinstance(listed, Decimal) and info.is_match(info.id):
            assert _rates("openai", info.id)["input"].price == listed * 10**9
