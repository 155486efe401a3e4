"""What people who are no proxy admins can make of their own keys, and what they cannot."""

import pytest
from tests.support.admin import make_admin


@pytest.fixture
async def office(admin):
    """A team with an admin (lead), a member (ann) and an organization around it."""
    await admin.post("/organization/new", {"organization_id": "o", "organization_alias": "O"})
    await admin.post("/team/new", {"team_id": "t", "organization_id": "o", "models": ["gpt-4o"]})
    keys = {}
    for user_id, role in (("boss", "proxy_admin"), ("lead", "internal_user"), ("ann", "internal_user")):
        keys[user_id] = (await admin.post("/user/new", {"user_id": user_id, "user_role": role})).json()["key"]
    members = [{"user_id": "lead", "role": "admin"}, {"user_id": "ann", "role": "user"}, {"user_id": "boss", "role": "user"}]
    assert (await admin.post("/team/member_add", {"team_id": "t", "member": members})).status_code == 200
    admin.keys = keys
    return admin


async def test_people_make_keys_for_themselves(office):
    made = await office.post("/key/generate", {"models": ["gpt-4o"]}, caller=office.keys["ann"])
    assert (made.status_code, made.json()["user_id"], made.json()["created_by"]) == (200, "ann", "ann")
    token = made.json()["token"]
    listed = (await office.get("/key/list", caller=office.keys["ann"])).json()["keys"]
    assert token in listed
    assert (await office.post("/key/update", {"key": token, "max_budget": 5}, caller=office.keys["ann"])).json()["max_budget"] == 5
    renewed = await office.post("/key/regenerate", {"key": token}, caller=office.keys["ann"])
    assert renewed.status_code == 200
    assert (await office.post("/key/delete", {"keys": [token]}, caller=office.keys["ann"])).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": "boss"},
        {"key_type": "management"},
        {"team_id": "t"},
        {"team_id": "nowhere"},
        {"organization_id": "o"},
        {"blocked": False},
        {"temp_budget_increase": 5, "temp_budget_expiry": "2030-01-01"},
    ],
)
async def test_what_people_cannot_give_themselves(office, fields):
    answer = await office.post("/key/generate", fields, caller=office.keys["ann"])
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "auth_error")


@pytest.mark.parametrize("changes", [{"max_budget": 100}, {"max_budget": None}, {"models": []}, {"user_id": None}, {"guardrails": []}])
async def test_people_do_not_loosen_what_an_administrator_set(office, changes):
    made = await office.generate(user_id="ann", max_budget=1, models=["gpt-4o"])
    assert (await office.post("/key/update", {"key": made["token"], **changes}, caller=office.keys["ann"])).status_code == 403
    assert (await office.post("/key/regenerate", {"key": made["token"], **changes}, caller=office.keys["ann"])).status_code == 403
    own = await office.post("/key/update", {"key": made["token"], "key_alias": "laptop"}, caller=office.keys["ann"])
    assert (own.status_code, own.json()["max_budget"]) == (200, 1)


RULES = [
    {"enforcement": "soft"},
    {"metadata": {"enforcement": "soft"}},
    {"metadata": {"mode": "shadow"}},
    {"on_store_error": "allow"},
    {"disable_global_guardrails": True},
    {"metadata": {"disable_global_guardrails": True}},
    {"object_permission": {"mcp_servers": ["payroll"]}},
]


@pytest.mark.parametrize("fields", RULES)
async def test_people_do_not_make_rules_for_their_own_keys(office, fields):
    for caller in ("ann", "lead"):
        team = {"team_id": "t"} if caller == "lead" else {}
        refused = await office.post("/key/generate", {**team, **fields}, caller=office.keys[caller])
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "auth_error"), caller
        made = (await office.post("/key/generate", team, caller=office.keys[caller])).json()
        assert (await office.post("/key/update", {"key": made["token"], **fields}, caller=office.keys[caller])).status_code == 403
    kept = await office.generate(user_id="ann", **fields)
    freed = {"key": kept["token"], **{name: {} if name == "metadata" else None for name in fields}}
    assert (await office.post("/key/update", freed, caller=office.keys["ann"])).status_code == 403
    assert (await office.post("/key/regenerate", freed, caller=office.keys["ann"])).status_code == 403


@pytest.mark.parametrize("metadata", [{"enforcement": "soft"}, {"disable_global_guardrails": True}, {"require": {"region": "us"}}, None])
async def test_a_teams_admin_leaves_the_teams_rules(office, metadata):
    await office.post("/team/update", {"team_id": "t", "metadata": {"require": {"region": "eu"}, "enforcement": "hard"}})
    refused = await office.post("/team/update", {"team_id": "t", "metadata": metadata}, caller=office.keys["lead"])
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "auth_error")
    kept = {"require": {"region": "eu"}, "enforcement": "hard", "mode": ["odd"], "cost_center": "7"}
    assert (await office.post("/team/update", {"team_id": "t", "metadata": kept}, caller=office.keys["lead"])).status_code == 200


async def test_metadata_of_ones_own_is_free_and_an_administrators_requirements_stay(office):
    own = await office.post("/key/generate", {"metadata": {"mode": "fast", "app": "x"}}, caller=office.keys["ann"])
    assert own.status_code == 200
    made = await office.generate(user_id="ann", metadata={"require": {"region": "eu"}, "app": "x"}, enforced_params=["user"])
    for changes in ({"metadata": {"app": "y"}}, {"enforced_params": []}, {"agent_id": "a"}):
        assert (await office.post("/key/update", {"key": made["token"], **changes}, caller=office.keys["ann"])).status_code == 403
    kept = {"key": made["token"], "metadata": {"require": {"region": "eu"}, "app": "y"}}
    assert (await office.post("/key/update", kept, caller=office.keys["ann"])).status_code == 200


