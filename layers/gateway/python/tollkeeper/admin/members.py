"""/team/member_*: who is in a team, as what, and with which budget and limits of their own."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.crew import Crew
from tollkeeper.admin.kinds import TEAM_MEMBER, USER
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models_people import BulkMemberAdd, MemberAdd, MemberDelete, MemberLimits, MemberUpdate, OneMember, TeamMember
from tollkeeper.admin.people import People
from tollkeeper.admin.reach import reached_team
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.teams import member_row, row_of
from tollkeeper.admin.users import row_of as user_row_of
from tollkeeper.admin.values import PathName
from tollkeeper.admin.views import usd
from tollkeeper.auth.records import TeamRecord, UserRecord
from tollkeeper.auth.records_groups import TeamMembership
from tollkeeper.errors import BadRequest, CallerError, NotFound
from tollkeeper.money import ZERO
from tollkeeper.store import items

router = APIRouter(prefix="/team", tags=["teams"], route_class=StrictRoute)


@router.post("/member_add", **a.answers(a.MembersAdded))
async def add(body: MemberAdd, services: Services, actor: Acting) -> dict[str, Any]:
    """Who is named and not known yet becomes an internal user."""
    team, crew = await reached_team(services, actor, body.team_id), Crew(services, actor)
    users = [(await crew.resolve(member), member.role) for member in body.members]
    team = await crew.join(team, users, member_limits(body))
    people = [await services.revisions.find(USER, user.user_id) or user for user, _ in users]
    return {
        **await row_of(services, team),
        "updated_users": [await user_row_of(services, user) for user in people],
        "updated_team_memberships": [row for user in people if (row := await _membership(services, team, user.user_id))],
    }


@router.post("/bulk_member_add", **a.answers(a.BulkMembersAdded))
async def add_many(body: BulkMemberAdd, services: Services, actor: Acting) -> dict[str, Any]:
    """Each for themselves: one who cannot be added does not keep the others out."""
    team, crew = await reached_team(services, actor, body.team_id), Crew(services, actor)
    if body.all_users and not actor.is_admin:
        raise actor.refusal()
    wanted = await _everybody(services) if body.all_users else list(body.members or ())
    if not wanted:
        raise BadRequest("Name the members, or set all_users.", param="members")
    results: list[dict[str, Any]] = []
    for member in wanted:
        named = {"user_id": member.user_id, "user_email": member.user_email}
        try:
            team = await crew.join(team, [(await crew.resolve(member), member.role)], member_limits(body))
            results.append({**named, "success": True, "error": None})
        except CallerError as error:
            results.append({**named, "success": False, "error": error.message})
    added = sum(result["success"] for result in results)
    return {
        "team_id": team.team_id,
        "total_additions_requested": len(results),
        "successful_additions": added,
        "failed_additions": len(results) - added,
        "results": results,
        "updated_team": await row_of(services, team),
    }


@router.post("/member_update", **a.answers(a.MemberUpdated))
async def update(body: MemberUpdate, services: Services, actor: Acting) -> dict[str, Any]:
    team, crew = await reached_team(services, actor, body.team_id), Crew(services, actor)
    user = await _member(services, team, body)
    if body.role is not None:
        team = await crew.set_role(team, user.user_id, body.role)
    if limits := member_limits(body):
        await crew.set_limits(team, user.user_id, limits)
    own = await services.revisions.member(TEAM_MEMBER, team.team_id, user.user_id)
    whole = (own or TeamMembership(team_id=team.team_id, user_id=user.user_id)).within(team)
    return {
        "team_id": team.team_id,
        "user_id": user.user_id,
        "user_email": user.user_email,
        "max_budget_in_team": usd(whole.max_budget),
        "budget_duration": whole.budget_duration,
        "tpm_limit": whole.tpm_limit,
        "rpm_limit": whole.rpm_limit,
        "allowed_models": list(whole.allowed_models),
        "temp_budget_increase": usd(whole.temp_budget_increase),
    }


@router.post("/member_delete", **a.answers(a.TeamRow))
async def delete(body: MemberDelete, services: Services, actor: Acting) -> dict[str, Any]:
    """Their keys in this team end too."""
    team = await reached_team(services, actor, body.team_id)
    return await row_of(services, await Crew(services, actor).leave(team, body.user_id, body.user_email))


@router.post("/{team_id}/member/{user_id}/reset_budget", **a.answers(a.MemberReset))
async def reset_budget(team_id: PathName, user_id: PathName, services: Services, actor: Acting) -> dict[str, Any]:
    """LiteLLM's other name for reset_spend."""
    return await reset_spend(team_id, user_id, services, actor)


@router.post("/{team_id}/member/{user_id}/reset_spend", **a.answers(a.MemberReset))
async def reset_spend(team_id: PathName, user_id: PathName, services: Services, actor: Acting) -> dict[str, Any]:
    """Lets the member begin their present period anew. The ledger keeps every call as it was."""
    team = await reached_team(services, actor, team_id)
    if team.member(user_id) is None:
        raise NotFound(f"User is not a member of team {team_id}.", param="user_id")
    if services.spend_writer is None:
        raise BadRequest("This installation counts no spending.")
    own = await services.revisions.member(TEAM_MEMBER, team_id, user_id) or TeamMembership(team_id=team_id, user_id=user_id)
    duration, scope_id = own.within(team).budget_duration, f"{team_id}/{user_id}"
    before = await services.spent("team_member", scope_id, duration)
    await services.spend_writer.set_spend("team_member", scope_id, duration, ZERO)
    return {"team_id": team_id, "user_id": user_id, "spend": 0.0, "previous_spend": usd(before.spent)}


def member_limits(body: MemberLimits) -> Mapping[str, Any]:
    """What the body sets of a membership, the role apart."""
    return {name: value for name, value in body.changes(TeamMembership).items() if name != "role"}


async def _member(services: AdminServices, team: TeamRecord, body: OneMember) -> UserRecord:
    people = People(services)
    user = await (people.find(body.user_id) if body.user_id else people.find_email(str(body.user_email)))
    named = user.user_id if user else body.user_id
    if named is None or (member := team.member(named)) is None:
        raise NotFound(f"User is not a member of team {team.team_id}.", param="user_id" if body.user_id else "user_email")
    return user or UserRecord(user_id=named, user_email=member.user_email)


async def _membership(services: AdminServices, team: TeamRecord, user_id: str) -> dict[str, Any] | None:
    own = await services.revisions.member(TEAM_MEMBER, team.team_id, user_id)
    return await member_row(services, team, own) if own else None


async def _everybody(services: AdminServices) -> list[TeamMember]:
    walked = await walk(services.directory, UserRecord, items.listing("users"))
    return [TeamMember(user_id=user.user_id, user_email=user.user_email, role="user") for user in walked.records]
