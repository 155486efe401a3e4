"""Where alerts are put up. One write is the deduplication and the promise: whoever comes second finds it there and says nothing.

    alert#<digest of its key>  alert    gsi1: alerts/pending | alerts/told   / <when it was raised>

`done` names the channels that have taken it. An item is kept for a quarter of a year, so that nothing is said twice in that time.
"""

import asyncio
import logging
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson

from tollkeeper.alerts.alert import Alert
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.items import ALERT_SK, ALERTS_PENDING, ALERTS_TOLD, alert_pk
from tollkeeper.store.table import ConditionFailed, Exists, Item, Table

log = logging.getLogger("tollkeeper.alerts")

KEPT_SECONDS = 92 * 86400
_MOST_REMEMBERED = 4096


class Board:
    """One per process."""

    def __init__(self, ledger: Table, clock: Clock, wanted: Callable[[Alert], bool] = lambda _: True) -> None:
        """`wanted` False: an alert that nobody has asked for is not put up."""
        self._ledger = ledger
        self._clock = clock
        self._wanted = wanted
        self._known: set[str] = set()
        self._raising: set[asyncio.Task[None]] = set()

    def tell(self, alert: Alert) -> None:
        """For callers that cannot wait: a call's settlement. `drain` waits for it."""
        if not self._wanted(alert) or alert.key in self._known:
            return
        task = asyncio.ensure_future(self._raise_quietly(alert))
        self._raising.add(task)
        task.add_done_callback(self._raising.discard)

    async def put_up(self, alert: Alert) -> bool:
        """Whether it is new. Raises StoreUnavailable."""
        if not self._wanted(alert) or alert.key in self._known:
            return False
        now = self._clock.now()
        item = {
            "pk": _pk(alert),
            "sk": ALERT_SK,
            "gsi1pk": ALERTS_PENDING,
            "gsi1sk": iso(now),
            "key": alert.key,
            "kind": alert.kind,
            "about": alert.about,
            "once": alert.once,
            "message": alert.message,
            "created": int(now),
            "facts": orjson.dumps(dict(alert.facts), default=str).decode(),
            "ttl": int(now) + KEPT_SECONDS,
        }
        try:
            await self._ledger.put_new(item)
            fresh = True
        except ConditionFailed:
            fresh = False
        self._remember(alert.key)
        return fresh

    async def pending(self, limit: int = 100) -> list[tuple[Alert, frozenset[str]]]:
        """The oldest alerts that some channel has not taken yet, with the channels that have."""
        page = await self._ledger.query(ALERTS_PENDING, index="gsi1", limit=limit)
        return [(_alert(item), frozenset(item.get("done", ()))) for item in page.items]

    async def told(self, limit: int = 100) -> list[Alert]:
        """The newest alerts that every channel has taken."""
        page = await self._ledger.query(ALERTS_TOLD, index="gsi1", limit=limit, descending=True)
        return [_alert(item) for item in page.items]

    async def note(self, alert: Alert, done: frozenset[str], *, whole: bool) -> None:
        """`done` channels have taken it; `whole`: so have all."""
        fields: dict[str, Any] = {"done": sorted(done), **({"gsi1pk": ALERTS_TOLD} if whole else {})}
        try:
            await self._ledger.apply(_pk(alert), ALERT_SK, set=fields, when=[Exists()])
        except ConditionFailed:
            log.warning("alert_gone %s", alert.key)

    async def drain(self) -> None:
        """Waits until what was told is put up."""
        while self._raising:
            await asyncio.wait(self._raising)

    async def _raise_quietly(self, alert: Alert) -> None:
        try:
            await self.put_up(alert)
        except StoreUnavailable as error:
            # The next call that crosses the same mark says it again.
            log.error("alert_not_put_up %s %s", alert.key, error.message)

    def _remember(self, key: str) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known.add(key)


def _pk(alert: Alert) -> str:
    return alert_pk(blake2b(alert.key.encode(), digest_size=16).hexdigest())


def _alert(item: Item) -> Alert:
    return Alert(item["kind"], item["about"], item["once"], item["message"], float(item["created"]), orjson.loads(item["facts"]))
