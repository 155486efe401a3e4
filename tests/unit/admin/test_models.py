import pytest
from tests.support.admin import Vault, make_admin

from tollkeeper.config.compile import compile_config
from tollkeeper.errors import StoreUnavailable
from tollkeeper.routing.live import LiveGroups
from tollkeeper.store import items
from tollkeeper.store.sqlite import SqliteStore

FILE = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 10}
    model_info: {id: from-file}
"""
PARAMS = {"model": "openai/gpt-4o-mini", "api_key": "os.environ/OPENAI_API_KEY"}


@pytest.fixture
async def admin():
    admin = make_admin(models=compile_config(FILE, env={}.get))
    yield admin
    await admin.close()


def live(admin) -> LiveGroups:
    return LiveGroups(admin.services.models, admin.store.directory, admin.clock)


async def new(admin, name="mini", **fields):
    answer = await admin.post("/model/new", {"model_name": name, "litellm_params": PARAMS, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_model_is_validated_priced_and_served(admin):
    made = await new(admin, model_info={"id": "m1", "access_groups": ["beta"]})
    assert (made["model_id"], made["model_name"], made["model_info"]["db_model"]) == ("m1", "mini", True)
    groups = await live(admin).refresh()
    (deployment,) = groups.find("mini").deployments
    assert (deployment.id, deployment.provider, deployment.model, deployment.access_groups) == ("m1", "openai", "gpt-4o-mini", ("beta",))
    assert deployment.prices.rates["input"].price > 0
    assert groups.find("gpt-4o").deployments[0].id == "from-file"


async def test_info_shows_the_files_and_the_directorys_and_no_credential(admin):
    await new(admin, model_info={"id": "m1"})
    answer = await admin.get("/model/info")
    rows = {row["model_info"]["id"]: row for row in answer.json()["data"]}
    assert {name: row["model_info"]["db_model"] for name, row in rows.items()} == {"from-file": False, "m1": True}
    assert rows["m1"]["model_info"]["input_cost_per_token"] == pytest.approx(1.5e-07)
    assert "OPENAI_API_KEY" not in answer.text
    assert [row["model_name"] for row in (await admin.get("/v1/model/info", litellm_model_id="m1")).json()["data"]] == ["mini"]
    page = (await admin.get("/v2/model/info", search="MINI", page=1, size=1)).json()
    assert (page["total_count"], page["total_pages"], page["data"][0]["model_name"]) == (1, 1, "mini")
    group = (await admin.get("/model_group/info", model_group="gpt-4o")).json()["data"][0]
    assert (group["providers"], group["rpm"], group["mode"]) == (["openai"], 10, "chat")


async def test_callers_see_what_they_may_use(admin):
    await new(admin)
    key = (await admin.generate(models=["mini"]))["key"]
    assert [row["model_name"] for row in (await admin.get("/model/info", caller=key)).json()["data"]] == ["mini"]
    assert [row["model_group"] for row in (await admin.get("/model_group/info", caller=key)).json()["data"]] == ["mini"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "opnai/gpt-4o"}, "opnai"),
        ({"model": "openai/gpt-4o", "api_base": "ftp://x"}, "is not a URL"),
        ({"model": "openai/gpt-4o", "rpm": "many"}, "must be a whole number"),
        ({}, "is missing"),
    ],
)
async def test_a_bad_model_is_refused_in_the_compilers_words(admin, params, said):
    answer = await admin.post("/model/new", {"model_name": "x", "litellm_params": params})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "litellm_params")
    assert said in error["message"]
    assert len((await admin.get("/model/info")).json()["data"]) == 1


async def test_a_change_is_compiled_anew_and_null_takes_out(admin):
    await new(admin, model_info={"id": "m1"})
    await admin.post("/model/update", {"model_info": {"id": "m1"}, "litellm_params": {"rpm": 7}})
    row = (await admin.call("PATCH", "/model/m1/update", json={"litellm_params": {"model": "openai/gpt-4o"}})).json()
    assert (row["litellm_params"]["rpm"], row["litellm_params"]["model"]) == (7, "openai/gpt-4o")
    (deployment,) = (await live(admin).refresh()).find("mini").deployments
    assert (deployment.model, deployment.rpm) == ("gpt-4o", 7)
    cleared = (await admin.call("PATCH", "/model/m1/update", json={"litellm_params": {"rpm": None}})).json()
    assert "rpm" not in cleared["litellm_params"]
    bad = await admin.call("PATCH", "/model/m1/update", json={"litellm_params": {"model": "nobody/x"}})
    assert bad.status_code == 400
    assert (await live(admin).refresh()).find("mini") is not None


async def test_blocked_and_deleted_models_are_not_served(admin):
    await new(admin, model_info={"id": "m1"})
    await admin.post("/model/block", {"id": "m1"})
    assert (await live(admin).refresh()).find("mini") is None
    await admin.post("/model/unblock", {"id": "m1"})
    assert (await live(admin).refresh()).find("mini") is not None
    assert (await admin.post("/model/delete", {"id": "m1"})).json() == {"message": "Model: m1 deleted successfully"}
    assert (await live(admin).refresh()).find("mini") is None
    assert (await admin.post("/model/delete", {"id": "m1"})).status_code == 404


async def test_the_files_models_are_changed_in_the_file(admin):
    assert (await admin.post("/model/delete", {"id": "from-file"})).status_code == 400
    answer = await admin.post("/model/new", {"model_name": "x", "litellm_params": PARAMS, "model_info": {"id": "from-file"}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model_info.id")


async def test_a_credential_goes_to_the_vault_and_nowhere_else(admin):
    keeping = make_admin(admin.store.directory, models=admin.services.models, secrets=(vault := Vault()))
    secret = {**PARAMS, "api_key": "sk-provider-secret"}
    answer = await keeping.post("/model/new", {"model_name": "mini", "litellm_params": secret, "model_info": {"id": "m1"}})
    [(secret_id, text)] = vault.kept.items()
    assert (answer.json()["litellm_params"]["api_key"], text) == (f"secret:{secret_id}#value", "sk-provider-secret")
    stored = await admin.store.directory.get(items.MODELS_PK, "m1")
    assert "sk-provider-secret" not in str(stored) + (await keeping.get("/audit")).text + (await keeping.get("/model/info")).text
    (deployment,) = (await live(admin).refresh()).find("mini").deployments
    assert (deployment.api_key.source, deployment.api_key.value) == ("aws", f"{secret_id}#value")
    await keeping.call("PATCH", "/model/m1/update", json={"litellm_params": {"api_key": "sk-newer", "rpm": 3}})
    assert vault.kept == {secret_id: "sk-newer"}
    await keeping.post("/model/delete", {"id": "m1"})
    assert vault.kept == {}
    await keeping.close()


async def test_a_credential_that_is_replaced_by_a_reference_is_dropped_and_a_bad_model_keeps_none(admin):
    keeping = make_admin(admin.store.directory, models=admin.services.models, secrets=(vault := Vault()))
    bad = await keeping.post("/model/new", {"model_name": "x", "litellm_params": {"model": "nobody/x", "api_key": "sk-provider-secret"}})
    assert (bad.status_code, vault.kept) == (400, {})
    secret = {**PARAMS, "api_key": "sk-provider-secret"}
    await keeping.post("/model/new", {"model_name": "mini", "litellm_params": secret, "model_info": {"id": "m1"}})
    await keeping.call("PATCH", "/model/m1/update", json={"litellm_params": {"api_key": "os.environ/OPENAI_API_KEY"}})
    assert vault.kept == {}
    await keeping.close()


@pytest.mark.parametrize("params", [{"api_key": "sk-in-the-clear"}, {"extra_headers": {"authorization": "Bearer sk-in-the-clear"}}])
async def test_without_a_vault_a_credential_is_refused(admin, params):
    answer = await admin.post("/model/new", {"model_name": "x", "litellm_params": {"model": "openai/gpt-4o", **params}})
    assert answer.status_code == 400
    assert "in-the-clear" not in answer.text
    assert (await admin.get("/audit")).json()["total"] == 0


async def test_every_process_sees_a_change_within_the_stated_time(tmp_path, admin):
    """Two stores on one file are two processes to each other."""
    here, there = SqliteStore(tmp_path), SqliteStore(tmp_path)
    writer = make_admin(here.directory, models=admin.services.models)
    reader = LiveGroups(admin.services.models, there.directory, writer.clock, seconds=5)
    assert (await reader.refresh()).find("mini") is None
    await new(writer)
    writer.clock.advance(4.9)
    await reader.refresh()
    writer.clock.advance(0.1)
    assert (await reader.refresh()).find("mini") is not None
    await writer.close()
    here.close()
    there.close()


async def test_a_broken_model_takes_no_other_with_it(admin, caplog):
    await new(admin, "good")
    for model_id, compiled in (("cut", "{"), ("old", "{}"), ("list", "[]")):
        await admin.store.directory.put({"pk": items.MODELS_PK, "sk": model_id, "model_id": model_id, "compiled": compiled})
    groups = await live(admin).refresh()
    assert set(groups.listed()) == {"gpt-4o", "good"}
    assert caplog.text.count("model_unusable") == 3


class Away:
    def __init__(self, table) -> None:
        self._table = table
        self.away = False

    async def query(self, *args, **options):
        if self.away:
            raise StoreUnavailable("away")
        return await self._table.query(*args, **options)


async def test_when_the_store_is_away_what_was_known_stays(admin):
    await new(admin)
    table = Away(admin.store.directory)
    groups = LiveGroups(admin.services.models, table, admin.clock)
    await groups.refresh()
    table.away = True
    admin.clock.advance(5)
    assert (await groups.refresh()).find("mini") is not None


async def test_access_groups_of_the_directory_count_as_the_models_own(admin):
    await admin.post("/access_group/new", {"access_group": "beta", "model_names": ["gpt-4o"]})
    groups = await live(admin).refresh()
    assert groups.find("gpt-4o").access_groups == {"beta"}
    key = (await admin.generate(models=["beta"]))["key"]
    assert [row["model_name"] for row in (await admin.get("/model/info", caller=key)).json()["data"]] == ["gpt-4o"]
