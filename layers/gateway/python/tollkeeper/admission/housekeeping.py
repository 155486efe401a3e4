"""What nobody is there to do: ends the holds of calls that died, and books them.

A call that was killed between its hold and its settlement cost something that nobody knows. Its hold is settled in full, and a ledger
entry marked `unconfirmed` says so, so that the books still balance: what counters call spent is what the ledger adds up to. An admin may
correct it.
"""

import asyncio
import hashlib
import logging

from tollkeeper.budgets.janitor import ExpiredHold, Janitor
from tollkeeper.clock import Clock, time_ordered_id
from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.content import ContentLog
from tollkeeper.ledger.counted import counters_of
from tollkeeper.ledger.entry import STATUS_FAILURE, Entry
from tollkeeper.store.items import scope_of

log = logging.getLogger("tollkeeper.janitor")

SWEEP_SECONDS = 60.0
"""How often a server sweeps; on Lambda a schedule does."""


class Housekeeping:
    """Run `sweep` every few minutes; two at once do no harm."""

    def __init__(self, janitor: Janitor, ledger: Ledger, clock: Clock, content: ContentLog | None = None) -> None:
        self._janitor = janitor
        self._ledger = ledger
        self._clock = clock
        self._content = content
        self._hour = -1

    async def sweep(self) -> int:
        """Returns how many holds were ended. Raises StoreUnavailable; the next sweep goes on where this one stopped."""
        expired = await self._janitor.sweep(lambda hold: self._ledger.record(unconfirmed_entry(hold)))
        if self._content is not None and self._hour != (hour := int(self._clock.now() // 3600)):
            await self._content.sweep()
            self._hour = hour
        return len(expired)

    async def sweep_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.sweep()
            except StoreUnavailable as error:
                log.warning("sweep_failed %s", error.message)
            await asyncio.sleep(SWEEP_SECONDS)


def unconfirmed_entry(hold: ExpiredHold) -> Entry:
    """Its id follows from the hold's, so that a sweep that is repeated books it once."""
    owners = _owners(hold)
    request_id = time_ordered_id(hold.created, hashlib.blake2b(hold.id.encode(), digest_size=10).digest())
    # Each budget held its own estimate of the call, and is charged that.
    counted = {
        name: amount
        for scope, amount in zip(hold.scopes, hold.amounts, strict=False)
        for name in counters_of([scope])
        if amount != hold.amount
    }
    return Entry(
        request_id=request_id,
        call_id=request_id,
        started_at=hold.created,
        call_type="unconfirmed",
        model="unknown",
        status=STATUS_FAILURE,
        http_status=0,
        error_type="unconfirmed",
        key_hash=owners.get("key"),
        team_id=owners.get("team"),
        user_id=owners.get("user"),
        organization_id=owners.get("organization"),
        customer_id=owners.get("customer"),
        provider=owners.get("provider"),
        deployment_id=owners.get("deployment"),
        tags=tuple(dict.fromkeys(ids[0] for kind, ids in map(scope_of, dict(hold.scopes)) if kind == "tag" and ids)),
        cost=hold.amount,
        usage_at_least=True,
        unconfirmed=True,
        hold_ids=hold.ids or (hold.id,),
        counted=counted or None,
        counters=counters_of(hold.scopes),
    )


def _owners(hold: ExpiredHold) -> dict[str, str]:
    """Kind → id: of the scopes themselves, and of those that are a part of one."""
    found: dict[str, str] = {}
    for kind, ids in (scope_of(pk) for pk, _ in hold.scopes):
        for each, value in zip(_PARTS.get(kind, (kind,)), ids, strict=False):
            found.setdefault(each, value)
    return found


_PARTS = {"team_member": ("team", "user"), "key_model": ("key",), "team_model": ("team",), "user_model": ("user",)}
