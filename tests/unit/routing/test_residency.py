"""Whatever fails, whatever is slow, whoever falls back on whom: no request reaches a deployment that its rules forbid."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.counters import FakeClock, MemoryTable
from tests.support.routing import Router, deployment, snapshot

from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import (
    ContentPolicyViolation,
    ContextWindowExceeded,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from tollkeeper.routing.asked import Asked, Requirement
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.plan import Attempt, Plan

REGIONS = ("eu-central-1", "us-east-1", "europe-west2", "eu", "")
FAILURES: tuple[TollkeeperError | None, ...] = (
    None,
    UpstreamFailed("down", upstream_status=500),
    UpstreamRateLimited("slow", upstream_status=429, retry_after=20),
    UpstreamAuthFailed("revoked", upstream_status=401),
    UpstreamTimeout("silent"),
    UpstreamRejected("missing", upstream_status=404, code="model_not_found"),
    ContextWindowExceeded("too long", upstream_status=400),
    ContentPolicyViolation("no", upstream_status=400),
)
STRATEGIES = (
    "simple-shuffle",
    "round-robin",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
    "adaptive",
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Deployment], dict[str, Any]]:
    groups = draw(st.lists(st.sampled_from("gxyz"), min_size=2, max_size=9))
    rows = [
        replace(
            deployment("g" if index == 0 else group, f"d{index}", order=draw(st.integers(1, 2))),
            labels=({"region": place} if (place := draw(st.sampled_from(REGIONS))) else {}) | {"training": draw(st.booleans())},
        )
        for index, group in enumerate(groups)
    ]
    names = st.lists(st.sampled_from("xyz"), max_size=3, unique=True).map(tuple)
    chains = {
        kind: {"g": chain} for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks") if (chain := draw(names))
    }
    return rows, {**chains, "default_fallbacks": draw(names), "num_retries": draw(st.integers(0, 4))}


@settings(max_examples=80, deadline=None)
@given(
    fleets(),
    st.lists(st.lists(st.sampled_from(FAILURES), min_size=1, max_size=12), min_size=1, max_size=12),
    st.sampled_from(STRATEGIES),
    st.sampled_from(("bypass", "refuse")),
    st.integers(0, 1000),
)
async def test_no_request_reaches_a_forbidden_deployment(
    fleet: tuple[list[Deployment], dict[str, Any]], schedules: list[list[TollkeeperError | None]], strategy: str, all_open: str, seed: int
) -> None:
    rows, fields = fleet
    own = {"all_open": all_open, "models": {"g": {"hedge": {"after": 0.01, "share": 1.0}, "latency": {"slow": 1.0, "samples": 1}}}}
    config = snapshot(*rows, router={"routing_strategy": strategy, "cooldown_time": 5}, own=own, **fields)
    rules = (Requirement("region", ("eu",), "the team"), Requirement("training", (False,), "the request"))
    clock = FakeClock()
    router = Router(config, lambda step: None, MemoryTable(), clock, seed)
    group = router.groups.find("g")
    assert group is not None
    reached: list[Deployment] = []

    for schedule in schedules:
        clock.time += 3
        failures = list(schedule)

        async def attempt(step: Attempt, failures: list[TollkeeperError | None] = failures) -> str:
            reached.append(step.deployment)
            await clock.sleep(0.5)
            error = failures.pop(0) if failures else None
            if error is not None:
                raise error
            return step.deployment.id

        async def discard(step: Attempt, result: str) -> None:
            reached.append(step.deployment)

        try:
            asked = Asked(require=rules, streamed=bool(len(schedule) % 2))
            plan = Plan(config, group, router.groups.find, router.random, asked=asked, health=router.fleet)
        except TollkeeperError:
            continue
        assert all(rule.met_by(row) for row in plan.deployments() for rule in rules), "nor is it paid for there"
        try:
            await first_success(plan, attempt, clock, discard=discard)
        except TollkeeperError:
            pass
        finally:
            await finish(plan, tokens=10, output_tokens=5)
    assert all(rule.met_by(row) for row in reached for rule in rules)
