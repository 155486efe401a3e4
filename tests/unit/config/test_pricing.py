"""Where a deployment's prices come from. Femto-dollars per unit: 1e-6 dollars are 10**9."""

import pytest
from tests.support.config import compiled, found, model, only

from tollkeeper.config.snapshot import Prices, Rate


def _prices(params: str, info: str = "") -> Prices:
    prices = only(model(params, info)).prices
    assert prices is not None
    return prices


def test_a_known_model_has_the_data_sets_prices() -> None:
    prices = _prices("model: openai/gpt-4o")
    assert prices.rates["input"] == Rate(2_500_000_000)
    assert prices.version.startswith("genai-prices ")


def test_an_unknown_price_is_not_zero() -> None:
    assert only(model("model: openai/my-finetune")).prices is None
    assert only(model("model: ollama/llama3")).prices is None
    assert only(model("model: hosted_vllm/gpt-4o, api_base: 'http://h/v1'")).prices is None


def test_the_base_model_prices_a_name_that_says_nothing() -> None:
    assert _prices("model: openai/my-deployment", "base_model: gpt-4o").rates == _prices("model: openai/gpt-4o").rates
    assert (
        _prices("model: hosted_vllm/x, api_base: 'http://h/v1'", "base_model: openai/gpt-4o").rates == _prices("model: openai/gpt-4o").rates
    )


@pytest.mark.parametrize("section", ["params", "info"])
def test_a_configured_price_may_stand_in_either_section(section: str) -> None:
    fields = "input_cost_per_token: 0.000001, output_cost_per_token: 0.0000025"
    prices = _prices(f"model: ollama/x, {fields}") if section == "params" else _prices("model: ollama/x", fields)
    assert prices == Prices({"input": Rate(10**9), "output": Rate(2_500_000_000)}, "gateway.yaml")


def test_litellm_params_win_over_model_info() -> None:
    prices = _prices("model: ollama/x, input_cost_per_token: 0.000002, output_cost_per_token: 0", "input_cost_per_token: 0.000001")
    assert prices.rates["input"] == Rate(2 * 10**9)


def test_every_field_sets_its_rate() -> None:
    fields = {
        "input_cost_per_token": "input",
        "output_cost_per_token": "output",
        "cache_read_input_token_cost": "cache_read",
        "cache_creation_input_token_cost": "cache_creation",
        "cache_creation_input_token_cost_above_1hr": "cache_creation_1h",
        "input_cost_per_audio_token": "audio_input",
        "output_cost_per_audio_token": "audio_output",
        "output_cost_per_reasoning_token": "reasoning",
        "input_cost_per_request": "request",
    }
    given = ", ".join(f"{field}: {number}e-06" for number, field in enumerate(fields, 1))
    assert _prices("model: ollama/x", given).rates == {rate: Rate(number * 10**9) for number, rate in enumerate(fields.values(), 1)}


def test_thresholds_become_tiers() -> None:
    prices = _prices(
        "model: ollama/x",
        "input_cost_per_token: 1e-6, input_cost_per_token_above_200k_tokens: 2e-6, input_cost_per_token_above_128k_tokens: 1.5e-6, "
        "output_cost_per_token: 0",
    )
    assert prices.rates["input"] == Rate(10**9, ((128_000, 1_500_000_000), (200_000, 2 * 10**9)))


def test_a_threshold_without_a_base_price_is_an_error() -> None:
    (finding,) = found(model("model: ollama/x", "output_cost_per_token_above_200k_tokens: 1e-6"))
    assert "a price above a threshold needs one below it" in finding


def test_a_configured_side_replaces_the_listed_side_and_only_it() -> None:
    listed, mixed = _prices("model: openai/gpt-4o"), _prices("model: openai/gpt-4o", "input_cost_per_token: 1e-7")
    assert "cache_read" in listed.rates
    assert mixed.rates == {"input": Rate(10**8), "output": listed.rates["output"]}
    assert mixed.version == f"gateway.yaml over {listed.version}"


def test_a_single_part_is_set_over_the_list() -> None:
    listed, mixed = _prices("model: openai/gpt-4o"), _prices("model: openai/gpt-4o", "cache_read_input_token_cost: 1e-7")
    assert mixed.rates == {**listed.rates, "cache_read": Rate(10**8)}


def test_zero_is_a_price() -> None:
    assert _prices("model: ollama/x", "input_cost_per_token: 0, output_cost_per_token: 0").rates == {"input": Rate(0), "output": Rate(0)}


def test_half_a_price_is_warned_of() -> None:
    (warning,) = compiled(model("model: ollama/x", "input_cost_per_token: 1e-6")).warnings
    assert "output has no price and counts as free" in warning


def test_the_context_window_is_known_with_the_price() -> None:
    assert only(model("model: openai/gpt-4o")).max_input_tokens == 128_000
