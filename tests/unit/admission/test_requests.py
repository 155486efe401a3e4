"""What the store is asked for one call, in the common shapes: counted, because on DynamoDB each request is money and a wait."""

from typing import Any

import pytest
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import OutboundRequest

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


async def asked(wired: Wired, key: str, **body: Any) -> tuple[list[str], list[str]]:
    """(before the provider was called, after): the verb and sort key of each request."""
    await wired.chat(key)  # the second call is the common one: records are cached, the hold register has its entry
    marks: list[int] = []

    def answer(_: OutboundRequest) -> Said:
        marks.append(len(wired.counters.seen))
        return Said(body=completion())

    wired.counters.seen.clear()
    wired.transport.answer = answer
    assert (await wired.chat(key, **body)).status_code == 200
    await wired.running.gateway.drain()
    told = [f"{verb} {pk.split('#')[0]}/{sk.split('#')[0]}" for verb, pk, sk in wired.counters.seen]
    return sorted(told[: marks[0]]), sorted(told[marks[0] :])


@pytest.fixture
async def wired() -> Wired:
    return await wire(lambda _: Said(body=completion()), model("fast", "openai/gpt-4o-mini", "http://x.test/v1", model_info=PRICES))


async def test_a_key_without_limits_asks_nothing_before_the_call(wired: Wired) -> None:
    before, after = await asked(wired, await wired.new_key())
    assert before == []
    assert after == ["apply key/lifetime"]


async def test_a_key_with_a_budget_asks_once_before_and_once_after(wired: Wired) -> None:
    before, after = await asked(wired, await wired.new_key(max_budget=1))
    assert before == ["apply key/total"]
    assert after == ["apply key/lifetime", "apply key/total"]


async def test_key_and_team_budgets_and_a_rate_go_out_together(wired: Wired) -> None:
    team = (await wired.admin("POST", "/team/new", {"max_budget": 5})).json()["team_id"]
    before, after = await asked(wired, await wired.new_key(team_id=team, max_budget=1, budget_duration="1d", rpm_limit=100))
    assert before == ["apply key/day", "apply key/minute", "apply team/total"]
    assert [line for line in after if "lifetime" not in line] == ["apply key/day", "apply team/total"]


async def test_a_refused_call_leaves_nothing_behind(wired: Wired) -> None:
    team = (await wired.admin("POST", "/team/new", {"max_budget": 0.0000001, "team_id": "poor"})).json()["team_id"]
    key = await wired.new_key(team_id=team, max_budget=1, rpm_limit=3)
    for _ in range(5):
        answer = await wired.chat(key)
        assert answer.json()["error"]["scope"] == "team=poor"
    assert (await wired.counter("team", "poor")).get("committed", 0) == 0
    assert wired.transport.sent == []
    assert await wired.ledger() == []
