"""The requests of LiteLLM's management API as its clients, its Terraform provider and people's scripts send them, and the fields they read.

From https://docs.litellm.ai/docs/proxy/virtual_keys and the OpenAPI document LiteLLM 1.109 serves of itself.
"""

from typing import Any

import pytest
from tests.support.admin import Admin, make_admin

# The columns that a row of LiteLLM has, by kind.
KEY = """key_name key_alias spend expires models aliases config user_id team_id permissions max_parallel_requests metadata blocked
tpm_limit rpm_limit max_budget budget_duration budget_reset_at allowed_cache_controls allowed_routes model_spend model_max_budget budget_id
organization_id litellm_budget_table created_at created_by updated_at updated_by object_permission soft_budget budget_limits tags
guardrails project_id agent_id auto_rotate rotation_interval"""
TEAM = """team_id team_alias organization_id admins members members_with_roles metadata tpm_limit rpm_limit max_budget budget_duration
models blocked spend max_parallel_requests budget_reset_at model_id litellm_model_table created_at updated_at object_permission
object_permission_id team_member_permissions model_spend soft_budget"""
USER = """user_id max_budget spend model_max_budget model_spend user_email user_alias user_role models tpm_limit rpm_limit budget_duration
budget_reset_at metadata created_at updated_at sso_user_id teams object_permission"""
BUDGET = """budget_id max_budget soft_budget max_parallel_requests tpm_limit rpm_limit model_max_budget
budget_duration created_at created_by updated_at updated_by"""
ORGANIZATION = """organization_id organization_alias budget_id spend metadata models created_by updated_by created_at updated_at model_spend
users litellm_budget_table object_permission"""
CUSTOMER = "user_id blocked alias spend allowed_model_region default_model budget_id litellm_budget_table object_permission models"
PROJECT = "project_id team_id project_alias description models spend metadata blocked max_budget created_at updated_at tags guardrails"
TAG = "name description models budget_id litellm_budget_table created_at updated_at created_by spend"
MEMBERSHIP = "user_id team_id budget_id spend litellm_budget_table"


def columns(row: dict[str, Any], *names: str) -> None:
    missing = {name for text in names for name in text.split()} - set(row)
    assert not missing, sorted(missing)


@pytest.fixture
async def admin():
    admin = make_admin()
    yield admin
    await admin.close()


async def ok(admin: Admin, method: str, path: str, body: Any = None, **query: Any) -> Any:
    request = {"json": body} if body is not None else {}
    answer = await admin.call(method, path, params=query, **request)
    assert answer.status_code == 200, f"{method} {path}: {answer.text}"
    return answer.json()


