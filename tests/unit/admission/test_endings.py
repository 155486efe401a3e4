"""However a call ends, its hold ends with it, and counters and ledger say the same."""

import asyncio
from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.upstream import chunk, completion, text_stream
from tests.support.wiring import Answerer, Said, Wired, wire

from tollkeeper.admission.payer import Payer
from tollkeeper.errors import UpstreamTimeout, UpstreamUnreachable
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import Entry
from tollkeeper.providers.transport import NeverSent, OutboundRequest

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
DEAR = {"input_cost_per_token": 0.00001, "output_cost_per_token": 0.0001}


async def gateway(answer: Answerer, **sections: Any) -> tuple[Wired, str]:
    rows = [
        model("fast", "openai/gpt-4o-mini", "http://cheap.test/v1", model_info=PRICES),
        model("dear", "openai/gpt-4o", "http://dear.test/v1", model_info=DEAR),
    ]
    wired = await wire(answer, *rows, router_settings={"num_retries": 0, **sections})
    await wired.admin("POST", "/team/new", {"team_id": "t", "max_budget": 1})
    return wired, await wired.new_key(team_id="t")


async def booked(wired: Wired) -> int:
    """What the team's counter and the ledger agree was spent."""
    entries = await wired.ledger()
    counter = await wired.counter("team", "t")
    assert counter.get("in_flight", 0) == 0
    assert counter.get("committed", 0) == counter.get("spent", 0) == sum(entry["cost"] for entry in entries)
    return int(counter.get("spent", 0))


def sse(*events: Any, done: bool = True) -> Said:
    pieces: list[Any] = [b"data: " + orjson.dumps(event) + b"\n\n" if isinstance(event, dict) else event for event in events]
    return Said(pieces=[*pieces, b"data: [DONE]\n\n"] if done else pieces)


async def test_success_costs_what_the_provider_counted() -> None:
    wired, key = await gateway(lambda _: Said(body=completion()))
    await wired.chat(key, max_tokens=100)
    assert await booked(wired) == 9 * 1_000 + 12 * 10_000
    wired, key = await gateway(lambda _: sse(*text_stream("a", "b")))
    await wired.chat(key, stream=True, max_tokens=100)
    assert await booked(wired) == 9 * 1_000 + 12 * 10_000


@pytest.mark.parametrize("failure", [Said(500, {"error": {"message": "x"}}), Said(400, {"error": {"message": "x"}}), NeverSent("no")])
async def test_a_failure_the_provider_told_of_costs_nothing(failure: Any) -> None:
    def answer(_: OutboundRequest) -> Said:
        if isinstance(failure, Said):
            return Said(failure.status, failure.body)
        raise failure

    wired, key = await gateway(answer)
    assert (await wired.chat(key, max_tokens=100)).status_code >= 400
    assert await booked(wired) == 0


@pytest.mark.parametrize("failure", [UpstreamTimeout("slow"), UpstreamUnreachable("gone")])
async def test_a_call_lost_on_its_way_costs_its_input_at_least(failure: Exception) -> None:
    def answer(_: OutboundRequest) -> Said:
        raise failure

    wired, key = await gateway(answer)
    await wired.chat(key, max_tokens=100)
    assert 0 < await booked(wired) < 2_000_000
    assert (await wired.ledger())[0]["usage_at_least"]


async def test_a_fallback_to_a_dearer_model_was_held_for_and_is_paid_once() -> None:
    def answer(request: OutboundRequest) -> Said:
        return Said(500, {"error": {}}) if "cheap" in request.url else Said(body=completion(model="gpt-4o"))

    wired, key = await gateway(answer, fallbacks=[{"fast": ["dear"]}])
    assert (await wired.chat(key, max_tokens=100)).status_code == 200
    assert await booked(wired) == 10 * (9 * 1_000 + 12 * 10_000)


async def test_what_a_lost_try_may_have_cost_is_held_beside_the_next() -> None:
    def answer(request: OutboundRequest) -> Said:
        if "cheap" in request.url:
            raise UpstreamTimeout("slow")
        return Said(body=completion(model="gpt-4o"))

    wired, key = await gateway(answer, fallbacks=[{"fast": ["dear"]}])
    assert (await wired.chat(key, max_tokens=100)).status_code == 200
    assert await booked(wired) > 10 * (9 * 1_000 + 12 * 10_000)


async def test_a_cut_stream_costs_what_came_and_not_the_hold() -> None:
    wired, key = await gateway(lambda _: sse(chunk({"content": "Hello"}), UpstreamUnreachable("cut"), done=False))
    await wired.chat(key, stream=True, max_tokens=10_000)
    assert 9_000 < await booked(wired) < 2_000_000


