"""/organization/*: what teams belong to (https://docs.litellm.ai/docs/proxy/access_control). Its own admins manage its teams and people."""

from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.crew import Crew
from tollkeeper.admin.kinds import BUDGET, ORGANIZATION, ORGANIZATION_MEMBER
from tollkeeper.admin.listing import members, walk
from tollkeeper.admin.models_groups import (
    DeleteOrganizations,
    NewOrganization,
    OrganizationMemberAdd,
    OrganizationMemberDelete,
    OrganizationMemberUpdate,
    UpdateOrganization,
)
from tollkeeper.admin.models_people import MemberLimits, OneMember
from tollkeeper.admin.parts import AdminServices, Spend
from tollkeeper.admin.people import People
from tollkeeper.admin.reach import existing
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.ruling import leave_the_rules
from tollkeeper.admin.services import Acting, Services
from tollkeeper.admin.teams import row_of as team_row_of
from tollkeeper.admin.users import row_of as user_row_of
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views_groups import membership_row, organization_row
from tollkeeper.auth.records import KeyRecord, TeamRecord
from tollkeeper.auth.records_groups import OrganizationMembership, OrganizationRecord
from tollkeeper.errors import BadRequest, Forbidden, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(prefix="/organization", tags=["organizations"], route_class=StrictRoute)
_ORG_ADMINS_FIELDS = frozenset({"organization_alias", "metadata"})
"""What an organization may spend and use is set from above."""


@router.post("/new", **a.answers(a.OrganizationRow))
async def new(body: NewOrganization, services: Services, actor: Acting) -> dict[str, Any]:
    """Limits of its own, and those of `budget_id` where it sets none."""
    given = {name: value for name, value in body.changes(OrganizationRecord).items() if value is not None}
    await check_budget(services, body.budget_id)
    record = OrganizationRecord(organization_id=body.organization_id or services.clock.new_id(), extra=body.unread(), **given)
    try:
        return await _row_of(services, await services.revisions.create(record, actor))
    except ConditionFailed:
        raise BadRequest(f"Organization id = {record.organization_id} already exists.", param="organization_id") from None


@router.patch("/update", **a.answers(a.OrganizationRow))
async def update(body: UpdateOrganization, services: Services, actor: Acting) -> dict[str, Any]:
    base = await _reached(services, actor, body.organization_id)
    changes = body.changes(OrganizationRecord)
    refused = sorted((changes.keys() | body.unread().keys()) - _ORG_ADMINS_FIELDS)
    if refused and not actor.is_admin:
        raise Forbidden(f"Only a proxy admin may change {', '.join(refused)} of an organization.", type="auth_error", param=refused[0])
    if not actor.is_admin:
        metadata = (changes["metadata"] or {}) if "metadata" in changes else None
        leave_the_rules("organization", base, body.unread(), metadata, requirements=True)
    await check_budget(services, body.budget_id)
    return await _row_of(services, await services.revisions.change(base, changes, actor, extra=body.unread()))


@router.delete("/delete", **a.answers(list[a.OrganizationRow]))
async def delete(body: DeleteOrganizations, services: Services, actor: Acting) -> list[dict[str, Any]]:
    """With its teams, keys and memberships. Blocked first, so that a call cut off in between leaves nothing that works."""
    found = [await _reached(services, actor, organization_id) for organization_id in dict.fromkeys(body.organization_ids)]
    rows = [await _row_of(services, organization) for organization in found]
    for organization in found:
        await _delete(services, actor, organization)
    return rows


@router.get("/info", **a.answers(a.OrganizationDetails))
async def info(services: Services, actor: Acting, organization_id: QueryName) -> dict[str, Any]:
    organization = await existing(services, actor, ORGANIZATION, organization_id)
    if not actor.everywhere and await _own(services, actor, organization_id) is None:
        raise actor.refusal()
    teams = await _teams(services, organization_id)
    found = await members(services.directory, OrganizationMembership, items.organization_pk(organization_id))
    return {
        **await _row_of(services, organization),
        "members": [_member_row(membership) for membership in found],
        "teams": [await team_row_of(services, team) for team in teams],
    }


@router.get("/list", **a.answers(list[a.OrganizationRow]))
async def list_organizations(services: Services, actor: Acting) -> list[dict[str, Any]]:
    """All, or those the caller is in."""
    if actor.everywhere:
        walked = await walk(services.directory, OrganizationRecord, items.listing("organizations"))
        return [await _row_of(services, organization) for organization in walked.records]
    partition = items.memberships(actor.user, "organizations")
    own = await walk(services.directory, OrganizationMembership, partition, "gsi3")
    if not own.records and not actor.knows_routes:
        raise actor.refusal()
    found = [await services.revisions.find(ORGANIZATION, membership.organization_id) for membership in own.records]
    return [await _row_of(services, organization) for organization in found if organization]


