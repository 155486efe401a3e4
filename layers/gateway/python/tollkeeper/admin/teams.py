"""/team/*: who shares a budget and a list of models (https://docs.litellm.ai/docs/proxy/team_budgets). Members: members.py."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.crew import Crew, check_organization
from tollkeeper.admin.keys import change_keys
from tollkeeper.admin.keys import row_of as key_row_of
from tollkeeper.admin.kinds import TEAM, USER
from tollkeeper.admin.listing import contains, in_order, members, page_of, pages, walk
from tollkeeper.admin.models_people import (
    BulkUpdateTeamKeys,
    DeleteTeams,
    ListTeams,
    OneTeam,
    PatchTeam,
    TeamFields,
    TeamModels,
    TeamPermissions,
    UpdateTeam,
)
from tollkeeper.admin.reach import existing, reached_team
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.ruling import leave_the_rules
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import PathName, QueryName
from tollkeeper.admin.views import team_row
from tollkeeper.admin.views_groups import membership_row
from tollkeeper.auth.records import KeyRecord, Member, TeamRecord
from tollkeeper.auth.records_groups import TeamMembership
from tollkeeper.auth.roles import DEFAULT_MEMBER_PERMISSIONS, MEMBER_PERMISSIONS, TEAM_ADMIN
from tollkeeper.errors import BadRequest, Forbidden
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(tags=["teams"], route_class=StrictRoute)
_TEAM_ADMINS_FIELDS = frozenset(
    {"team_alias", "metadata", "members_with_roles", "team_member_permissions", "default_team_member_models"}
    | {"team_member_budget", "team_member_budget_duration", "team_member_rpm_limit", "team_member_tpm_limit"}
)
"""What a team's own admin may set of it: what it may spend and use is set from above."""


@router.post("/team/new", **a.answers(a.TeamRow))
async def new(body: TeamFields, services: Services, actor: Acting) -> dict[str, Any]:
    """Members who are named here become users if they are none yet. An organization's admin who makes a team is its admin."""
    given = {name: value for name, value in body.changes(TeamRecord).items() if value is not None}
    given = {**_default_params(services.settings), **given}
    await actor.reach(Target(organization_id=given.get("organization_id")))
    if not actor.is_admin:
        leave_the_rules("team", None, body.unread(), given.get("metadata"))
    await check_organization(services, given.get("organization_id"))
    if body.team_id and await services.revisions.find(TEAM, body.team_id) is not None:
        raise _taken(body.team_id)
    given |= await _with_users(body, services, actor)
    team = TeamRecord(team_id=body.team_id or services.clock.new_id(), extra=body.unread(), **given)
    if not actor.is_admin and actor.user_id and team.member(actor.user_id) is None:
        team = replace(team, members_with_roles=(*team.members_with_roles, Member(user_id=actor.user_id, role="admin")))
    try:
        made = await services.revisions.create(team, actor)
    except ConditionFailed:
        raise _taken(team.team_id) from None
    await _list_with_users(services, actor, made)
    return await row_of(services, made)


@router.post("/team/update", **a.answers(a.TeamUpdated))
async def update(body: UpdateTeam, services: Services, actor: Acting) -> dict[str, Any]:
    fresh = await _change(body.team_id, body, services, actor)
    return {"team_id": fresh.team_id, "data": await row_of(services, fresh)}


@router.patch("/team/{team_id}", **a.answers(a.TeamRow))
async def patch(team_id: PathName, body: PatchTeam, services: Services, actor: Acting) -> dict[str, Any]:
    return await row_of(services, await _change(team_id, body, services, actor))


@router.post("/team/block", **a.answers(a.TeamRow))
async def block(body: OneTeam, services: Services, actor: Acting) -> dict[str, Any]:
    team = await reached_team(services, actor, body.team_id)
    return await row_of(services, await services.revisions.change(team, {"blocked": True}, actor, action="blocked"))


@router.post("/team/unblock", **a.answers(a.TeamRow))
async def unblock(body: OneTeam, services: Services, actor: Acting) -> dict[str, Any]:
    team = await reached_team(services, actor, body.team_id)
    return await row_of(services, await services.revisions.change(team, {"blocked": False}, actor, action="unblocked"))


@router.post("/team/delete", **a.answers(list[a.TeamRow]))
async def delete(body: DeleteTeams, services: Services, actor: Acting) -> list[dict[str, Any]]:
    """The teams with their keys, projects and memberships."""
    teams = [await reached_team(services, actor, team_id) for team_id in dict.fromkeys(body.team_ids)]
    rows = [await row_of(services, team) for team in teams]
    for team in teams:
        await Crew(services, actor).delete_team(team)
    return rows


