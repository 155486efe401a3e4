"""Reserve, settle, clamp, wait, extend: what a request sees, and what the books say after it."""

import asyncio

import pytest
from tests.support.counters import START, Bench, Call, Fault, books, check, dollar_terms, scope, usd

from tollkeeper.budgets.scopes import Owner, ScopeKind, scope_caps
from tollkeeper.errors import BudgetExceeded, RateLimited, StoreUnavailable
from tollkeeper.money import NanoUSD


async def test_a_request_holds_its_worst_case_and_pays_what_it_cost() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    assert (await bench.budgets.balance(team)).held == usd(0.4)
    ended = await bench.budgets.settle(hold, usd(0.1))
    assert ended.spent == usd(0.1)
    assert not ended.unsettled
    assert check(bench.table, team).spent == usd(0.1)
    assert check(bench.table, team).committed == usd(0.1)


async def test_nothing_is_asked_of_the_store_without_scopes() -> None:
    bench = Bench()
    hold = await bench.budgets.reserve([], usd(5))
    await bench.budgets.settle(hold, usd(1))
    assert bench.table.calls == []


async def test_all_scopes_are_asked_in_one_parallel_round_trip() -> None:
    bench = Bench()
    scopes = [scope("key", "k", max_budget=1.0), scope("team", "t", max_budget=1.0), scope("user", "u", max_budget=1.0)]
    waiting: list[asyncio.Future[Fault]] = []

    async def gate(call: Call) -> Fault:
        future: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        if call.verb == "apply":
            waiting.append(future)
            return await future
        return ""

    bench.table.gate = gate
    task = asyncio.ensure_future(bench.budgets.reserve(scopes, usd(0.1)))
    while len(waiting) < 3:
        await asyncio.sleep(0)
    for future in waiting:
        future.set_result("")
    await task
    assert len(waiting) == 3


async def test_a_refusing_scope_leaves_no_hold_in_the_others() -> None:
    bench = Bench()
    key, team = scope("key", "k", max_budget=1.0), scope("team", "t", max_budget=0.05)
    with pytest.raises(BudgetExceeded) as refused:
        await bench.budgets.reserve([key, team], usd(0.1))
    error = refused.value
    assert error.message.startswith("Budget has been exceeded! Team=t Current cost: 0.0, Max budget: 0.05")
    assert (error.status, error.type, error.retry_after) == (422, "budget_exceeded", None)
    assert error.headers == {"x-should-retry": "false"}
    assert error.extra["scope"] == "team=t"
    assert (error.extra["limit_usd"], error.extra["spent_usd"], error.extra["held_usd"], error.extra["needed_usd"]) == (0.05, 0.0, 0.0, 0.1)
    assert error.extra["remedy"]
    assert check(bench.table, key).committed == check(bench.table, team).committed == 0


@pytest.mark.parametrize(
    ("kind", "opening"),
    [
        ("key", "Budget has been exceeded! Key=x Current cost:"),
        ("user", "ExceededBudget: User=x over budget. Spend="),
        ("customer", "ExceededBudget: End User=x over budget. Spend="),
        ("organization", "Budget has been exceeded! Organization=x "),
        ("tag", "Budget has been exceeded! Tag=x "),
        ("gateway", "Budget has been exceeded! Current cost: 0.0, Max budget: 0.0"),
        ("provider", "No deployments available - crossed budget: x"),
    ],
)
async def test_refusals_begin_with_litellms_words(kind: ScopeKind, opening: str) -> None:
    with pytest.raises(BudgetExceeded) as refused:
        await Bench().budgets.reserve([scope(kind, "x", max_budget=0.0)], usd(1))
    assert refused.value.message.startswith(opening)


async def test_the_status_of_a_refusal_is_configurable_and_a_reset_is_told() -> None:
    with pytest.raises(BudgetExceeded) as refused:
        await Bench(status=429).budgets.reserve([scope(max_budget=0.0, budget_duration="1d")], usd(1))
    assert refused.value.status == 429
    assert refused.value.extra["resets_at"] == "2026-11-19T00:00:00.000Z"


