"""The `tollkeeper` command against a gateway that runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model

from tollkeeper.dev.cli import main

Tollkeeper = Callable[..., str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(model("fast", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1"))
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, env={"TOLLKEEPER_KEY_CACHE_SECONDS": "0"})
    yield process.start()
    process.stop()


@pytest.fixture
def tollkeeper(gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]) -> Tollkeeper:
    """Runs a command as the master key and gives what it printed."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main([*arguments, "--url", gateway.url, "--key", MASTER_KEY]) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.out + captured.err

    return run


def test_a_key_is_made_used_rotated_and_ended(tollkeeper: Tollkeeper) -> None:
    text = tollkeeper("keys", "create", "--alias", "robot", "--max-budget", "2.5", "--model", "fast", "--duration", "30d").strip()
    assert text.startswith("sk-")
    assert "robot" in tollkeeper("keys", "list", "--search", "robo")
    [row] = json.loads(tollkeeper("keys", "list", "--json"))["keys"]
    assert (row["key_alias"], row["max_budget"], row["models"]) == ("robot", 2.5, ["fast"])
    assert text not in tollkeeper("keys", "info", text)
    tollkeeper("keys", "block", text)
    assert json.loads(tollkeeper("keys", "info", text, "--json"))["info"]["blocked"] is True
    tollkeeper("keys", "unblock", text)
    fresh = tollkeeper("keys", "rotate", text, "--grace-period", "1h").strip()
    assert fresh != text
    assert tollkeeper("keys", "delete", fresh) == "deleted 1\n"
    assert "404" not in tollkeeper("keys", "list")
    assert "tollkeeper: GET /key/info: " in tollkeeper("keys", "info", fresh, code=1)


def test_a_team_and_its_people(tollkeeper: Tollkeeper) -> None:
    assert tollkeeper("users", "create", "--id", "ann", "--email", "ann@example.com", "--role", "internal_user") == "ann\n"
    assert tollkeeper("teams", "create", "--id", "core", "--alias", "Core", "--max-budget", "100") == "core\n"
    tollkeeper("teams", "add-member", "core", "ann", "--admin")
    assert json.loads(tollkeeper("teams", "info", "core", "--json"))["team_info"]["members_with_roles"][0]["role"] == "admin"
    assert "Core" in tollkeeper("teams", "list")
    assert "ann@example.com" in tollkeeper("users", "list", "--role", "internal_user")
    assert "ann@example.com" in tollkeeper("users", "info", "ann")
    assert "100.0" in tollkeeper("spend", "teams")
    tollkeeper("teams", "block", "core")
    tollkeeper("teams", "unblock", "core")
    tollkeeper("teams", "remove-member", "core", "ann")
    assert tollkeeper("teams", "delete", "core") == "deleted 1\n"
    assert tollkeeper("users", "delete", "ann") == "deleted 1\n"


def test_a_model_is_added_and_taken_away(tollkeeper: Tollkeeper) -> None:
    made = tollkeeper("models", "add", "extra", "openai/gpt-4o", "--id", "extra-1", "--api-key", "os.environ/UP", "--param", "rpm=5")
    assert made == "extra-1\n"
    assert [line.split()[0] for line in tollkeeper("models", "list").splitlines()] == ["model_name", "fast", "extra"]
    assert "extra-1 deleted" in tollkeeper("models", "delete", "extra-1")
    assert "write name=value" in tollkeeper("models", "add", "x", "openai/gpt-4o", "--param", "rpm", code=1)


@pytest.mark.parametrize(
    "command", [["budgets"], ["spend", "keys"], ["spend", "users"], ["spend", "organizations"], ["spend", "customers"]]
)
def test_what_there_is_to_look_at(tollkeeper: Tollkeeper, command: list[str]) -> None:
    assert "max_budget" in tollkeeper(*command)


def test_a_directory_is_applied_exported_and_verified(gateway: GatewayProcess, tollkeeper: Tollkeeper, tmp_path: Path) -> None:
    file, keys = tmp_path / "directory.yaml", tmp_path / "keys"
    file.write_text(
        yaml.safe_dump({"teams": [{"team_id": "painters", "max_budget": 3}], "keys": [{"key_alias": "easel", "team_id": "painters"}]})
    )
    assert tollkeeper("apply", "-f", str(file), "--dry-run") == "+ teams painters\n+ keys easel\n"
    assert gateway.admin("GET", "/team/info", team_id="painters").status_code == 404
    tollkeeper("apply", "-f", str(file), "--keys-out", str(keys))
    alias, _, text = keys.read_text().strip().partition(": ")
    assert (alias, text[:3], keys.stat().st_mode & 0o777) == ("easel", "sk-", 0o600)
    assert tollkeeper("apply", "-f", str(file)) == "nothing to do\n"
    assert yaml.safe_load(tollkeeper("export"))["teams"][0]["max_budget"] == 3
    assert "easel" in tollkeeper("spend", "keys")
    assert "painters" in tollkeeper("audit", "list")
    assert tollkeeper("audit", "verify").endswith("unbroken\n")


def test_an_audit_entry_that_was_removed_is_missed(gateway: GatewayProcess, tollkeeper: Tollkeeper) -> None:
    gateway.new_key()
    gateway.new_key()
    gateway.forget("ledger", "audit", f"{2:012}")
    assert "entry 2: missing" in tollkeeper("audit", "verify", code=1)


def test_wrong_files_and_gateways_are_one_line(tollkeeper: Tollkeeper, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    assert "bad.yaml" in tollkeeper("apply", "-f", str(tmp_path / "bad.yaml"), code=1)
    assert "none.yaml" in tollkeeper("apply", "-f", str(tmp_path / "none.yaml"), code=1)
    assert main(["keys", "list", "--url", "http://127.0.0.1:9", "--key", "sk-x"]) == 1
    assert capsys.readouterr().err.startswith("tollkeeper: http://127.0.0.1:9")


def test_without_a_key_the_command_says_which_option_is_missing() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOLLKEEPER_")}
    ended = subprocess.run([sys.executable, "-m", "tollkeeper.dev.cli", "keys", "list"], env=clean, capture_output=True, text=True)
    assert (ended.returncode, "--key" in ended.stderr) == (2, True)
