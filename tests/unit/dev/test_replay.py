"""`tollkeeper routing simulate`: traffic as the ledger has it, against another configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from tollkeeper.dev.cli import main

CONFIG = """
model_list:
  - model_name: fast
    litellm_params: {model: openai/small, api_key: k, input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}
    model_info: {region: us}
  - model_name: house
    litellm_params: {model: hosted_vllm/llama, api_base: "http://x/v1", input_cost_per_token: 0, output_cost_per_token: 0}
    model_info: {region: eu}
tollkeeper: {routing: {rules: [{when: {team: legal}, use: house}], models: {fast: {context: [{over: 10k, use: house}]}}}}
"""


def entry(number: int, **fields: Any) -> dict[str, Any]:
    base = {
        "request_id": f"r{number}", "started_at": "2026-11-20T10:00:00.000Z", "model": "fast", "status": "success", "provider": "openai",
        "upstream_model": "big", "input_tokens": 1000, "output_tokens": 100, "cost": 20_000_000, "tags": [], "stream": True,
    }  # fmt: skip
    return {**base, **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "new.yaml").write_text(CONFIG)
    entries = [
        entry(1),
        entry(2, team_id="legal"),
        entry(3, input_tokens=20_000),
        entry(4, upstream_model="small", cost=1_200_000),
        entry(5, model="gone"),
        entry(6, routing={"required": ["region=eu (the team)"]}),
        entry(7, status="failure", input_tokens=0, output_tokens=0, cost=0),
        entry(8, call_type="unconfirmed", unconfirmed=True),
        entry(9, model="some-id", key_alias="health_check"),
        {"request_id": "l", "model_group": "fast", "model": "openai/big", "custom_llm_provider": "openai", "prompt_tokens": 1000,
         "completion_tokens": 100, "spend": 0.02, "startTime": "2026-11-20T10:00:00Z"},
    ]  # fmt: skip
    (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in entries))
    return tmp_path


def simulate(folder: Path, *more: str) -> int:
    return main(["routing", "simulate", "--ledger", str(folder / "ledger.jsonl"), "--config", str(folder / "new.yaml"), *more])


def test_cost_refusals_and_moved_traffic_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["calls"], report["left_out"], report["stayed"]) == (7, 3, 1)
    assert report["cost_now_usd"] == pytest.approx(0.02 * 6 + 0.0012)
    assert report["cost_then_usd"] == pytest.approx(3 * 0.0012)
    assert report["refused"] == {
        "there is no model gone": 1,
        "No deployment of fast may take this request: region=eu (the team) is required.": 1,
    }
    moves = {(row["from"], row["to"]): row["calls"] for row in report["moved"]}
    assert moves == {("openai/big", "openai/small"): 2, ("openai/big", "hosted_vllm/llama"): 2}


def test_people_get_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(folder) == 0
    said = capsys.readouterr().out
    assert "7 calls replayed, 3 entries without usage left out" in said
    assert "cost: $0.1212 as booked, $0.0036 under new.yaml (-$0.1176)" in said
    assert "1  there is no model gone" in said


@pytest.mark.parametrize("line", ["[1]", "{broken"])
def test_a_line_that_is_no_entry_is_named(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ledger.jsonl").write_text(line + "\n")
    assert simulate(folder) == 1
    assert "ledger.jsonl:1: is no JSON object." in capsys.readouterr().err


def test_a_wrong_configuration_is_told_as_always(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "new.yaml").write_text("model_list: 3")
    assert simulate(folder) == 1
    assert "model_list (new.yaml:1): must be a list" in capsys.readouterr().err
