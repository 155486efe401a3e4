import argparse

import pytest
import yaml
from tests.support.admin import Admin, make_admin

from tollkeeper.dev import cli_admin
from tollkeeper.dev.cli_directory import apply, check, export, plan
from tollkeeper.dev.cli_gateway import GatewayClient, GatewayRefused
from tollkeeper.errors import BadRequest
from tollkeeper.store import items

DIRECTORY = {
    "budgets": [{"budget_id": "small", "max_budget": 5, "budget_duration": "1d"}],
    "organizations": [{"organization_id": "acme", "organization_alias": "Acme"}],
    "users": [{"user_id": "ann", "user_email": "ann@example.com", "user_role": "internal_user"}],
    "teams": [
        {
            "team_id": "core",
            "team_alias": "Core",
            "organization_id": "acme",
            "max_budget": 100,
            "models": ["gpt-4o"],
            "model_max_budget": {"gpt-4o": {"max_budget": 1, "budget_duration": "1d"}},
            "members_with_roles": [{"user_id": "ann", "role": "admin"}],
            "metadata": {"cost_center": "42"},
        }
    ],
    "projects": [{"project_id": "p", "team_id": "core"}],
    "customers": [{"user_id": "c", "max_budget": 1}],
    "tags": [{"name": "prod", "description": "production"}],
    "keys": [{"key_alias": "ci", "team_id": "core", "project_id": "p", "budget_id": "small", "duration": "30d", "tags": ["prod"]}],
}


def quiet(done: int, total: int) -> None:
    assert done <= total


class Bench:
    def __init__(self) -> None:
        self.admin: Admin = make_admin()
        self.admin.client.headers["authorization"] = "Bearer sk-master-0123456789abcdef"
        self.client = GatewayClient(self.admin.client)

    async def apply(self, document) -> tuple[list[str], dict[str, str]]:
        steps = await plan(self.client, check(document), quiet)
        return [line for step in steps for line in step.lines()], await apply(self.client, steps, quiet)


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    await bench.admin.close()


async def test_everything_is_made_once_and_then_left_alone(bench):
    lines, texts = await bench.apply(DIRECTORY)
    assert [line.split()[1] for line in lines] == list(DIRECTORY)
    principal = await bench.admin.authenticator.verify(texts["ci"])
    assert (principal.team_id, principal.organization_id, principal.key.max_budget) == ("core", "acme", 5 * 10**9)
    assert await bench.apply(DIRECTORY) == ([], {})


async def test_only_what_differs_is_changed(bench):
    await bench.apply(DIRECTORY)
    lines, texts = await bench.apply(
        {"teams": [{"team_id": "core", "max_budget": 200, "models": ["gpt-4o"]}], "keys": [{"key_alias": "ci"}]}
    )
    assert (lines, texts) == (["~ teams core", "    max_budget: 100.0 -> 200"], {})
    team = (await bench.admin.get("/team/info", team_id="core")).json()["team_info"]
    assert (team["max_budget"], team["team_alias"]) == (200, "Core")


async def test_planning_writes_nothing(bench):
    assert len(await plan(bench.client, check(DIRECTORY), quiet)) == len(DIRECTORY)
    assert (await bench.admin.get("/audit")).json()["total"] == 0


async def test_what_is_exported_can_be_applied_elsewhere(bench):
    await bench.apply(DIRECTORY)
    written = yaml.safe_load(yaml.safe_dump(await export(bench.client)))
    assert await bench.apply(written) == ([], {})
    other = Bench()
    await other.apply(written)
    assert await export(other.client) == written
    await other.admin.close()


async def test_an_export_reads_every_page(bench):
    for number in range(205):
        await bench.admin.generate(key_alias=f"k{number:03}")
    assert len((await export(bench.client))["keys"]) == 205


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must be a mapping"),
        ({"teems": []}, "There is no section teems"),
        ({"teams": {}}, "teams must be a list"),
        ({"teams": [{"team_alias": "x"}]}, "needs its team_id"),
        ({"teams": [{"team_id": "a"}, {"team_id": "a"}]}, "names a twice"),
    ],
)
def test_a_file_that_is_wrong(document, message):
    with pytest.raises(BadRequest, match=message):
        check(document)


async def test_the_gateways_own_words_when_it_refuses(bench):
    with pytest.raises(GatewayRefused, match="Unable to find Team: nowhere"):
        await bench.apply({"keys": [{"key_alias": "x", "team_id": "nowhere"}]})


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli_admin.add_commands(parser.add_subparsers())
    return parser.parse_args(arguments)


async def test_the_command_writes_new_keys_to_a_private_file_once(bench, tmp_path, capsys):
    file, out = tmp_path / "directory.yaml", tmp_path / "keys"
    file.write_text(yaml.safe_dump({"keys": [{"key_alias": "ci"}]}))
    dry = parsed("apply", "-f", str(file), "--dry-run")
    assert await dry.run(dry, bench.client) == 0
    assert capsys.readouterr().out == "+ keys ci\n"
    real = parsed("apply", "-f", str(file), "--keys-out", str(out))
    assert await real.run(real, bench.client) == 0
    alias, _, text = out.read_text().strip().partition(": ")
    assert (alias, out.stat().st_mode & 0o777) == ("ci", 0o600)
    assert await bench.admin.authenticator.verify(text)
    assert await real.run(real, bench.client) == 0
    assert capsys.readouterr().out.endswith("nothing to do\n")


async def test_audit_verify(bench, capsys):
    await bench.apply(DIRECTORY)
    verify = parsed("audit", "verify")
    assert await verify.run(verify, bench.client) == 0
    assert "unbroken" in capsys.readouterr().out
    await bench.admin.store.ledger.delete(items.AUDIT_PK, items.audit_sk(3))
    assert await verify.run(verify, bench.client) == 1
    assert "entry 3: missing" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "shown"), [("keys", "ci"), ("teams", "core"), ("users", "ann@example.com"), ("budgets", "small")])
async def test_a_glance(bench, capsys, command, shown):
    await bench.apply(DIRECTORY)
    glance = parsed(command)
    assert await glance.run(glance, bench.client) == 0
    assert shown in capsys.readouterr().out


def test_no_key_and_no_gateway(capsys):
    assert cli_admin.main(["keys", "--url", "http://127.0.0.1:9", "--key", "sk-x"]) == 1
    assert "tollkeeper: http://127.0.0.1:9" in capsys.readouterr().err
