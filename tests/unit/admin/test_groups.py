"""Organizations, projects, customers, tags and access groups."""

import pytest
from tests.support.admin import make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.errors import Unauthenticated
from tollkeeper.store.sqlite import SqliteStore


async def ok(admin, method, path, body=None):
    answer = await admin.call(method, path, json=body) if body is not None else await admin.call(method, path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_organization_from_its_making_to_its_end(admin):
    made = await ok(admin, "POST", "/organization/new", {"organization_alias": "Acme", "organization_id": "o", "max_budget": 100})
    assert (made["organization_alias"], made["max_budget"], made["litellm_budget_table"]["max_budget"]) == ("Acme", 100, 100)
    changed = await ok(admin, "PATCH", "/organization/update", {"organization_id": "o", "max_budget": None, "models": ["a"]})
    assert (changed["max_budget"], changed["models"], changed["organization_alias"]) == (None, ["a"], "Acme")
    await ok(admin, "POST", "/team/new", {"team_id": "t", "organization_id": "o"})
    keys = [await admin.generate(team_id="t"), await admin.generate(organization_id="o")]
    info = await ok(admin, "GET", "/organization/info?organization_id=o")
    assert ([team["team_id"] for team in info["teams"]], info["members"]) == (["t"], [])
    assert [row["organization_id"] for row in await ok(admin, "GET", "/organization/list")] == ["o"]
    assert (await admin.authenticator.verify(keys[0]["key"])).organization.models == ("a",)
    await ok(admin, "DELETE", "/organization/delete", {"organization_ids": ["o"]})
    for key in keys:
        with pytest.raises(Unauthenticated):
            await admin.authenticator.verify(key["key"])
    assert (await admin.get("/team/info", team_id="t")).status_code == 404
    assert (await admin.get("/organization/info", organization_id="o")).status_code == 404


async def test_members_of_an_organization(admin):
    await ok(admin, "POST", "/organization/new", {"organization_alias": "Acme", "organization_id": "o"})
    member = {"user_id": "ann", "role": "org_admin"}
    added = await ok(admin, "POST", "/organization/member_add", {"organization_id": "o", "member": member, "max_budget_in_organization": 5})
    assert added["updated_organization_memberships"][0]["user_role"] == "org_admin"
    assert added["updated_organization_memberships"][0]["litellm_budget_table"]["max_budget"] == 5
    changed = await ok(admin, "PATCH", "/organization/member_update", {"organization_id": "o", "user_id": "ann", "role": "internal_user"})
    assert changed["user_role"] == "internal_user"
    info = await ok(admin, "GET", "/organization/info?organization_id=o")
    assert [row["user_id"] for row in info["members"]] == ["ann"]
    await ok(admin, "DELETE", "/organization/member_delete", {"organization_id": "o", "user_id": "ann"})
    gone = await admin.call("DELETE", "/organization/member_delete", json={"organization_id": "o", "user_id": "ann"})
    assert gone.status_code == 404


async def test_a_budget_by_name_counts_where_nothing_else_is_said(admin):
    await ok(admin, "POST", "/budget/new", {"budget_id": "b", "max_budget": 3, "rpm_limit": 9})
    row = await ok(admin, "POST", "/customer/new", {"user_id": "c", "budget_id": "b", "rpm_limit": 4})
    assert (row["budget_id"], row["litellm_budget_table"]["max_budget"], row["litellm_budget_table"]["rpm_limit"]) == ("b", 3, 4)
    customer = await admin.authenticator.customer("c")
    assert (customer.max_budget, customer.rpm_limit) == (3 * 10**9, 4)
    await ok(admin, "POST", "/budget/update", {"budget_id": "b", "max_budget": 1})
    assert (await admin.authenticator.customer("c")).max_budget == 10**9
    await ok(admin, "POST", "/tag/new", {"name": "x", "budget_id": "b"})
    assert (await admin.authenticator.tag("x")).max_budget == 10**9


async def test_customers_under_both_names(admin):
    await ok(admin, "POST", "/end_user/new", {"user_id": "c", "alias": "C", "max_budget": 1})
    assert (await ok(admin, "GET", "/customer/info?end_user_id=c"))["alias"] == "C"
    assert (await ok(admin, "POST", "/customer/update", {"user_id": "c", "blocked": True}))["blocked"] is True
    blocked = await ok(admin, "POST", "/end_user/block", {"user_ids": ["c", "new"]})
    assert [row["user_id"] for row in blocked["blocked_users"]] == ["c", "new"]
    assert await ok(admin, "POST", "/customer/unblock", {"user_ids": ["c", "new"]}) == {"blocked_users": []}
    assert {row["blocked"] for row in await ok(admin, "GET", "/customer/list")} == {False}
    assert (await ok(admin, "POST", "/customer/delete", {"user_ids": ["c", "new"]}))["deleted_customers"] == 2
    assert (await admin.get("/customer/info", end_user_id="c")).status_code == 404
    assert await admin.authenticator.customer("c") is None


async def test_projects_and_their_keys(admin):
    for team_id in ("t", "t2"):
        await ok(admin, "POST", "/team/new", {"team_id": team_id})
    made = await ok(admin, "POST", "/project/new", {"team_id": "t", "project_id": "p", "max_budget": 4, "models": ["a"]})
    assert (made["team_id"], made["max_budget"]) == ("t", 4)
    key = await admin.generate(team_id="t", project_id="p")
    assert (await admin.authenticator.verify(key["key"])).project.max_budget == 4 * 10**9
    elsewhere = await admin.post("/key/generate", {"team_id": "t2", "project_id": "p"})
    assert (elsewhere.status_code, elsewhere.json()["error"]["param"]) == (400, "project_id")
    moved = await admin.post("/key/update", {"key": key["key"], "team_id": "t2"})
    assert (moved.status_code, moved.json()["error"]["param"]) == (400, "project_id")
    assert [row["project_id"] for row in await ok(admin, "GET", "/project/list?team_id=t")] == ["p"]
    await ok(admin, "POST", "/project/update", {"project_id": "p", "blocked": True})
    with pytest.raises(Unauthenticated, match="Project=p is blocked"):
        await admin.authenticator.verify(key["key"])
    await ok(admin, "DELETE", "/project/delete", {"project_ids": ["p"]})
    assert (await admin.get("/key/info", key=key["key"])).status_code == 404


async def test_tags(admin):
    made = await ok(admin, "POST", "/tag/new", {"name": "prod", "description": "d", "max_budget": 2})
    assert (made["message"], made["tag"]["name"]) == ("Tag prod created successfully", "prod")
    assert (await ok(admin, "POST", "/tag/info", {"names": ["prod"]}))["prod"]["max_budget"] == 2
    assert (await ok(admin, "POST", "/tag/update", {"name": "prod", "description": None}))["tag"]["description"] is None
    assert [tag["name"] for tag in await ok(admin, "GET", "/tag/list")] == ["prod"]
    await ok(admin, "POST", "/tag/delete", {"name": "prod"})
    assert (await admin.post("/tag/info", {"names": ["prod"]})).status_code == 404


async def test_access_groups(admin):
    await ok(admin, "POST", "/access_group/new", {"access_group": "beta", "model_names": ["a", "b"]})
    await ok(admin, "PUT", "/access_group/beta/update", {"model_names": ["a"]})
    assert (await ok(admin, "GET", "/access_group/beta/info"))["model_names"] == ["a"]
    assert [row["access_group"] for row in (await ok(admin, "GET", "/access_group/list"))["access_groups"]] == ["beta"]
    await ok(admin, "DELETE", "/access_group/beta/delete")
    assert (await admin.get("/access_group/beta/info")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/organization/new", {}, "organization_alias"),
        ("/organization/new", {"organization_alias": "x", "budget_id": "nobody"}, "budget_id"),
        ("/team/new", {"organization_id": "nobody"}, "organization_id"),
        ("/project/new", {"project_alias": "x"}, "team_id"),
        ("/customer/new", {"user_id": ""}, "user_id"),
        ("/customer/new", {"user_id": "c", "allowed_model_region": "mars"}, "allowed_model_region"),
        ("/tag/new", {}, "name"),
        ("/access_group/new", {"access_group": "x"}, "model_names"),
    ],
)
async def test_wrong_values(admin, path, body, param):
    answer = await admin.post(path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "name", ["日本語チーム", "a#b/keys", "' OR 1=1 --", "team#x\u0000", "x" * 256, "../../etc/passwd", "%%", "é" * 256]
)
async def test_names_are_only_names(admin, name):
    """Unicode and what would mean something to a database: kept as it is, and found by nothing else."""
    await ok(admin, "POST", "/team/new", {"team_id": name, "team_alias": name})
    made = await admin.generate(team_id=name, user_id=name, key_alias=name)
    assert (await admin.get("/team/info", team_id=name)).json()["team_info"]["team_id"] == name
    for query in ({"team_id": name}, {"user_id": name}, {"key_alias": name}, {"search": name}):
        assert (await admin.get("/key/list", **query)).json()["keys"] == [made["token"]]
    assert (await admin.get("/key/list", team_id=name[:-1] or "x")).json()["keys"] == []


