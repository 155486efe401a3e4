import pytest
from tests.support.admin import Admin, Vault, make_admin

from tollkeeper.config.compile import compile_config
from tollkeeper.routing.live import LiveGroups

FILE = """
credential_list:
  - {credential_name: filed, credential_values: {api_key: os.environ/FILED, api_base: "https://filed.example.com/v1"}}
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, litellm_credential_name: filed}}
"""
OPENAI = {"api_key": "sk-provider-secret", "api_base": "https://llm.example.com/v1"}


@pytest.fixture
async def admin():
    admin = make_admin(models=compile_config(FILE, env={}.get), secrets=Vault())
    yield admin
    await admin.close()


async def credential(admin: Admin, name: str = "prod", **fields):
    return await admin.post(
        "/credentials", {"credential_name": name, "credential_info": {"team": "a"}, "credential_values": OPENAI, **fields}
    )


async def model(admin: Admin, credential_name: str, **params):
    body = {"model": "openai/gpt-4o-mini", "litellm_credential_name": credential_name, **params}
    return await admin.post("/model/new", {"model_name": "mini", "litellm_params": body, "model_info": {"id": "m1"}})


async def deployment(admin: Admin):
    groups = await LiveGroups(admin.services.models, admin.store.directory, admin.clock).refresh()
    (found,) = groups.find("mini").deployments
    return found


async def test_a_credential_is_kept_masked_and_used_by_name(admin):
    assert (await credential(admin)).json()["success"] is True
    listed = (await admin.get("/credentials")).json()["credentials"]
    assert [row["credential_name"] for row in listed] == ["filed", "prod"]
    assert listed[1]["credential_values"] == {"api_key": "********", "api_base": "https://llm.example.com/v1"}
    assert (await admin.get("/credentials/by_name/prod")).json() == listed[1]
    [(secret_id, text)] = admin.services.secrets.kept.items()
    assert text == "sk-provider-secret"
    assert (await model(admin, "prod")).status_code == 200
    found = await deployment(admin)
    assert (found.api_key.value, found.base_url) == (f"{secret_id}#value", "https://llm.example.com/v1")
    assert "sk-provider-secret" not in (await admin.get("/audit")).text


async def test_the_files_credentials_serve_models_added_later(admin):
    assert (await model(admin, "filed")).status_code == 200
    assert ((await deployment(admin)).api_key.source, (await deployment(admin)).api_key.value) == ("env", "FILED")
    assert (await credential(admin, "filed")).status_code == 400
    assert (await admin.call("PATCH", "/credentials/filed", json={})).status_code == 400
    assert (await admin.get("/credentials/by_name/filed")).json()["credential_values"]["api_key"] == "********"


async def test_a_change_reaches_the_models_that_use_it(admin):
    await credential(admin)
    await model(admin, "prod")
    patched = await admin.call(
        "PATCH", "/credentials/prod", json={"credential_values": {"api_base": "https://new.example.com/v1", "api_key": "sk-newer"}}
    )
    assert patched.status_code == 200, patched.text
    assert (await deployment(admin)).base_url == "https://new.example.com/v1"
    assert list(admin.services.secrets.kept.values()) == ["sk-newer"]
    await admin.call("PATCH", "/credentials/prod", json={"credential_values": {"api_key": None}})
    assert admin.services.secrets.kept == {}


async def test_a_credential_in_use_is_not_deleted(admin):
    await credential(admin)
    await model(admin, "prod")
    refused = await admin.call("DELETE", "/credentials/prod")
    assert (refused.status_code, "m1" in refused.json()["error"]["message"]) == (400, True)
    await admin.post("/model/delete", {"id": "m1"})
    assert (await admin.call("DELETE", "/credentials/prod")).status_code == 200
    assert admin.services.secrets.kept == {}
    assert (await admin.call("DELETE", "/credentials/prod")).status_code == 404
    assert (await admin.get("/credentials/by_name/prod")).status_code == 404


async def test_a_credential_may_be_taken_from_a_model(admin):
    body = {"model": "openai/gpt-4o", "rpm": 3, **OPENAI}
    await admin.post("/model/new", {"model_name": "mini", "litellm_params": body, "model_info": {"id": "m1"}})
    shown = (await admin.get("/credentials/by_model/m1")).json()["credential_values"]
    assert shown == {"api_key": "********", "api_base": "https://llm.example.com/v1"}
    assert (await credential(admin, credential_values=None, model_id="m1")).status_code == 200
    assert (await admin.get("/credentials/by_name/prod")).json()["credential_values"] == shown


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"credential_values": None}, "credential_values"),
        ({"credential_values": {"my_token": "sk-in-the-clear"}}, "credential_values.my_token"),
        ({"credential_values": {"extra_headers": {"authorization": "sk-in-the-clear"}}}, "credential_values.extra_headers"),
        ({"credential_name": ""}, "credential_name"),
        ({"credential_values": None, "model_id": "nobody"}, "id"),
    ],
)
async def test_what_cannot_be_kept_is_refused(admin, fields, param):
    answer = await credential(admin, **fields)
    assert answer.status_code in (400, 404)
    assert (answer.json()["error"]["param"], "in-the-clear" in answer.text) == (param, False)
    assert admin.services.secrets.kept == {}


async def test_a_name_is_taken_once(admin):
    await credential(admin)
    again = await credential(admin, credential_values={"api_key": "sk-another"})
    assert (again.status_code, again.json()["error"]["param"]) == (400, "credential_name")
    assert list(admin.services.secrets.kept.values()) == ["sk-provider-secret"]


async def test_a_model_with_a_credential_nobody_has_is_refused(admin):
    answer = await model(admin, "nobody")
    assert (answer.status_code, "there is no credential nobody" in answer.text) == (400, True)