async def test_a_budget_that_open_requests_hold_is_busy_not_exceeded() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    await bench.budgets.reserve([team], usd(0.7))
    with pytest.raises(RateLimited) as refused:
        await bench.budgets.reserve([team], usd(0.5))
    assert (refused.value.status, refused.value.code) == (429, "budget_busy")
    assert refused.value.headers["x-should-retry"] == "true"
    assert refused.value.retry_after == 1.0
    assert refused.value.extra["held_usd"] == 0.7


async def test_a_busy_request_waits_for_an_open_hold_to_settle() -> None:
    bench, team = Bench(wait_seconds=2.0), scope(max_budget=1.0)
    first = await bench.budgets.reserve([team], usd(0.7))
    polled = 0

    async def gate(call: Call) -> Fault:
        nonlocal polled
        polled += call.verb == "get"
        if polled == 2:
            polled += 1
            await bench.budgets.settle(first, usd(0.1))
        return ""

    bench.table.gate = gate
    second = await bench.budgets.reserve([team], usd(0.5))
    assert (second.amount, second.clamped) == (usd(0.5), False)
    assert check(bench.table, team).committed == usd(0.6)


async def test_waiting_has_an_end() -> None:
    bench, team = Bench(wait_seconds=3.0), scope(max_budget=1.0)
    await bench.budgets.reserve([team], usd(0.7))
    with pytest.raises(RateLimited):
        await bench.budgets.reserve([team], usd(0.5))
    assert bench.clock.now() - START <= 3.0


async def test_a_clamp_takes_a_share_of_what_every_scope_has_left() -> None:
    bench = Bench()
    key, team = scope("key", "k", max_budget=100.0), scope("team", "t", max_budget=1.0)
    hold = await bench.budgets.reserve([key, team], usd(4), minimum=usd(0.01))
    assert (hold.amount, hold.clamped) == (usd(0.25), True)
    assert check(bench.table, key).committed == check(bench.table, team).committed == usd(0.25)


async def test_a_clamp_never_goes_below_the_useful_minimum() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(4), minimum=usd(0.9))
    assert hold.amount == usd(0.9)
    with pytest.raises(RateLimited):
        await bench.budgets.reserve([team], usd(4), minimum=usd(0.9))
    await bench.budgets.settle(hold, usd(0.5))
    with pytest.raises(BudgetExceeded):
        await bench.budgets.reserve([team], usd(4), minimum=usd(0.9))


async def test_short_calls_can_use_nearly_all_of_a_budget() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    calls = 0
    while True:
        try:
            hold = await bench.budgets.reserve([team], usd(0.02), minimum=usd(0.004))
        except BudgetExceeded:
            break
        await bench.budgets.settle(hold, NanoUSD(hold.amount // 4))
        calls += 1
    assert check(bench.table, team).spent >= usd(0.95)
    assert calls > 100


async def test_extending_grows_every_scope_or_none() -> None:
    bench = Bench()
    key, team = scope("key", "k", max_budget=1.0), scope("team", "t", max_budget=0.5)
    hold = await bench.budgets.reserve([key, team], usd(0.1))
    grown = await bench.budgets.extend(hold, usd(0.4))
    assert grown.amount == usd(0.4)
    assert check(bench.table, key).committed == check(bench.table, team).committed == usd(0.4)
    with pytest.raises(BudgetExceeded):
        await bench.budgets.extend(grown, usd(0.6))
    assert check(bench.table, key).committed == check(bench.table, team).committed == usd(0.4)
    await bench.budgets.settle(grown, usd(0.35))
    assert check(bench.table, key).committed == check(bench.table, team).committed == usd(0.35)


async def test_a_stale_hold_settles_what_is_really_held() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.1))
    await bench.budgets.extend(hold, usd(0.4))
    await bench.budgets.settle(hold, usd(0.05))
    assert check(bench.table, team).committed == usd(0.05)


