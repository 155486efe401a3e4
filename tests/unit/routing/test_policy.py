"""Router settings of a gateway.yaml, and what is wrong with one, told at load."""

import pytest
from tests.support.config import compiled, found

from tollkeeper.config.snapshot import dump, load
from tollkeeper.routing.policy import Policies

MODELS = """
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/K, tags: [free], cooldown_time: 9, allowed_fails: 2}
  - model_name: b
    litellm_params: {model: groq/llama-3.1-8b-instant, api_key: os.environ/K, allowed_fails_policy: {TimeoutErrorAllowedFails: 7}}
"""


def test_settings_reach_each_group_and_deployment_through_the_compiled_form() -> None:
    snapshot = load(
        dump(
            compiled(
                MODELS
                + """
router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {lowest_latency_buffer: 0.2}
  routing_groups: [{group_name: one, models: [b], routing_strategy: least-busy}]
  retry_policy: {TimeoutErrorRetries: 3, DefaultRetries: 1}
  model_group_retry_policy: {b: {RateLimitErrorRetries: 0}}
  cooldown_time: 30
  allowed_fails: 5
  enable_tag_filtering: true
tollkeeper: {routing: {all_open: refuse}}
"""
            )
        )
    )
    a, b = Policies(snapshot).of("a"), Policies(snapshot).of("b")
    assert (a.strategy, b.strategy) == ("latency-based-routing", "least-busy")
    assert [a.retries_for("Timeout"), a.retries_for("NotFound"), b.retries_for("RateLimit"), b.retries_for("Timeout")] == [3, 1, 0, None]
    assert (a.tag_filtering, a.all_open) == (True, "refuse")
    first, second = (a.rules_for(row, peers=True) for row in snapshot.deployments)
    assert (first.cooldown, first.allowed_fails) == (9, 2)
    assert (second.cooldown, second.allowed_fails, second.allowed_by_kind) == (30, None, {"Timeout": 7})
    assert not second.disabled
    assert snapshot.deployments[0].tags == ("free",)
    assert snapshot.unsupported == ()


def test_litellm_settings_may_say_it_too() -> None:
    policy = Policies(compiled(MODELS + "litellm_settings: {allowed_fails: 4, max_fallbacks: 1}")).of("a")
    assert (policy.allowed_fails, policy.max_fallbacks) == (4, 1)


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ("{routing_strategy: least-bsy}", "router_settings.routing_strategy"),
        ("{retry_policy: {TimeoutRetries: 3}}", "router_settings.retry_policy.TimeoutRetries"),
        ("{allowed_fails_policy: {TimeoutErrorAllowedFails: -1}}", "router_settings.allowed_fails_policy.TimeoutErrorAllowedFails"),
        ("{cooldown_time: soon}", "router_settings.cooldown_time (gateway.yaml:7): must be a number"),
        ("{routing_groups: [{group_name: x, models: [nope], routing_strategy: least-busy}]}", "there is no model nope"),
        (
            "{routing_groups: [%s, %s]}" % (("{group_name: x, models: [a], routing_strategy: least-busy}",) * 2),
            "router_settings.routing_groups[1].models[0] (gateway.yaml:7): a is in routing_groups[0] too",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path(settings: str, finding: str) -> None:
    (told,) = found(MODELS + f"router_settings: {settings}")
    assert finding in told


def test_priorities_inside_a_routing_group_are_said_to_do_nothing() -> None:
    groups = "[{group_name: x, models: [a], routing_strategy: least-busy, model_priorities: {a: 1}}]"
    snapshot = compiled(MODELS + f"router_settings: {{routing_groups: {groups}}}")
    assert any("model_priorities" in line and "does nothing here" in line for line in snapshot.warnings)
