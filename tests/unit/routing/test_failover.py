"""Breaker, plan and store together: what requests see, one after the other, and what the store is asked."""

import asyncio

import pytest
from tests.support.counters import Call, Fault, MemoryTable
from tests.support.routing import Router, deployment, down, snapshot

from tollkeeper.errors import (
    BadRequest,
    NoDeployment,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnreachable,
)
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.plan import Asked, Attempt, Plan

TWO = (deployment("g", "a"), deployment("g", "b"))


def failed() -> TollkeeperError:
    return UpstreamFailed("down", upstream_status=500)


def full() -> TollkeeperError:
    return UpstreamRateLimited("full", upstream_status=429, retry_after=20)


def refused() -> TollkeeperError:
    return UpstreamAuthFailed("key revoked", upstream_status=401)


async def test_while_all_is_well_nothing_is_written_and_a_group_is_read_once_a_second() -> None:
    router = Router(snapshot(*TWO), down([], failed))
    for _ in range(50):
        await router.ask()
    assert len(router.table.calls) == 1
    router.clock.time += 1
    await router.ask()
    assert router.calls("query") == 2
    assert router.calls("apply") == 0


async def test_a_lone_deployment_without_fallback_costs_no_store_request_and_is_never_benched() -> None:
    router = Router(snapshot(deployment("g", "a"), num_retries=0), down(["a"], failed))
    for _ in range(30):
        router.clock.time += 1
        with pytest.raises(UpstreamFailed):
            await router.ask()
    assert len(router.tried) == 30
    assert router.table.calls == []


async def test_a_dead_deployment_is_left_alone_after_three_wasted_calls_at_low_traffic() -> None:
    router = Router(snapshot(*TWO), down(["a"], failed))
    for _ in range(12):
        router.clock.time += 0.4
        assert await router.ask() == "b"
    assert router.tried.count("a") <= 5
    assert router.tried[-5:] == ["b"] * 5


async def test_another_process_knows_within_a_second() -> None:
    table = MemoryTable()
    rows = (deployment("g", "a", order=1), deployment("g", "b", order=2))
    one = Router(snapshot(*rows), down(["a"], refused), table)
    two = Router(snapshot(*rows), down([], refused), table, one.clock)
    assert await two.ask() == "a"
    assert await one.ask() == "b"
    two.clock.time += 1
    assert await two.ask() == "b"
    assert two.tried == ["a", "b"]


async def test_when_its_rest_is_over_one_request_probes_and_the_rest_go_elsewhere() -> None:
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), down(["a"], full))
    await router.ask()
    router.clock.time += 21
    router.tried.clear()
    await asyncio.gather(*(router.ask() for _ in range(20)))
    assert router.tried.count("a") == 1
    assert router.trials.count("probe") == 1


async def test_a_probe_that_answers_brings_the_deployment_back() -> None:
    dead = {"a"}
    router = Router(
        snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), lambda step: full() if step.deployment.id in dead else None
    )
    assert await router.ask() == "b"
    dead.clear()
    assert await router.ask() == "b"
    router.clock.time += 21
    assert [await router.ask() for _ in range(3)] == ["a", "a", "a"]
    assert router.trials[-3:] == ["probe", "", ""]


async def test_a_probe_that_fails_costs_its_request_nothing_and_doubles_the_rest() -> None:
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), down(["a"], refused))
    for wait in (0, 61, 61, 60):
        router.clock.time += wait
        assert await router.ask() == "b"
    assert router.tried.count("a") == 3, "at the start, after 60 s, and after 120 s more"


async def test_a_probe_refused_for_the_requests_own_fault_still_shows_that_the_upstream_is_there() -> None:
    answers: dict[str, TollkeeperError | None] = {"a": full()}
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), lambda step: answers.get(step.deployment.id))
    await router.ask()
    router.clock.time += 21
    answers["a"] = UpstreamRejected("bad image", upstream_status=400)
    with pytest.raises(UpstreamRejected):
        await router.ask()
    answers["a"] = None
    assert await router.ask() == "a"
    assert router.trials[-1] == ""


async def test_a_probe_that_ended_for_our_own_reasons_is_given_to_the_next() -> None:
    answers: dict[str, TollkeeperError | None] = {"a": full()}
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), lambda step: answers.get(step.deployment.id))
    await router.ask()
    router.clock.time += 21
    answers["a"] = BadRequest("the dialect cannot say this")
    with pytest.raises(BadRequest):
        await router.ask()
    answers["a"] = None
    assert await router.ask() == "a"
    assert router.trials[-1] == "probe"


async def test_a_caller_who_leaves_during_the_probe_frees_it() -> None:
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), down(["a"], full))
    await router.ask()
    router.clock.time += 21

    def leave(step: Attempt) -> TollkeeperError | None:
        raise asyncio.CancelledError

    router.upstream = leave
    with pytest.raises(asyncio.CancelledError):
        await router.ask()
    router.upstream = down([], full)
    assert await router.ask() == "a"


async def test_a_group_that_rests_because_it_was_told_to_is_refused_in_litellms_words() -> None:
    router = Router(snapshot(*TWO, num_retries=1), down(["a", "b"], full))
    with pytest.raises(UpstreamRateLimited):
        await router.ask()
    router.clock.time += 5
    with pytest.raises(NoDeployment) as told:
        await router.ask()
    assert told.value.status == 429
    assert told.value.message.startswith("No deployments available for selected model, Try again in 15 seconds. Passed model=g.")
    assert "cooldown_list=['a', 'b']" in told.value.message
    assert told.value.retry_after == 15
    assert len(router.tried) == 2


