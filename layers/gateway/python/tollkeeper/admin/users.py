"""/user/*: people (https://docs.litellm.ai/docs/proxy/users)."""

import asyncio
from typing import Any

from fastapi import APIRouter

from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.keys import expiry_of
from tollkeeper.admin.keys import row_of as key_row_of
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models import NewUser, UserFields
from tollkeeper.admin.people import People
from tollkeeper.admin.revisions import Revisions
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import AdminServices, Author, Caller, Services
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views import team_row, user_row
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.errors import BadRequest, CallerError, NotFound
from tollkeeper.store import items

router = APIRouter(prefix="/user", tags=["users"], route_class=StrictRoute)
_OF_THE_KEY = ("key_alias", "team_id", "aliases", "permissions", "models")


@router.post("/new")
async def new(body: NewUser, services: Services, author: Author) -> dict[str, Any]:
    """The budget and the limits are the user's; the key that is made with it has none of its own."""
    people = People(services)
    given = {name: value for name, value in body.changes(UserRecord).items() if value is not None}
    user = await people.create(UserRecord(user_id=body.user_id or services.clock.new_id(), extra=body.unread(), **given), author)
    if not body.auto_create_key:
        return {**await _row_of(services, user), "key": None}
    try:
        text, key = await Keyring(services).create(_key_fields(body, user, services), author)
    except CallerError:
        await people.delete(user)
        raise
    row = {**await key_row_of(services, key), **await _row_of(services, user)}
    return {**row, "key": text, "token_id": key.key_hash, "created_at": key.created_at}


@router.post("/update")
async def update(body: UserFields, services: Services, author: Author) -> dict[str, Any]:
    """`user_id` says which user; without it `user_email` does."""
    people = People(services)
    base = await _named(people, body)
    user = await people.change(base, body.changes(UserRecord), author, extra=body.unread())
    return {"user_id": user.user_id, "data": await _row_of(services, user)}


@router.get("/info")
async def info(services: Services, caller: Caller, _author: Author, user_id: QueryName | None = None) -> dict[str, Any]:
    """Without `user_id`, the caller's own."""
    user = await People(services).find(user_id or caller.user_id or "")
    if user is None:
        raise NotFound(f"User {user_id or caller.user_id} not found.", param="user_id")
    keys = await walk(services.directory, KeyRecord, items.owned_keys(items.user_pk(user.user_id)), "gsi3")
    return {
        "user_id": user.user_id,
        "user_info": await _row_of(services, user),
        "keys": await asyncio.gather(*(key_row_of(services, key) for key in keys.records)),
        "teams": [row for row in await asyncio.gather(*(_team(services, team_id) for team_id in user.teams)) if row],
    }


def _key_fields(body: NewUser, user: UserRecord, services: AdminServices) -> dict[str, Any]:
    named = {name: value for name, value in body.changes(KeyRecord).items() if name in _OF_THE_KEY}
    return {**named, **expiry_of(body, services), "user_id": user.user_id}


async def _named(people: People, body: UserFields) -> UserRecord:
    if body.user_id is None and body.user_email is None:
        raise BadRequest("Name the user, in user_id or user_email.", param="user_id")
    user = await (people.find(body.user_id) if body.user_id else people.find_email(str(body.user_email)))
    if user is None:
        raise NotFound("User not found.", param="user_id" if body.user_id else "user_email")
    return user


async def _team(services: AdminServices, team_id: str) -> dict[str, Any] | None:
    team = await Revisions(services.directory, services.clock).read(TeamRecord, items.team_pk(team_id), items.TEAM_SK)
    return team_row(team, await services.spent("team", team_id, team.budget_duration)) if team else None


async def _row_of(services: AdminServices, user: UserRecord) -> dict[str, Any]:
    return user_row(user, await services.spent("user", user.user_id, user.budget_duration))
