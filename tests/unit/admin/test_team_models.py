import pytest
from tests.support.admin import make_admin

from tollkeeper.auth.access import may_use_model, visible_models
from tollkeeper.config.compile import compile_config
from tollkeeper.errors import Forbidden
from tollkeeper.routing.live import LiveGroups

FILE = "model_list: [{model_name: common, litellm_params: {model: openai/x, mock_response: x}}]"


@pytest.fixture
async def admin():
    admin = make_admin(models=compile_config(FILE, env={}.get))
    for team_id in ("core", "rich"):
        await admin.post("/team/new", {"team_id": team_id})
    yield admin
    await admin.close()


async def own(admin, team_id="core", **info):
    params = {"model": "openai/gpt-4o", "mock_response": "x"}
    body = {"model_name": "ours", "litellm_params": params, "model_info": {"id": "m1", "team_id": team_id, **info}}
    return await admin.post("/model/new", body)


async def callable_by(admin, team_id: str | None, name: str = "ours") -> bool:
    key = (await admin.generate(team_id=team_id))["key"]
    principal = await admin.authenticator.verify(key)
    groups = await LiveGroups(admin.services.models, admin.store.directory, admin.clock).refresh()
    found = groups.find(name, principal.aliases)
    if found is None:
        return False
    try:
        may_use_model(principal, name, found.access_groups)
    except Forbidden:
        return False
    return True


async def test_a_teams_model_is_the_teams_alone(admin):
    made = (await own(admin)).json()
    assert (made["model_name"], made["model_info"]["team_public_model_name"]) == ("model_name_core_m1", "ours")
    assert [await callable_by(admin, team) for team in ("core", "rich", None)] == [True, False, False]
    assert [await callable_by(admin, team, "model_name_core_m1") for team in ("core", "rich", None)] == [True, False, False]
    assert [await callable_by(admin, team, "common") for team in ("core", "rich", None)] == [True, True, True]
    for team, seen in (("core", 2), ("rich", 1)):
        key = (await admin.generate(team_id=team))["key"]
        assert len((await admin.get("/model/info", caller=key)).json()["data"]) == seen
    assert (await admin.get("/v2/model/info", teamId="core")).json()["total_count"] == 1
    await admin.post("/model/delete", {"id": "m1"})
    assert (await admin.get("/team/info", team_id="core")).json()["team_info"]["model_aliases"] == {}


async def test_a_team_with_a_list_gets_it_onto_its_list(admin):
    await admin.post("/team/update", {"team_id": "core", "models": ["common"]})
    await own(admin)
    assert (await admin.get("/team/info", team_id="core")).json()["team_info"]["models"] == ["common", "ours"]
    assert await callable_by(admin, "core")


async def test_it_may_be_renamed_and_moved(admin):
    await own(admin)
    await admin.call("PATCH", "/model/m1/update", json={"model_name": "theirs", "model_info": {"team_id": "rich"}})
    assert [await callable_by(admin, team, "theirs") for team in ("core", "rich")] == [False, True]
    assert not await callable_by(admin, "core")
    await admin.call("PATCH", "/model/m1/update", json={"model_info": {"team_id": None}})
    assert [await callable_by(admin, team, "theirs") for team in ("core", "rich", None)] == [True, True, True]


async def test_a_team_nobody_knows(admin):
    answer = await own(admin, "nowhere")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model_info.team_id")


async def test_an_id_is_taken_once_and_the_first_keeps_its_secret(admin):
    assert (await own(admin)).status_code == 200
    admin.clock.advance(1)
    assert (await own(admin)).status_code == 400


async def test_the_master_key_sees_every_teams_models(admin):
    await own(admin)
    master = await admin.authenticator.verify("sk-master-0123456789abcdef")
    assert visible_models(master, {"a": ("team-only:core",), "b": ()}) == ["a", "b"]
