"""Which deployment is tried next, told from outside: the sequence of tries for a sequence of failures."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import (
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamRejected,
)
from tollkeeper.routing.chains import OwnChains
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.resolve import Groups
from tollkeeper.routing.wishes import wishes_of

DOWN = UpstreamFailed("down")


def deployment(group: str, name: str, **fields: Any) -> Deployment:
    return Deployment(id=name, group=group, provider="openai", dialect="openai_chat", model=name, base_url="http://x", **fields)


def tries(snapshot: Snapshot, group: str, *errors: TollkeeperError, seed: int = 1, **asked: Any) -> list[str]:
    """The ids tried when each try ends with the next error (the last one repeats)."""
    groups = Groups(snapshot)
    found = groups.find(group)
    assert found is not None
    plan = Plan(snapshot, found, groups.find, Random(seed), **asked)
    step, order, failures = plan.first(), [], list(errors)
    while step is not None:
        order.append(step.deployment.id)
        step = plan.after(failures.pop(0) if len(failures) > 1 else failures[0])
    return order


def snapshot(*rows: Deployment, **fields: Any) -> Snapshot:
    return Snapshot(version="t", deployments=rows, **fields)


def test_every_deployment_of_a_group_is_tried_before_one_is_tried_again() -> None:
    rows = [deployment("g", name) for name in "abc"]
    order = tries(snapshot(*rows, num_retries=4), "g", DOWN)
    assert sorted(order[:3]) == ["a", "b", "c"]
    assert len(order) == 5


def test_going_round_again_waits_and_the_first_lap_does_not() -> None:
    groups = Groups(snapshot(deployment("g", "a"), num_retries=3))
    found = groups.find("g")
    assert found is not None
    plan = Plan(groups.snapshot, found, groups.find, Random(1))
    delays = [plan.first().delay]
    while (step := plan.after(DOWN)) is not None:
        delays.append(step.delay)
    assert delays[0] == 0
    assert 0.25 <= delays[1] <= 0.5 <= delays[2] <= 1.0 <= delays[3] <= 2.0


def test_a_refused_request_is_not_tried_elsewhere() -> None:
    rows = (deployment("g", "a"), deployment("g", "b"), deployment("f", "c"))
    assert len(tries(snapshot(*rows, fallbacks={"g": ("f",)}), "g", UpstreamRejected("bad image"))) == 1


def test_a_refused_credential_goes_to_the_next_deployment_and_the_fallback() -> None:
    rows = (deployment("g", "a"), deployment("g", "b"), deployment("f", "c"))
    order = tries(snapshot(*rows, fallbacks={"g": ("f",)}, num_retries=1), "g", UpstreamAuthFailed("no"))
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["c", "c"] or order[2:] == ["c"]


def test_fallbacks_follow_in_their_order_with_the_kind_that_fits_the_error() -> None:
    rows = [deployment(name, name) for name in ("g", "small", "large", "mild")]
    config = snapshot(
        *rows,
        num_retries=0,
        fallbacks={"g": ("small",)},
        context_window_fallbacks={"g": ("large",)},
        content_policy_fallbacks={"g": ("mild",)},
    )
    assert tries(config, "g", DOWN) == ["g", "small"]
    assert tries(config, "g", ContextWindowExceeded("long")) == ["g", "large"]
    assert tries(config, "g", ContentPolicyViolation("rude")) == ["g", "mild"]


def test_default_fallbacks_and_the_star_serve_groups_without_their_own() -> None:
    rows = [deployment(name, name) for name in ("g", "d", "s")]
    assert tries(snapshot(*rows, num_retries=0, default_fallbacks=("d",)), "g", DOWN) == ["g", "d"]
    assert tries(snapshot(*rows, num_retries=0, default_fallbacks=("d",), fallbacks={"*": ("s",)}), "g", DOWN) == ["g", "s"]


def test_the_request_may_bring_its_own_fallbacks_or_none() -> None:
    rows = [deployment(name, name) for name in ("g", "d", "mine")]
    config = snapshot(*rows, num_retries=0, default_fallbacks=("d",))
    assert tries(config, "g", DOWN, chains=OwnChains({"fallbacks": ["mine"]})) == ["g", "mine"]
    assert tries(config, "g", DOWN, chains=OwnChains(none=True)) == ["g"]


def test_tiers_come_in_order_whatever_the_weights() -> None:
    rows = (deployment("g", "second", order=2, weight=100.0), deployment("g", "first", order=1, weight=0.1))
    assert tries(snapshot(*rows, num_retries=1), "g", DOWN) == ["first", "second"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((("a", {"weight": 6}), ("b", {"weight": 4})), {"a": 0.6, "b": 0.4}),
        ((("a", {"rpm": 900}), ("b", {"rpm": 100})), {"a": 0.9, "b": 0.1}),
        ((("a", {"tpm": 10}), ("b", {"tpm": 30})), {"a": 0.25, "b": 0.75}),
        ((("a", {}), ("b", {})), {"a": 0.5, "b": 0.5}),
        ((("a", {"weight": 1}), ("b", {"weight": 0})), {"a": 1.0}),
    ],
)
def test_shares_follow_weight_then_rpm_then_tpm(rows: Any, expected: dict[str, float]) -> None:
    config = snapshot(*(deployment("g", name, **fields) for name, fields in rows), num_retries=0)
    count = Counter(tries(config, "g", DOWN, seed=seed)[0] for seed in range(4000))
    assert set(count) == set(expected)
    # 4,000 draws: three standard deviations are at most 2.4 points
    assert all(abs(count[name] / 4000 - share) < 0.03 for name, share in expected.items())


def test_the_plan_names_everything_it_could_reach() -> None:
    rows = [deployment(name, name) for name in ("g", "f", "w", "p", "elsewhere")]
    config = snapshot(*rows, fallbacks={"g": ("f",)}, context_window_fallbacks={"g": ("w",)}, content_policy_fallbacks={"g": ("p",)})
    groups = Groups(config)
    found = groups.find("g")
    assert found is not None
    plan = Plan(config, found, groups.find, Random(1))
    assert {row.id for row in plan.deployments()} == {"g", "f", "w", "p"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"fallbacks": 5}, "fallbacks"),
        ({"fallbacks": [["x"]]}, "fallbacks"),
        ({"fallbacks": [{"model": "x", "messages": []}]}, "fallbacks"),
        ({"fallbacks": [1]}, "fallbacks"),
        ({"num_retries": "many"}, "num_retries"),
        ({"num_retries": 999}, "num_retries"),
    ],
)
def test_wishes_that_make_no_sense_name_their_field(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        wishes_of(body, {})
    assert refused.value.param == param


def test_wishes_come_from_the_body_before_the_header() -> None:
    assert wishes_of({"num_retries": 1}, {"x-litellm-num-retries": "5"}).num_retries == 1
    assert wishes_of({}, {"x-litellm-num-retries": "5"}).num_retries == 5
    assert wishes_of({"disable_fallbacks": True, "fallbacks": ["x"]}, {}).chains.none


@pytest.mark.parametrize(
    "written",
    [["x", "y"], [{"model": "x"}, {"model": "y"}], [{"g": ["x", "y"]}], {"g": ["x", "y"]}, "x -> y", "g -> x -> y", [{"*": ["x", "y"]}]],
)
@pytest.mark.parametrize("kind", ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"])
def test_a_request_may_write_its_fallbacks_in_every_form(kind: str, written: Any) -> None:
    wishes = wishes_of({"model": "g", kind: written}, {})
    assert wishes.chains.by_kind == {kind: ["x", "y"]}
    assert wishes.named == ("x", "y")


def test_what_a_key_says_holds_where_the_request_says_nothing() -> None:
    own = {"fallbacks": [{"g": ["k"]}], "context_window_fallbacks": [{"g": ["long"]}], "num_retries": 7}
    wishes = wishes_of({"model": "g", "fallbacks": ["mine"]}, {}, own)
    assert wishes.chains.by_kind == {"fallbacks": ["mine"], "context_window_fallbacks": ["long"]}
    assert (wishes.num_retries, wishes.named) == (7, ("mine",))
