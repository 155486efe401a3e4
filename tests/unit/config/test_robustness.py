"""Whatever stands in the file: a snapshot that survives the round trip, or findings. Never another exception."""

import json
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.config import DAY

from tollkeeper.config.compile import compile_config
from tollkeeper.config.litellm_keys import IMPLEMENTED, KNOWN
from tollkeeper.config.snapshot import dump, load
from tollkeeper.errors import ConfigError

GOOD: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "a",
            "litellm_params": {
                "model": "openai/gpt-4o",
                "api_key": "os.environ/KEY",
                "api_base": "https://${HOST}/v1",
                "rpm": 5,
                "timeout": 3,
                "extra_headers": {"X-A": "b"},
                "extra_body": {"seed": 1},
                "additional_drop_params": ["n"],
                "litellm_credential_name": "c",
                "mock_response": "hi",
            },
            "model_info": {
                "id": "1",
                "mode": "chat",
                "access_groups": ["g"],
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": "2e-6",
            },
        },
        {"model_name": "openai/*", "litellm_params": {"model": "openai/*"}},
    ],
    "credential_list": [{"credential_name": "c", "credential_values": {"api_key": "secret:x#y"}}],
    "environment_variables": {"HOST": "h.example"},
    "litellm_settings": {"drop_params": True, "num_retries": 1, "fallbacks": [{"a": ["openai/gpt-4o"]}]},
    "router_settings": {"model_group_alias": {"z": {"model": "a", "hidden": True}}, "default_fallbacks": ["a"], "retry_policy": {"X": 1}},
    "general_settings": {"master_key": "os.environ/MASTER", "max_request_size_mb": 1, "litellm_key_header_name": "X"},
}

WORDS = st.sampled_from(
    sorted(KNOWN["litellm_params"] | KNOWN["top"] | IMPLEMENTED["router_settings"] | {"a", "z", "*", "openai/*", "", "x y"})
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
MAPPINGS = partial(st.dictionaries, WORDS | st.text(max_size=5), max_size=3)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | MAPPINGS(inner), max_leaves=4)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


PATHS = _paths(GOOD)


def _outcome(text: str) -> tuple[str, ...]:
    """The lines an operator would read; none if it compiled."""
    try:
        snapshot = compile_config(text, env={}.get, at=DAY)
    except ConfigError as error:
        return (error.message, *error.findings)
    assert load(dump(snapshot)) == snapshot
    return ()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=2))
def test_any_value_anywhere(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    config: Any = GOOD
    for path, value in sorted(changes, key=lambda change: -len(change[0])):
        config = _replaced(config, path, value)
    assert all(line and "\n" not in line for line in _outcome(json.dumps(config))[1:])


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!#'\"|>%@`?,\n\t 0.~<")) | st.characters(), max_size=40))
def test_any_text(text: str) -> None:
    assert all(_outcome(text))