async def test_keys(admin):
    made = await ok(
        admin,
        "POST",
        "/key/generate",
        {
            "key_alias": "prod", "duration": "30d", "models": ["gpt-4o"], "max_budget": 10, "budget_duration": "30d", "tpm_limit": 1000,
            "rpm_limit": 10, "max_parallel_requests": 2, "metadata": {"team": "core", "tags": ["prod"]}, "aliases": {"fast": "gpt-4o"},
            "permissions": {"allow_pii_controls": True}, "model_max_budget": {"gpt-4o": {"budget_limit": 1, "time_period": "1d"}},
            "guardrails": ["pii"], "key_type": "llm_api", "send_invite_email": False, "spend": 0, "config": {}, "soft_budget": 5,
            "model_rpm_limit": {"gpt-4o": 3}, "enforced_params": ["user"], "object_permission": {"vector_stores": ["v"]},
        },
    )  # fmt: skip
    columns(made, KEY, "key token token_id key_type")
    key, token = made["key"], made["token"]
    assert key.startswith("sk-")

    info = await ok(admin, "GET", "/key/info", key=key)
    columns(info["info"], KEY, "status")
    assert (info["key"], info["info"]["status"]) == (key, "active")
    several = await ok(admin, "POST", "/v2/key/info", {"keys": [key, token]})
    assert (several["key"], len(several["info"])) == ([key, token], 2)

    updated = await ok(admin, "POST", "/key/update", {"key": token, "models": [], "max_budget": 20, "metadata": {"a": 1}, "spend": 0})
    columns(updated, KEY, "key")
    bulk = await ok(admin, "POST", "/key/bulk_update", {"keys": [{"key": token, "tpm_limit": 1}, {"key": "0" * 64, "tpm_limit": 1}]})
    assert (bulk["total_requested"], len(bulk["successful_updates"]), len(bulk["failed_updates"])) == (2, 1, 1)

    listed = await ok(admin, "GET", "/key/list", page=1, size=10, sort_by="created_at", sort_order="desc", include_team_keys="true")
    columns(listed, "keys total_count current_page total_pages")
    full = await ok(admin, "GET", "/key/list", return_full_object="true", key_alias="pro", substring_matching="true", status="active")
    columns(full["keys"][0], KEY, "token")
    aliases = await ok(admin, "GET", "/key/aliases", page=1, size=50, search="PROD")
    assert (aliases["aliases"], aliases["total_count"], aliases["size"]) == (["prod"], 1, 50)

    assert (await ok(admin, "POST", "/key/block", {"key": key}))["blocked"] is True
    assert (await ok(admin, "POST", "/key/unblock", {"key": key}))["blocked"] is False
    renewed = await ok(admin, "POST", f"/key/{token}/regenerate", {"grace_period": "24h", "max_budget": 5})
    columns(renewed, KEY, "key token token_id")
    health = await admin.post("/key/health", None, caller=renewed["key"])
    columns(health.json(), "key logging_callbacks")
    assert await ok(admin, "POST", "/key/delete", {"key_aliases": ["prod"]}) == {"deleted_keys": ["prod"]}


async def test_service_accounts(admin):
    await ok(admin, "POST", "/team/new", {"team_id": "t"})
    made = await ok(admin, "POST", "/key/service-account/generate", {"team_id": "t", "key_alias": "robot"})
    assert (made["user_id"], made["team_id"], made["metadata"]["service_account_id"]) == (None, "t", "robot")
    assert (await admin.post("/key/service-account/generate", {})).json()["error"]["param"] == "team_id"


async def test_teams(admin):
    made = await ok(
        admin,
        "POST",
        "/team/new",
        {
            "team_id": "t", "team_alias": "Core", "members_with_roles": [{"role": "admin", "user_id": "ann"}], "max_budget": 5,
            "models": ["m"], "metadata": {"x": 1}, "tpm_limit": 1, "rpm_limit": 1, "budget_duration": "1d", "blocked": False, "tags": ["a"],
            "team_member_budget": 1, "model_aliases": {"fast": "m"}, "admins": [], "members": [],
        },
    )  # fmt: skip
    columns(made, TEAM)
    columns((await ok(admin, "POST", "/team/update", {"team_id": "t", "team_alias": "Kern"}))["data"], TEAM)
    columns(await ok(admin, "PATCH", "/team/t", {"max_budget": None}), TEAM)
    added = await ok(
        admin,
        "POST",
        "/team/member_add",
        {"team_id": "t", "member": [{"role": "user", "user_email": "bob@example.com"}], "max_budget_in_team": 2},
    )
    columns(added, TEAM, "updated_users updated_team_memberships")
    columns(added["updated_users"][0], USER)
    columns(added["updated_team_memberships"][0], MEMBERSHIP)
    bob = added["updated_users"][0]["user_id"]
    member = await ok(admin, "POST", "/team/member_update", {"team_id": "t", "user_id": bob, "role": "admin", "max_budget_in_team": 3})
    columns(member, "team_id user_id user_email max_budget_in_team tpm_limit rpm_limit")
    info = await ok(admin, "GET", "/team/info", team_id="t")
    columns(info, "team_id team_info keys team_memberships")
    columns(info["team_info"], TEAM)
    columns((await ok(admin, "GET", "/team/list"))[0], TEAM)
    page = await ok(admin, "GET", "/v2/team/list", page=1, page_size=10, search="kern", sort_by="team_alias", sort_order="asc")
    columns(page, "teams total page page_size total_pages")
    permissions = await ok(admin, "POST", "/team/permissions_update", {"team_id": "t", "team_member_permissions": ["/key/info"]})
    columns(permissions, "team_id team_member_permissions all_available_permissions")
    columns(await ok(admin, "GET", "/team/permissions_list", team_id="t"), "team_id team_member_permissions all_available_permissions")
    columns(await ok(admin, "POST", "/team/model/add", {"team_id": "t", "models": ["n"]}), TEAM)
    columns(await ok(admin, "POST", "/team/model/delete", {"team_id": "t", "models": ["n"]}), TEAM)
    for verb in ("block", "unblock"):
        columns(await ok(admin, "POST", f"/team/{verb}", {"team_id": "t"}), TEAM)
    columns(await ok(admin, "POST", "/team/member_delete", {"team_id": "t", "user_id": bob}), TEAM)
    await ok(admin, "POST", "/team/delete", {"team_ids": ["t"]})


