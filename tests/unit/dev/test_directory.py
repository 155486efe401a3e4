import pytest
import yaml
from tests.support.admin import Admin, make_admin

from tollkeeper.dev.directory import apply, check, export, plan
from tollkeeper.dev.gateway_client import GatewayClient, GatewayRefused
from tollkeeper.errors import BadRequest

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
