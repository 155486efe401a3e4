import pytest

from tollkeeper.errors import Unauthenticated


async def test_a_team_by_litellms_fields(admin):
    sent = {
        "team_alias": "Marketing",
        "team_id": "t",
        "models": ["gpt-4o"],
        "max_budget": 100,
        "budget_duration": "1mo",
        "tpm_limit": 5,
        "model_aliases": {"fast": "gpt-4o"},
        "members_with_roles": [{"user_id": "u", "user_email": None, "role": "admin"}],
        "metadata": {"cost_center": "42"},
        "team_member_permissions": ["/key/generate"],
    }
    row = (await admin.post("/team/new", sent)).json()
    assert {name: row[name] for name in sent} == sent
    assert {"spend", "budget_reset_at", "max_parallel_requests", "model_id", "litellm_model_table", "created_at"} <= set(row)
    info = (await admin.get("/team/info", team_id="t")).json()
    assert (info["team_id"], info["team_info"], info["keys"], info["team_memberships"]) == ("t", row, [], [])


async def test_an_id_is_made_up_and_stays_unique(admin):
    first, second = [(await admin.post("/team/new", {})).json()["team_id"] for _ in range(2)]
    assert first != second
    admin.clock.advance(1)
    answer = await admin.post("/team/new", {"team_id": first})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "team_id")


async def test_an_update_is_a_merge_patch_that_reaches_the_teams_keys(admin):
    await admin.post("/team/new", {"team_id": "t", "team_alias": "A", "models": ["a"], "max_budget": 5})
    key = (await admin.generate(team_id="t"))["key"]
    await admin.authenticator.verify(key)
    answer = (await admin.post("/team/update", {"team_id": "t", "max_budget": None, "models": ["b"]})).json()
    assert (answer["team_id"], answer["data"]["team_alias"], answer["data"]["max_budget"]) == ("t", "A", None)
    team = (await admin.authenticator.verify(key)).team
    assert team is not None
    assert team.models == ("b",)


async def test_a_blocked_team_stops_its_keys(admin):
    await admin.post("/team/new", {"team_id": "t"})
    key = (await admin.generate(team_id="t"))["key"]
    assert (await admin.post("/team/block", {"team_id": "t"})).json()["blocked"] is True
    with pytest.raises(Unauthenticated, match="Team=t is blocked"):
        await admin.authenticator.verify(key)
    await admin.post("/team/unblock", {"team_id": "t"})
    await admin.authenticator.verify(key)


async def test_deleting_a_team_deletes_its_keys_and_no_others(admin):
    for team_id in ("t", "t2"):
        await admin.post("/team/new", {"team_id": team_id})
    keys = [(await admin.generate(team_id=team_id))["key"] for team_id in ("t", "t", "t2")]
    deleted = (await admin.post("/team/delete", {"team_ids": ["t"]})).json()
    assert [row["team_id"] for row in deleted] == ["t"]
    for key in keys[:2]:
        with pytest.raises(Unauthenticated):
            await admin.authenticator.verify(key)
    await admin.authenticator.verify(keys[2])
    assert (await admin.get("/team/info", team_id="t")).status_code == 404


async def test_deleting_an_unknown_team_deletes_nothing(admin):
    await admin.post("/team/new", {"team_id": "t"})
    assert (await admin.post("/team/delete", {"team_ids": ["t", "nobody"]})).status_code == 404
    assert (await admin.get("/team/info", team_id="t")).status_code == 200


async def test_the_list_and_its_filters(admin):
    for number, member in enumerate(("u", "v", "u")):
        admin.clock.advance(1)
        members = [{"user_id": member, "role": "user"}]
        await admin.post("/organization/new", {"organization_id": f"o{number}", "organization_alias": "O"})
        await admin.post("/team/new", {"team_id": f"t{number}", "members_with_roles": members, "organization_id": f"o{number}"})
    assert [team["team_id"] for team in (await admin.get("/team/list")).json()] == ["t2", "t1", "t0"]
    assert [team["team_id"] for team in (await admin.get("/team/list", user_id="u")).json()] == ["t2", "t0"]
    assert [team["team_id"] for team in (await admin.get("/team/list", user_id="u", organization_id="o0")).json()] == ["t0"]


async def test_info_lists_as_many_keys_as_asked(admin):
    await admin.post("/team/new", {"team_id": "t"})
    for _ in range(3):
        await admin.generate(team_id="t")
    assert len((await admin.get("/team/info", team_id="t", key_limit=2)).json()["keys"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/team/new", {"max_budget": -1}, "max_budget"),
        ("/team/new", {"members_with_roles": [{"role": "user"}]}, "members_with_roles.0"),
        ("/team/new", {"members_with_roles": [{"user_id": "u", "role": "king"}]}, "members_with_roles.0.role"),
        ("/team/update", {}, "team_id"),
        ("/team/delete", {"team_ids": []}, "team_ids"),
    ],
)
async def test_wrong_values(admin, path, body, param):
    answer = await admin.post(path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_members_named_at_the_making_are_users_from_then_on(admin):
    await admin.post("/user/new", {"user_id": "ann", "user_email": "ann@example.com", "auto_create_key": False})
    members = [
        {"role": "admin", "user_email": "ann@example.com"},
        {"role": "user", "user_email": "bob@example.com"},
        {"role": "user", "user_id": "eve"},
    ]
    made = (await admin.post("/team/new", {"team_id": "t", "members_with_roles": members})).json()
    ids = [member["user_id"] for member in made["members_with_roles"]]
    assert (ids[0], ids[2], None in ids) == ("ann", "eve", False)
    for user_id in ids:
        assert (await admin.get("/v2/user/info", user_id=user_id)).json()["teams"] == ["t"]
    again = await admin.post("/team/new", {"team_id": "t", "members_with_roles": [{"role": "user", "user_id": "zoe"}]})
    assert (again.status_code, (await admin.get("/v2/user/info", user_id="zoe")).status_code) == (400, 404)
