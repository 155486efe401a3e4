"""Pinned facts about single models: where from, what they say, and who sees them."""

import json
import re
from pathlib import Path

import pytest

from tollkeeper.catalog import models
from tollkeeper.catalog.endpoints import mode_of
from tollkeeper.catalog.models import DATA, FEATURES, MODES, profile_of
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.compile import compile_config
from tollkeeper.dev import model_facts


def test_the_data_says_where_it_is_from_and_of_which_day() -> None:
    assert re.search(r"LiteLLM \d+\.\d+\.\d+.* \d{4}-\d\d-\d\d$", models.source())


def test_every_line_is_a_model_of_a_provider_we_know() -> None:
    lines = DATA.read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) > 2_000
    for line in lines:
        name, mode, read, written, features = line.split("\t")
        assert name.partition("/")[0] in PROVIDERS
        assert mode in MODES
        assert all(not number or number.isdecimal() for number in (read, written))
        assert set(features.split()) <= FEATURES.keys()


@pytest.mark.parametrize(
    ("provider", "model", "base", "window", "output", "able"),
    [
        ("openai", "gpt-4o", None, 128_000, 16_384, {"tools", "vision", "schema"}),
        ("anthropic", "claude-sonnet-4-5-20250929", None, 200_000, 64_000, {"tools", "vision", "reasons", "caches"}),
        ("gemini", "gemini-2.5-pro", None, 1_048_576, 65_536, {"tools", "vision", "reasons", "hears"}),
        ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None, 200_000, 64_000, {"tools", "reasons"}),
        ("azure", "my-deployment", "azure/gpt-4o", 128_000, 16_384, {"tools"}),
        ("azure", "my-deployment", "gpt-4o", 128_000, 16_384, {"tools"}),
    ],
)
def test_what_is_known_of_a_model(provider: str, model: str, base: str | None, window: int, output: int, able: set[str]) -> None:
    found = profile_of(provider, model, base)
    assert found is not None
    assert (found.max_input_tokens, found.max_output_tokens) == (window, output)
    assert able <= found.features


def test_what_nobody_knows_is_not_guessed() -> None:
    assert profile_of("openai", "who-knows") is None
    assert profile_of("hosted_vllm", "gpt-4o") is None


def test_a_configuration_is_filled_in_and_what_it_says_itself_wins() -> None:
    rows = [
        {"model_name": "known", "litellm_params": {"model": "openai/gpt-4o"}},
        {
            "model_name": "said",
            "litellm_params": {"model": "openai/gpt-4o"},
            "model_info": {"supports_vision": False, "max_output_tokens": 9},
        },
        {"model_name": "ranker", "litellm_params": {"model": "voyage/rerank-2.5"}},
        {"model_name": "star", "litellm_params": {"model": "openai/*"}},
    ]
    rows[3]["model_name"] = "openai/*"
    snapshot = compile_config(json.dumps({"model_list": rows}), env=lambda name: "k" if name.endswith("KEY") else None)
    known, said, ranker, star = snapshot.deployments
    assert (known.info["supports_vision"], known.info["max_output_tokens"], mode_of(known)) == (True, 16_384, "chat")
    assert (said.info["supports_vision"], said.max_output_tokens) == (False, 9)
    assert mode_of(ranker) == "rerank"
    assert star.info == {}


def test_the_data_is_made_of_facts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "gpt-9": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 5, "supports_vision": True, "input_cost_per_token": 1},
        "us.anthropic.x": {"litellm_provider": "bedrock_converse", "mode": "chat", "max_output_tokens": 7},
        "vertex_ai/y": {"litellm_provider": "vertex_ai-language-models", "mode": "chat"},
        "bedrock/us-east-1/z": {"litellm_provider": "bedrock", "mode": "chat"},
        "nobody/w": {"litellm_provider": "nobody", "mode": "chat"},
    }
    source, made = tmp_path / "map.json", tmp_path / "models.tsv"
    source.write_text(json.dumps(given))
    monkeypatch.setattr(model_facts, "DATA", made)
    model_facts.main(str(source), "somewhere, 2026-01-01")
    assert made.read_text().splitlines() == [
        "# somewhere, 2026-01-01",
        "bedrock/us.anthropic.x\tchat\t\t7\t",
        "openai/gpt-9\tchat\t5\t\tvision",
        "vertex_ai/y\tchat\t\t\t",
    ]
    assert "3 models" in capsys.readouterr().out
