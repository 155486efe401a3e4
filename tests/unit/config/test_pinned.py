"""The price file: shown before it is written, and what is billed from then on."""

from pathlib import Path

import orjson
import pytest

from tollkeeper.config.compile import compile_file
from tollkeeper.config.snapshot import Rate
from tollkeeper.dev import cli
from tollkeeper.errors import ConfigError

CONFIG = """
model_list:
  - {model_name: fast, litellm_params: {model: openai/gpt-4o, api_key: x}}
  - {model_name: az, litellm_params: {model: azure/mine, api_key: x, api_base: "https://a.test"}, model_info: {base_model: azure/gpt-4o}}
  - {model_name: local, litellm_params: {model: ollama/llama3}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return file


def _pinned(config: Path) -> Path:
    assert cli.main(["prices", "update", str(config), "--yes"]) == 0
    config.write_text(CONFIG + "tollkeeper: {prices: prices.json}\n")
    return config.parent / "prices.json"


def test_nothing_is_written_before_it_was_seen(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prices", "update", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "openai/gpt-4o" in shown
    assert "$2.5 a million" in shown
    assert "Nothing was written" in shown
    assert not (config.parent / "prices.json").exists()


def test_what_is_pinned_is_billed_and_says_so(config: Path) -> None:
    file = _pinned(config)
    raw = orjson.loads(file.read_bytes())
    raw["models"]["azure/gpt-4o"]["rates"]["input"]["price"] = 7
    file.write_bytes(orjson.dumps(raw))
    listed, base_model, local = compile_file(config, env={}.get).deployments
    assert listed.prices is not None
    assert base_model.prices is not None
    assert (listed.prices.rates["input"], base_model.prices.rates["input"]) == (Rate(2_500_000_000), Rate(7))
    assert base_model.prices.version == f"pinned {raw['pinned_on']} ({raw['version']})"
    assert local.prices is None


def test_an_update_shows_old_and_new(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _pinned(config)
    raw = orjson.loads(file.read_bytes())
    raw["models"]["openai/gpt-4o"]["rates"]["input"]["price"] = 1_000_000_000
    file.write_bytes(orjson.dumps(raw))
    capsys.readouterr()
    assert cli.main(["prices", "update", str(config)]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    [changed] = [[cell.strip() for cell in line if cell] for line in lines if line[0] == "openai/gpt-4o"]
    assert changed == ["openai/gpt-4o", "input", "$1 a million", "$2.5 a million"]


def test_a_model_that_is_not_pinned_is_warned_of(config: Path) -> None:
    _pinned(config)
    config.write_text(config.read_text().replace("openai/gpt-4o", "openai/o3"))
    assert any("is not in the price file" in line for line in compile_file(config, env={}.get).warnings)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": "1", "pinned_on": "soon", "models": {}}', '{"models": 3}', None])
def test_a_broken_price_file_is_one_clear_line(config: Path, content: str | None) -> None:
    file = _pinned(config)
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        compile_file(config, env={}.get)
    [finding] = caught.value.findings
    assert finding.startswith("tollkeeper.prices (gateway.yaml:")
    assert "prices.json" in finding
