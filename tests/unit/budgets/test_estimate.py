"""What a call is billed when its provider said nothing. Held against recorded calls in tests/contract/test_budget_bound.py."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.budgets.bound import Bound, Tariff, worst_case
from tollkeeper.budgets.estimate import cut_usage, expected_tokens, input_tokens, output_tokens
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.dialects.usage import Usage

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "tell me everything " * 20}], "max_tokens": 900}
SIZE = len(orjson.dumps(REQUEST))


def bound() -> Bound:
    return worst_case(REQUEST, [Tariff("d", "openai", "gpt-4.1", Prices({"input": Rate(1), "output": Rate(1)}, "t"), 100_000, 8_000)])


def test_nothing_received_is_nothing_generated() -> None:
    assert output_tokens(0) == 0


def test_more_received_is_never_fewer_tokens() -> None:
    counts = [output_tokens(received, calls) for received, calls in ((1, 0), (4, 0), (400, 0), (400, 1), (400, 3))]
    assert counts == sorted(counts)
    assert output_tokens(400) == 16 + 300


def test_a_cut_call_pays_for_its_input_and_what_it_received() -> None:
    usage = cut_usage(bound(), REQUEST, SIZE, received=200)
    assert usage.input == input_tokens(REQUEST, SIZE) > SIZE // 2
    assert usage.output == output_tokens(200) < 900


def test_what_the_provider_said_before_the_cut_wins() -> None:
    usage = cut_usage(bound(), REQUEST, SIZE, received=10, known=Usage(input=77, output=500, cache_read=70))
    assert (usage.input, usage.output, usage.cache_read) == (77, 500, 70)


def test_thoughts_that_are_not_sent_may_have_used_the_whole_limit() -> None:
    assert cut_usage(bound(), REQUEST, SIZE, received=10, hidden=True).output == 900


@given(st.integers(0, 10**7), st.integers(0, 50), st.booleans())
def test_a_cut_call_never_costs_more_than_its_hold(received: int, calls: int, hidden: bool) -> None:
    usage = cut_usage(bound(), REQUEST, SIZE, received=received, tool_calls=calls, hidden=hidden)
    assert usage.input <= bound().input_tokens
    assert usage.output <= bound().output_tokens


def test_a_rate_limit_is_charged_what_is_likely() -> None:
    assert expected_tokens(REQUEST, SIZE) == SIZE // 4 + 512
    assert expected_tokens({**REQUEST, "max_tokens": 50}, SIZE) == SIZE // 4 + 50
    assert expected_tokens({**REQUEST, "max_tokens": "x"}, SIZE) == SIZE // 4 + 512