async def test_users(admin):
    await ok(admin, "POST", "/team/new", {"team_id": "t"})
    made = await ok(
        admin,
        "POST",
        "/user/new",
        {
            "user_id": "ann", "user_email": "ann@example.com", "user_role": "internal_user", "max_budget": 5, "models": ["m"],
            "teams": [{"team_id": "t", "max_budget_in_team": 1, "user_role": "admin"}], "send_invite_email": False, "auto_create_key": True,
        },
    )  # fmt: skip
    columns(made, USER, "key token expires")
    info = await ok(admin, "GET", "/user/info", user_id="ann")
    columns(info, "user_id user_info keys teams")
    columns(info["user_info"], USER)
    assert (info["teams"][0]["team_id"], len(info["keys"])) == ("t", 1)
    columns(await ok(admin, "GET", "/v2/user/info", user_id="ann"), USER)
    updated = await ok(admin, "POST", "/user/update", {"user_id": "ann", "max_budget": 6, "user_alias": "Ann"})
    columns(updated, "user_id data")
    many = await ok(admin, "POST", "/user/bulk_update", {"users": [{"user_id": "ann", "max_budget": 7}, {"user_id": "nobody"}]})
    assert (many["total_requested"], many["successful_updates"], many["failed_updates"]) == (2, 1, 1)
    page = await ok(admin, "GET", "/user/list", role="internal_user", page=1, page_size=25, sort_by="created_at", sort_order="desc")
    columns(page, "users total page page_size total_pages")
    columns(page["users"][0], USER, "key_count")
    columns(await ok(admin, "GET", "/user/available_roles"), "proxy_admin internal_user")
    assert await ok(admin, "POST", "/user/delete", {"user_ids": ["ann"]}) == {"deleted_users": 1}


async def test_organizations(admin):
    made = await ok(
        admin,
        "POST",
        "/organization/new",
        {"organization_alias": "Acme", "models": ["m"], "max_budget": 100, "budget_duration": "30d", "tpm_limit": 5, "metadata": {"a": 1}},
    )
    columns(made, ORGANIZATION)
    columns(made["litellm_budget_table"], "budget_id max_budget soft_budget tpm_limit rpm_limit budget_duration")
    name = made["organization_id"]
    columns(await ok(admin, "PATCH", "/organization/update", {"organization_id": name, "models": ["n"]}), ORGANIZATION)
    added = await ok(
        admin, "POST", "/organization/member_add", {"organization_id": name, "member": {"role": "org_admin", "user_id": "ann"}}
    )
    columns(added, "organization_id updated_users updated_organization_memberships")
    columns(await ok(admin, "GET", "/organization/info", organization_id=name), ORGANIZATION, "members teams")
    columns((await ok(admin, "GET", "/organization/list"))[0], ORGANIZATION)
    await ok(admin, "DELETE", "/organization/delete", {"organization_ids": [name]})


