"""/user/*: people (https://docs.litellm.ai/docs/proxy/users)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.crew import Crew
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.keys import expiry_of
from tollkeeper.admin.keys import row_of as key_row_of
from tollkeeper.admin.kinds import TEAM, USER
from tollkeeper.admin.listing import contains, in_order, members, page_of, pages, walk
from tollkeeper.admin.models_people import BulkUpdateUsers, DeleteUsers, ListUsers, NewUser, UserFields
from tollkeeper.admin.people import People
from tollkeeper.admin.reach import existing
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views import team_row, user_row
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import OrganizationMembership
from tollkeeper.auth.roles import INTERNAL_USER, USER_ROLES
from tollkeeper.errors import BadRequest, CallerError, Forbidden, NotFound
from tollkeeper.store import items

router = APIRouter(tags=["users"], route_class=StrictRoute)
_OF_THE_KEY = ("key_alias", "team_id", "aliases", "permissions", "models")
_OWN_FIELDS = frozenset({"user_alias"})
"""What users may change of their own record: the address is what single sign-on knows them by."""
_ROLES = {
    "proxy_admin": ("Admin (All Permissions)", "Create and delete keys, teams, users and models; see everything"),
    "proxy_admin_viewer": ("Admin (View Only)", "See all keys, teams, users and spending"),
    "internal_user": ("Internal User (Create/Delete/View)", "Make, see and delete their own keys, see their own spending"),
    "internal_user_viewer": ("Internal User (View Only)", "See their own keys and spending"),
}


@router.post("/user/new", **a.answers(a.NewUserAnswer))
async def new(body: NewUser, services: Services, actor: Acting) -> dict[str, Any]:
    """The budget and the limits are the user's; the key that is made with it has none of its own."""
    people, crew = People(services), Crew(services, actor)
    given = {name: value for name, value in body.changes(UserRecord).items() if value is not None and name != "teams"}
    given = {**_default_params(services.settings), **given}
    teams = [(await existing(services, actor, TEAM, team.team_id, "teams"), team) for team in body.wanted_teams()]
    user = await people.create(UserRecord(user_id=body.user_id or services.clock.new_id(), extra=body.unread(), **given), actor)
    text = row = None
    if body.auto_create_key:
        try:
            text, key = await Keyring(services).create(_key_fields(body, user, services), actor)
        except CallerError:
            await people.delete(user, actor)
            raise
        row = {**await key_row_of(services, key), "token_id": key.key_hash}
    for team, wanted in teams:
        await crew.join(team, [(await _again(services, user), wanted.user_role)], wanted.limits())
    return {**(row or {}), **await row_of(services, await _again(services, user)), "key": text}


@router.post("/user/update", **a.answers(a.UserUpdated))
async def update(body: UserFields, services: Services, actor: Acting) -> dict[str, Any]:
    """`user_id` says which user; without it `user_email` does."""
    user = await _change(body, services, actor)
    return {"user_id": user.user_id, "data": await row_of(services, user)}


@router.post("/user/bulk_update", **a.answers(a.BulkUsers))
async def bulk_update(body: BulkUpdateUsers, services: Services, actor: Acting) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for fields in body.users:
        named = {"user_id": fields.user_id, "user_email": fields.user_email}
        try:
            user = await _change(fields, services, actor)
            results.append({**named, "success": True, "error": None, "updated_user": await row_of(services, user)})
        except CallerError as error:
            results.append({**named, "success": False, "error": error.message, "updated_user": None})
    done = sum(result["success"] for result in results)
    counts = {"total_requested": len(results), "successful_updates": done, "failed_updates": len(results) - done}
    return {"results": results, **counts}


@router.post("/user/delete", **a.answers(a.DeletedUsers))
async def delete(body: DeleteUsers, services: Services, actor: Acting) -> dict[str, Any]:
    """With their keys and memberships. Nobody is deleted if one of them does not exist."""
    users = [await existing(services, actor, USER, user_id, "user_ids") for user_id in dict.fromkeys(body.user_ids)]
    for user in users:
        partition = items.memberships(user.user_id, "organizations")
        for membership in (await walk(services.directory, OrganizationMembership, partition, "gsi3")).records:
            await services.revisions.delete(membership, actor)
        await Crew(services, actor).delete_user(user)
    return {"deleted_users": len(users)}


@router.get("/user/info", **a.answers(a.UserInfo))
async def info(services: Services, actor: Acting, user_id: QueryName | None = None) -> dict[str, Any]:
    """Without `user_id`, the caller's own."""
    user = await _readable(services, actor, user_id)
    keys = await walk(services.directory, KeyRecord, items.owned_keys(items.user_pk(user.user_id)), "gsi3", most=1000)
    return {
        "user_id": user.user_id,
        "user_info": await row_of(services, user),
        "keys": await asyncio.gather(*(key_row_of(services, key) for key in keys.records)),
        "teams": [row for row in await asyncio.gather(*(_team(services, team_id) for team_id in user.teams)) if row],
    }


@router.get("/v2/user/info", **a.answers(a.UserRow))
async def flat_info(services: Services, actor: Acting, user_id: QueryName | None = None) -> dict[str, Any]:
    return await row_of(services, await _readable(services, actor, user_id))


@router.get("/user/list", **a.answers(a.UserPage))
async def list_users(services: Services, actor: Acting, asked: Annotated[ListUsers, Query()]) -> dict[str, Any]:
    """`key_count` counts the newest thousand keys at most."""
    keep = await _within_reach(services, actor, asked)
    walked = await walk(services.directory, UserRecord, items.listing("users"), keep=lambda user: keep(user) and _wanted(user, asked))
    users = in_order(walked.records, asked.sort_by, descending=asked.sort_order == "desc")
    shown = await asyncio.gather(*(_counted(services, user) for user in page_of(users, asked.page, asked.page_size)))
    total = len(users)
    counts = {"total": total, "page": asked.page, "page_size": asked.page_size, "total_pages": pages(total, asked.page_size)}
    return {"users": shown, **counts}