async def test_settling_twice_books_once() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    await bench.budgets.settle(hold, usd(0.1))
    again = await bench.budgets.settle(hold, usd(0.3))
    assert len(again.gone) == 1
    assert check(bench.table, team).spent == usd(0.1)


async def test_expire_books_the_whole_hold() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    await bench.budgets.expire(await bench.budgets.reserve([team], usd(0.4)))
    assert check(bench.table, team).spent == usd(0.4)


async def test_a_bill_above_its_hold_is_booked_and_told() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    await bench.budgets.settle(hold, usd(1.4))
    assert books(bench.table, team).spent == usd(1.4)
    assert bench.kinds() == ["bound_exceeded"]


async def test_where_money_is_only_counted_no_bill_is_above_its_hold() -> None:
    for terms in ({"max_parallel_requests": 2}, {"soft_budget": 0.1}, {"max_budget": 1.0, "mode": "shadow"}):
        bench, key = Bench(), scope("key", "k", **terms)
        await bench.budgets.settle(await bench.budgets.reserve([key], NanoUSD(0)), usd(0.05))
        assert "bound_exceeded" not in bench.kinds()


async def test_a_refusal_writes_small_amounts_so_that_people_can_read_them() -> None:
    with pytest.raises(BudgetExceeded) as refused:
        await Bench().budgets.reserve([scope("key_model", "k", max_budget=0.00001)], NanoUSD(12_345))
    assert "needs up to $0.000012345; $0.00001 is free and open requests hold $0." in refused.value.message
    assert "raise model_max_budget of this key." in refused.value.message


async def test_parallel_requests_are_limited_with_and_without_a_budget() -> None:
    for terms in ({"max_parallel_requests": 2}, {"max_parallel_requests": 2, "max_budget": 9.0}):
        bench, key = Bench(), scope("key", "k", **terms)
        first = await bench.budgets.reserve([key], NanoUSD(5))
        await bench.budgets.reserve([key], NanoUSD(5))
        with pytest.raises(RateLimited) as refused:
            await bench.budgets.reserve([key], NanoUSD(5))
        assert refused.value.message.startswith(
            "Rate limit exceeded for api_key: k. Limit type: max_parallel_requests. Current limit: 2, Remaining: 0. Limit resets at: 2026-"
        )
        assert refused.value.headers["rate_limit_type"] == "max_parallel_requests"
        await bench.budgets.release(first)
        await bench.budgets.reserve([key], NanoUSD(5))
        check(bench.table, key)


async def test_a_dead_requests_place_is_freed_by_the_next_one_it_keeps_out() -> None:
    bench, key = Bench(max_age=600.0), scope("key", "k", max_parallel_requests=1, max_budget=1.0)
    await bench.budgets.reserve([key], usd(0.2))
    bench.clock.time += 601
    await bench.budgets.reserve([key], usd(0.1))
    assert bench.kinds() == ["hold_expired"]
    assert check(bench.table, key).spent == usd(0.2)


async def test_a_counter_never_grows_past_its_bound_of_open_holds() -> None:
    bench, key = Bench(max_holds=3), scope("key", "k", max_budget=1.0, max_slices=1)
    for _ in range(3):
        await bench.budgets.reserve([key], NanoUSD(1))
    with pytest.raises(RateLimited) as refused:
        await bench.budgets.reserve([key], NanoUSD(1))
    assert refused.value.code == "budget_busy"


async def test_a_soft_budget_holds_the_estimate_and_ends_when_it_is_spent() -> None:
    bench, team = Bench(), scope(max_budget=1.0, enforcement="soft")
    hold = await bench.budgets.reserve([team], usd(50), estimate=usd(0.5))
    await bench.budgets.settle(hold, usd(1.2))
    assert books(bench.table, team).spent == usd(1.2)
    with pytest.raises(BudgetExceeded):
        await bench.budgets.reserve([team], usd(50), estimate=NanoUSD(0))
    assert bench.kinds() == []


