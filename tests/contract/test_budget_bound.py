"""The bound and the estimate against every recorded call of every provider: no bill may be above what would have been set aside.

Run with `-s` to see how loose they are.
"""

from statistics import median

import orjson
import pytest
from tests.support.recorded_usage import Stated, stated_usages

from tollkeeper.budgets.bound import Bound, Tariff, worst_case
from tollkeeper.budgets.estimate import input_tokens, output_tokens
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.dialects.usage import Usage
from tollkeeper.ledger.cost import cost_of

PRICES = Prices({"input": Rate(3 * 10**9), "output": Rate(15 * 10**9)}, "test")
CHANGED_BY_RECORDER = {"bedrock/invoke/sync-cache-write-fin-max-tokens--openllmetry-cb48ec": "its prompt was replaced by a short text"}
UNSEEN = ("native", "document", "mcp")
"""Marks in a recording's name: the provider read something that is not in the request."""


def bound_of(call: Stated) -> Bound:
    return worst_case(call.request, [Tariff("d", call.provider, call.model, PRICES, 200_000, 64_000)], body=orjson.dumps(call.request))


@pytest.mark.parametrize("call", stated_usages())
def test_no_recorded_call_cost_more_than_its_bound(call: Stated) -> None:
    if call.name in CHANGED_BY_RECORDER:
        pytest.skip(CHANGED_BY_RECORDER[call.name])
    bound = bound_of(call)
    assert call.input <= bound.input_tokens
    assert cost_of(Usage(input=call.input, output=call.output), PRICES).total <= bound.amount


@pytest.mark.parametrize("call", stated_usages())
def test_an_answer_received_to_its_end_is_not_estimated_below_its_bill(call: Stated) -> None:
    if call.reasoning or "q:thinking" in call.tags or "reasoning" in call.name:
        pytest.skip("thoughts are billed that were not sent")
    if not call.said:
        pytest.skip("the answer was no text")
    assert output_tokens(call.said, call.calls) >= call.output
    if call.name not in CHANGED_BY_RECORDER and not any(mark in call.name for mark in UNSEEN):
        assert input_tokens(call.request, len(orjson.dumps(call.request)), call.provider, call.model) >= call.input


def test_the_bound_is_loose_by_a_known_factor() -> None:
    calls = [parameter.values[0] for parameter in stated_usages() if parameter.values[0] is not None]
    if not calls:
        pytest.skip("no recordings at ../shared/recordings")
    ratios = [found.input_tokens / call.input for call in calls if call.input > 500 and (found := bound_of(call)).input_tokens < 200_000]
    print(f"input bound / tokens of {len(ratios)} requests above 500 tokens: median {median(ratios):.1f}, most {max(ratios):.1f}")
    assert median(ratios) < 8
