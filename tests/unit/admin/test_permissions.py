"""Every route as every role: on what the role reaches, and on what is somebody else's. The table is auth/roles.py."""

from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.admin import Admin, make_admin

from tollkeeper.auth.roles import (
    ANYONE,
    INTERNAL_USER,
    INTERNAL_USER_VIEWER,
    MEMBER_PERMISSIONS,
    ORG_ADMIN,
    PROXY_ADMIN,
    ROUTES,
    TEAM_ADMIN,
    TEAM_MEMBER,
    VIEWER,
)
from tollkeeper.store.sqlite import SqliteStore

ROLES = (PROXY_ADMIN, VIEWER, ORG_ADMIN, TEAM_ADMIN, TEAM_MEMBER, INTERNAL_USER, INTERNAL_USER_VIEWER, ANYONE)
GLOBAL = (PROXY_ADMIN, VIEWER)


@dataclass(frozen=True)
class Place:
    """What a call is aimed at. `key_team` is the team that keys are made for; internal users make theirs for none."""

    key: str
    user: str
    team: str
    organization: str
    key_team: str | None = None
    project: str = "p"

    @property
    def spender(self) -> tuple[str, str]:
        """Whose spend the caller may see."""
        return ("team", self.team) if self.key_team else ("user", self.user)