@router.post("/member_add", **a.answers(a.OrganizationMembersAdded))
async def add_members(body: OrganizationMemberAdd, services: Services, actor: Acting) -> dict[str, Any]:
    organization = await _reached(services, actor, body.organization_id)
    crew = Crew(services, actor)
    users = [(await crew.resolve(member), member.role) for member in body.members]
    added = [await _set(services, actor, organization, user.user_id, {**_limits(body), "role": role}) for user, role in users]
    return {
        "organization_id": organization.organization_id,
        "updated_users": [await user_row_of(services, user) for user, _ in users],
        "updated_organization_memberships": [_member_row(membership) for membership in added],
    }


@router.patch("/member_update", **a.answers(a.MembershipRow))
async def update_member(body: OrganizationMemberUpdate, services: Services, actor: Acting) -> dict[str, Any]:
    organization = await _reached(services, actor, body.organization_id)
    membership = await _member(services, organization, body)
    changes = {**_limits(body), **({"role": body.role} if body.role else {})}
    return _member_row(await services.revisions.change(membership, changes, actor))


@router.delete("/member_delete", **a.answers(a.MembershipRow))
async def delete_member(body: OrganizationMemberDelete, services: Services, actor: Acting) -> dict[str, Any]:
    organization = await _reached(services, actor, body.organization_id)
    membership = await _member(services, organization, body)
    await services.revisions.delete(membership, actor)
    return _member_row(membership)


async def check_budget(services: AdminServices, budget_id: str | None) -> None:
    """Raises BadRequest for one that does not exist: it would be no limit at all."""
    if budget_id and await services.revisions.find(BUDGET, budget_id) is None:
        raise BadRequest(f"Unable to find Budget: {budget_id}. Create it via `/budget/new`.", param="budget_id")


async def _reached(services: AdminServices, actor: Actor, organization_id: str) -> OrganizationRecord:
    organization = await existing(services, actor, ORGANIZATION, organization_id)
    await actor.reach(Target(organization_id=organization_id))
    return organization


async def _own(services: AdminServices, actor: Actor, organization_id: str) -> OrganizationMembership | None:
    return await services.revisions.member(ORGANIZATION_MEMBER, organization_id, actor.user)


async def _delete(services: AdminServices, actor: Actor, organization: OrganizationRecord) -> None:
    organization = await services.revisions.change(organization, {"blocked": True}, actor, action="blocked")
    crew, organization_id = Crew(services, actor), organization.organization_id
    for team in await _teams(services, organization_id):
        await crew.delete_team(team)
    own = await walk(services.directory, KeyRecord, items.listing("keys"), keep=lambda key: key.organization_id == organization_id)
    for key in own.records:
        await crew.delete_key(key)
    for membership in await members(services.directory, OrganizationMembership, items.organization_pk(organization_id)):
        await services.revisions.delete(membership, actor)
    await services.revisions.delete(organization, actor)


async def _teams(services: AdminServices, organization_id: str) -> list[TeamRecord]:
    walked = await walk(services.directory, TeamRecord, items.listing("teams"), keep=lambda team: team.organization_id == organization_id)
    return walked.records


async def _set(
    services: AdminServices, actor: Actor, organization: OrganizationRecord, user_id: str, changes: dict[str, Any]
) -> OrganizationMembership:
    old = await services.revisions.member(ORGANIZATION_MEMBER, organization.organization_id, user_id)
    if old is not None:
        return await services.revisions.change(old, changes, actor)
    given = {name: value for name, value in changes.items() if value is not None}
    fresh = OrganizationMembership(organization_id=organization.organization_id, user_id=user_id, **given)
    try:
        return await services.revisions.create(fresh, actor)
    except ConditionFailed:
        return await _set(services, actor, organization, user_id, changes)


async def _member(services: AdminServices, organization: OrganizationRecord, body: OneMember) -> OrganizationMembership:
    user_id = body.user_id
    if user_id is None and (user := await People(services).find_email(str(body.user_email))):
        user_id = user.user_id
    found = await services.revisions.member(ORGANIZATION_MEMBER, organization.organization_id, user_id) if user_id else None
    if found is None:
        message = f"User is not a member of organization {organization.organization_id}."
        raise NotFound(message, param="user_id" if body.user_id else "user_email")
    return found


def _limits(body: MemberLimits) -> dict[str, Any]:
    return {name: value for name, value in body.changes(OrganizationMembership).items() if name != "role"}


def _member_row(membership: OrganizationMembership) -> dict[str, Any]:
    return membership_row(membership, {"organization_id": membership.organization_id}, Spend())


async def _row_of(services: AdminServices, organization: OrganizationRecord) -> dict[str, Any]:
    spend = await services.spent("organization", organization.organization_id, organization.budget_duration)
    budget = await services.revisions.find(BUDGET, organization.budget_id) if organization.budget_id else None
    return organization_row(organization, spend, budget)