async def test_shadow_counts_and_tells_but_never_refuses() -> None:
    bench, team = Bench(), scope(max_budget=0.1, mode="shadow", max_parallel_requests=1)
    first = await bench.budgets.reserve([team], usd(0.3))
    second = await bench.budgets.reserve([team], usd(0.3))
    assert bench.kinds() == ["shadow_refused", "shadow_refused"]
    await bench.budgets.settle(first, usd(0.2))
    await bench.budgets.settle(second, usd(0.2))
    assert check(bench.table, team).spent == usd(0.4)


async def test_a_soft_budget_line_is_told_once() -> None:
    bench, team = Bench(), scope(max_budget=1.0, soft_budget=0.25)
    for _ in range(4):
        await bench.budgets.settle(await bench.budgets.reserve([team], usd(0.2)), usd(0.1))
    assert bench.kinds() == ["soft_budget"]
    assert bench.events[0].fields["spent"] == usd(0.3)


async def test_soft_budget_alone_counts_without_limiting() -> None:
    bench, team = Bench(), scope(soft_budget=0.25)
    await bench.budgets.settle(await bench.budgets.reserve([team], usd(20)), usd(10))
    assert bench.kinds() == ["soft_budget"]


async def test_free_calls_pass_a_budget_of_nothing() -> None:
    bench, team = Bench(), scope(max_budget=0.0)
    await bench.budgets.settle(await bench.budgets.reserve([team], NanoUSD(0)), NanoUSD(0))
    assert check(bench.table, team).committed == 0


async def test_a_store_that_is_down_denies_unless_the_budget_allows() -> None:
    bench = Bench()
    bench.fail(lambda call: "down")
    with pytest.raises(StoreUnavailable):
        await bench.budgets.reserve([scope(max_budget=1.0)], usd(0.1))
    hold = await bench.budgets.reserve([scope(max_budget=1.0, on_store_error="allow")], usd(0.1))
    ended = await bench.budgets.settle(hold, usd(0.1))
    assert len(ended.unsettled) == 1
    assert {"store_error", "unsettled"} <= set(bench.kinds())


async def test_one_scope_that_cannot_be_reached_releases_the_others() -> None:
    bench = Bench()
    key, team = scope("key", "k", max_budget=1.0), scope("team", "t", max_budget=1.0)
    bench.fail(lambda call: "down" if call.pk == team.pk else "")
    with pytest.raises(StoreUnavailable):
        await bench.budgets.reserve([key, team], usd(0.1))
    assert check(bench.table, key).committed == 0


async def test_a_lost_answer_neither_loses_nor_doubles_money() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    lost = 0

    def every_other(call: Call) -> Fault:
        nonlocal lost
        lost += call.verb == "apply"
        return "lost" if lost % 2 else ""

    bench.fail(every_other)
    hold = await bench.budgets.reserve([team], usd(0.4))
    hold = await bench.budgets.extend(hold, usd(0.5))
    assert check(bench.table, team).held == usd(0.5)
    await bench.budgets.settle(hold, usd(0.1))
    assert check(bench.table, team).committed == usd(0.1)


async def test_a_reserve_that_was_applied_but_never_answered_is_given_back() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    tries = 0

    def first_ones(call: Call) -> Fault:
        nonlocal tries
        tries += call.verb == "apply"
        return "lost" if call.verb == "apply" and tries <= 3 else ""

    bench.fail(first_ones)
    with pytest.raises(StoreUnavailable):
        await bench.budgets.reserve([team], usd(0.4))
    assert check(bench.table, team).committed == 0


