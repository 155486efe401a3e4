"""What infrastructure-as-code does with a record: make, read, plan nothing, change, clear with null, delete, and find it gone (404).

The paths and bodies are those of LiteLLM's Terraform providers; each row is a resource.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.admin import Admin, Vault, make_admin

Body = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """`name` is put where it stands for the id. `update` is changed fields, `cleared` those set to null and what they read as then."""

    kind: str
    create: tuple[str, Body]
    read: tuple[str, str, Any]
    update: tuple[str, str, Body]
    delete: tuple[str, str, Body]
    row: Callable[[Any], Any] = lambda answer: answer
    changed: Body = field(default_factory=dict)
    cleared: Body = field(default_factory=dict)
    expected: Body = field(default_factory=dict)
    """How a field of the creation reads, where it is not as it was sent."""


LIMITS = {"max_budget": 10.0, "budget_duration": "30d", "tpm_limit": 1000, "rpm_limit": 10}
NO_LIMITS = dict.fromkeys(LIMITS)
RESOURCES = (
    Resource(
        "team",
        ("/team/new", {"team_id": "r", "team_alias": "R", "models": ["m"], "metadata": {"a": "b"}, "blocked": False, **LIMITS}),
        ("GET", "/team/info", {"team_id": "r"}),
        ("POST", "/team/update", {"team_id": "r"}),
        ("POST", "/team/delete", {"team_ids": ["r"]}),
        row=lambda answer: answer["team_info"],
        changed={"team_alias": "S", "max_budget": 20.0, "models": ["m", "n"]},
        cleared={**NO_LIMITS, "team_alias": None},
    ),
    Resource(
        "key",
        ("/key/generate", {"key": "sk-terraform-0123456789", "key_alias": "r", "models": ["m"], "metadata": {"a": "b"}, **LIMITS}),
        ("GET", "/key/info", {"key": "sk-terraform-0123456789"}),
        ("POST", "/key/update", {"key": "sk-terraform-0123456789"}),
        ("POST", "/key/delete", {"keys": ["sk-terraform-0123456789"]}),
        row=lambda answer: answer["info"],
        changed={"key_alias": "s", "max_budget": 20.0, "tags": ["prod"]},
        cleared={**NO_LIMITS, "key_alias": None},
    ),
    Resource(
        "user",
        ("/user/new", {"user_id": "r", "user_email": "r@example.com", "user_role": "internal_user", "auto_create_key": False, **LIMITS}),
        ("GET", "/user/info", {"user_id": "r"}),
        ("POST", "/user/update", {"user_id": "r"}),
        ("POST", "/user/delete", {"user_ids": ["r"]}),
        row=lambda answer: answer["user_info"],
        changed={"user_alias": "Ann", "user_role": "internal_user_viewer"},
        cleared={**NO_LIMITS, "user_alias": None},
    ),
    Resource(
        "organization",
        ("/organization/new", {"organization_id": "r", "organization_alias": "R", "models": ["m"], "metadata": {"a": "b"}}),
        ("GET", "/organization/info", {"organization_id": "r"}),
        ("PATCH", "/organization/update", {"organization_id": "r"}),
        ("DELETE", "/organization/delete", {"organization_ids": ["r"]}),
        changed={"organization_alias": "S", "models": ["n"]},
    ),
    Resource(
        "customer",
        ("/customer/new", {"user_id": "r", "alias": "R", "allowed_model_region": "eu", "default_model": "m"}),
        ("GET", "/customer/info", {"end_user_id": "r"}),
        ("POST", "/customer/update", {"user_id": "r"}),
        ("POST", "/customer/delete", {"user_ids": ["r"]}),
        changed={"alias": "S"},
        cleared={"alias": None, "allowed_model_region": None},
    ),
    Resource(
        "budget",
        ("/budget/new", {"budget_id": "r", **LIMITS}),
        ("POST", "/budget/info", {"budgets": ["r"]}),
        ("POST", "/budget/update", {"budget_id": "r"}),
        ("POST", "/budget/delete", {"id": "r"}),
        row=lambda answer: answer[0],
        changed={"max_budget": 20.0},
        cleared={"tpm_limit": None, "rpm_limit": None},
    ),
    Resource(
        "project",
        ("/project/new", {"project_id": "r", "team_id": "base", "project_alias": "R", "description": "d", "models": ["m"], **LIMITS}),
        ("GET", "/project/info", {"project_id": "r"}),
        ("POST", "/project/update", {"project_id": "r"}),
        ("DELETE", "/project/delete", {"project_ids": ["r"]}),
        changed={"description": "e", "max_budget": 20.0},
        cleared={**NO_LIMITS, "description": None},
    ),
    Resource(
        "tag",
        ("/tag/new", {"name": "r", "description": "d", "models": ["m"], "max_budget": 3.0}),
        ("POST", "/tag/info", {"names": ["r"]}),
        ("POST", "/tag/update", {"name": "r"}),
        ("POST", "/tag/delete", {"name": "r"}),
        row=lambda answer: answer["r"],
        changed={"description": "e"},
        cleared={"description": None},
    ),
    Resource(
        "access group",
        ("/access_group/new", {"access_group": "r", "model_names": ["m"]}),
        ("GET", "/access_group/r/info", {}),
        ("PUT", "/access_group/r/update", {}),
        ("DELETE", "/access_group/r/delete", {}),
        changed={"model_names": ["n"]},
    ),
    Resource(
        "model",
        ("/model/new", {"model_name": "r", "litellm_params": {"model": "openai/gpt-4o", "rpm": 5, "api_key": "sk-x"},
                        "model_info": {"id": "r", "mode": "chat", "base_model": "gpt-4o", "tier": "paid"}}),
        ("GET", "/model/info", {"litellm_model_id": "r"}),
        ("POST", "/model/update", {"model_info": {"id": "r"}}),
        ("POST", "/model/delete", {"id": "r"}),
        row=lambda answer: answer["data"][0],
        changed={"model_name": "s", "litellm_params": {"model": "openai/gpt-4o", "rpm": 7}},
        expected={"litellm_params": {"model": "openai/gpt-4o", "rpm": 5}, "model_info": {"mode": "chat", "tier": "paid"}},
    ),
    Resource(
        "credential",
        ("/credentials", {"credential_name": "r", "credential_info": {"a": "b"}, "credential_values": {"api_key": "sk-x"}}),
        ("GET", "/credentials/by_name/r", {}),
        ("PATCH", "/credentials/r", {}),
        ("DELETE", "/credentials/r", {}),
        changed={"credential_info": {"a": "c"}},
        expected={"credential_values": {"api_key": "********"}},
    ),
    Resource(
        "fallback",
        ("/fallback", {"model": "base-model", "fallback_models": ["other-model"]}),
        ("GET", "/fallback/base-model", {}),
        ("POST", "/fallback", {"model": "base-model"}),
        ("DELETE", "/fallback/base-model", {}),
        changed={"fallback_models": ["third-model"]},
    ),
)  # fmt: skip


@pytest.fixture
async def admin():
    admin = make_admin(secrets=Vault())
    await admin.post("/team/new", {"team_id": "base"})
    for name in ("base-model", "other-model", "third-model"):
        await admin.post("/model/new", {"model_name": name, "litellm_params": {"model": "openai/x", "mock_response": "x"}})
    yield admin
    await admin.close()


async def ask(admin: Admin, method: str, path: str, body: Any) -> Any:
    request = {"params": body} if method == "GET" else {"json": body}
    answer = await admin.call(method, path, **request)
    assert answer.status_code == 200, f"{method} {path}: {answer.text}"
    return answer.json()


def same(wanted: Any, found: Any) -> bool:
    """A row may say more than was asked for, inside mappings too."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(same(value, found.get(name)) for name, value in wanted.items())
    return wanted == found


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind.replace(" ", "_"))
async def test_a_resource_from_its_making_to_its_end(admin: Admin, resource: Resource) -> None:
    async def reads(wanted: Body) -> None:
        row = resource.row(await ask(admin, *resource.read))
        assert same(wanted, row), {name: (value, row.get(name)) for name, value in wanted.items() if not same(value, row.get(name))}

    path, body = resource.create
    await ask(admin, "POST", path, body)
    await reads({name: resource.expected.get(name, value) for name, value in body.items() if name not in ("key", "auto_create_key")})
    if resource.kind != "fallback":  # which is set, and set again, by one route
        admin.clock.advance(1)
        again = await admin.post(path, body)
        assert again.status_code in (400, 409), again.text
        assert again.json()["error"]["message"]
    method, path, named = resource.update
    for changes in (resource.changed, resource.cleared):
        if changes:
            await ask(admin, method, path, {**named, **changes})
            await reads(changes)
    await ask(admin, *resource.delete)
    method, path, body = resource.read
    gone = await admin.call(method, path, **({"params": body} if method == "GET" else {"json": body}))
    if resource.kind == "budget":  # LiteLLM answers a list of those it finds
        assert gone.json() == []
    else:
        assert (gone.status_code, gone.json()["error"]["type"]) == (404, "not_found_error"), gone.text
    await ask(admin, "POST", *resource.create)