async def test_a_group_that_only_had_transient_faults_is_tried_all_the_same() -> None:
    dead = {"a", "b"}
    router = Router(snapshot(*TWO, num_retries=1), lambda step: failed() if step.deployment.id in dead else None)
    for _ in range(8):
        router.clock.time += 0.4
        with pytest.raises(UpstreamFailed):
            await router.ask()
    dead.clear()
    answered = await router.ask()
    assert router.trials[-1] == "bypass"
    assert {await router.ask() for _ in range(5)} == {answered}
    assert router.trials[-1] == "", "the answer closed its breaker"


async def test_refusing_instead_is_a_setting() -> None:
    router = Router(snapshot(*TWO, num_retries=1, own={"all_open": "refuse"}), down(["a", "b"], failed))
    for _ in range(8):
        router.clock.time += 0.4
        with pytest.raises((UpstreamFailed, NoDeployment)):
            await router.ask()
    with pytest.raises(NoDeployment):
        await router.ask()


async def test_a_resting_group_goes_straight_to_its_fallback() -> None:
    router = Router(snapshot(deployment("g", "a"), deployment("f", "c"), fallbacks={"g": ("f",)}, num_retries=0), down(["a"], refused))
    assert [await router.ask() for _ in range(5)] == ["c"] * 5
    assert router.tried.count("a") == 1


@pytest.mark.parametrize("settings", [{"disable_cooldowns": True}, {"cooldown_time": 0}])
async def test_disable_cooldowns_keeps_every_deployment_in(settings: dict[str, object]) -> None:
    router = Router(snapshot(*TWO, router=settings), down(["a"], refused))
    for _ in range(40):
        assert await router.ask() == "b"
    assert router.tried.count("a") > 10


async def test_without_its_store_a_process_goes_by_what_it_knows() -> None:
    async def unreachable(call: Call) -> Fault:
        return "down"

    router = Router(snapshot(*TWO), down(["a"], refused), MemoryTable(gate=unreachable))
    for _ in range(20):
        assert await router.ask() == "b"
    assert router.tried.count("a") == 1
    router.clock.time += 61
    for _ in range(20):
        assert await router.ask() == "b"
    assert router.tried.count("a") == 2


async def test_a_storm_repeats_at_most_half_as_often_as_it_asks() -> None:
    router = Router(snapshot(deployment("g", "a"), num_retries=3), down(["a"], failed))
    for _ in range(400):
        with pytest.raises(UpstreamFailed):
            await router.ask()
    assert len(router.tried) <= 400 * 1.5 + 11


async def test_the_right_model_name_at_another_deployment_serves() -> None:
    router = Router(snapshot(*TWO), down(["a"], lambda: UpstreamRejected("no such model", upstream_status=404, code="model_not_found")))
    assert {await router.ask() for _ in range(20)} == {"b"}
    assert router.tried.count("a") == 1


async def test_a_refused_credential_is_not_tried_twice_by_one_request() -> None:
    router = Router(snapshot(*TWO, num_retries=6, router={"disable_cooldowns": True}), down(["a", "b"], refused))
    with pytest.raises(UpstreamAuthFailed):
        await router.ask()
    assert sorted(router.tried) == ["a", "b"]


async def test_where_it_was_told_to_wait_a_fallback_is_taken_without_waiting() -> None:
    rows = (deployment("g", "a"), deployment("f", "c"))
    router = Router(snapshot(*rows, fallbacks={"g": ("f",)}, num_retries=3), down(["a"], full))
    began = router.clock.time
    assert await router.ask() == "c"
    assert router.tried == ["a", "c"]
    assert router.clock.time == began
    explicit = {"retry_policy": {"RateLimitErrorRetries": 1}}
    insisting = Router(snapshot(*rows, fallbacks={"g": ("f",)}, router=explicit | {"disable_cooldowns": True}), down(["a"], full))
    assert await insisting.ask() == "c"
    assert insisting.tried == ["a", "a", "c"]


async def test_streams_that_break_after_their_first_content_count_against_the_deployment() -> None:
    router = Router(snapshot(deployment("g", "a", order=1), deployment("g", "b", order=2)), down([], failed))

    async def broken() -> str:
        group = router.groups.find("g")
        assert group is not None
        plan = Plan(router.snapshot, group, router.groups.find, router.random, asked=Asked(streamed=True), health=router.fleet)
        answered = await first_success(plan, router.attempt, router.clock)
        await finish(plan, error=UpstreamUnreachable("cut"))
        return answered

    for _ in range(4):
        router.clock.time += 1
        await broken()
    assert await router.ask() == "b"


async def test_retry_policy_overrides_the_number_of_retries_by_class() -> None:
    policy = {"retry_policy": {"InternalServerErrorRetries": 4}, "model_group_retry_policy": {"f": {"DefaultRetries": 0}}}
    rows = (deployment("g", "a"), deployment("f", "c"))
    router = Router(snapshot(*rows, router=policy, num_retries=1), down(["a", "c"], failed))
    with pytest.raises(UpstreamFailed):
        await router.ask("g")
    with pytest.raises(UpstreamFailed):
        await router.ask("f")
    assert (router.tried.count("a"), router.tried.count("c")) == (5, 1)


async def test_retry_after_is_the_least_wait_and_max_fallbacks_the_most_groups() -> None:
    rows = [deployment(name, name) for name in ("g", "x", "y", "z")]
    router = Router(
        snapshot(*rows, router={"retry_after": 7, "max_fallbacks": 2}, fallbacks={"g": ("x", "y", "z")}, num_retries=1),
        down(["g", "x", "y", "z"], failed),
    )
    started = router.clock.time
    with pytest.raises(UpstreamFailed):
        await router.ask()
    assert set(router.tried) == {"g", "x", "y"}
    assert router.clock.time - started == 21
