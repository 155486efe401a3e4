"""Fallbacks, aliases, retries and the other settings of a whole gateway."""

import pytest
from tests.support.config import compiled, found

from tollkeeper.config.snapshot import Snapshot

MODELS = """
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-4o}, model_info: {id: first}}
  - {model_name: b, litellm_params: {model: openai/gpt-4o}}
  - {model_name: c, litellm_params: {model: openai/gpt-4o}}
  - {model_name: groq/*, litellm_params: {model: groq/*}}
"""


def _routed(settings: str) -> Snapshot:
    return compiled(MODELS + settings)


@pytest.mark.parametrize(
    "written",
    ["[{a: [b, c]}]", "{a: [b, c]}", "['a -> b -> c']", "'a->b->c'", "[{a: 'b -> c'}]"],
)
@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
@pytest.mark.parametrize("kind", ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"])
def test_every_form_of_fallbacks_is_read(kind: str, section: str, written: str) -> None:
    assert getattr(_routed(f"{section}: {{{kind}: {written}}}"), kind) == {"a": ("b", "c")}


def test_the_routers_fallbacks_win() -> None:
    snapshot = _routed("litellm_settings: {fallbacks: [{a: [b]}, {b: [c]}]}\nrouter_settings: {fallbacks: [{a: [c]}]}")
    assert snapshot.fallbacks == {"a": ("c",), "b": ("c",)}


def test_a_fallback_may_be_anything_a_caller_could_ask_for() -> None:
    snapshot = _routed(
        "router_settings: {model_group_alias: {z: b}, fallbacks: [{a: [z, groq/llama-3, first]}, {'*': [b]}]}".replace("first", "c")
    )
    assert snapshot.fallbacks == {"a": ("z", "groq/llama-3", "c"), "*": ("b",)}


def test_a_chain_of_an_alias_is_the_chain_of_its_group() -> None:
    assert _routed("router_settings: {model_group_alias: {z: a}, fallbacks: [{z: [b]}]}").fallbacks == {"a": ("b",)}


def test_default_fallbacks() -> None:
    assert _routed("litellm_settings: {default_fallbacks: [b, c]}").default_fallbacks == ("b", "c")
    assert _routed("router_settings: {default_fallbacks: [c]}\nlitellm_settings: {default_fallbacks: [b]}").default_fallbacks == ("c",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{fallbacks: [{a: [nope]}]}", "router_settings.fallbacks[0].a (gateway.yaml:7): there is no model nope"),
        ("{fallbacks: [{nope: [a]}]}", "router_settings.fallbacks[0].nope (gateway.yaml:7): there is no model nope"),
        ("{fallbacks: [{a: [a]}]}", "a falls back to itself"),
        ("{fallbacks: [{a: [z]}], model_group_alias: {z: a}}", "a falls back to itself"),
        ("{fallbacks: 3}", "must be a list of mappings"),
        ("{fallbacks: [[a, b]]}", "must be a mapping of a model to its fallbacks"),
        ("{fallbacks: [{a: 3}]}", "must be a list of model names"),
        ("{fallbacks: [{a: [{model: b}]}]}", "must be a list of model names"),
        ("{default_fallbacks: [nope]}", "there is no model nope"),
        ("{model_group_alias: {z: nope}}", "router_settings.model_group_alias.z (gateway.yaml:7): there is no model nope"),
        ("{model_group_alias: {z: 3}}", "must name a model"),
        ("{model_group_alias: [z]}", "must be a mapping"),
        ("{model_group_alias: {a: b}}", "a model in model_list has this name already"),
        ("{model_group_alias: {z: z}}", "is an alias of itself (z -> z)"),
    ],
)
def test_a_name_that_leads_nowhere_is_an_error(settings: str, said: str) -> None:
    (finding,) = found(MODELS + f"router_settings: {settings}")
    assert said in finding


def test_every_alias_of_a_circle_is_named() -> None:
    findings = found(MODELS + "router_settings: {model_group_alias: {x: y, y: x}}")
    assert [finding.split(" ")[0] for finding in findings] == ["router_settings.model_group_alias.x", "router_settings.model_group_alias.y"]


def test_aliases_are_followed_to_the_end_and_may_be_hidden() -> None:
    snapshot = _routed("router_settings: {model_group_alias: {x: y, y: a, z: {model: b, hidden: true}}}")
    assert snapshot.aliases == {"x": "a", "y": "a", "z": "b"}
    assert snapshot.hidden_aliases == ("z",)


def test_retries_and_timeouts_of_the_gateway() -> None:
    plain = _routed("")
    assert (plain.num_retries, plain.request_timeout) == (2, 600)
    snapshot = _routed("litellm_settings: {num_retries: 5, request_timeout: 30}")
    assert (snapshot.num_retries, snapshot.request_timeout) == (5, 30)
    snapshot = _routed("litellm_settings: {num_retries: 5, request_timeout: 30}\nrouter_settings: {num_retries: 0, timeout: 20}")
    assert (snapshot.num_retries, snapshot.request_timeout) == (0, 20)


def test_general_settings() -> None:
    snapshot = _routed("general_settings: {litellm_key_header_name: X-My-Key, max_request_size_mb: 2}")
    assert (snapshot.key_header, snapshot.max_request_bytes) == ("x-my-key", 2 * 2**20)


def test_what_has_no_field_of_its_own_is_kept_by_section() -> None:
    snapshot = _routed("router_settings: {num_retries: 1, retry_policy: {TimeoutErrorRetries: 3}, fallbacks: [{a: [b]}]}")
    assert snapshot.settings == {"router_settings": {"retry_policy": {"TimeoutErrorRetries": 3}}}
