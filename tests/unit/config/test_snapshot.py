from dataclasses import replace

import pytest
from tests.support.config import compiled, model

from tollkeeper.config.demo import demo_config
from tollkeeper.config.snapshot import Secret, Snapshot, dump, load

EVERYTHING = """
model_list:
  - model_name: a
    litellm_params:
      {model: openai/gpt-4o, api_key: secret:x#y, rpm: 5, weight: 2, seed: 1, extra_headers: {X: y}, additional_drop_params: [n]}
    model_info:
      {access_groups: [g], input_cost_per_token: 1e-6, input_cost_per_token_above_200k_tokens: 2e-6, note: [1, {a: null}]}
  - {model_name: openai/*, litellm_params: {model: openai/*}}
  - {model_name: mock, litellm_params: {model: m, mock_response: [Hi, {sleep: 0.5}]}}
router_settings:
  model_group_alias: {z: {model: a, hidden: true}}
  fallbacks: [{a: [mock]}]
  default_fallbacks: [mock]
  retry_policy: {TimeoutErrorRetries: 1}
general_settings: {master_key: os.environ/MASTER, litellm_key_header_name: X-Key, alerting: [slack]}
"""


def test_what_is_dumped_is_what_is_loaded() -> None:
    snapshot = compiled(EVERYTHING)
    assert load(dump(snapshot)) == snapshot


def test_the_demo_survives_the_round_trip_too() -> None:
    snapshot = compiled(demo_config(openai=True, anthropic=True, ollama=["llama3"], vllm=["qwen"]))
    assert load(dump(snapshot)) == snapshot


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"3", b'{"deployments": [{}]}', b'{"deployments": [], "version": "1", "surprise": 1}', b"\xff"]
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        load(data)


def test_the_version_follows_the_content_and_only_it() -> None:
    one, same = compiled(model("model: openai/gpt-4o")), compiled("# a comment\n" + model("model: openai/gpt-4o"))
    assert one.version == same.version
    assert compiled(model("model: openai/gpt-4o, rpm: 1")).version != one.version


def test_a_credential_is_not_in_the_representation() -> None:
    assert "hush" not in repr(replace(Snapshot("1"), master_key=Secret("literal", "hush")))
