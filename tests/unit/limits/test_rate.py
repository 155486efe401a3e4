"""Rate limits over the embedded store and a clock that is moved by hand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.support.stores import StillClock

from tollkeeper.errors import RateLimited, StoreUnavailable
from tollkeeper.limits.rate import Limits, RateLimit
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Item, Table

START = 1_800_000_000.0  # a whole minute


@dataclass
class Bench:
    limits: Limits
    clock: StillClock
    table: Table


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = StillClock(START)
    store = SqliteStore(":memory:", clock=clock)
    yield Bench(Limits(store.counters, clock), clock, store.counters)
    store.close()


def key(**fields: int) -> RateLimit:
    return RateLimit("key", ("hash",), "sk-...1234", **fields)


async def test_exactly_so_many_requests_a_minute_pass_however_many_come_at_once(bench: Bench) -> None:
    results = await asyncio.gather(*(bench.limits.admit([key(rpm=7)], 10) for _ in range(20)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, RateLimited)]
    assert len(refused) == 13
    bench.clock.advance(60)
    await bench.limits.admit([key(rpm=7)], 10)


async def test_a_refusal_says_when_in_litellms_words(bench: Bench) -> None:
    bench.clock.advance(17.5)
    await bench.limits.admit([key(rpm=1)], 0)
    with pytest.raises(RateLimited) as caught:
        await bench.limits.admit([key(rpm=1)], 0)
    refusal = caught.value
    assert refusal.message == (
        "Rate limit exceeded for api_key: sk-...1234. Limit type: requests. Current limit: 1, Remaining: 0. "
        "Limit resets at: 2027-01-15 08:01:00 UTC"
    )
    assert (refusal.type, refusal.code, refusal.retry_after) == ("throttling_error", "429", 42.5)
    assert refusal.headers["rate_limit_type"] == "requests"
    assert refusal.headers["x-ratelimit-remaining-requests"] == "0"


async def test_success_tells_what_is_left_of_the_tightest(bench: Bench) -> None:
    team = RateLimit("team", ("t",), "t", rpm=3, tpm=1000)
    admission = await bench.limits.admit([key(rpm=100), team], 50)
    assert admission.headers["x-ratelimit-limit-requests"] == "3"
    assert admission.headers["x-ratelimit-remaining-requests"] == "2"
    assert admission.headers["x-ratelimit-remaining-tokens"] == "950"
    assert admission.headers["x-ratelimit-reset-requests"] == "60s"
    assert admission.headers["x-ratelimit-api_key-remaining-requests"] == "99"


async def test_the_estimate_is_replaced_by_the_truth(bench: Bench) -> None:
    first = await bench.limits.admit([key(tpm=1000)], 900)
    with pytest.raises(RateLimited):
        await bench.limits.admit([key(tpm=1000)], 200)
    await bench.limits.settle(first, 100)
    second = await bench.limits.admit([key(tpm=1000)], 200)
    assert second.headers["x-ratelimit-remaining-tokens"] == "700"
    await bench.limits.settle(second, 850)
    with pytest.raises(RateLimited):
        await bench.limits.admit([key(tpm=1000)], 51)


async def test_a_call_larger_than_the_limit_passes_an_empty_window_once(bench: Bench) -> None:
    await bench.limits.admit([key(tpm=5)], 100)
    with pytest.raises(RateLimited):
        await bench.limits.admit([key(tpm=5)], 1)


async def test_a_limit_of_nothing_lets_nothing_pass(bench: Bench) -> None:
    for nothing in (key(rpm=0), key(tpm=0), key(tpd=0)):
        with pytest.raises(RateLimited):
            await bench.limits.admit([nothing], 1)


async def test_what_one_scope_refuses_counts_in_none(bench: Bench) -> None:
    tight, wide = RateLimit("team", ("t",), "t", rpm=1), key(rpm=10)
    await bench.limits.admit([tight], 0)
    for _ in range(5):
        with pytest.raises(RateLimited):
            await bench.limits.admit([tight, wide], 0)
    assert (await bench.limits.admit([wide], 0)).headers["x-ratelimit-remaining-requests"] == "9"


async def test_tokens_a_day_have_a_window_of_their_own(bench: Bench) -> None:
    await bench.limits.admit([key(tpd=100)], 80)
    bench.clock.advance(60)
    with pytest.raises(RateLimited) as caught:
        await bench.limits.admit([key(tpd=100)], 30)
    assert caught.value.retry_after == 86400 - (START + 60) % 86400
    both = await bench.limits.admit([key(tpm=50, tpd=1000)], 10)
    assert (both.headers["x-ratelimit-api_key-limit-tokens"], both.headers["x-ratelimit-limit-tokens"]) == ("50", "50")
    bench.clock.advance(86400)
    await bench.limits.admit([key(tpd=100)], 30)


async def test_a_call_that_was_refused_later_is_taken_back(bench: Bench) -> None:
    admission = await bench.limits.admit([key(rpm=1, tpm=10)], 10)
    await bench.limits.release(admission)
    await bench.limits.admit([key(rpm=1, tpm=10)], 10)


async def test_no_limit_asks_the_store_nothing() -> None:
    assert (await Limits(Down(), StillClock(START)).admit([], 5)).headers == {}


async def test_a_store_that_is_down_admits_unless_told_otherwise() -> None:
    assert (await Limits(Down(), StillClock(START)).admit([key(rpm=1)], 5)).gates == ()
    with pytest.raises(StoreUnavailable):
        await Limits(Down(), StillClock(START), fail_closed=True).admit([key(rpm=1)], 5)


class Down(Table):
    """A store that answers nothing."""

    async def apply(self, *_: object, **__: object) -> Item:
        raise StoreUnavailable("down")
