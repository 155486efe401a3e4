"""Compile a gateway.yaml in a test: what came of it, or what was found wrong with it."""

from collections.abc import Mapping
from datetime import date
from textwrap import dedent

import pytest

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import ConfigError

DAY = date(2026, 11, 20)


def compiled(text: str, env: Mapping[str, str] | None = None) -> Snapshot:
    return compile_config(dedent(text), env=(env or {}).get, at=DAY)


def found(text: str, env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The findings of a configuration that must not compile."""
    with pytest.raises(ConfigError) as caught:
        compiled(text, env)
    return caught.value.findings


def only(text: str, env: Mapping[str, str] | None = None) -> Deployment:
    """The one deployment of a configuration."""
    (deployment,) = compiled(text, env).deployments
    return deployment


def model(params: str, info: str = "", name: str = "m") -> str:
    """A configuration of one model. `params` and `info` are flow mappings without their braces."""
    return f"model_list:\n  - model_name: '{name}'\n    litellm_params: {{{params}}}\n    model_info: {{{info}}}\n"
