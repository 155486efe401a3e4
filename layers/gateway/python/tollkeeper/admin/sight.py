"""Whose spend a caller may see: the ids of a report's query, checked, or in their place what is the caller's own."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.kinds import KEY, ORGANIZATION, TEAM, USER, Kind
from tollkeeper.admin.listing import walk
from tollkeeper.admin.reach import reach_key, reached_team
from tollkeeper.admin.services import AdminServices
from tollkeeper.auth.keys import PREFIX
from tollkeeper.auth.records import KeyRecord, TeamRecord
from tollkeeper.auth.records_groups import OrganizationMembership
from tollkeeper.auth.roles import ORG_ADMIN
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items

MOST_IDS = 100
_MOST_NAMES = 300

Scope = tuple[str, str]
"""(kind, value) of ledger/sums.py."""


async def key_in_sight(services: AdminServices, actor: Actor, reference: str) -> str:
    """The hash of a key named by text or hash. A key that is gone still has its spend. Raises Forbidden, NotFound."""
    record = await Keyring(services).find(reference)
    if (record.key_hash if record else reference) == actor.principal.key_hash:
        return actor.principal.key_hash
    if record is None and actor.everywhere and not reference.startswith(PREFIX):
        return reference
    found, _ = await reach_key(services, actor, record, NotFound("Key not found.", param="api_key"))
    return found.key_hash


async def scope_in_sight(
    services: AdminServices, actor: Actor, *, api_key: str | None = None, user_id: str | None = None, team_id: str | None = None
) -> Scope | None:
    """What a report is narrowed to by the first of these that is given; None: to nothing, which only who sees everything may have.

    Raises Forbidden for somebody else's.
    """
    if api_key:
        return "key", await key_in_sight(services, actor, api_key)
    if team_id:
        if not actor.everywhere:
            await reached_team(services, actor, team_id)
        return "team", team_id
    if user_id:
        if user_id != actor.user_id:
            await actor.reach(Target(user_id))
        return "user", user_id
    return None if actor.everywhere else own(actor)


def own(actor: Actor) -> Scope:
    return ("user", actor.user_id) if actor.user_id else ("key", actor.principal.key_hash)


async def self_in_sight(actor: Actor) -> Scope | None:
    """None for who sees everything, else the caller as a user. Raises Forbidden."""
    if actor.everywhere:
        return None
    await actor.reach(Target(actor.user_id))
    return own(actor)


async def teams_in_sight(services: AdminServices, actor: Actor, team_ids: list[str]) -> list[str]:
    """The named teams, or all the caller administers. Empty: every team."""
    if actor.everywhere:
        return team_ids
    if team_ids:
        return [(await reached_team(services, actor, team_id)).team_id for team_id in team_ids]
    mine = actor.principal.user.teams if actor.principal.user else ()
    found = await asyncio.gather(*(services.revisions.find(TEAM, team_id) for team_id in mine[:MOST_IDS]))
    led = [team.team_id for team in found if team and await actor.reaches(Target(team=team))]
    if not led:
        raise actor.refusal()
    return led


async def organizations_in_sight(services: AdminServices, actor: Actor, organization_ids: list[str]) -> list[str]:
    """As `teams_in_sight`."""
    if actor.everywhere:
        return organization_ids
    if not organization_ids and actor.user_id:
        walked = await walk(services.directory, OrganizationMembership, items.memberships(actor.user_id, "organizations"), "gsi3")
        organization_ids = [member.organization_id for member in walked.records if member.role == ORG_ADMIN]
    for organization_id in organization_ids:
        await actor.reach(Target(organization_id=organization_id))
    if not organization_ids:
        raise actor.refusal()
    return organization_ids


def ids_of(text: str | None, field: str) -> list[str]:
    """`a,b,c` → ids, each once. Raises BadRequest for more than MOST_IDS."""
    ids = list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))
    if len(ids) > MOST_IDS:
        raise BadRequest(f"{field} names {len(ids)} ids; {MOST_IDS} at most", param=field)
    return ids


async def key_names(services: AdminServices, hashes: Iterable[str]) -> Callable[[str], Mapping[str, Any]]:
    """What LiteLLM calls a key's metadata, for the first few hundred keys of a report."""
    records = await _records(services, KEY, hashes)

    def describe(key_hash: str) -> Mapping[str, Any]:
        key = records.get(key_hash)
        if not isinstance(key, KeyRecord):
            return {"key_alias": None, "team_id": None, "user_id": None, "user_email": None, "key_exists": False}
        return {"key_alias": key.key_alias, "team_id": key.team_id, "user_id": key.user_id, "user_email": None, "key_exists": True}

    return describe


async def entity_names(services: AdminServices, kind: str, ids: Iterable[str]) -> Callable[[str], Mapping[str, Any]]:
    """Metadata of teams, organizations and users; others have none."""
    kinds: Mapping[str, tuple[Kind[Any], str]] = {
        "team": (TEAM, "team_alias"),
        "organization": (ORGANIZATION, "organization_alias"),
        "user": (USER, "user_email"),
    }
    if kind not in kinds:
        return lambda _: {}
    row, name = kinds[kind]
    records = await _records(services, row, ids)
    return lambda entity: {name: getattr(records.get(entity), name, None)}


async def team_alias_of(services: AdminServices, ids: Iterable[str]) -> Callable[[str], str]:
    """What a report calls a team."""
    records: Mapping[str, TeamRecord | None] = await _records(services, TEAM, ids)

    def name(team_id: str) -> str:
        team = records.get(team_id)
        return (team and team.team_alias) or team_id or "Unassigned Team"

    return name


async def _records(services: AdminServices, kind: Kind[Any], ids: Iterable[str]) -> dict[str, Any]:
    wanted = [each for each in dict.fromkeys(ids) if each][:_MOST_NAMES]
    found = await asyncio.gather(*(services.directory.get(kind.pk(each), kind.sk) for each in wanted))
    return {each: kind.record.from_item(item) for each, item in zip(wanted, found, strict=True) if item}
