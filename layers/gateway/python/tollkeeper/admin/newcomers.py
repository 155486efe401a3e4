"""Users and teams that a signed token brings (`user_id_upsert`, `team_id_upsert`), written down with an entry in the audit log."""

from dataclasses import replace

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.parts import AdminServices
from tollkeeper.admin.people import People
from tollkeeper.auth.principal import principal_of
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.errors import CallerError
from tollkeeper.store.table import ConditionFailed

_AUTHOR = "token"


async def register(services: AdminServices, record: UserRecord | TeamRecord) -> None:
    """Does nothing where somebody else was quicker. An address that another user has is left out. Raises StoreUnavailable."""
    actor = _actor(services, "/user/new" if isinstance(record, UserRecord) else "/team/new")
    try:
        if isinstance(record, UserRecord):
            await _user(services, record, actor)
        else:
            await services.revisions.create(record, actor)
    except (CallerError, ConditionFailed):
        return


async def _user(services: AdminServices, user: UserRecord, actor: Actor) -> None:
    people = People(services)
    taken = user.user_email is not None and await people.find_email(user.user_email) is not None
    await people.create(replace(user, user_email=None) if taken else user, actor)


def _actor(services: AdminServices, path: str) -> Actor:
    principal = principal_of(KeyRecord(key_hash=_AUTHOR), is_master=True)
    return Actor(principal, ("POST", path), _AUTHOR, services.clock.new_id(), services.directory)