async def test_a_member_of_a_team_and_its_permissions(admin: Admin) -> None:
    await ask(admin, "POST", "/team/member_add", {"team_id": "base", "member": {"user_id": "ann", "role": "user"}, "max_budget_in_team": 5})
    await ask(admin, "POST", "/team/member_update", {"team_id": "base", "user_id": "ann", "role": "admin", "max_budget_in_team": 7})
    info = await ask(admin, "GET", "/team/info", {"team_id": "base"})
    [member], [membership] = info["team_info"]["members_with_roles"], info["team_memberships"]
    assert (member["role"], membership["litellm_budget_table"]["max_budget"]) == ("admin", 7)
    await ask(admin, "POST", "/team/permissions_update", {"team_id": "base", "team_member_permissions": ["/key/info", "/key/generate"]})
    listed = await ask(admin, "GET", "/team/permissions_list", {"team_id": "base"})
    assert listed["team_member_permissions"] == ["/key/info", "/key/generate"]
    await ask(admin, "POST", "/team/member_delete", {"team_id": "base", "user_id": "ann"})
    assert (await ask(admin, "GET", "/team/info", {"team_id": "base"}))["team_info"]["members_with_roles"] == []
    again = await admin.post("/team/member_delete", {"team_id": "base", "user_id": "ann"})
    assert again.status_code == 404
