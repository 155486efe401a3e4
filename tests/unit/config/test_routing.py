"""tollkeeper.routing: what contradicts itself or leads nowhere is refused, with the path and the reason."""

import pytest
from tests.support.config import compiled, found

MODELS = """
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}, model_info: {id: a1, region: us-east-1}}
  - {model_name: b, litellm_params: {model: openai/gpt-4o, api_key: k}, model_info: {id: b1, region: eu-central-1}}
  - {model_name: b, litellm_params: {model: groq/llama3, api_key: k}, model_info: {id: b2}}
"""
HERE = "tollkeeper.routing"


def mistakes(routing: str, more: str = "") -> str:
    return "\n".join(found(f"{MODELS}{more}tollkeeper: {{routing: {routing}}}"))


@pytest.mark.parametrize(
    ("routing", "said"),
    [
        ("{rules: [{when: {model: a}, use: nope}]}", f"{HERE}.rules[0].use (gateway.yaml:6): there is no model nope"),
        ("{rules: [{when: {model: nope}, use: a}]}", "rules[0].when.model[0] (gateway.yaml:6): there is no model nope"),
        ("{rules: [{when: {model: a}}]}", "rules[0] (gateway.yaml:6): says nothing; add use, require or refuse"),
        ("{rules: [{when: {team: x}, use: a, refuse: no}]}", "rules[0].refuse"),
        ("{rules: [{when: {team: x}, use: a}, {when: {team: x}, use: b}]}", "rules[1] (gateway.yaml:6): contradicts rules[0]"),
        ("{rules: [{when: {tokens_over: 9k, tokens_under: 8k}, use: a}]}", "no prompt has more than tokens_over"),
        ("{rules: [{when: {tem: x}, use: a}]}", "rules[0].when.tem"),
        ("{rules: [{when: {team: x}, use: a, require: {region: eu}}]}", "a has no deployment with region=eu"),
        ("{rules: [{when: {team: x}, require: {retention: none}}]}", "there is no deployment with retention=none"),
        ("{require: {region: eu}, rules: [{when: {team: x}, require: {region: us}}]}", "contradicts tollkeeper.routing.require.region"),
        ("{require: {region: eu}, rules: [{when: {team: x}, use: a}]}", "a has no deployment with region=eu"),
        ("{models: {a: {context: [{over: 10k, use: a}]}}}", "models.a.context[0].use (gateway.yaml:6): is the model itself"),
        ("{models: {a: {context: [{over: 10k, use: b}, {over: 5k, use: b}]}}}", "context[1].over (gateway.yaml:6): is not above 10000"),
        ("{models: {a: {fallbacks: [nope]}}}", f"{HERE}.models.a.fallbacks (gateway.yaml:6): there is no model nope"),
        ("{models: {a: {strategy: fastst}}}", "models.a.strategy (gateway.yaml:6): there is no such strategy"),
        ("{models: {nope: {strategy: adaptive}}}", f"{HERE}.models.nope (gateway.yaml:6): there is no model nope"),
        ("{models: {mix: {weights: {a: 60, nope: 40}}}}", "models.mix.weights.nope (gateway.yaml:6): there is no model nope"),
        ("{models: {mix: {weights: {a: 0, b: 0}}}}", "gives nothing any weight"),
        ("{models: {b: {weights: {b3: 1}}}}", "b has no deployment of this name"),
        ("{models: {a: {latency: {slow: soon}}}}", "must be a duration, as in 2s or 500ms"),
        ("{models: {b: {canary: {deployment: b9, share: 5%}}}}", "there is no deployment b9 in it"),
        ("{models: {b: {canary: {deployment: b1, share: 500%}}}}", "must be a share, as in 5% or 0.05"),
        ("{models: {a: {canary: {deployment: a1, share: 5%}}}}", "is the only deployment"),
        ("{budget_fallbacks: {a: [nope]}}", "budget_fallbacks.a (gateway.yaml:6): there is no model nope"),
        ("{budget_fallbacks: {a: [a]}}", "a falls back to itself"),
        ("{hedge: {share: lots}}", "must be a share"),
        ("{require: 5}", "must be a mapping of labels"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_reason(routing: str, said: str) -> None:
    assert said in mistakes(routing)


@pytest.mark.parametrize(
    "written",
    [
        "router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}",
        "router_settings: {model_group_alias: {z: a}, fallbacks: [{a: [b]}, {b: [z]}]}",
        "litellm_settings: {context_window_fallbacks: [{a: [b]}, {b: [a]}]}",
    ],
)
def test_fallbacks_that_run_in_a_circle_are_refused_and_may_be_meant(written: str) -> None:
    (line,) = found(f"{MODELS}{written}\n")
    assert "the fallbacks run in a circle: a -> b -> a" in line
    assert "fallback_cycles: allow" in line
    assert compiled(f"{MODELS}{written}\ntollkeeper: {{routing: {{fallback_cycles: allow}}}}").deployments


def test_two_chains_for_one_model_contradict_each_other() -> None:
    (line,) = found(f"{MODELS}router_settings: {{fallbacks: [{{a: [b]}}, {{a: [b, b]}}]}}\n")
    assert line.startswith("router_settings.fallbacks[1].a (gateway.yaml:6): a has another chain in router_settings.fallbacks[0].a")


@pytest.mark.parametrize(
    ("written", "strategy"),
    [
        ("weighted", "simple-shuffle"),
        ("round_robin", "round-robin"),
        ("Round Robin", "round-robin"),
        ("usage_based", "usage-based-routing-v2"),
        ("usage-based-routing", "usage-based-routing-v2"),
        ("usage-based-routing-v2", "usage-based-routing-v2"),
        ("latency_based", "latency-based-routing"),
        ("cost-based-routing", "cost-based-routing"),
        ("capability_based", "capability-based-routing"),
        ("least-busy", "least-busy"),
        ("provider-budget-routing", "provider-budget-routing"),
        ("adaptive", "adaptive"),
    ],
)
def test_strategies_go_by_litellms_names_and_by_the_usual_ones(written: str, strategy: str) -> None:
    snapshot = compiled(f"{MODELS}router_settings: {{routing_strategy: {written}}}\n")
    assert snapshot.settings["router_settings"]["routing_strategy"] == strategy


LABELLED = """
model_list:
  - {model_name: a, litellm_params: {model: bedrock/eu.anthropic.claude-x, aws_region_name: eu-central-1}, model_info: {id: profile}}
  - {model_name: a, litellm_params: {model: bedrock/global.anthropic.claude-x, aws_region_name: eu-central-1}, model_info: {id: world}}
  - {model_name: a, litellm_params: {model: bedrock/anthropic.claude-x, aws_region_name: eu-west-2}, model_info: {id: london}}
  - {model_name: a, litellm_params: {model: vertex_ai/gemini-2.5, vertex_project: p, vertex_location: europe-west4}, model_info: {id: g}}
  - {model_name: a, litellm_params: {model: azure/x, api_base: "https://x", api_key: k, region_name: swedencentral}, model_info: {id: az}}
  - {model_name: a, litellm_params: {model: openai/x, api_key: k}, model_info: {id: nowhere}}
"""


def test_a_region_is_known_from_the_entry_and_a_profile_that_crosses_regions_is_where_it_may_go() -> None:
    eu = {row.id for row in compiled(LABELLED).deployments if row.satisfies("region", ["eu"])}
    assert eu == {"profile", "g", "az"}


def test_abilities_come_from_model_info() -> None:
    info = "{supports_vision: false, supports_function_calling: true}"
    (row,) = compiled(f"model_list: [{{model_name: a, litellm_params: {{model: openai/x, api_key: k}}, model_info: {info}}}]").deployments
    assert (row.able, row.lacks) == (("tools",), ("vision",))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[mon-fri 8-18]", "is no access window"),
        ("[someday 08:00-18:00]", "is no access window"),
        ("[mon 08:00-18:00 Nowhere/City]", "is no"),
    ],
)
def test_access_windows_that_say_nothing(written: str, said: str) -> None:
    entry = f"{{model_name: a, litellm_params: {{model: openai/x, api_key: k}}, model_info: {{access_windows: {written}}}}}"
    assert said in "\n".join(found(f"model_list: [{entry}]"))