@router.post("/team/model/add", **a.answers(a.TeamRow))
async def add_models(body: TeamModels, services: Services, actor: Acting) -> dict[str, Any]:
    team = await reached_team(services, actor, body.team_id)

    def more(old: TeamRecord) -> Mapping[str, Any]:
        return {"models": tuple(dict.fromkeys((*old.models, *body.models)))}

    return await row_of(services, await services.revisions.rework(team, more, actor))


@router.post("/team/model/delete", **a.answers(a.TeamRow))
async def delete_models(body: TeamModels, services: Services, actor: Acting) -> dict[str, Any]:
    """Raises 400 rather than leave the list empty, which would mean every model."""
    team = await reached_team(services, actor, body.team_id)

    def less(old: TeamRecord) -> Mapping[str, Any]:
        left = tuple(model for model in old.models if model not in body.models)
        if old.models and not left:
            raise BadRequest("That would leave an empty list, which means every model; add no-default-models first.", param="models")
        return {"models": left}

    return await row_of(services, await services.revisions.rework(team, less, actor))


@router.get("/team/permissions_list", **a.answers(a.Permissions))
async def permissions(services: Services, actor: Acting, team_id: QueryName) -> dict[str, Any]:
    return _permissions(await reached_team(services, actor, team_id))


@router.post("/team/permissions_update", **a.answers(a.Permissions))
async def update_permissions(body: TeamPermissions, services: Services, actor: Acting) -> dict[str, Any]:
    team = await reached_team(services, actor, body.team_id)
    wanted = {"team_member_permissions": tuple(body.team_member_permissions)}
    return _permissions(await services.revisions.change(team, wanted, actor))


@router.post("/team/key/bulk_update", **a.answers(a.BulkKeys))
async def bulk_update_keys(body: BulkUpdateTeamKeys, services: Services, actor: Acting) -> dict[str, Any]:
    await reached_team(services, actor, body.team_id)
    return await change_keys(body.keys, services, actor, only_team=body.team_id)


@router.get("/team/info", **a.answers(a.TeamInfo))
async def info(
    services: Services, actor: Acting, team_id: QueryName, key_limit: Annotated[int, Query(ge=0, le=1000)] = 100
) -> dict[str, Any]:
    team = await reached_team(services, actor, team_id)
    keys: list[KeyRecord] = []
    if key_limit:
        partition = items.owned_keys(items.team_pk(team_id))
        keys = (await walk(services.directory, KeyRecord, partition, "gsi2", most=key_limit)).records
    rows = await asyncio.gather(*(key_row_of(services, key) for key in keys))
    found = await members(services.directory, TeamMembership, items.team_pk(team_id))
    memberships = await asyncio.gather(*(member_row(services, team, membership) for membership in found))
    return {"team_id": team_id, "team_info": await row_of(services, team), "keys": rows, "team_memberships": memberships}


@router.get("/team/list", **a.answers(list[a.TeamRow]))
async def list_teams(
    services: Services, actor: Acting, user_id: QueryName | None = None, organization_id: QueryName | None = None
) -> list[dict[str, Any]]:
    """Newest first. `user_id`: only the teams this user is a member of."""
    teams = await _listed(services, actor, ListTeams(user_id=user_id, organization_id=organization_id, page=1, page_size=100))
    return [await row_of(services, team) for team in teams]


@router.get("/team/available", **a.answers(list[a.TeamRow]))
async def available(services: Services, actor: Acting) -> list[dict[str, Any]]:
    """The teams of `default_internal_user_params.available_teams` that the caller is not in yet."""
    names = (services.settings.get("default_internal_user_params") or {}).get("available_teams") or ()
    teams = [await services.revisions.find(TEAM, str(name)) for name in names]
    return [await row_of(services, team) for team in teams if team and not (actor.user_id and team.member(actor.user_id))]


@router.get("/v2/team/list", **a.answers(a.TeamPage))
async def page_teams(services: Services, actor: Acting, asked: Annotated[ListTeams, Query()]) -> dict[str, Any]:
    teams = in_order(await _listed(services, actor, asked), asked.sort_by, descending=asked.sort_order == "desc")
    shown = [await row_of(services, team) for team in page_of(teams, asked.page, asked.page_size)]
    total = len(teams)
    counts = {"total": total, "page": asked.page, "page_size": asked.page_size, "total_pages": pages(total, asked.page_size)}
    return {"teams": shown, **counts}


