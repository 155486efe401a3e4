"""Rows of organizations, projects, customers, tags, access groups and memberships: see views.py."""

from typing import Any

from tollkeeper.admin.parts import Spend
from tollkeeper.admin.views import budget_row, extras, limits_row, metadata_row, moment, owner_row, stamps, usd
from tollkeeper.auth.records import BudgetRecord, Record
from tollkeeper.auth.records_groups import (
    AccessGroupRecord,
    CustomerRecord,
    Membership,
    OrganizationRecord,
    ProjectRecord,
    TagRecord,
)

_UNREAD = {"object_permission": None}
_NOTHING = Spend()


def organization_row(organization: OrganizationRecord, spend: Spend, budget: BudgetRecord | None = None) -> dict[str, Any]:
    return {
        **_common(organization, spend, budget, organization.budget_id),
        "organization_id": organization.organization_id,
        "organization_alias": organization.organization_alias,
        "models": list(organization.models),
        "blocked": organization.blocked,
        "users": [],
    }


def project_row(project: ProjectRecord, spend: Spend) -> dict[str, Any]:
    return {
        **_common(project, spend, None, None),
        "project_id": project.project_id,
        "team_id": project.team_id,
        "project_alias": project.project_alias,
        "description": project.description,
        "models": list(project.models),
        "tags": list(project.tags),
        "guardrails": list(project.guardrails),
        "blocked": project.blocked,
    }


def customer_row(customer: CustomerRecord, spend: Spend, budget: BudgetRecord | None = None) -> dict[str, Any]:
    return {
        **_common(customer, spend, budget, customer.budget_id),
        "user_id": customer.customer_id,
        "alias": customer.alias,
        "blocked": customer.blocked,
        "models": list(customer.models),
        "default_model": customer.default_model,
        "allowed_model_region": customer.allowed_model_region,
    }


def tag_row(tag: TagRecord, spend: Spend, budget: BudgetRecord | None = None) -> dict[str, Any]:
    return {
        **_common(tag, spend, budget, tag.budget_id),
        "name": tag.name,
        "description": tag.description,
        "models": list(tag.models),
        "model_info": dict(tag.model_info),
    }


def access_group_row(group: AccessGroupRecord) -> dict[str, Any]:
    return {
        "access_group": group.access_group,
        "description": group.description,
        "model_names": list(group.model_names),
        "model_count": len(group.model_names),
        "metadata": metadata_row(group),
        **stamps(group),
    }


def membership_row(membership: Membership, owner: dict[str, str], spend: Spend, budget: BudgetRecord | None = None) -> dict[str, Any]:
    """`owner` is {"team_id": …} or {"organization_id": …}."""
    return {
        **owner,
        "user_id": membership.user_id,
        "user_role": membership.role,
        "spend": usd(spend.spent),
        "budget_id": membership.budget_id,
        "allowed_models": list(membership.allowed_models),
        "temp_budget_increase": usd(membership.temp_budget_increase),
        "temp_budget_expiry": moment(membership.temp_budget_expiry),
        "litellm_budget_table": _budget_table(membership, budget, membership.budget_id),
        "created_at": membership.created_at,
        "updated_at": membership.updated_at,
    }


def _common(record: Record, spend: Spend, budget: BudgetRecord | None, budget_id: str | None) -> dict[str, Any]:
    return {
        **extras(record, _UNREAD),
        **limits_row(record),
        **owner_row(record, spend),
        **stamps(record),
        "metadata": metadata_row(record),
        "budget_id": budget_id,
        "litellm_budget_table": _budget_table(record, budget, budget_id),
    }


def _budget_table(record: Record, budget: BudgetRecord | None, budget_id: str | None) -> dict[str, Any]:
    """LiteLLM keeps the limits of these in a budget row, and its clients read them there."""
    own = {name: value for name, value in limits_row(record).items() if value not in (None, {})}
    return {**(budget_row(budget) if budget else limits_row(record)), **own, "budget_id": budget_id}
