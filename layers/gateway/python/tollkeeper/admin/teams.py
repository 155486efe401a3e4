"""/team/*: who shares a budget and a list of models (https://docs.litellm.ai/docs/proxy/team_budgets)."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.keys import row_of as key_row_of
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models import DeleteTeams, OneTeam, TeamFields, UpdateTeam
from tollkeeper.admin.revisions import Revisions
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import AdminServices, Author, Services
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views import team_row
from tollkeeper.auth.records import KeyRecord, TeamRecord
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(prefix="/team", tags=["teams"], route_class=StrictRoute)


@router.post("/new")
async def new(body: TeamFields, services: Services, author: Author) -> dict[str, Any]:
    given = {name: value for name, value in body.changes(TeamRecord).items() if value is not None}
    team = TeamRecord(team_id=body.team_id or services.clock.new_id(), extra=body.unread(), **given)
    try:
        made = await Revisions(services.directory, services.clock).create(team, author)
    except ConditionFailed:
        message = f"Team id = {team.team_id} already exists. Please use a different team id."
        raise BadRequest(message, param="team_id") from None
    services.authenticator.forget()
    return await _row_of(services, made)


@router.post("/update")
async def update(body: UpdateTeam, services: Services, author: Author) -> dict[str, Any]:
    base = await _existing(services, body.team_id)
    fresh = await Revisions(services.directory, services.clock).change(base, body.changes(TeamRecord), author, extra=body.unread())
    services.authenticator.forget()
    return {"team_id": fresh.team_id, "data": await _row_of(services, fresh)}


@router.post("/block")
async def block(body: OneTeam, services: Services, author: Author) -> dict[str, Any]:
    return await _row_of(services, await _set_blocked(services, body.team_id, author, blocked=True))


@router.post("/unblock")
async def unblock(body: OneTeam, services: Services, author: Author) -> dict[str, Any]:
    return await _row_of(services, await _set_blocked(services, body.team_id, author, blocked=False))


@router.post("/delete")
async def delete(body: DeleteTeams, services: Services, author: Author) -> list[dict[str, Any]]:
    """The teams and every key of theirs."""
    teams = [await _existing(services, team_id) for team_id in dict.fromkeys(body.team_ids)]
    rows = [await _row_of(services, team) for team in teams]
    for team in teams:
        await _delete(services, team.team_id, author)
    return rows


@router.get("/info")
async def info(
    services: Services, _author: Author, team_id: QueryName, key_limit: Annotated[int, Query(ge=0, le=1000)] = 100
) -> dict[str, Any]:
    team = await _existing(services, team_id)
    keys = (await walk(services.directory, KeyRecord, items.owned_keys(items.team_pk(team_id)), "gsi2")).records[:key_limit]
    rows = await asyncio.gather(*(key_row_of(services, key) for key in keys))
    return {"team_id": team_id, "team_info": await _row_of(services, team), "keys": rows, "team_memberships": []}


@router.get("/list")
async def list_teams(
    services: Services, _author: Author, user_id: QueryName | None = None, organization_id: QueryName | None = None
) -> list[dict[str, Any]]:
    """Newest first. `user_id`: only the teams this user is a member of."""

    def keep(team: TeamRecord) -> bool:
        in_organization = organization_id is None or team.organization_id == organization_id
        return in_organization and (user_id is None or any(member.user_id == user_id for member in team.members_with_roles))

    walked = await walk(services.directory, TeamRecord, items.listing("teams"), keep=keep)
    return [await _row_of(services, team) for team in walked.records]


async def _delete(services: AdminServices, team_id: str, author: str) -> None:
    """Blocked first: should the rest be cut off, its keys have stopped already and the call can be repeated."""
    await _set_blocked(services, team_id, author, blocked=True)
    keyring, complete = Keyring(services), False
    while not complete:
        walked = await walk(services.directory, KeyRecord, items.owned_keys(items.team_pk(team_id)), "gsi2")
        for key in walked.records:
            await keyring.delete(key)
        complete = walked.complete
    await services.directory.delete(items.team_pk(team_id), items.TEAM_SK)
    services.authenticator.forget()


async def _set_blocked(services: AdminServices, team_id: str, author: str, *, blocked: bool) -> TeamRecord:
    base = await _existing(services, team_id)
    fresh = await Revisions(services.directory, services.clock).change(base, {"blocked": blocked}, author)
    services.authenticator.forget()
    return fresh


async def _existing(services: AdminServices, team_id: str) -> TeamRecord:
    team = await Revisions(services.directory, services.clock).read(TeamRecord, items.team_pk(team_id), items.TEAM_SK)
    if team is None:
        raise NotFound(f"Team not found, passed team id: {team_id}.", param="team_id")
    return team


async def _row_of(services: AdminServices, team: TeamRecord) -> dict[str, Any]:
    return team_row(team, await services.spent("team", team.team_id, team.budget_duration))
