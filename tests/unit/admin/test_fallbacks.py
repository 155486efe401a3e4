import pytest
from tests.support.admin import make_admin

from tollkeeper.config.compile import compile_config
from tollkeeper.routing.live import LiveGroups

FILE = """
model_list:
  - {model_name: a, litellm_params: {model: openai/a, mock_response: x}}
  - {model_name: b, litellm_params: {model: openai/b, mock_response: x}}
  - {model_name: c, litellm_params: {model: openai/c, mock_response: x}}
router_settings: {fallbacks: [{b: [c]}]}
"""


@pytest.fixture
async def admin():
    admin = make_admin(models=compile_config(FILE, env={}.get))
    yield admin
    await admin.close()


async def chains(admin):
    snapshot = (await LiveGroups(admin.services.models, admin.store.directory, admin.clock).refresh()).snapshot
    return snapshot.fallbacks, snapshot.context_window_fallbacks, snapshot.content_policy_fallbacks


async def test_a_fallback_is_made_changed_heeded_and_deleted(admin):
    made = (await admin.post("/fallback", {"model": "a", "fallback_models": ["b"]})).json()
    assert made == {
        "model": "a", "fallback_models": ["b"], "fallback_type": "general", "message": "Fallback configuration created successfully"
    }  # fmt: skip
    assert await chains(admin) == ({"a": ("b",), "b": ("c",)}, {}, {})
    changed = (await admin.post("/fallback", {"model": "a", "fallback_models": ["c", "b"]})).json()
    assert (changed["fallback_models"], "updated" in changed["message"]) == (["c", "b"], True)
    assert (await admin.get("/fallback/a")).json()["fallback_models"] == ["c", "b"]
    assert (await admin.call("DELETE", "/fallback/a")).status_code == 200
    assert (await admin.get("/fallback/a")).status_code == 404
    assert (await admin.call("DELETE", "/fallback/a")).status_code == 404
    assert await chains(admin) == ({"b": ("c",)}, {}, {})


async def test_each_type_is_its_own(admin):
    for kind in ("context_window", "content_policy"):
        await admin.post("/fallback", {"model": "a", "fallback_models": ["b"], "fallback_type": kind})
        assert (await admin.get("/fallback/a", fallback_type=kind)).json()["fallback_type"] == kind
    assert (await admin.get("/fallback/a")).status_code == 404
    assert await chains(admin) == ({"b": ("c",)}, {"a": ("b",)}, {"a": ("b",)})


async def test_the_files_counts_until_another_stands_in_its_place(admin):
    assert (await admin.get("/fallback/b")).json()["fallback_models"] == ["c"]
    assert (await admin.call("DELETE", "/fallback/b")).status_code == 400
    await admin.post("/fallback", {"model": "b", "fallback_models": ["a"]})
    assert (await chains(admin))[0] == {"b": ("a",)}
    assert (await admin.call("DELETE", "/fallback/b")).status_code == 200
    assert (await chains(admin))[0] == {"b": ("c",)}


async def test_a_model_added_at_runtime_may_be_one(admin):
    await admin.post("/model/new", {"model_name": "new", "litellm_params": {"model": "openai/new", "mock_response": "x"}})
    assert (await admin.post("/fallback", {"model": "a", "fallback_models": ["new"]})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "nobody", "fallback_models": ["a"]}, 404, "model"),
        ({"model": "a", "fallback_models": ["nobody"]}, 400, "fallback_models"),
        ({"model": "a", "fallback_models": ["a"]}, 400, "fallback_models"),
        ({"model": "a", "fallback_models": []}, 400, "fallback_models"),
        ({"model": "a", "fallback_models": ["b"], "fallback_type": "magic"}, 400, "fallback_type"),
    ],
)
async def test_what_leads_nowhere_is_refused(admin, body, status, param):
    answer = await admin.post("/fallback", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