async def test_a_cancelled_caller_leaves_no_hold() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    reached = asyncio.Event()

    async def gate(call: Call) -> Fault:
        if call.verb == "apply":
            reached.set()
            await asyncio.sleep(0.01)
        return ""

    bench.table.gate = gate
    task = asyncio.ensure_future(bench.budgets.reserve([team], usd(0.4)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        await asyncio.sleep(0.001)
        if len([call for call in bench.table.calls if call.verb == "apply"]) >= 2:
            break
    assert check(bench.table, team).committed == 0


async def test_settling_survives_the_callers_cancellation() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    hold = await bench.budgets.reserve([team], usd(0.4))
    reached = asyncio.Event()

    async def gate(call: Call) -> Fault:
        reached.set()
        await asyncio.sleep(0.005)
        return ""

    bench.table.gate = gate
    task = asyncio.ensure_future(bench.budgets.settle(hold, usd(0.1)))
    await reached.wait()
    task.cancel()
    for _ in range(200):
        await asyncio.sleep(0.001)
        if books(bench.table, team).holds == 0:
            break
    assert check(bench.table, team).spent == usd(0.1)


async def test_an_empty_counter_item_counts_as_nothing_spent() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    bench.table.items[team.pk, team.window.key] = {"pk": team.pk, "sk": team.window.key}
    await bench.budgets.settle(await bench.budgets.reserve([team], usd(0.4)), usd(0.1))
    assert check(bench.table, team).spent == usd(0.1)


@pytest.mark.parametrize("missing", ["committed", "spent", "in_flight"])
async def test_a_counter_that_lost_an_attribute_still_keeps_its_cap(missing: str) -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    await bench.budgets.settle(await bench.budgets.reserve([team], usd(0.9)), usd(0.9))
    hold = await bench.budgets.reserve([team], usd(0.05))
    del bench.table.items[team.pk, team.window.key][missing]
    with pytest.raises((BudgetExceeded, RateLimited)):
        await bench.budgets.reserve([team], usd(0.2))
    await bench.budgets.settle(hold, usd(0.01))
    with pytest.raises((BudgetExceeded, RateLimited)):
        await bench.budgets.reserve([team], usd(1.0))


async def test_resetting_spend_frees_the_budget_and_keeps_open_holds() -> None:
    bench, team = Bench(), scope(max_budget=1.0)
    await bench.budgets.settle(await bench.budgets.reserve([team], usd(0.9)), usd(0.9))
    open_one = await bench.budgets.reserve([team], usd(0.1))
    with pytest.raises(BudgetExceeded):
        await bench.budgets.reserve([team], usd(0.2))
    await bench.budgets.reset_spend(team, usd(0.25))
    assert check(bench.table, team).spent == usd(0.25)
    await bench.budgets.reserve([team], usd(0.6))
    await bench.budgets.settle(open_one, usd(0.05))
    assert check(bench.table, team).spent == usd(0.3)


async def test_a_raised_cap_admits_at_once_and_a_lowered_one_refuses() -> None:
    bench = Bench()
    await bench.budgets.settle(await bench.budgets.reserve([scope(max_budget=1.0)], usd(0.9)), usd(0.9))
    with pytest.raises(BudgetExceeded):
        await bench.budgets.reserve([scope(max_budget=0.5)], NanoUSD(1))
    await bench.budgets.reserve([scope(max_budget=1.0, temp_budget_increase=1.0, temp_budget_expiry=START + 60)], usd(0.9))


async def test_a_clock_that_goes_back_finds_what_was_spent_before() -> None:
    bench = Bench()
    owner = Owner("team", ("t",), dollar_terms(max_budget=1.0, budget_duration="1h"))
    later, earlier = START + 3600, START
    await bench.budgets.settle(await bench.budgets.reserve(scope_caps([owner], earlier), usd(0.9)), usd(0.9))
    await bench.budgets.reserve(scope_caps([owner], later), usd(0.9))
    with pytest.raises(BudgetExceeded):
        await bench.budgets.reserve(scope_caps([owner], earlier), usd(0.9))
