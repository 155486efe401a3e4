import pytest


async def new(admin, **fields):
    answer = await admin.post("/user/new", fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_user_comes_with_a_key_and_owns_the_budget(admin):
    made = await new(admin, user_email="a@example.com", user_role="internal_user", max_budget=3, models=["gpt-4o"], duration="1h")
    assert (made["user_email"], made["user_role"], made["max_budget"]) == ("a@example.com", "internal_user", 3)
    assert made["expires"] == "2027-01-15T09:00:00.000Z"
    principal = await admin.authenticator.verify(made["key"])
    assert (principal.user_id, principal.key.max_budget, principal.models) == (made["user_id"], None, ("gpt-4o",))
    assert principal.user is not None
    assert principal.user.max_budget == 3_000_000_000


async def test_a_user_without_a_key(admin):
    made = await new(admin, user_id="u", auto_create_key=False)
    assert (made["user_id"], made["key"]) == ("u", None)
    assert (await admin.get("/user/info", user_id="u")).json()["keys"] == []


async def test_a_key_that_cannot_be_made_leaves_no_user(admin):
    await admin.generate(key_alias="taken")
    answer = await admin.post("/user/new", {"user_id": "u", "user_email": "a@example.com", "key_alias": "taken"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "key_alias")
    assert (await admin.get("/user/info", user_id="u")).status_code == 404
    await new(admin, user_id="u", user_email="a@example.com")


async def test_ids_and_addresses_have_one_user(admin):
    await new(admin, user_id="u", user_email="a@example.com")
    admin.clock.advance(1)
    same_id = await admin.post("/user/new", {"user_id": "u", "user_email": "b@example.com"})
    assert (same_id.status_code, same_id.json()["error"]["param"]) == (409, "user_id")
    same_address = await admin.post("/user/new", {"user_email": "a@example.com"})
    assert (same_address.status_code, same_address.json()["error"]["param"]) == (400, "user_email")
    await new(admin, user_id="v", user_email="b@example.com")


async def test_info_has_the_users_keys_and_teams(admin):
    await admin.post("/team/new", {"team_id": "t", "team_alias": "T"})
    assert (await admin.post("/user/new", {"user_id": "u", "teams": ["gone"]})).json()["error"]["param"] == "teams"
    made = await new(admin, user_id="u", teams=["t"])
    info = (await admin.get("/user/info", user_id="u")).json()
    assert (info["user_id"], info["user_info"]["teams"]) == ("u", ["t"])
    assert [key["token"] for key in info["keys"]] == [made["token"]]
    assert [team["team_alias"] for team in info["teams"]] == ["T"]


async def test_without_a_name_the_callers_own_info(admin):
    boss = await new(admin, user_id="boss", user_role="proxy_admin")
    assert (await admin.get("/user/info", caller=boss["key"])).json()["user_id"] == "boss"
    assert (await admin.get("/user/info")).status_code == 404


async def test_update_by_id_or_by_address(admin):
    await new(admin, user_id="u", user_email="a@example.com", max_budget=1, metadata={"x": 1})
    by_id = (await admin.post("/user/update", {"user_id": "u", "max_budget": 2})).json()
    assert (by_id["user_id"], by_id["data"]["max_budget"], by_id["data"]["metadata"]) == ("u", 2, {"x": 1})
    by_address = (await admin.post("/user/update", {"user_email": "a@example.com", "max_budget": None})).json()
    assert (by_address["user_id"], by_address["data"]["max_budget"]) == ("u", None)
    await admin.post("/user/update", {"user_id": "u", "user_email": "b@example.com"})
    assert (await admin.post("/user/update", {"user_email": "a@example.com"})).status_code == 404
    await new(admin, user_email="a@example.com")


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/user/new", {"user_role": "king"}, 400, "user_role"),
        ("/user/new", {"max_budget": -1}, 400, "max_budget"),
        ("/user/new", {"password": "hunter2hunter2"}, 400, "password"),
        ("/user/update", {"max_budget": 1}, 400, "user_id"),
        ("/user/update", {"user_id": "nobody"}, 404, "user_id"),
    ],
)
async def test_wrong_values(admin, path, body, status, param):
    answer = await admin.post(path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert "hunter2" not in answer.text