async def row_of(services: AdminServices, team: TeamRecord) -> dict[str, Any]:
    return team_row(team, await services.spent("team", team.team_id, team.budget_duration))


async def member_row(services: AdminServices, team: TeamRecord, membership: TeamMembership) -> dict[str, Any]:
    member = team.member(membership.user_id)
    whole = replace(membership.within(team), role=member.role if member else membership.role)
    spend = await services.spent("team_member", f"{team.team_id}/{whole.user_id}", whole.budget_duration)
    return membership_row(whole, {"team_id": team.team_id}, spend)


async def _change(team_id: str, body: TeamFields, services: AdminServices, actor: Actor) -> TeamRecord:
    team = await existing(services, actor, TEAM, team_id)
    role = await actor.reach(Target(team=team))
    changes = body.changes(TeamRecord)
    refused = sorted((changes.keys() | body.unread().keys()) - _TEAM_ADMINS_FIELDS)
    if role == TEAM_ADMIN and refused:
        raise Forbidden(f"A team admin may not change {', '.join(refused)} of the team.", type="auth_error", param=refused[0])
    if not actor.is_admin:
        metadata = (changes["metadata"] or {}) if "metadata" in changes else None
        leave_the_rules("team", team, body.unread(), metadata, requirements=role == TEAM_ADMIN)
    if changes.get("organization_id", team.organization_id) != team.organization_id:
        await actor.reach(Target(organization_id=changes["organization_id"]))
        await check_organization(services, changes["organization_id"])
    changes |= await _with_users(body, services, actor)
    fresh = await services.revisions.change(team, changes, actor, extra=body.unread())
    if "members_with_roles" in changes:
        await _list_with_users(services, actor, fresh)
    return fresh


async def _with_users(body: TeamFields, services: AdminServices, actor: Actor) -> dict[str, Any]:
    """`members_with_roles` by user id, whichever way they were named; who is no user yet becomes one."""
    if not body.members_with_roles:
        return {}
    crew = Crew(services, actor)
    users = [(await crew.resolve(member), member.role) for member in body.members_with_roles]
    return {"members_with_roles": tuple(Member(user_id=user.user_id, user_email=user.user_email, role=role) for user, role in users)}


def _taken(team_id: str) -> BadRequest:
    return BadRequest(f"Team id = {team_id} already exists. Please use a different team id.", param="team_id")


async def _list_with_users(services: AdminServices, actor: Actor, team: TeamRecord) -> None:
    """Users who exist and are named among the members get the team into their own list."""
    for member in team.members_with_roles:
        user = await services.revisions.find(USER, member.user_id) if member.user_id else None
        if user is not None and team.team_id not in user.teams:
            await services.revisions.rework(user, lambda old: {"teams": (*old.teams, team.team_id)}, actor)


async def _listed(services: AdminServices, actor: Actor, asked: ListTeams) -> list[TeamRecord]:
    user_id = asked.user_id
    leads = asked.organization_id is not None and await actor.reaches(Target(organization_id=asked.organization_id))
    if not leads and not actor.everywhere:
        user_id = user_id or actor.user_id
        if user_id != actor.user_id:
            raise actor.refusal()
    exact = {"organization_id": asked.organization_id, "team_id": asked.team_id, "team_alias": asked.team_alias}
    wanted = {name: value for name, value in exact.items() if value is not None}

    def keep(team: TeamRecord) -> bool:
        return (
            all(getattr(team, name) == value for name, value in wanted.items())
            and (user_id is None or team.member(user_id) is not None)
            and (asked.search is None or contains(asked.search, team.team_id, team.team_alias))
            and (asked.status is None or asked.status == ("blocked" if team.blocked else "active"))
        )

    found = (await walk(services.directory, TeamRecord, items.listing("teams"), keep=keep)).records
    if not found and not actor.knows_routes:
        raise actor.refusal()
    return found


def _permissions(team: TeamRecord) -> dict[str, Any]:
    own = list(team.team_member_permissions or DEFAULT_MEMBER_PERMISSIONS)
    return {"team_id": team.team_id, "team_member_permissions": own, "all_available_permissions": list(MEMBER_PERMISSIONS)}


def _default_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """litellm_settings.default_team_params."""
    params = settings.get("default_team_params") or {}
    return {name: value for name, value in TeamFields.model_validate(params).changes(TeamRecord).items() if value is not None}
