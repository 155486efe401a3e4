"""Bodies of /budget/*, /organization/*, /project/*, /customer/*, /tag/* and /access_group/*."""

from typing import Annotated, Literal

from pydantic import Field

from tollkeeper.admin.models import LimitFields, OwnerFields, Row
from tollkeeper.admin.models_people import MemberLimits, OneMember, TeamMember
from tollkeeper.admin.values import Json, Name

Names = Annotated[list[Name], Field(min_length=1, max_length=100)]
OrganizationRole = Literal["org_admin", "internal_user", "internal_user_viewer"]


class BudgetFields(LimitFields):
    budget_id: Name | None = None


class UpdateBudget(LimitFields):
    budget_id: Name


class ReadBudgets(Row):
    budgets: list[Name] = Field(max_length=100)


class DeleteBudget(Row):
    id: Name


class OrganizationFields(OwnerFields):
    organization_id: Name | None = None
    organization_alias: Name | None = None
    budget_id: Name | None = None
    blocked: bool | None = None


class NewOrganization(OrganizationFields):
    organization_alias: Name


class UpdateOrganization(OrganizationFields):
    organization_id: Name


class DeleteOrganizations(Row):
    organization_ids: Names


class OrganizationMember(TeamMember):
    role: OrganizationRole  # type: ignore[assignment]  # an organization's roles are others than a team's


class OrganizationMemberAdd(MemberLimits):
    organization_id: Name
    member: OrganizationMember | Annotated[list[OrganizationMember], Field(min_length=1, max_length=500)]

    @property
    def members(self) -> list[OrganizationMember]:
        return self.member if isinstance(self.member, list) else [self.member]


class OrganizationMemberUpdate(OneMember):
    organization_id: Name
    role: OrganizationRole | None = None


class OrganizationMemberDelete(OneMember):
    organization_id: Name


class ProjectFields(OwnerFields):
    project_id: Name | None = None
    project_alias: Name | None = None
    description: Annotated[str, Field(max_length=4000)] | None = None
    tags: list[Name] | None = None
    guardrails: list[Name] | None = None
    blocked: bool | None = None


class NewProject(ProjectFields):
    team_id: Name


class UpdateProject(ProjectFields):
    project_id: Name
    team_id: Name | None = None


class DeleteProjects(Row):
    project_ids: Names


class CustomerFields(OwnerFields):
    """LiteLLM calls the id `user_id`."""

    user_id: Name
    alias: Name | None = None
    blocked: bool | None = None
    budget_id: Name | None = None
    default_model: Name | None = None
    allowed_model_region: Literal["eu", "us"] | None = None


class Customers(Row):
    user_ids: Names


class TagFields(OwnerFields):
    name: Name
    description: Annotated[str, Field(max_length=4000)] | None = None
    budget_id: Name | None = None
    model_info: Json | None = None


class TagNames(Row):
    names: Names


class OneTag(Row):
    name: Name


class AccessGroupFields(OwnerFields):
    access_group: Name | None = None
    description: Annotated[str, Field(max_length=4000)] | None = None
    model_names: list[Name] | None = None


class NewAccessGroup(AccessGroupFields):
    access_group: Name
    model_names: list[Name]