async def test_nobody_unblocks_their_own_key(office):
    made = (await office.post("/key/generate", {}, caller=office.keys["ann"])).json()
    await office.post("/key/block", {"key": made["token"]})
    for path in ("/key/unblock", "/key/update"):
        answer = await office.post(path, {"key": made["token"], "blocked": False}, caller=office.keys["ann"])
        assert answer.status_code == 403
    assert (await office.info(made["token"]))["blocked"] is True


async def test_a_key_for_somebody_else_is_for_models_only(office):
    made = (await office.post("/key/generate", {"team_id": "t", "user_id": "boss"}, caller=office.keys["lead"])).json()
    assert (made["key_type"], made["allowed_routes"]) == ("llm_api", ["llm_api_routes"])
    assert (await office.post("/user/new", {}, caller=made["key"])).status_code == 403
    widen = {"key": made["token"], "allowed_routes": [], "key_type": "default"}
    assert (await office.post("/key/update", widen, caller=office.keys["lead"])).status_code == 403


async def test_a_team_admin_does_not_get_hold_of_a_members_own_powers(office):
    bosses = await office.generate(team_id="t", user_id="boss")
    for path, body in (("/key/regenerate", {"key": bosses["token"]}), (f"/key/{bosses['token']}/regenerate", {})):
        answer = await office.post(path, body, caller=office.keys["lead"])
        assert answer.status_code == 403
    assert await office.authenticator.verify(bosses["key"])


async def test_members_do_with_the_teams_keys_what_the_team_permits(office):
    ask = {"team_id": "t"}
    assert (await office.post("/key/generate", ask, caller=office.keys["ann"])).status_code == 403
    permitted = {"team_id": "t", "team_member_permissions": ["/key/generate", "/key/info"]}
    answer = await office.post("/team/permissions_update", permitted, caller=office.keys["lead"])
    assert answer.json()["team_member_permissions"] == ["/key/generate", "/key/info"]
    made = await office.post("/key/generate", ask, caller=office.keys["ann"])
    assert (made.status_code, made.json()["user_id"]) == (200, "ann")
    assert (await office.post("/key/delete", {"keys": [made.json()["token"]]}, caller=office.keys["ann"])).status_code == 403
    assert (await office.post("/key/generate", {**ask, "user_id": "lead"}, caller=office.keys["ann"])).status_code == 403


@pytest.mark.parametrize("changes", [{"max_budget": 1000}, {"models": []}, {"model_aliases": {"gpt-4o": "o3"}}, {"organization_id": None}])
async def test_a_team_admin_does_not_raise_the_teams_own_limits(office, changes):
    answer = await office.post("/team/update", {"team_id": "t", **changes}, caller=office.keys["lead"])
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, next(iter(changes)))


async def test_an_ordinary_caller_cannot_say_it_acts_for_another(office):
    answer = await office.call("POST", "/key/generate", json={}, caller=office.keys["ann"], headers={"litellm-changed-by": "boss"})
    assert answer.json()["created_by"] == "ann"


async def test_nobody_sees_keys_of_others_through_a_filter(office):
    await office.generate(user_id="ann2", key_alias="secret-project")
    for query in ({"include_team_keys": True, "include_created_by_keys": True}, {"substring_matching": True}, {"search": "secret"}):
        answer = await office.get("/key/list", caller=office.keys["ann"], return_full_object=True, **query)
        assert {row["user_id"] for row in answer.json()["keys"]} <= {"ann"}


UPPER = {
    "upperbound_key_generate_params": {"max_budget": 10, "duration": "30d", "rpm_limit": 100},
    "default_key_generate_params": {"models": ["gpt-4o"], "max_budget": 2},
}


@pytest.fixture
async def bounded():
    admin = make_admin(settings=UPPER)
    yield admin
    await admin.close()


async def test_defaults_and_upper_bounds_fill_what_is_left_open(bounded):
    made = await bounded.generate()
    assert (made["models"], made["max_budget"], made["rpm_limit"], made["expires"]) == (["gpt-4o"], 2, 100, "2027-02-14T08:00:00.000Z")
    assert (await bounded.generate(models=["o3"], max_budget=3))["models"] == ["o3"]


@pytest.mark.parametrize("fields", [{"max_budget": 10.01}, {"duration": "31d"}, {"rpm_limit": 101}])
async def test_nothing_goes_over_the_upper_bound(bounded, fields):
    answer = await bounded.post("/key/generate", fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(fields)))
    made = await bounded.generate()
    assert (await bounded.post("/key/update", {"key": made["key"], **fields})).status_code == 400
    assert (await bounded.post("/key/update", {"key": made["key"], **dict.fromkeys(fields)})).status_code == 400


async def test_the_default_team_and_user_parameters():
    settings = {
        "default_team_params": {"max_budget": 7},
        "default_internal_user_params": {"max_budget": 1, "user_role": "internal_user_viewer"},
    }
    admin = make_admin(settings=settings)
    assert (await admin.post("/team/new", {})).json()["max_budget"] == 7
    user = (await admin.post("/user/new", {"user_email": "a@example.com"})).json()
    assert (user["max_budget"], user["user_role"]) == (1, "internal_user_viewer")
    await admin.close()