async def test_a_name_longer_than_the_store_takes(admin):
    answer = await admin.post("/team/new", {"team_id": "漢" * 256})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "team_id")


@pytest.mark.parametrize("nth", range(1, 9))
async def test_deleting_an_organization_can_be_cut_off_and_repeated(nth):
    store = SqliteStore(":memory:")
    table = FaultyTable(store.directory, spared=("audit",))
    admin = make_admin(table)
    await ok(admin, "POST", "/organization/new", {"organization_alias": "Acme", "organization_id": "o"})
    await ok(admin, "POST", "/team/new", {"team_id": "t", "organization_id": "o"})
    keys = [await admin.generate(team_id="t", key_alias="a"), await admin.generate(organization_id="o")]
    table.cut(nth, happened=True)
    await admin.call("DELETE", "/organization/delete", json={"organization_ids": ["o"]})
    table.cut_at = None
    for key in keys:
        admin.authenticator.forget()
        with pytest.raises(Unauthenticated):
            await admin.authenticator.verify(key["key"])
    again = await admin.call("DELETE", "/organization/delete", json={"organization_ids": ["o"]})
    assert again.status_code in (200, 404)
    assert (await admin.get("/organization/list")).json() == (await admin.get("/key/list")).json()["keys"] == []
    await admin.close()
    store.close()
