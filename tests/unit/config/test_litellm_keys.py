"""The key lists agree with the schema, so that adding a key stays one line."""

import pytest

from tollkeeper.config import schema
from tollkeeper.config.litellm_keys import IMPLEMENTED, KNOWN, LITELLM_PROVIDERS, is_price, price_field


@pytest.mark.parametrize(
    ("model", "section"),
    [
        (schema.Entry, "entry"),
        (schema.Credential, "credential"),
        (schema.Params, "litellm_params"),
        (schema.Info, "model_info"),
        (schema.LiteLLMSettings, "litellm_settings"),
        (schema.RouterSettings, "router_settings"),
        (schema.GeneralSettings, "general_settings"),
    ],
)
def test_every_checked_key_is_implemented(model: type[schema.Section], section: str) -> None:
    assert model.model_fields.keys() <= IMPLEMENTED[section]


def test_every_implemented_key_is_known() -> None:
    assert all(IMPLEMENTED[section] <= KNOWN[section] for section in IMPLEMENTED)


@pytest.mark.parametrize(
    "key",
    [
        "input_cost_per_token_batches",
        "output_cost_per_token_above_272k_tokens_priority",
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
        "cache_read_input_token_cost_flex",
        "output_cost_per_image_512",
        "output_cost_per_second_1080p",
        "input_cost_per_audio_per_second",
        "search_context_cost_per_query",
        "tiered_pricing",
    ],
)
def test_litellms_price_fields_are_recognised(key: str) -> None:
    assert is_price(key)


@pytest.mark.parametrize(
    ("key", "rate"),
    [
        ("input_cost_per_token", ("input", 0)),
        ("output_cost_per_token_above_272k_tokens", ("output", 272_000)),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", ("cache_creation_1h", 200_000)),
        ("input_cost_per_token_batches", ("input@batch", 0)),
        ("output_cost_per_token_above_272k_tokens_priority", ("output@priority", 272_000)),
        ("input_cost_per_token_ultrafast", None),
        ("temperature", None),
    ],
)
def test_the_ones_we_bill_by_name_a_rate_and_a_threshold(key: str, rate: tuple[str, int] | None) -> None:
    assert price_field(key) == rate


def test_every_catalog_provider_of_litellm_is_in_its_list() -> None:
    assert {"openai", "anthropic", "hosted_vllm", "bedrock"} <= LITELLM_PROVIDERS
