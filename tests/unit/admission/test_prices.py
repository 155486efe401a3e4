"""What a call is booked at, through the whole gateway: service tiers, tool fees, margins, and the price of the day."""

from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.stores import StillClock
from tests.support.upstream import completion
from tests.support.wiring import Said, wire

from tollkeeper.clock import from_iso
from tollkeeper.providers.transport import OutboundRequest

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
LISTED = 1_000 * 1_000 + 100 * 10_000
"""Nano-dollars."""


def _streamed(**fields: Any) -> list[bytes]:

    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    said = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]}
    done = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    used = {**head, "choices": [], "usage": USAGE}
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in (said, done, used)] + [b"data: [DONE]\n\n"]


async def _booked(
    answer: Said, *, clock: StillClock | None = None, info: Any = PRICES, body: Any = None, **sections: Any
) -> dict[str, Any]:
    def said(_: OutboundRequest) -> Said:
        return answer

    row = model("fast", "openai/gpt-5-mini", "http://x.test/v1", model_info=info)
    wired = await wire(said, row, clock=clock, **sections)
    response = await wired.chat(await wired.new_key(max_budget=1), max_tokens=500, **(body or {}))
    assert response.status_code == 200, response.text
    [entry] = await wired.ledger()
    assert int((await wired.counter("key", entry["key_hash"]))["spent"]) == entry["cost"]
    return entry


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("tier", "cost"), [("flex", LISTED // 2), ("priority", LISTED * 2), ("default", LISTED), (None, LISTED)])
async def test_the_tier_that_served_the_call_is_paid(*, stream: bool, tier: str | None, cost: int) -> None:
    fields = {"service_tier": tier} if tier else {}
    answer = Said(pieces=_streamed(**fields)) if stream else Said(body={**completion(), "usage": USAGE, **fields})
    entry = await _booked(answer, body={"stream": stream, **fields})
    assert (entry["cost"], entry.get("service_tier")) == (cost, tier if cost != LISTED else None)


async def test_the_caller_is_told_what_was_taken_off_and_put_on() -> None:
    adjusted = {"cost_margin_config": {"openai": 0.1}, "cost_discount_config": {"openai": 0.5}}
    row = model("fast", "openai/gpt-5-mini", "http://x.test/v1", model_info=PRICES)
    wired = await wire(lambda _: Said(body={**completion(), "usage": USAGE}), row, litellm_settings=adjusted)
    headers = (await wired.chat()).headers
    said = {name: float(headers[f"x-litellm-response-cost{name}"]) for name in ("", "-original", "-discount-amount", "-margin-amount")}
    assert said == {"": 0.0011, "-original": 0.002, "-discount-amount": 0.001, "-margin-amount": 0.0001}


async def test_a_margin_is_in_the_books_and_in_the_budget() -> None:
    margin = {"cost_margin_config": {"openai": 0.1}, "cost_discount_config": {"openai": 0.5}}
    entry = await _booked(Said(body={**completion(), "usage": USAGE}), litellm_settings=margin)
    assert entry["cost"] == LISTED // 2 * 11 // 10
    assert (entry["cost_parts"]["discount"], entry["cost_parts"]["margin"]) == (LISTED // 2, LISTED // 20)


@pytest.mark.parametrize(("now", "cost"), [("2026-12-31T23:59:00Z", LISTED), ("2027-01-01T00:00:00Z", LISTED * 3)])
async def test_the_price_is_that_of_the_day(now: str, cost: int) -> None:
    change = {"effective_from": "2027-01-01", "input_cost_per_token": 0.000003, "output_cost_per_token": 0.00003}
    entry = await _booked(
        Said(body={**completion(), "usage": USAGE}), clock=StillClock(from_iso(now)), info={**PRICES, "price_changes": [change]}
    )
    assert entry["cost"] == cost


async def test_hardware_by_the_hour_is_shared_by_the_time_a_call_takes() -> None:
    clock = StillClock()

    def slow(_: OutboundRequest) -> Said:
        clock.advance(1.8)
        return Said(body={**completion(), "usage": USAGE})

    row = model("fast", "hosted_vllm/llama", "http://x.test/v1", model_info={"gpu_hour_cost": 4, "gpu_hour_share": 8})
    wired = await wire(slow, row, clock=clock)
    assert (await wired.chat(await wired.new_key(max_budget=1))).status_code == 200
    [entry] = await wired.ledger()
    assert entry["cost"] == 4 * 10**9 * 1800 // 3_600_000 // 8
    assert entry["cost_parts"] == {"compute": entry["cost"]}


async def test_more_than_the_timeout_is_never_billed() -> None:
    clock = StillClock()

    def slow(_: OutboundRequest) -> Said:
        clock.advance(900)
        return Said(body={**completion(), "usage": USAGE})

    row = model("fast", "hosted_vllm/llama", "http://x.test/v1", model_info={"gpu_hour_cost": 3.6}, timeout=10)
    wired = await wire(slow, row, clock=clock)
    assert (await wired.chat(await wired.new_key(max_budget=0.02))).status_code == 200
    [entry] = await wired.ledger()
    assert entry["cost"] == 10_000_000
    assert (await wired.chat(await wired.new_key(max_budget=0.009))).status_code == 422
