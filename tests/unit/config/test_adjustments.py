"""Discounts, margins and prices of later days: what finance puts on top of a list."""

from datetime import UTC, datetime

import pytest
from tests.support.config import compiled, found, model, only

from tollkeeper.config.snapshot import Prices, Rate, deployment_json, deployment_of

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC).timestamp()


def _settings(settings: str, params: str = "model: openai/gpt-4o", info: str = "") -> Prices:
    (deployment,) = compiled(model(params, info) + f"litellm_settings: {{{settings}}}\n").deployments
    assert deployment.prices is not None
    assert deployment_of(deployment_json(deployment)) == deployment
    return deployment.prices


@pytest.mark.parametrize(
    ("settings", "discount", "margin", "fixed"),
    [
        ("cost_discount_config: {openai: 0.05}", 50_000, 0, 0),
        ("cost_discount_config: {anthropic: 0.05}", 0, 0, 0),
        ("cost_margin_config: {openai: 0.1, global: 0.5}", 0, 100_000, 0),
        ("cost_margin_config: {global: 0.5}", 0, 500_000, 0),
        ("cost_margin_config: {openai: {percentage: 0.08, fixed_amount: 0.0005}}", 0, 80_000, 5 * 10**11),
        ("cost_discount_config: {openai: 0.1}, cost_margin_config: {openai: {fixed_amount: 1}}", 100_000, 0, 10**15),
    ],
)
def test_they_are_by_provider_with_global_for_the_rest(settings: str, discount: int, margin: int, fixed: int) -> None:
    prices = _settings(settings)
    assert (prices.discount, prices.margin, prices.margin_fixed) == (discount, margin, fixed)


def test_they_hold_for_later_prices_too() -> None:
    changes = "price_changes: [{effective_from: 2027-01-01, input_cost_per_token: 0.000009}]"
    prices = _settings("cost_margin_config: {openai: 0.1}", info=changes)
    assert (prices.at(NEW_YEAR).margin, prices.at(NEW_YEAR).rates["input"]) == (100_000, Rate(9 * 10**9))


def test_each_change_is_over_what_was_charged_the_day_before() -> None:
    info = """price_changes: [
        {effective_from: 2027-01-01, input_cost_per_token: 0.000003},
        {effective_from: "2027-02-01", output_cost_per_token: 0.000007}]"""
    prices = only(model("model: ollama/x, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002", info)).prices
    assert prices is not None

    def charged(moment: float) -> tuple[int, int]:
        rates = prices.at(moment).rates
        return rates["input"].price // 10**9, rates["output"].price // 10**9

    february = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    assert [charged(moment) for moment in (NEW_YEAR - 1, NEW_YEAR, february - 1, february)] == [(1, 2), (3, 2), (3, 2), (3, 7)]


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ("cost_discount_config: {openai: 1.5}", "litellm_settings.cost_discount_config.openai (gateway.yaml:5): must be at most 1"),
        ("cost_discount_config: {openai: cheap}", "litellm_settings.cost_discount_config.openai (gateway.yaml:5): must be a number"),
        ("cost_margin_config: {openai: {fixed_amount: -1}}", "fixed_amount (gateway.yaml:5): must be at least 0"),
    ],
)
def test_a_share_is_a_share(settings: str, finding: str) -> None:
    findings = found(model("model: openai/gpt-4o") + f"litellm_settings: {{{settings}}}\n")
    assert any(finding in line for line in findings), findings


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("{effective_from: soon, input_cost_per_token: 1}", "price_changes[0].effective_from (gateway.yaml:4): must be a day"),
        ("{input_cost_per_token: 1}", "price_changes[0].effective_from (gateway.yaml:4): must be a day"),
        ("{effective_from: 2027-01-01}", "price_changes[0] (gateway.yaml:4): has no price in it"),
        ("{effective_from: 2027-01-01, input_cost_per_tokn: 1}", "price_changes[0].input_cost_per_tokn (gateway.yaml:4): is no price"),
    ],
)
def test_a_change_names_a_day_and_a_price(change: str, finding: str) -> None:
    assert any(finding in line for line in found(model("model: openai/gpt-4o", f"price_changes: [{change}]")))


def test_a_price_that_only_begins_later_is_none_until_then() -> None:
    info = "price_changes: [{effective_from: 2027-01-01, input_cost_per_token: 1, output_cost_per_token: 1}]"
    assert any("until then" in line for line in found(model("model: ollama/x", info)))


def test_tiers_and_fees_can_be_written() -> None:
    fields = (
        "input_cost_per_token_flex: 0.000001, output_cost_per_token_above_200k_tokens_priority: 0.00004, "
        "output_cost_per_token_priority: 0.00002, search_context_cost_per_query: {search_context_size_low: 0.01, "
        "search_context_size_high: 0.05}, file_search_cost_per_1k_calls: 3"
    )
    prices = only(model(f"model: openai/gpt-4o, {fields}")).prices
    assert prices is not None
    assert prices.rates["input@flex"] == Rate(10**9)
    assert prices.rates["output@priority"] == Rate(2 * 10**10, ((200_000, 4 * 10**10),))
    assert (prices.fees["web_search"], prices.fees["file_search"]) == (5 * 10**13, 3 * 10**12)


def test_a_fee_is_a_number_or_one_for_each_size() -> None:
    assert any("must be dollars per use" in line for line in found(model("model: openai/gpt-4o, search_context_cost_per_query: {low: a}")))
