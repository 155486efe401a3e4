import asyncio

import pytest

from tollkeeper.errors import Unauthenticated


@pytest.fixture
async def team(admin):
    await admin.post("/team/new", {"team_id": "t", "team_member_budget": 3, "team_member_rpm_limit": 9})
    for user_id in ("ann", "bob"):
        await admin.post("/user/new", {"user_id": user_id, "user_email": f"{user_id}@example.com", "auto_create_key": False})
    return admin


async def add(admin, **fields):
    answer = await admin.post("/team/member_add", {"team_id": "t", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def members(admin):
    info = (await admin.get("/team/info", team_id="t")).json()["team_info"]
    return {member["user_id"]: member["role"] for member in info["members_with_roles"]}


async def test_adding_one_or_many_by_id_or_address(team):
    one = await add(team, member={"user_id": "ann", "role": "admin"}, max_budget_in_team=5)
    assert (one["updated_users"][0]["teams"], one["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"]) == (["t"], 5)
    await add(team, member=[{"user_email": "bob@example.com", "role": "user"}, {"user_email": "new@example.com", "role": "user"}])
    found = await members(team)
    assert (found["ann"], found["bob"], len(found)) == ("admin", "user", 3)
    assert (await team.get("/user/list", user_email="new@")).json()["users"][0]["teams"] == ["t"]


async def test_adding_twice_changes_the_role(team):
    await add(team, member={"user_id": "ann", "role": "user"})
    await add(team, member={"user_id": "ann", "role": "admin"})
    assert await members(team) == {"ann": "admin"}


async def test_everybody_at_once_loses_nobody(team):
    names = [f"u{number}" for number in range(12)]
    answers = await asyncio.gather(
        *(team.post("/team/member_add", {"team_id": "t", "member": {"user_id": name, "role": "user"}}) for name in names)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert set(await members(team)) == set(names)


async def test_a_members_limits_and_the_teams_for_the_rest(team):
    await add(team, member={"user_id": "ann", "role": "user"}, max_budget_in_team=5)
    await add(team, member={"user_id": "bob", "role": "user"})
    keys = [(await team.generate(team_id="t", user_id=user))["key"] for user in ("ann", "bob")]
    ann, bob = [(await team.authenticator.verify(key)).membership for key in keys]
    assert (ann.max_budget, ann.rpm_limit) == (5 * 10**9, 9)
    assert (bob.max_budget, bob.rpm_limit) == (3 * 10**9, 9)
    stranger = await team.authenticator.verify((await team.generate(team_id="t", user_id="stranger"))["key"])
    assert stranger.membership is None


async def test_updating_a_member(team):
    await add(team, member={"user_id": "ann", "role": "user"})
    body = {
        "team_id": "t",
        "user_email": "ann@example.com",
        "role": "admin",
        "max_budget_in_team": 7,
        "tpm_limit": 3,
        "allowed_models": ["a"],
    }
    answer = (await team.post("/team/member_update", body)).json()
    assert (answer["user_id"], answer["max_budget_in_team"], answer["tpm_limit"], answer["allowed_models"]) == ("ann", 7, 3, ["a"])
    assert await members(team) == {"ann": "admin"}
    cleared = (await team.post("/team/member_update", {"team_id": "t", "user_id": "ann", "max_budget_in_team": None})).json()
    assert (cleared["max_budget_in_team"], cleared["tpm_limit"]) == (3, 3)
    assert (await team.post("/team/member_update", {"team_id": "t", "user_id": "bob", "role": "admin"})).status_code == 404


async def test_who_leaves_loses_the_keys_of_the_team_and_no_others(team):
    await add(team, member={"user_id": "ann", "role": "user"}, max_budget_in_team=5)
    inside, outside = await team.generate(team_id="t", user_id="ann"), await team.generate(user_id="ann")
    row = (await team.post("/team/member_delete", {"team_id": "t", "user_id": "ann"})).json()
    assert row["members_with_roles"] == []
    with pytest.raises(Unauthenticated):
        await team.authenticator.verify(inside["key"])
    await team.authenticator.verify(outside["key"])
    info = (await team.get("/team/info", team_id="t")).json()
    assert (info["keys"], info["team_memberships"]) == ([], [])
    assert (await team.get("/v2/user/info", user_id="ann")).json()["teams"] == []
    assert (await team.post("/team/member_delete", {"team_id": "t", "user_id": "ann"})).status_code == 404


async def test_bulk(team):
    body = {"team_id": "t", "members": [{"user_id": "ann", "role": "admin"}, {"user_email": "x@example.com", "role": "user"}]}
    answer = (await team.post("/team/bulk_member_add", body)).json()
    assert (answer["total_additions_requested"], answer["successful_additions"], answer["failed_additions"]) == (2, 2, 0)
    everybody = (await team.post("/team/bulk_member_add", {"team_id": "t", "all_users": True})).json()
    assert len(everybody["updated_team"]["members_with_roles"]) == 3
    assert (await team.post("/team/bulk_member_add", {"team_id": "t"})).status_code == 400


async def test_a_deleted_team_is_in_nobodys_list(team):
    await add(team, member={"user_id": "ann", "role": "user"}, max_budget_in_team=5)
    await team.post("/team/delete", {"team_ids": ["t"]})
    assert (await team.get("/v2/user/info", user_id="ann")).json()["teams"] == []
    await team.post("/team/new", {"team_id": "t"})
    assert (await team.get("/team/info", team_id="t")).json()["team_memberships"] == []


async def test_a_deleted_user_is_in_no_team_and_their_keys_stop(team):
    await add(team, member=[{"user_id": "ann", "role": "user"}, {"user_id": "bob", "role": "user"}])
    keys = [await team.generate(user_id="ann"), await team.generate(user_id="ann", team_id="t")]
    assert (await team.post("/user/delete", {"user_ids": ["ann"]})).json() == {"deleted_users": 1}
    for key in keys:
        with pytest.raises(Unauthenticated):
            await team.authenticator.verify(key["key"])
    assert await members(team) == {"bob": "user"}
    assert (await team.get("/user/info", user_id="ann")).status_code == 404
    await team.post("/user/new", {"user_email": "ann@example.com", "auto_create_key": False})


async def test_nobody_is_deleted_if_one_is_unknown(team):
    assert (await team.post("/user/delete", {"user_ids": ["ann", "nobody"]})).status_code == 404
    assert (await team.get("/user/info", user_id="ann")).status_code == 200


async def test_models_of_a_team(team):
    added = (await team.post("/team/model/add", {"team_id": "t", "models": ["a", "b", "a"]})).json()
    assert added["models"] == ["a", "b"]
    assert (await team.post("/team/model/delete", {"team_id": "t", "models": ["a"]})).json()["models"] == ["b"]
    last = await team.post("/team/model/delete", {"team_id": "t", "models": ["b"]})
    assert (last.status_code, last.json()["error"]["param"]) == (400, "models")


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/team/member_add", {"team_id": "t", "member": {"role": "user"}}, 400, None),
        ("/team/member_add", {"team_id": "t", "member": {"user_id": "x", "role": "king"}}, 400, None),
        ("/team/member_add", {"team_id": "t", "member": []}, 400, None),
        ("/team/member_add", {"team_id": "nobody", "member": {"user_id": "x", "role": "user"}}, 404, "team_id"),
        ("/team/member_update", {"team_id": "t"}, 400, "request_body"),
        ("/team/permissions_update", {"team_id": "t", "team_member_permissions": ["/audit"]}, 400, "team_member_permissions.0"),
    ],
)
async def test_wrong_values(team, path, body, status, param):
    answer = await team.post(path, body)
    assert answer.status_code == status
    assert param is None or answer.json()["error"]["param"] == param
