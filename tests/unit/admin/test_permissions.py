import pytest

ADMIN_ROUTES = [
    ("POST", "/key/generate", {}),
    ("POST", "/key/update", {"key": "sk-0123456789abcdef"}),
    ("POST", "/key/delete", {"keys": ["sk-0123456789abcdef"]}),
    ("POST", "/key/block", {"key": "sk-0123456789abcdef"}),
    ("POST", "/key/unblock", {"key": "sk-0123456789abcdef"}),
    ("GET", "/key/list", None),
    ("POST", "/team/new", {}),
    ("POST", "/team/update", {"team_id": "t"}),
    ("POST", "/team/delete", {"team_ids": ["t"]}),
    ("POST", "/team/block", {"team_id": "t"}),
    ("POST", "/team/unblock", {"team_id": "t"}),
    ("GET", "/team/info?team_id=t", None),
    ("GET", "/team/list", None),
    ("POST", "/user/new", {}),
    ("POST", "/user/update", {"user_id": "u"}),
    ("GET", "/user/info?user_id=u", None),
    ("POST", "/budget/new", {}),
    ("POST", "/budget/update", {"budget_id": "b"}),
    ("POST", "/budget/info", {"budgets": ["b"]}),
    ("GET", "/budget/list", None),
    ("POST", "/budget/delete", {"id": "b"}),
]


async def test_every_route_is_in_the_table_above(admin):
    paths = (await admin.get("/openapi.json", caller=None)).json()["paths"]
    assert {path for path in paths if path != "/key/info"} == {path.partition("?")[0] for _, path, _ in ADMIN_ROUTES}


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ROUTES)
async def test_no_key_and_an_ordinary_key_are_refused(admin, method, path, body):
    ordinary = await admin.generate(user_id="u")
    nobody = await admin.call(method, path, caller=None, json=body)
    assert (nobody.status_code, nobody.json()["error"]["message"]) == (401, "Authentication Error, No api key passed in.")
    answer = await admin.call(method, path, caller=ordinary["key"], json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "auth_error")


async def test_a_key_reads_its_own_info_and_nobody_elses(admin):
    mine, other = await admin.generate(key_alias="mine"), await admin.generate()
    for key in (None, mine["key"], mine["token"]):
        answer = await admin.get("/key/info", caller=mine["key"], **({"key": key} if key else {}))
        assert answer.json()["key"] == (key or mine["token"])
        assert (answer.json()["info"]["key_alias"], "token" in answer.json()["info"]) == ("mine", False)
    for key in (other["key"], other["token"], "sk-unknown-0123456789"):
        assert (await admin.get("/key/info", caller=mine["key"], key=key)).status_code == 403


async def test_an_unknown_key_has_no_info(admin):
    answer = await admin.get("/key/info", key="sk-unknown-0123456789")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert "unknown" not in answer.text
    assert (await admin.get("/key/info")).status_code == 404


async def test_the_key_asked_about_is_not_taken_for_the_callers(admin):
    made = await admin.generate()
    assert (await admin.get("/key/info", caller=None, key=made["key"])).status_code == 401


async def test_a_management_key_administers_until_it_is_blocked(admin):
    manager = (await admin.generate(key_type="management", user_id="boss"))["key"]
    made = await admin.post("/key/generate", {}, caller=manager)
    assert (made.status_code, made.json()["created_by"]) == (200, "boss")
    await admin.post("/key/block", {"key": manager})
    assert (await admin.post("/key/generate", {}, caller=manager)).status_code == 401


async def test_roles_of_the_keys_user(admin):
    expected = {"proxy_admin": (200, 200), "proxy_admin_viewer": (200, 403), "internal_user": (403, 403), None: (403, 403)}
    for role, statuses in expected.items():
        key = (await admin.post("/user/new", {"user_role": role})).json()["key"]
        reads, writes = await admin.get("/key/list", caller=key), await admin.post("/key/generate", {}, caller=key)
        assert (reads.status_code, writes.status_code) == statuses


async def test_an_administrators_key_for_models_only_administers_nothing(admin):
    await admin.post("/user/new", {"user_id": "boss", "user_role": "proxy_admin", "auto_create_key": False})
    key = (await admin.generate(user_id="boss", key_type="llm_api"))["key"]
    assert (await admin.post("/key/generate", {}, caller=key)).status_code == 403


async def test_taking_a_role_away_counts_at_once(admin):
    made = (await admin.post("/user/new", {"user_role": "proxy_admin"})).json()
    assert (await admin.get("/key/list", caller=made["key"])).status_code == 200
    await admin.post("/user/update", {"user_id": made["user_id"], "user_role": None})
    assert (await admin.get("/key/list", caller=made["key"])).status_code == 403