async def test_budgets_customers_projects_and_tags(admin):
    columns(await ok(admin, "POST", "/budget/new", {"budget_id": "b", "max_budget": 10, "budget_duration": "1d", "rpm_limit": 3}), BUDGET)
    columns(await ok(admin, "POST", "/budget/update", {"budget_id": "b", "soft_budget": 5}), BUDGET)
    columns((await ok(admin, "POST", "/budget/info", {"budgets": ["b"]}))[0], BUDGET)
    columns((await ok(admin, "GET", "/budget/list"))[0], BUDGET)
    settings = await ok(admin, "GET", "/budget/settings", budget_id="b")
    columns(settings[0], "field_name field_type field_description field_value stored_in_db")
    customer = {"user_id": "c", "alias": "C", "budget_id": "b", "allowed_model_region": "eu", "default_model": "m", "blocked": False}
    columns(await ok(admin, "POST", "/customer/new", customer), CUSTOMER)
    columns(await ok(admin, "GET", "/customer/info", end_user_id="c"), CUSTOMER)
    columns(await ok(admin, "POST", "/customer/update", {"user_id": "c", "max_budget": 1}), CUSTOMER)
    columns(await ok(admin, "POST", "/customer/block", {"user_ids": ["c"]}), "blocked_users")
    columns(await ok(admin, "POST", "/customer/delete", {"user_ids": ["c"]}), "deleted_customers message")
    await ok(admin, "POST", "/team/new", {"team_id": "t"})
    columns(await ok(admin, "POST", "/project/new", {"team_id": "t", "project_alias": "P", "project_id": "p", "max_budget": 1}), PROJECT)
    columns(await ok(admin, "POST", "/project/update", {"project_id": "p", "description": "d"}), PROJECT)
    columns(await ok(admin, "GET", "/project/info", project_id="p"), PROJECT)
    columns((await ok(admin, "GET", "/project/list"))[0], PROJECT)
    await ok(admin, "DELETE", "/project/delete", {"project_ids": ["p"]})
    written = await ok(admin, "POST", "/tag/new", {"name": "prod", "description": "d", "models": ["m"], "max_budget": 1})
    columns(written, "message tag")
    columns(written["tag"], TAG)
    columns((await ok(admin, "POST", "/tag/info", {"names": ["prod"]}))["prod"], TAG)
    columns(await ok(admin, "POST", "/tag/delete", {"name": "prod"}), "message")
    columns(await ok(admin, "POST", "/budget/delete", {"id": "b"}), BUDGET)


@pytest.mark.parametrize(
    ("call", "status", "type_", "message"),
    [
        ({"caller": None}, 401, "auth_error", "Authentication Error, No api key passed in."),
        ({"caller": "sk-unknown-0123456789"}, 401, "token_not_found_in_db", "Authentication Error, Invalid API key provided."),
    ],
)
async def test_refusals_in_litellms_words(admin, call, status, type_, message):
    error = (await admin.get("/key/list", **call)).json()["error"]
    assert (error["code"], error["type"], error["message"]) == (str(status), type_, message)


async def test_a_blocked_and_an_expired_key_in_litellms_words(admin):
    made = await admin.generate(duration="1h")
    await admin.post("/key/block", {"key": made["key"]})
    blocked = (await admin.get("/key/info", caller=made["key"])).json()["error"]
    assert blocked["message"] == "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."
    await admin.post("/key/unblock", {"key": made["key"]})
    admin.clock.advance(3600)
    expired = (await admin.get("/key/info", caller=made["key"])).json()["error"]
    assert (expired["code"], expired["type"], expired["param"]) == ("401", "expired_key", made["key_name"])
    assert expired["message"].startswith("Authentication Error - Expired Key. Key Expiry time ")
