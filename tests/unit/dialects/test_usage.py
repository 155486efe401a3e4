from typing import Any

import pytest

from tollkeeper.dialects.usage import Usage, usage_from_hub


@pytest.mark.parametrize(
    ("hub", "usage"),
    [
        ({}, Usage()),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(input=3, output=2)),
        ({"prompt_tokens": None, "completion_tokens": "many", "prompt_tokens_details": 7}, Usage()),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(input=9, output=5, reasoning=4),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 34, "completion_tokens_details": {"reasoning_tokens": 20}},
            Usage(input=9, output=25, reasoning=20),
        ),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, Usage(input=35, output=74, reasoning=62)),
        (
            {"prompt_tokens": 9, "completion_tokens": 201, "total_tokens": 585, "prompt_tokens_details": {"audio_tokens": 375}},
            Usage(input=384, output=201, audio_input=375),
        ),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 1,
                "prompt_tokens_details": {
                    "cached_tokens": 10,
                    "cache_creation_tokens": 7,
                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": 3},
                },
            },
            Usage(input=20, output=1, cache_read=10, cache_creation=7, cache_creation_1h=3),
        ),
        ({"prompt_tokens": 20, "prompt_tokens_details": {"cache_write_tokens": 4}}, Usage(input=20, cache_creation=4)),
        ({"cost": 0.5}, Usage(cost_usd=0.5)),
        ({"cost": True}, Usage()),
        ({"cost": {"total_cost": 0.25, "request_cost": 0.2}}, Usage(cost_usd=0.25)),
        ({"cost": {"currency": "USD"}}, Usage()),
        ({"cost_in_usd_ticks": 4_389_400}, Usage(cost_usd=0.00043894)),
    ],
)
def test_usage(hub: dict[str, Any], usage: Usage) -> None:
    assert usage_from_hub(hub) == usage