async def test_a_stream_without_usage_is_counted_by_what_came() -> None:
    wired, key = await gateway(lambda _: sse(chunk({"content": "Hello there, this is it."}), chunk({}, "stop")))
    await wired.chat(key, stream=True, max_tokens=100)
    assert await booked(wired) > 0
    (entry,) = await wired.ledger()
    assert (entry["status"], entry["usage_at_least"]) == ("success", True)


async def test_a_buffered_answer_without_usage_is_counted_by_what_it_says() -> None:
    costs = []
    for text in ("short", "word " * 200):
        whole = completion(text)
        del whole["usage"]
        wired, key = await gateway(lambda _, whole=whole: Said(body=whole))
        assert (await wired.chat(key, max_tokens=900)).status_code == 200
        costs.append(await booked(wired))
        assert (await wired.ledger())[0]["usage_at_least"]
    assert costs[1] - costs[0] >= 700 * 10_000, "three tokens for four bytes, ten dollars a million"


async def test_a_caller_who_leaves_while_waiting_leaves_no_hold() -> None:
    waiting = asyncio.Event()

    class Slow(Said):
        async def chunks(self) -> Any:
            waiting.set()
            await asyncio.sleep(60)
            yield b""

    wired, key = await gateway(lambda _: Slow())
    task = asyncio.create_task(wired.chat(key, stream=True, max_tokens=100))
    await waiting.wait()
    task.cancel()
    await asyncio.wait({task})
    assert 0 < await booked(wired) < 2_000_000
    assert (await wired.ledger())[0]["status"] == "cancelled"


async def test_a_killed_process_is_swept_up_and_booked_unconfirmed() -> None:
    wired, key = await gateway(lambda _: Said(body=completion()))
    await wired.chat(key, max_tokens=100)
    paid = await booked(wired)
    # A process that dies between its hold and its settlement: the hold is all that is left of it.
    principal = await wired.running.authenticator.verify(key)
    body = {"model": "fast", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50}
    deployments = list(wired.running.installation.snapshot.deployments[:1])
    ticket = await wired.running.doorkeeper.admit(Payer(principal, "fast"), body, orjson.dumps(body), deployments)
    assert ticket.hold is not None
    assert await wired.running.housekeeping.sweep() == 0
    wired.clock.advance(1300)
    assert await wired.running.housekeeping.sweep() == 1
    assert await wired.running.housekeeping.sweep() == 0
    assert await booked(wired) == paid + ticket.hold.amount
    (lost,) = [entry for entry in await wired.ledger() if entry.get("unconfirmed")]
    assert (lost["team_id"], lost["cost"], lost["usage_at_least"]) == ("t", ticket.hold.amount, True)


async def test_a_process_killed_between_its_entry_and_its_settlement_is_booked_at_the_truth() -> None:
    wired, key = await gateway(lambda _: Said(body=completion()))
    principal = await wired.running.authenticator.verify(key)
    body = {"model": "fast", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50}
    deployments = list(wired.running.installation.snapshot.deployments[:1])
    ticket = await wired.running.doorkeeper.admit(Payer(principal, "fast"), body, orjson.dumps(body), deployments)
    entry = Entry(
        request_id=wired.clock.new_id(),
        call_id="c",
        started_at=wired.clock.now(),
        call_type="acompletion",
        model="fast",
        team_id="t",
        cost=123_456,
        hold_ids=ticket.hold_ids,
    )
    await Ledger(wired.running.installation.store.ledger, wired.clock).record(entry)
    wired.clock.advance(1300)
    assert await wired.running.housekeeping.sweep() == 0, "nothing is unconfirmed"
    assert (await wired.counter("team", "t"))["spent"] == 123_456
    assert await booked(wired) == 123_456


async def test_a_providers_own_budget_sends_calls_elsewhere() -> None:
    rows = [
        model("fast", "openai/gpt-4o-mini", "http://cheap.test/v1", model_info=PRICES, max_budget=0.0000001),
        model("other", "groq/llama", "http://other.test/v1", model_info=PRICES),
    ]
    wired = await wire(lambda _: Said(body=completion()), *rows, router_settings={"num_retries": 0, "fallbacks": [{"fast": ["other"]}]})
    answer = await wired.chat(max_tokens=10)
    assert answer.status_code == 200
    assert [request.url.split("/")[2] for request in wired.transport.sent] == ["other.test"]