NEW_KEY = {"duration": "1h"}
DATES = {"start_date": "2027-01-01", "end_date": "2027-01-15"}
# Route → what to send to it: the body, or for GET the query.
REQUESTS: dict[tuple[str, str], Any] = {
    ("POST", "/key/generate"): lambda p: {**NEW_KEY, "team_id": p.key_team},
    ("POST", "/key/service-account/generate"): lambda p: {"team_id": p.team},
    ("POST", "/key/update"): lambda p: {"key": p.key, "metadata": {"a": 1}},
    ("POST", "/key/bulk_update"): lambda p: {"keys": [{"key": p.key, "metadata": {"a": 1}}]},
    ("POST", "/key/delete"): lambda p: {"keys": [p.key]},
    ("POST", "/key/regenerate"): lambda p: {"key": p.key},
    ("POST", "/key/{key}/regenerate"): lambda p: {},
    ("POST", "/key/{key}/reset_spend"): lambda p: {"reset_to": 0},
    ("POST", "/key/block"): lambda p: {"key": p.key},
    ("POST", "/key/unblock"): lambda p: {"key": p.key},
    ("GET", "/key/info"): lambda p: {"key": p.key},
    ("POST", "/v2/key/info"): lambda p: {"keys": [p.key]},
    ("GET", "/key/list"): lambda p: {"team_id": p.key_team} if p.key_team else {"user_id": p.user},
    ("GET", "/key/aliases"): lambda p: {"team_id": p.key_team} if p.key_team else {},
    ("POST", "/key/health"): lambda p: None,
    ("POST", "/team/new"): lambda p: {"organization_id": p.organization},
    ("POST", "/team/update"): lambda p: {"team_id": p.team, "team_alias": "x"},
    ("PATCH", "/team/{team_id}"): lambda p: {"team_alias": "x"},
    ("POST", "/team/delete"): lambda p: {"team_ids": [p.team]},
    ("POST", "/team/block"): lambda p: {"team_id": p.team},
    ("POST", "/team/unblock"): lambda p: {"team_id": p.team},
    ("POST", "/team/member_add"): lambda p: {"team_id": p.team, "member": {"user_id": "new", "role": "user"}},
    ("POST", "/team/bulk_member_add"): lambda p: {"team_id": p.team, "members": [{"user_id": "new", "role": "user"}]},
    ("POST", "/team/member_update"): lambda p: {"team_id": p.team, "user_id": "somebody", "rpm_limit": 1},
    ("POST", "/team/member_delete"): lambda p: {"team_id": p.team, "user_id": "somebody"},
    ("POST", "/team/{team_id}/member/{user_id}/reset_spend"): lambda p: None,
    ("POST", "/team/{team_id}/member/{user_id}/reset_budget"): lambda p: None,
    ("POST", "/team/key/bulk_update"): lambda p: {"team_id": p.team, "keys": [{"key": p.key, "metadata": {}}]},
    ("POST", "/team/model/add"): lambda p: {"team_id": p.team, "models": ["m"]},
    ("POST", "/team/model/delete"): lambda p: {"team_id": p.team, "models": ["m"]},
    ("GET", "/team/permissions_list"): lambda p: {"team_id": p.team},
    ("POST", "/team/permissions_update"): lambda p: {"team_id": p.team, "team_member_permissions": []},
    ("GET", "/team/info"): lambda p: {"team_id": p.team},
    ("GET", "/team/available"): lambda p: {},
    ("GET", "/team/list"): lambda p: {"organization_id": p.organization} if p.user == "org_admin" else {"user_id": p.user},
    ("GET", "/v2/team/list"): lambda p: {"organization_id": p.organization} if p.user == "org_admin" else {"user_id": p.user},
    ("POST", "/user/new"): lambda p: {"auto_create_key": False},
    ("POST", "/user/update"): lambda p: {"user_id": p.user, "user_alias": "me"},
    ("POST", "/user/bulk_update"): lambda p: {"users": [{"user_id": p.user, "user_alias": "me"}]},
    ("POST", "/user/delete"): lambda p: {"user_ids": ["somebody"]},
    ("GET", "/user/info"): lambda p: {"user_id": p.user},
    ("GET", "/v2/user/info"): lambda p: {"user_id": p.user},
    ("GET", "/user/list"): lambda p: {"organization_ids": p.organization},
    ("GET", "/user/available_roles"): lambda p: {},
    ("POST", "/organization/new"): lambda p: {"organization_alias": "new"},
    ("PATCH", "/organization/update"): lambda p: {"organization_id": p.organization, "organization_alias": "x"},
    ("DELETE", "/organization/delete"): lambda p: {"organization_ids": [p.organization]},
    ("GET", "/organization/info"): lambda p: {"organization_id": p.organization},
    ("GET", "/organization/list"): lambda p: {},
    ("POST", "/organization/member_add"): lambda p: {
        "organization_id": p.organization,
        "member": {"user_id": "new", "role": "internal_user"},
    },
    ("PATCH", "/organization/member_update"): lambda p: {"organization_id": p.organization, "user_id": "somebody", "rpm_limit": 1},
    ("DELETE", "/organization/member_delete"): lambda p: {"organization_id": p.organization, "user_id": "somebody"},
    ("POST", "/customer/new"): lambda p: {"user_id": "new"},
    ("POST", "/customer/update"): lambda p: {"user_id": "c", "alias": "x"},
    ("POST", "/customer/delete"): lambda p: {"user_ids": ["c"]},
    ("POST", "/customer/block"): lambda p: {"user_ids": ["c"]},
    ("POST", "/customer/unblock"): lambda p: {"user_ids": ["c"]},
    ("GET", "/customer/info"): lambda p: {"end_user_id": "c"},
    ("GET", "/customer/list"): lambda p: {},
    ("POST", "/budget/new"): lambda p: {},
    ("POST", "/budget/update"): lambda p: {"budget_id": "b", "rpm_limit": 1},
    ("POST", "/budget/delete"): lambda p: {"id": "b"},
    ("POST", "/budget/info"): lambda p: {"budgets": ["b"]},
    ("GET", "/budget/settings"): lambda p: {"budget_id": "b"},
    ("GET", "/budget/list"): lambda p: {},
    ("POST", "/project/new"): lambda p: {"team_id": p.team},
    ("POST", "/project/update"): lambda p: {"project_id": p.project, "description": "x"},
    ("DELETE", "/project/delete"): lambda p: {"project_ids": [p.project]},
    ("GET", "/project/info"): lambda p: {"project_id": p.project},
    ("GET", "/project/list"): lambda p: {"team_id": p.team},
    ("POST", "/tag/new"): lambda p: {"name": "new"},
    ("POST", "/tag/update"): lambda p: {"name": "t", "description": "x"},
    ("POST", "/tag/delete"): lambda p: {"name": "t"},
    ("POST", "/tag/info"): lambda p: {"names": ["t"]},
    ("GET", "/tag/list"): lambda p: {},
    ("POST", "/access_group/new"): lambda p: {"access_group": "new", "model_names": []},
    ("GET", "/access_group/list"): lambda p: {},
    ("GET", "/access_group/{access_group}/info"): lambda p: {},
    ("PUT", "/access_group/{access_group}/update"): lambda p: {"model_names": ["m"]},
    ("DELETE", "/access_group/{access_group}/delete"): lambda p: {},
    ("POST", "/model/new"): lambda p: {"model_name": "new", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "x"}},
    ("POST", "/model/update"): lambda p: {"model_info": {"id": "m"}},
    ("PATCH", "/model/{model_id}/update"): lambda p: {},
    ("POST", "/model/delete"): lambda p: {"id": "m"},
    ("POST", "/model/block"): lambda p: {"id": "m"},
    ("POST", "/model/unblock"): lambda p: {"id": "m"},
    ("GET", "/model/info"): lambda p: {},
    ("GET", "/v1/model/info"): lambda p: {},
    ("GET", "/v2/model/info"): lambda p: {},
    ("GET", "/model_group/info"): lambda p: {},
    ("POST", "/credentials"): lambda p: {"credential_name": "new", "credential_values": {"api_base": "x"}},
    ("GET", "/credentials"): lambda p: {},
    ("GET", "/credentials/by_name/{credential_name}"): lambda p: {},
    ("GET", "/credentials/by_model/{model_id}"): lambda p: {},
    ("PATCH", "/credentials/{credential_name}"): lambda p: {},
    ("DELETE", "/credentials/{credential_name}"): lambda p: None,
    ("POST", "/fallback"): lambda p: {"model": "m", "fallback_models": ["n"]},
    ("GET", "/fallback/{model}"): lambda p: {},
    ("DELETE", "/fallback/{model}"): lambda p: None,
    ("GET", "/spend/logs"): lambda p: {},
    ("GET", "/spend/logs/v2"): lambda p: {},
    ("GET", "/spend/logs/ui"): lambda p: {},
    ("GET", "/spend/logs/ui/{request_id}"): lambda p: {},
    ("GET", "/metrics"): lambda p: {},
    ("GET", "/spend/keys"): lambda p: {},
    ("GET", "/spend/users"): lambda p: {},
    ("GET", "/spend/tags"): lambda p: {},
    ("POST", "/spend/calculate"): lambda p: {"model": "m", "messages": []},
    ("POST", "/cost/estimate"): lambda p: {"model": "m"},
    ("GET", "/global/spend"): lambda p: {},
    ("GET", "/global/spend/logs"): lambda p: {},
    ("GET", "/global/spend/keys"): lambda p: {},
    ("GET", "/global/spend/models"): lambda p: {},
    ("GET", "/global/spend/provider"): lambda p: {},
    ("GET", "/global/spend/teams"): lambda p: {},
    ("GET", "/global/spend/tags"): lambda p: DATES,
    ("GET", "/global/spend/all_tag_names"): lambda p: {},
    ("GET", "/global/spend/report"): lambda p: DATES,
    ("POST", "/global/spend/end_users"): lambda p: {},
    ("POST", "/global/spend/refresh"): lambda p: {},
    ("POST", "/global/spend/reset"): lambda p: {},
    ("GET", "/global/all_end_users"): lambda p: {},
    ("GET", "/global/activity"): lambda p: DATES,
    ("GET", "/global/activity/model"): lambda p: DATES,
    ("GET", "/global/activity/exceptions"): lambda p: DATES,
    ("GET", "/global/activity/exceptions/deployment"): lambda p: {**DATES, "model_group": "m"},
    ("GET", "/global/activity/cache_hits"): lambda p: DATES,
    **{
        ("GET", f"/{kind}/daily/activity{end}"): query
        for end in ("", "/aggregated")
        for kind, query in (
            ("user", lambda p: DATES),
            ("key", lambda p: DATES),
            ("team", lambda p: {**DATES, "team_ids": p.team}),
            ("organization", lambda p: {**DATES, "organization_ids": p.organization}),
            ("tag", lambda p: DATES),
            ("customer", lambda p: DATES),
        )
    },
    ("GET", "/key/spend/report"): lambda p: DATES,
    ("GET", "/user/spend/report"): lambda p: DATES,
    ("GET", "/team/spend/report"): lambda p: {**DATES, "team_id": p.team},
    ("GET", "/organization/spend/report"): lambda p: {**DATES, "organization_id": p.organization},
    ("GET", "/provider/budgets"): lambda p: {},
    ("GET", "/reports/statement"): lambda p: {"team_id": p.team},
    ("GET", "/reports/forecast"): lambda p: {},
    ("GET", "/reports/anomalies"): lambda p: {},
    ("POST", "/reports/simulate"): lambda p: {"kind": p.spender[0], "id": p.spender[1], "max_budget": 1, "month": "2027-01"},
    ("POST", "/reports/exports"): lambda p: {},
    ("GET", "/reports/exports"): lambda p: {},
    ("GET", "/reports/exports/{export_id}"): lambda p: {},
    ("GET", "/reports/receipts/keys"): lambda p: {},
    ("GET", "/reports/receipts/{request_id}"): lambda p: {},
    ("GET", "/audit"): lambda p: {},
    ("GET", "/audit/verify"): lambda p: {},
    ("GET", "/audit/{number}"): lambda p: {},
}
# Without ids they are about the caller, whoever it is; with somebody else's: tests/unit/reports/test_sight.py.
ABOUT_ONESELF = (
    *("/spend/logs", "/spend/logs/v2", "/spend/logs/ui", "/spend/logs/ui/{request_id}"),
    *("/global/spend/logs", "/global/spend/keys", "/global/spend/models", "/global/spend/provider"),
    *("/global/activity", "/global/activity/model", "/key/spend/report", "/user/spend/report"),
    *("/reports/forecast", "/reports/receipts/keys", "/reports/receipts/{request_id}"),
    *("/user/daily/activity", "/user/daily/activity/aggregated", "/key/daily/activity", "/key/daily/activity/aggregated"),
)
WITHOUT_TARGET = {
    *(("GET", path) for path in ABOUT_ONESELF),
    ("POST", "/spend/calculate"),
    ("POST", "/cost/estimate"),
    ("GET", "/model/info"),
    ("GET", "/v1/model/info"),
    ("GET", "/v2/model/info"),
    ("GET", "/model_group/info"),
    ("POST", "/key/health"),
    ("GET", "/team/available"),
    ("GET", "/user/available_roles"),
    ("GET", "/organization/list"),
    ("GET", "/key/aliases"),
    ("GET", "/key/list"),
    ("POST", "/key/generate"),
}


