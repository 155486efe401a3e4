"""Keys with `auto_rotate`, renewed by whoever keeps house.

The new text of a key goes to the secret `keys/<its alias, or the beginning of its hash>`, field `value`: in Secrets Manager, under
`tollkeeper/<environment>/`; on a laptop `tollkeeper keys fetch` shows it. The old one counts for a day more.

Where a function of its own does this (functions/janitor), its role needs, beside what it reads: PutItem, UpdateItem and DeleteItem on the
directory, PutItem on the ledger (the audit entry), and secretsmanager:CreateSecret, PutSecretValue and RestoreSecret on
`tollkeeper/<environment>/keys/*`. No other layer than the proxy's.
"""

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from tollkeeper.auth.records import KeyRecord
from tollkeeper.errors import TollkeeperError
from tollkeeper.store import items

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running

KEPT = "keys/"
PAUSE_SECONDS = 60.0
"""How often a server looks for keys that are due."""
_PLAIN = re.compile(r"[A-Za-z0-9_+=.@-]{1,128}")
_log = logging.getLogger("tollkeeper.rotation")


async def rotate_keys(running: "Running") -> int:
    """How many keys were renewed. Raises StoreUnavailable. Asks one thing of the store when none is due."""
    clock = running.installation.clock
    first = await running.installation.store.directory.query(items.ROTATIONS_PK, limit=1)
    if not first.items or int(first.items[0]["sk"].partition("#")[0]) > clock.now():
        return 0
    from tollkeeper.admin.rotation import rotate_due

    async def deliver(record: KeyRecord, text: str) -> None:
        await running.installation.secret_desk.keep(secret_name(record), text)

    return await rotate_due(running.management, deliver)


async def rotate_for_ever(running: "Running") -> None:
    """For a server: until it is cancelled."""
    while True:
        try:
            await rotate_keys(running)
        except TollkeeperError as error:
            _log.warning("rotation_failed %s", error.message)
        await asyncio.sleep(PAUSE_SECONDS)


def secret_name(record: KeyRecord) -> str:
    """An alias that Secrets Manager would not take as a name is replaced by the beginning of the hash."""
    alias = record.key_alias or ""
    return f"{KEPT}{alias if _PLAIN.fullmatch(alias) else record.key_hash[:32]}"
