from pathlib import Path

import pytest

from tollkeeper.config.snapshot import load
from tollkeeper.dev.cli import main

GOOD = """
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: os.environ/TOLLKEEPER_TEST_UNSET, max_retries: 3}}
  - {model_name: local, litellm_params: {model: ollama/llama3}}
  - {model_name: demo, litellm_params: {model: demo, mock_response: hi}}
  - {model_name: lit, litellm_params: {model: groq/llama-x, api_key: gsk-0123456789}}
router_settings: {model_group_alias: {alias: gpt}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


def test_validate_says_what_was_found(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate", str(good)]) == 0
    out = capsys.readouterr().out
    assert "is good: 4 deployments" in out
    assert "gpt -> openai/gpt-4o (prices: genai-prices" in out
    assert "key: TOLLKEEPER_TEST_UNSET, not set here" in out
    assert "local -> ollama/llama3 (no known price, no key)" in out
    assert "scripted" in out
    assert "alias -> gpt (alias)" in out
    assert "warning: model_list[3].litellm_params.api_key (gateway.yaml:6)" in out
    assert "not supported yet, ignored: model_list[0].litellm_params.max_retries" in out
    assert "gsk-0123456789" not in out


def test_validate_says_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("model_lst: []\ngeneral_settings: {mastr_key: x}\n")
    assert main(["config", "validate", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "gateway.yaml has 2 errors:",
        "model_lst (gateway.yaml:1): unknown key; did you mean model_list?",
        "general_settings.mastr_key (gateway.yaml:2): unknown key; did you mean master_key?",
    ]


def test_validate_of_no_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err == "none.yaml: cannot be read: No such file or directory\n"


def test_compile_writes_what_the_proxy_loads(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "gateway.json"
    assert main(["config", "compile", str(good), "-o", str(output)]) == 0
    assert [row.group for row in load(output.read_bytes()).deployments] == ["gpt", "local", "demo", "lit"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "warning:" in captured.err


def test_compile_to_standard_output_is_nothing_but_the_result(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "compile", str(good), "-o", "-"]) == 0
    assert len(load(capsys.readouterr().out.encode()).deployments) == 4


def test_compile_to_a_place_that_cannot_be_written_is_one_line(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "compile", str(good), "-o", str(tmp_path / "no" / "gateway.json")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("cannot be written: No such file or directory")


@pytest.mark.parametrize("arguments", [[], ["config"], ["config", "compile", "x.yaml"], ["nonsense"]])
def test_wrong_arguments_are_told_apart(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage: tollkeeper" in captured.out + captured.err