@router.get("/user/available_roles", **a.answers(dict[str, dict[str, str]]))
async def available_roles(_actor: Acting) -> dict[str, dict[str, str]]:
    return {role: dict(zip(("ui_label", "description"), _ROLES[role], strict=True)) for role in USER_ROLES}


async def row_of(services: AdminServices, user: UserRecord) -> dict[str, Any]:
    return user_row(user, await services.spent("user", user.user_id, user.budget_duration))


def _key_fields(body: NewUser, user: UserRecord, services: AdminServices) -> dict[str, Any]:
    named = {name: value for name, value in body.changes(KeyRecord).items() if name in _OF_THE_KEY}
    return {**named, **expiry_of(body, services), "user_id": user.user_id}


async def _change(body: UserFields, services: AdminServices, actor: Actor) -> UserRecord:
    people = People(services)
    if body.user_id is None and body.user_email is None:
        raise BadRequest("Name the user, in user_id or user_email.", param="user_id")
    base = await (people.find(body.user_id) if body.user_id else people.find_email(str(body.user_email)))
    await actor.reach(Target(user_id=base.user_id if base else None))
    if base is None:
        raise NotFound("User not found.", param="user_id" if body.user_id else "user_email")
    named = {"user_id", "user_email"} if not body.user_id else {"user_id"}
    changes = {name: value for name, value in body.changes(UserRecord).items() if name not in named}
    teams = changes.pop("teams", None)
    refused = sorted((body.changes(UserRecord).keys() - named | body.unread().keys()) - _OWN_FIELDS)
    if refused and not actor.is_admin:
        raise Forbidden(f"Only a proxy admin may change {', '.join(refused)} of a user.", type="auth_error", param=refused[0])
    fresh = await people.change(base, changes, actor, extra=body.unread())
    return fresh if teams is None else await _move(services, actor, fresh, teams)


async def _move(services: AdminServices, actor: Actor, user: UserRecord, wanted: Sequence[str]) -> UserRecord:
    """Into the teams that are wanted, out of the others."""
    crew = Crew(services, actor)
    joining = [await existing(services, actor, TEAM, team_id, "teams") for team_id in wanted if team_id not in user.teams]
    for team in joining:
        await crew.join(team, [(await _again(services, user), "user")], {})
    for team_id in set(user.teams) - set(wanted):
        left = await services.revisions.find(TEAM, team_id)
        if left is not None and left.member(user.user_id):
            await crew.leave(left, user.user_id, None)
    return await _again(services, user)


async def _readable(services: AdminServices, actor: Actor, user_id: str | None) -> UserRecord:
    wanted = user_id or actor.user_id or ""
    user = await People(services).find(wanted)
    if not await actor.reaches(Target(user_id=wanted)) and not await _shares_organization(services, actor, wanted):
        raise actor.refusal()
    if user is None:
        raise NotFound(f"User {wanted} not found.", param="user_id")
    return user


async def _shares_organization(services: AdminServices, actor: Actor, user_id: str) -> bool:
    partition = items.memberships(user_id, "organizations")
    walked = await walk(services.directory, OrganizationMembership, partition, "gsi3")
    return any([await actor.leads(membership.organization_id) for membership in walked.records])


async def _within_reach(services: AdminServices, actor: Actor, asked: ListUsers) -> Any:
    """Whoever does not see everything sees the members of organizations they lead, named in `organization_ids`."""
    organizations = _names(asked.organization_ids)
    if not organizations:
        if not actor.everywhere:
            raise actor.refusal()
        return lambda _: True
    for organization_id in organizations:
        await actor.reach(Target(organization_id=organization_id))
    found = [await members(services.directory, OrganizationMembership, items.organization_pk(each)) for each in organizations]
    ids = {membership.user_id for rows in found for membership in rows}
    return lambda user: user.user_id in ids


def _wanted(user: UserRecord, asked: ListUsers) -> bool:
    ids, sso_ids = _names(asked.user_ids), _names(asked.sso_user_ids)
    return (
        (asked.role is None or user.user_role == asked.role)
        and (not ids or user.user_id in ids)
        and (not sso_ids or user.sso_user_id in sso_ids)
        and (asked.user_email is None or contains(asked.user_email, user.user_email))
        and (asked.team is None or asked.team in user.teams)
        and (asked.search is None or contains(asked.search, user.user_id, user.user_email, user.user_alias))
    )


async def _counted(services: AdminServices, user: UserRecord) -> dict[str, Any]:
    keys = await walk(services.directory, KeyRecord, items.owned_keys(items.user_pk(user.user_id)), "gsi3", most=1000)
    return {**await row_of(services, user), "key_count": len(keys.records)}


async def _team(services: AdminServices, team_id: str) -> dict[str, Any] | None:
    team: TeamRecord | None = await services.revisions.find(TEAM, team_id)
    return team_row(team, await services.spent("team", team_id, team.budget_duration)) if team else None


async def _again(services: AdminServices, user: UserRecord) -> UserRecord:
    return await services.revisions.find(USER, user.user_id) or user


def _names(listed: str | None) -> frozenset[str]:
    return frozenset(name.strip() for name in (listed or "").split(",") if name.strip())


def _default_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """litellm_settings.default_internal_user_params; a user without a role is an internal user where it names none."""
    params = settings.get("default_internal_user_params") or {}
    known = {name: value for name, value in UserFields.model_validate(params).changes(UserRecord).items() if value is not None}
    return known if not params else {"user_role": INTERNAL_USER, **known}
