"""Two deployments asked at once, in the whole gateway: who answers, what is cancelled, what the budget holds meanwhile, what is booked."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion, text_stream
from tests.support.wiring import Said, Wired, wire

from tollkeeper.money import NanoUSD
from tollkeeper.providers.transport import OutboundRequest

PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
HEDGE = {"models": {"fast": {"hedge": {"after": "100ms", "share": 1}}}}
SSE = [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in text_stream("hi")), b"data: [DONE]\n\n"]


@dataclass
class Held(Said):
    """Answers when it is let go."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        async for piece in super().chunks():
            yield piece


@dataclass
class Pair:
    """The first deployment asked hangs, the second answers as `second` says."""

    second: Said
    first: Held = field(default_factory=lambda: Held(body=completion("late")))
    sent: list[str] = field(default_factory=list)

    def answer(self, request: OutboundRequest) -> Said:
        self.sent.append(request.url.removeprefix("https://").split(".")[0])
        return self.first if len(self.sent) == 1 else self.second


async def hedging(pair: Pair, *, own_budget: bool = False, **routing: Any) -> Wired:
    extra = {"max_budget": 5.0, "budget_duration": "1d"} if own_budget else {}
    rows = (model("fast", "openai/m", f"https://{name}.test/v1", model_info={"id": name}, **PRICES, **extra) for name in "ab")
    return await wire(pair.answer, *rows, tollkeeper={"routing": routing or HEDGE})


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_second_answers_the_first_is_cancelled_and_both_are_paid(streamed: bool) -> None:
    quick = Said(pieces=list(SSE), headers={"content-type": "text/event-stream"}) if streamed else Said(body=completion("quick"))
    pair = Pair(quick)
    wired = await hedging(pair)
    key = await wired.new_key(max_budget=1.0)
    answer = await wired.chat(key, max_tokens=100, stream=streamed)
    assert answer.status_code == 200
    assert sorted(pair.sent) == ["a", "b"]
    assert pair.first.cancelled
    (entry,) = await wired.ledger()
    assert (entry["deployment_id"], entry["attempts"]) == (pair.sent[1], 2)
    assert entry["cost"] > 21_000, "nine tokens in and twelve out, and what the first took in"
    assert entry["routing"]["tries"][0] == {"deployment": pair.sent[1], "outcome": "ok", "ms": 100, "trial": "hedge"}


async def test_while_both_run_the_budget_holds_both() -> None:
    pair = Pair(Held(body=completion("quick")))
    wired = await hedging(pair)
    key = await wired.new_key(max_budget=1.0)
    call = asyncio.create_task(wired.chat(key, max_tokens=1000))
    while len(pair.sent) < 2:
        await asyncio.sleep(0.001)
    held = max(int(item.get("committed", 0)) for item in await _windows(wired))
    pair.second.gate.set()  # type: ignore[attr-defined]
    assert (await call).status_code == 200
    assert held >= 2 * 1000 * NanoUSD(1000)


async def test_a_budget_that_cannot_hold_both_is_asked_for_one() -> None:
    pair = Pair(Said(body=completion("quick")))
    wired = await hedging(pair)
    key = await wired.new_key(max_budget=0.002)
    call = asyncio.create_task(wired.chat(key, max_tokens=1000))
    for _ in range(200):
        await asyncio.sleep(0.001)
    assert len(pair.sent) == 1
    pair.first.gate.set()
    assert (await call).json()["choices"][0]["message"]["content"] == "late"


async def test_a_second_that_fails_leaves_the_answer_to_the_first() -> None:
    pair = Pair(Said(500, {"error": {"message": "down"}}))
    wired = await hedging(pair)
    call = asyncio.create_task(wired.chat())
    while len(pair.sent) < 2:
        await asyncio.sleep(0.001)
    pair.first.gate.set()
    answer = await call
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "late")


async def test_a_deployment_with_a_budget_of_its_own_is_not_asked_beside_another() -> None:
    pair = Pair(Said(body=completion("quick")))
    wired = await hedging(pair, own_budget=True)
    call = asyncio.create_task(wired.chat(max_tokens=10))
    for _ in range(200):
        await asyncio.sleep(0.001)
    assert len(pair.sent) == 1
    pair.first.gate.set()
    assert (await call).status_code == 200


async def test_it_is_off_by_default_and_keeps_to_its_share() -> None:
    async def asked_twice(routing: dict[str, Any], calls: int) -> int:
        twice = 0
        pair = Pair(Said(body=completion("quick")))
        wired = await hedging(pair, **routing)
        for _ in range(calls):
            pair.sent.clear()
            pair.first.gate = asyncio.Event()
            call = asyncio.create_task(wired.chat())
            for _ in range(20):
                await asyncio.sleep(0)
            pair.first.gate.set()
            assert (await call).status_code == 200
            twice += len(pair.sent) == 2
        return twice

    assert await asked_twice({"statistics": False}, 10) == 0
    assert 1 <= await asked_twice({"hedge": {"after": "100ms", "share": "10%"}}, 60) <= 7


async def _windows(wired: Wired) -> list[dict[str, Any]]:
    seen = {(pk, sk) for verb, pk, sk in wired.counters.seen if verb == "apply" and pk.startswith("key#")}
    found = [await wired.counters.get(pk, sk) for pk, sk in seen]
    return [item for item in found if item]


@pytest.mark.parametrize(("streamed", "limit"), [(True, "first_token"), (False, "whole")])
async def test_a_deployment_that_keeps_a_caller_waiting_is_left_for_the_next_and_is_not_benched_for_it(streamed: bool, limit: str) -> None:
    quick = Said(pieces=list(SSE), headers={"content-type": "text/event-stream"}) if streamed else Said(body=completion("quick"))
    pair = Pair(quick)
    wired = await hedging(pair, models={"fast": {"latency": {limit: "20ms"}}})
    answer = await wired.chat(stream=streamed)
    assert (answer.status_code, len(pair.sent)) == (200, 2)
    assert pair.first.cancelled
    (entry,) = await wired.ledger()
    assert [row["outcome"] for row in entry["routing"]["tries"]] == ["timeout_error", "ok"]
    checks = await wired.client.get("/health/latest", headers={"authorization": f"Bearer {MASTER_KEY}"})
    assert {row["circuit"] for row in checks.json()["latest_health_checks"].values()} == {"closed"}


async def test_where_there_is_nowhere_else_to_go_patience_is_better_than_none() -> None:
    pair = Pair(Said(body=completion("never")))
    row = model("fast", "openai/m", "https://a.test/v1", model_info={"id": "a"}, **PRICES)
    wired = await wire(pair.answer, row, tollkeeper={"routing": {"models": {"fast": {"latency": {"whole": "20ms"}}}}})
    call = asyncio.create_task(wired.chat())
    await asyncio.sleep(0.1)
    pair.first.gate.set()
    assert (await call).json()["choices"][0]["message"]["content"] == "late"
