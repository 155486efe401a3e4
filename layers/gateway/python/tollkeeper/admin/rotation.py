"""Keys with `auto_rotate`, renewed when they are due: the janitor calls `rotate_due` with a way to deliver the new text.

Order: the new text begins to count and the old one goes on for `grace_seconds`; the new text is delivered; only then is the next date set.
Whatever is cut off is done again at the next run, and the holder's text works all the while.
"""

import logging
from collections.abc import Awaitable, Callable

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.durations import after
from tollkeeper.auth.principal import principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.errors import TollkeeperError
from tollkeeper.store import items

Deliver = Callable[[KeyRecord, str], Awaitable[None]]
"""(record, new text): to a secret manager. Raises if it did not take it."""
GRACE_SECONDS = 24 * 3600
_JANITOR = "janitor"
_log = logging.getLogger("tollkeeper.rotation")


async def rotate_due(services: AdminServices, deliver: Deliver, *, grace_seconds: int = GRACE_SECONDS, most: int = 1000) -> int:
    """How many keys were renewed. One that cannot be is logged and left for the next run."""
    actor = Actor(
        principal_of(KeyRecord(key_hash=_JANITOR), is_master=True), ("POST", "/key/regenerate"), _JANITOR, services.clock.new_id(),
        services.directory,
    )  # fmt: skip
    page = await services.directory.query(items.ROTATIONS_PK, limit=most)
    renewed = 0
    for item in page.items:
        due, _, key_hash = item["sk"].partition("#")
        if int(due) > services.clock.now():
            break
        record = await Keyring(services).find(key_hash)
        try:
            if record is not None and record.auto_rotate and record.rotate_at == int(due):
                await _renew(services, actor, record, deliver, grace_seconds)
                renewed += 1
            await services.directory.delete(item["pk"], item["sk"])
        except TollkeeperError as error:
            _log.error("key_rotation_failed key=%s %s", key_hash, error.message)
    return renewed


async def _renew(services: AdminServices, actor: Actor, record: KeyRecord, deliver: Deliver, grace_seconds: int) -> None:
    keyring = Keyring(services)
    text, fresh = await keyring.rotate(record, {}, actor, grace_seconds=grace_seconds)
    await deliver(fresh, text)
    if fresh.rotation_interval:
        await keyring.change(fresh, {"rotate_at": after(services.clock.now(), fresh.rotation_interval)}, actor)
