"""What a call is billed when its provider said nothing. Held against recorded calls in tests/contract/test_budget_bound.py."""

from typing import Any

import orjson

from tollkeeper.budgets.estimate import expected_tokens, input_tokens, output_tokens

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "tell me everything " * 20}], "max_tokens": 900}
SIZE = len(orjson.dumps(REQUEST))


def test_nothing_received_is_nothing_generated() -> None:
    assert output_tokens(0) == 0


def test_more_received_is_never_fewer_tokens() -> None:
    counts = [output_tokens(received, calls) for received, calls in ((1, 0), (4, 0), (400, 0), (400, 1), (400, 3))]
    assert counts == sorted(counts)
    assert output_tokens(400) == 16 + 300


def test_an_input_is_estimated_with_what_its_provider_adds() -> None:
    plain = input_tokens(REQUEST, SIZE, "openai", "gpt-4.1")
    assert SIZE // 2 < plain < input_tokens({**REQUEST, "response_format": {"type": "json_object"}}, SIZE, "openai", "gpt-4.1")
    assert plain < input_tokens({**REQUEST, "tools": [{"type": "function", "function": {"name": "f"}}]}, SIZE, "openai", "gpt-4.1")


def test_a_rate_limit_is_charged_what_is_likely() -> None:
    assert expected_tokens(REQUEST, SIZE) == SIZE // 4 + 512
    assert expected_tokens({**REQUEST, "max_tokens": 50}, SIZE) == SIZE // 4 + 50
    assert expected_tokens({**REQUEST, "max_tokens": "x"}, SIZE) == SIZE // 4 + 512
