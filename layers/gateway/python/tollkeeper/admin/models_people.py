"""Bodies and queries of /team/* and /user/*."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from tollkeeper.admin.models import LimitFields, OwnerFields, Recorded, Row
from tollkeeper.admin.models_keys import UpdateKey
from tollkeeper.admin.values import BudgetSpan, Count, Counts, Dollars, Json, Moment, Name, Span
from tollkeeper.auth.records import Member
from tollkeeper.auth.roles import MEMBER_PERMISSIONS

Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
TeamRole = Literal["admin", "user"]


class TeamMember(Recorded):
    user_id: Name | None = None
    user_email: Name | None = None
    role: TeamRole

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not (self.user_id or self.user_email):
            raise ValueError("a member needs user_id or user_email")
        return self

    def record(self) -> Member:
        return Member(user_id=self.user_id, user_email=self.user_email, role=self.role)


class TeamFields(OwnerFields):
    team_id: Name | None = None
    team_alias: Name | None = None
    organization_id: Name | None = None
    members_with_roles: list[TeamMember] | None = None
    model_aliases: dict[Name, Name] | None = None
    tags: list[Name] | None = None
    guardrails: list[Name] | None = None
    mcp_rpm_limit: Counts | None = None
    allowed_passthrough_routes: list[Name] | None = None
    denied_passthrough_routes: list[Name] | None = None
    blocked: bool | None = None
    team_member_permissions: list[Name] | None = None
    default_team_member_models: list[Name] | None = None
    team_member_budget: Dollars | None = None
    team_member_budget_duration: BudgetSpan | None = None
    team_member_rpm_limit: Count | None = None
    team_member_tpm_limit: Count | None = None


class UpdateTeam(TeamFields):
    team_id: Name


class OneTeam(Row):
    team_id: Name


class DeleteTeams(Row):
    team_ids: list[Name] = Field(min_length=1, max_length=100)


class UserFields(OwnerFields):
    user_id: Name | None = None
    user_email: Name | None = None
    user_alias: Name | None = None
    user_role: Role | None = None
    teams: list[Name] | None = None
    sso_user_id: Name | None = None
    password: None = None
    """Refused: people sign in with the master key or single sign-on, and a password kept unread would be a leak."""


class UserTeam(Row):
    """A team to put a new user into, with what they may spend there."""

    team_id: Name
    max_budget_in_team: Dollars | None = None
    user_role: TeamRole = "user"

    def limits(self) -> dict[str, int]:
        return {} if self.max_budget_in_team is None else {"max_budget": self.max_budget_in_team}


class NewUser(UserFields):
    """Unless `auto_create_key` is false a key for the user is made too; these fields are that key's."""

    teams: list[Name | UserTeam] | None = None  # type: ignore[assignment]  # LiteLLM takes either here, and only here
    organizations: list[Name] | None = None
    auto_create_key: bool = True
    key_alias: Name | None = None
    duration: Span | None = None
    team_id: Name | None = None
    aliases: dict[Name, Name] | None = None
    permissions: Json | None = None

    def wanted_teams(self) -> list[UserTeam]:
        return [UserTeam(team_id=team) if isinstance(team, str) else team for team in self.teams or ()]


class PatchTeam(TeamFields):
    """As UpdateTeam; the path says which team."""


class MemberLimits(LimitFields):
    """One user's limits inside one team or organization. `max_budget_in_team` and `max_budget_in_organization` are LiteLLM's names."""

    max_budget_in_team: Dollars | None = None
    max_budget_in_organization: Dollars | None = None
    allowed_models: list[Name] | None = None
    budget_id: Name | None = None
    temp_budget_increase: Dollars | None = None
    temp_budget_expiry: Moment | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        for name in ("max_budget_in_team", "max_budget_in_organization"):
            if name in self.model_fields_set:
                self.max_budget = getattr(self, name)
        return self


class MemberAdd(MemberLimits):
    team_id: Name
    member: TeamMember | Annotated[list[TeamMember], Field(min_length=1, max_length=500)]

    @property
    def members(self) -> list[TeamMember]:
        return self.member if isinstance(self.member, list) else [self.member]


class BulkMemberAdd(MemberLimits):
    team_id: Name
    members: list[TeamMember] | None = Field(None, max_length=500)
    all_users: bool = False


class OneMember(MemberLimits):
    user_id: Name | None = None
    user_email: Name | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not (self.user_id or self.user_email):
            raise ValueError("name the member, in user_id or user_email")
        return self


class MemberUpdate(OneMember):
    team_id: Name
    role: TeamRole | None = None


class MemberDelete(OneMember):
    team_id: Name


class TeamModels(Row):
    team_id: Name
    models: list[Name] = Field(max_length=1000)


class TeamPermissions(Row):
    team_id: Name
    team_member_permissions: list[Literal[MEMBER_PERMISSIONS]] = Field(max_length=100)  # type: ignore[valid-type]  # values, not names


class BulkUpdateTeamKeys(Row):
    team_id: Name
    keys: list[UpdateKey] = Field(min_length=1, max_length=500)


class ListTeams(BaseModel):
    user_id: Name | None = None
    organization_id: Name | None = None
    team_id: Name | None = None
    team_alias: Name | None = None
    search: Name | None = None
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(10, ge=1, le=100)
    sort_by: Literal["team_id", "team_alias", "created_at", "updated_at", "max_budget"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    status: Literal["active", "blocked", "deleted"] | None = None


class BulkUpdateUsers(Row):
    users: list[UserFields] = Field(min_length=1, max_length=500)


class DeleteUsers(Row):
    user_ids: list[Name] = Field(min_length=1, max_length=100)


class ListUsers(BaseModel):
    """`user_ids` and `sso_user_ids` are lists with commas."""

    role: Role | None = None
    user_ids: Annotated[str, Field(max_length=8000)] | None = None
    sso_user_ids: Annotated[str, Field(max_length=8000)] | None = None
    user_email: Name | None = None
    search: Name | None = None
    team: Name | None = None
    organization_ids: Annotated[str, Field(max_length=8000)] | None = None
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(25, ge=1, le=100)
    sort_by: Literal["user_id", "user_email", "user_alias", "created_at", "updated_at", "max_budget", "user_role"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
