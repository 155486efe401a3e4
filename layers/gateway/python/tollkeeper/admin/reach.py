"""From ids to targets: what a route needs to know of a record's owners before it asks whether the caller reaches it."""

from typing import TypeVar

from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.kinds import TEAM, Kind
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.records import KeyRecord, Record, TeamRecord
from tollkeeper.errors import NotFound

R = TypeVar("R", bound=Record)


async def existing(services: AdminServices, actor: Actor, kind: Kind[R], record_id: str, param: str | None = None) -> R:
    """Raises NotFound, or Forbidden where the caller may not know that it is not there."""
    record = await services.revisions.find(kind, record_id)
    if record is not None:
        return record
    if not actor.everywhere:
        raise actor.refusal()
    word = kind.word.replace("_", " ").capitalize()
    raise NotFound(f"{word} not found, passed {kind.id_field.replace('_', ' ')}: {record_id}.", param=param or kind.id_field)


async def reached_team(services: AdminServices, actor: Actor, team_id: str) -> TeamRecord:
    """A team that the caller reaches with this route."""
    team = await existing(services, actor, TEAM, team_id)
    await actor.reach(Target(team=team))
    return team


async def target_of(
    services: AdminServices, actor: Actor, user_id: str | None, team_id: str | None, organization_id: str | None = None
) -> Target:
    """A team that does not exist is left to whoever checks owners, unless the caller may not know."""
    team = await services.revisions.find(TEAM, team_id) if team_id and not actor.everywhere else None
    if team_id and team is None and not actor.everywhere:
        raise actor.refusal()
    return Target(user_id, team, organization_id)


async def reach_key(services: AdminServices, actor: Actor, record: KeyRecord | None, missing: NotFound) -> tuple[KeyRecord, str]:
    """The key, and the role in which the caller reaches it."""
    if record is None:
        raise missing if actor.everywhere else actor.refusal()
    target = await target_of(services, actor, record.user_id, record.team_id, record.organization_id)
    return record, await actor.reach(target)
