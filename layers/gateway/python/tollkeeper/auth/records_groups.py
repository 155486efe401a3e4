"""The records around keys, teams and users: organizations, projects, customers, tags, access groups and memberships.

All are `Record`s: frozen, versioned, with limits of their own. Where one names a `budget_id`, the budget fills the limits it leaves open
(`records.under`). A membership's limits are one user's inside one team or organization.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.auth.records import Limits, Record, TeamRecord, located, under
from tollkeeper.money import NanoUSD
from tollkeeper.store import items


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationRecord(Record):
    organization_id: str
    organization_alias: str | None = None
    models: tuple[str, ...] = ()
    budget_id: str | None = None
    blocked: bool = False

    def address(self) -> dict[str, str]:
        pk = items.organization_pk(self.organization_id)
        return located(pk, items.ORGANIZATION_SK, "organizations", self.created_at, self.organization_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRecord(Record):
    """A part of a team with a budget of its own; keys join it with `project_id`."""

    project_id: str
    team_id: str
    project_alias: str | None = None
    description: str | None = None
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    blocked: bool = False

    def address(self) -> dict[str, str]:
        place = located(items.project_pk(self.project_id), items.PROJECT_SK, "projects", self.created_at, self.project_id)
        return {**place, "gsi2pk": f"{items.team_pk(self.team_id)}/projects", "gsi2sk": place["gsi1sk"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRecord(Record):
    """An end user of somebody's application, named by the `user` of a request. LiteLLM calls the id `user_id`."""

    customer_id: str
    alias: str | None = None
    models: tuple[str, ...] = ()
    budget_id: str | None = None
    default_model: str | None = None
    allowed_model_region: str | None = None
    blocked: bool = False

    def address(self) -> dict[str, str]:
        return located(items.customer_pk(self.customer_id), items.CUSTOMER_SK, "customers", self.created_at, self.customer_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecord(Record):
    name: str
    description: str | None = None
    models: tuple[str, ...] = ()
    budget_id: str | None = None
    model_info: Mapping[str, Any] = field(default_factory=dict)

    def address(self) -> dict[str, str]:
        return located(items.tag_pk(self.name), items.TAG_SK, "tags", self.created_at, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGroupRecord(Record):
    """A name for a set of models, to be listed in the `models` of a key, team, user or organization."""

    access_group: str
    description: str | None = None
    model_names: tuple[str, ...] = ()

    def address(self) -> dict[str, str]:
        pk = items.access_group_pk(self.access_group)
        return located(pk, items.ACCESS_GROUP_SK, "accessgroups", self.created_at, self.access_group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Record):
    """What a user has inside a team or an organization. `role` is user or admin, or for an organization one of its roles."""

    user_id: str
    role: str = "user"
    allowed_models: tuple[str, ...] = ()
    budget_id: str | None = None
    temp_budget_increase: NanoUSD | None = None
    temp_budget_expiry: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMembership(Membership):
    """Only the limits count: who is a member, and as what, the team's `members_with_roles` says."""

    team_id: str

    def address(self) -> dict[str, str]:
        return _place(items.team_pk(self.team_id), self.user_id, "teams", self.team_id)

    def within(self, team: TeamRecord) -> "TeamMembership":
        """With the team's `team_member_*` defaults wherever the membership sets nothing itself."""
        common = Limits(
            max_budget=team.team_member_budget,
            budget_duration=team.team_member_budget_duration,
            rpm_limit=team.team_member_rpm_limit,
            tpm_limit=team.team_member_tpm_limit,
        )
        # A budget of one's own brings its own period; the team's would turn a lifetime's money into a month's.
        own = self.max_budget is not None
        return under(self, Limits(rpm_limit=common.rpm_limit, tpm_limit=common.tpm_limit) if own else common)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationMembership(Membership):
    organization_id: str

    def address(self) -> dict[str, str]:
        return _place(items.organization_pk(self.organization_id), self.user_id, "organizations", self.organization_id)


def _place(pk: str, user_id: str, kind: str, owner_id: str) -> dict[str, str]:
    return {"pk": pk, "sk": items.member_sk(user_id), "gsi3pk": items.memberships(user_id, kind), "gsi3sk": owner_id}