class World:
    """A caller for every role, a place it reaches, and a place that is none of its business."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.callers: dict[str, str] = {}
        self.last_key = ""

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.admin.post(path, body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def user(self, user_id: str, role: str | None) -> str:
        return str((await self.post("/user/new", user_id=user_id, user_role=role))["key"])

    async def organization(self, name: str) -> None:
        await self.post("/organization/new", organization_id=name, organization_alias=name)
        await self.post("/organization/member_add", organization_id=name, member={"user_id": "somebody", "role": "internal_user"})

    async def team(self, team_id: str, organization_id: str) -> None:
        await self.post("/team/new", team_id=team_id, organization_id=organization_id, team_member_permissions=list(MEMBER_PERMISSIONS))
        await self.join(team_id, "somebody", "user")
        await self.post("/project/new", team_id=team_id, project_id=f"{team_id}-p")

    async def join(self, team_id: str, user_id: str, role: str) -> None:
        await self.post("/team/member_add", team_id=team_id, member={"user_id": user_id, "role": role})

    async def key(self, **fields: Any) -> str:
        """A new one, or the last if its team is gone by now."""
        made = await self.admin.post("/key/generate", fields)
        self.last_key = made.json()["token"] if made.status_code == 200 else self.last_key
        return self.last_key

    async def build(self) -> None:
        for role in ROLES[:-1]:
            own_role = role if role in (*GLOBAL, INTERNAL_USER, INTERNAL_USER_VIEWER) else None
            self.callers[role] = await self.user(role, own_role)
        self.callers[ANYONE] = (await self.admin.generate())["key"]
        await self.user("stranger", INTERNAL_USER)
        for name in ("here", "there"):
            await self.organization(f"{name}-o")
            await self.team(name, f"{name}-o")
        await self.post("/team/new", team_id="plain")
        await self.post("/project/new", team_id="plain", project_id="plain-p")
        await self.post("/organization/member_add", organization_id="here-o", member={"user_id": ORG_ADMIN, "role": "org_admin"})
        for role in (INTERNAL_USER, INTERNAL_USER_VIEWER):
            await self.join("plain", role, "user")
            await self.post("/organization/member_add", organization_id="here-o", member={"user_id": role, "role": "internal_user"})
        await self.join("here", TEAM_ADMIN, "admin")
        await self.join("here", TEAM_MEMBER, "user")
        for path, body in (("customer", {"user_id": "c"}), ("budget", {"budget_id": "b"}), ("tag", {"name": "t"})):
            await self.post(f"/{path}/new", **body)
        await self.post("/access_group/new", access_group="g", model_names=[])

    async def mend(self) -> None:
        """What a call may have broken for the next one."""
        await self.admin.post("/team/unblock", {"team_id": "here"})
        await self.admin.post("/team/update", {"team_id": "here", "team_member_permissions": list(MEMBER_PERMISSIONS)})

    async def place(self, role: str) -> Place:
        if role in (INTERNAL_USER, INTERNAL_USER_VIEWER):
            made = await self.admin.post("/key/generate", NEW_KEY, caller=self.callers[role])
            key = made.json()["token"] if made.status_code == 200 else await self.key(user_id=role)
            return Place(key, role, "plain", "here-o", project="plain-p")
        if role == ANYONE:
            return Place(self.callers[role], "stranger", "there", "there-o", "there", "there-p")
        return Place(await self.key(team_id="here"), role, "here", "here-o", "here", "here-p")

    async def foreign(self) -> Place:
        return Place(await self.key(team_id="there", user_id="stranger"), "stranger", "there", "there-o", "there", "there-p")

    async def call(self, route: tuple[str, str], role: str, place: Place) -> int:
        method, path = route
        filled = path.format(
            key=place.key,
            team_id=place.team,
            user_id="somebody",
            access_group="g",
            number=1,
            model_id="m",
            credential_name="cred",
            model="m",
            request_id="r",
            export_id="e",
        )
        sent = REQUESTS[route](place)
        request = {"params": sent} if method == "GET" else {"json": sent} if sent is not None else {}
        answer = await self.admin.call(method, filled, caller=self.callers[role], **request)
        assert answer.status_code < 500, answer.text
        assert answer.status_code not in (401, 422), answer.text
        return answer.status_code


@pytest.fixture
async def world():
    store = SqliteStore(":memory:")
    admin = make_admin(store.directory)
    world = World(admin)
    await world.build()
    yield world
    await admin.close()
    store.close()


async def test_every_route_of_the_api_is_in_the_table_and_the_other_way_round(admin):
    paths = (await admin.get("/openapi.json", caller=None)).json()["paths"]
    served = {(method.upper(), path) for path, item in paths.items() for method in item}
    assert served == set(ROUTES) == set(REQUESTS)


LAST = ("/project/delete", "/team/block", "/team/delete", "/organization/delete", "/user/delete")


def in_order(routes: Any) -> list[tuple[str, str]]:
    """What takes the ground away from under other calls comes last."""
    return sorted(routes, key=lambda route: (LAST.index(route[1]) if route[1] in LAST else -1, "delete" in route[1]))


@pytest.mark.parametrize("role", ROLES)
async def test_every_route_on_what_the_role_reaches(world, role):
    passed = set()
    for route in in_order(ROUTES):
        if await world.call(route, role, await world.place(role)) != 403:
            passed.add(route)
        await world.mend()
    assert passed == {route for route in ROUTES if role == PROXY_ADMIN or role in ROUTES[route] or ANYONE in ROUTES[route]}


@pytest.mark.parametrize("role", [role for role in ROLES if role not in GLOBAL])
async def test_no_route_on_what_is_somebody_elses(world, role):
    place = await world.foreign()
    for route in ROUTES:
        if route not in WITHOUT_TARGET:
            assert await world.call(route, role, place) == 403, route
    own = {"user_id": "stranger", "team_id": "there", "organization_id": "there-o"}
    for name, value in own.items():
        assert (await world.admin.get("/key/list", caller=world.callers[role], **{name: value})).status_code == 403
        assert (await world.admin.post("/key/generate", {name: value}, caller=world.callers[role])).status_code == 403


async def test_no_key_passes_no_route(world):
    for method, path in ROUTES:
        answer = await world.admin.call(method, path.replace("{number}", "1"), caller=None)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "auth_error"), path


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


@pytest.mark.parametrize(("key_type", "reads", "writes"), [("llm_api", 403, 403), ("read_only", 200, 403), ("default", 200, 200)])
async def test_an_administrators_key_does_what_its_type_allows(admin, key_type, reads, writes):
    await admin.post("/user/new", {"user_id": "boss", "user_role": "proxy_admin", "auto_create_key": False})
    key = (await admin.generate(user_id="boss", key_type=key_type))["key"]
    assert (await admin.get("/key/list", caller=key)).status_code == reads
    assert (await admin.post("/key/generate", {}, caller=key)).status_code == writes


async def test_taking_a_role_away_counts_at_once(admin):
    made = (await admin.post("/user/new", {"user_role": "proxy_admin"})).json()
    assert (await admin.get("/key/list", caller=made["key"])).status_code == 200
    await admin.post("/user/update", {"user_id": made["user_id"], "user_role": None})
    assert (await admin.get("/key/list", caller=made["key"])).status_code == 403
