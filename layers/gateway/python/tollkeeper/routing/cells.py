"""Breaker cells and statistics in the counters table: one query reads a group, one conditional write changes a cell.

    pk routing#<group>   sk breaker#<deployment>   ttl last change or end of the rest, + 10 minutes
    version until probe reason trips window fails oks streak streak_since failed_at   as breaker.Cell; kinds as `Timeout=2,RateLimit=1`

A cell is only written on a fault, on success while it has faults, and on a transition. Each write is a compare-and-swap on `version`, so
of all processes that want the one probe a single one gets it; who loses decides again on what the winner wrote.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.routing.breaker import MEMORY_SECONDS, WELL, Cell
from tollkeeper.routing.statistics import NOTHING, Statistics, summed
from tollkeeper.store.items import BREAKER_PREFIX, breaker_sk, minute_sk, routing_pk, routing_use_sk
from tollkeeper.store.table import Condition, ConditionFailed, Equals, Item, Missing, Table

log = logging.getLogger("tollkeeper.routing")

FRESH_SECONDS = 1.0
MARK_SECONDS = 30 * 86_400
_OWN_WRITE_SECONDS = 2.0
"""An eventually consistent read may still be older than what this process wrote itself."""
_TRIES = 5
_NUMBERS = ("version", "until", "trips", "window", "fails", "oks", "streak", "streak_since", "failed_at")


@dataclass(slots=True)
class _View:
    """One group as last seen."""

    read_at: float | None = None
    cells: dict[str, Cell] = field(default_factory=dict)
    wrote_at: dict[str, float] = field(default_factory=dict)
    uses: dict[str, Item] = field(default_factory=dict)
    sums: dict[tuple[str, int], Statistics] = field(default_factory=dict)
    """Of a deployment in a second; gone whenever `uses` changes."""


class Cells:
    """This process's picture of every group, at most a second old where it was refreshed."""

    def __init__(self, counters: Table, clock: Clock) -> None:
        self._table = counters
        self._clock = clock
        self._views: dict[str, _View] = {}

    async def refresh(self, groups: Iterable[str]) -> None:
        """Reads the groups that were not read for a second. Calls that come meanwhile go by what is known."""
        now = self._clock.monotonic()
        stale = []
        for group in set(groups):
            view = self._view(group)
            if view.read_at is None or now - view.read_at >= FRESH_SECONDS:
                view.read_at = now
                stale.append(group)
        if stale:
            await asyncio.gather(*(self._read(group) for group in stale))

    def cell(self, group: str, deployment_id: str) -> Cell:
        return self._view(group).cells.get(breaker_sk(deployment_id), WELL)

    def statistics(self, group: str, deployment_id: str) -> Statistics:
        view = self._view(group)
        if not view.uses:
            return NOTHING
        now = self._clock.now()
        key = (deployment_id, int(now))
        if (known := view.sums.get(key)) is None:
            prefix = routing_use_sk(deployment_id)
            items = [item for sk, item in view.uses.items() if sk.startswith(prefix) and item.get("ttl", 0) > now]
            known = view.sums[key] = summed(items, prefix + minute_sk(now))
        return known

    def mark_of(self, group: str, sk: str) -> Item | None:
        """What `mark` left, in whichever process."""
        return self._view(group).uses.get(sk)

    async def mark(self, group: str, sk: str, fields: Mapping[str, Any]) -> None:
        """Keeps a fact about a group for a month. Without the store it is this process's own."""
        now = int(self._clock.now())
        item = {"pk": routing_pk(group), "sk": sk, "marked_at": now, "ttl": now + MARK_SECONDS, **fields}
        self._view(group).uses[sk] = item
        try:
            await self._table.put(item)
        except StoreUnavailable as error:
            log.error("routing_mark_store_error %s", error.message)

    async def change(self, group: str, deployment_id: str, step: Callable[[Cell], Cell]) -> Cell:
        """Applies `step` to the cell as it is now, whoever changed it; returns the cell after it. `step` may be asked again.

        Without the store the change is this process's own.
        """
        view, sk = self._view(group), breaker_sk(deployment_id)
        cell = view.cells.get(sk, WELL)
        for _ in range(_TRIES):
            new = step(cell)
            if new is cell:
                return cell
            try:
                await self._swap(group, sk, cell, new)
            except ConditionFailed as failed:
                cell = view.cells[sk] = _cell(failed.old or {})
                continue
            except StoreUnavailable as error:
                log.error("breaker_store_error %s", error.message)
            view.cells[sk], view.wrote_at[sk] = new, self._clock.monotonic()
            _tell(group, deployment_id, cell, new)
            return new
        return cell

    async def count(self, group: str, sk: str, *, add: Mapping[str, int], ttl: int, when: Iterable[Condition] = ()) -> bool:
        """Adds to one minute's statistics. False: `when` does not hold. A store that does not answer admits."""
        view = self._view(group)
        try:
            view.uses[sk] = await self._table.apply(routing_pk(group), sk, add=add, set={"ttl": ttl}, when=tuple(when))
            view.sums = {}
        except ConditionFailed as failed:
            if failed.old is not None:
                view.uses[sk], view.sums = failed.old, {}
            return False
        except StoreUnavailable as error:
            log.error("routing_statistics_store_error %s", error.message)
        return True

    def _view(self, group: str) -> _View:
        return self._views.setdefault(group, _View())

    async def _swap(self, group: str, sk: str, old: Cell, new: Cell) -> None:
        ttl = max(int(self._clock.now()), new.until // 1000) + MEMORY_SECONDS
        when = Equals("version", old.version) if old.version else Missing("version")
        await self._table.apply(routing_pk(group), sk, set={**_fields(new), "ttl": ttl}, when=[when])

    async def _read(self, group: str) -> None:
        items: list[Item] = []
        after = None
        try:
            while True:
                page = await self._table.query(routing_pk(group), after=after, limit=1000)
                items += page.items
                if (after := page.next) is None:
                    break
        except StoreUnavailable as error:
            log.error("breaker_store_error %s", error.message)
            return
        self._seen(self._view(group), items)

    def _seen(self, view: _View, items: Iterable[Item]) -> None:
        now = self._clock.monotonic()
        cells: dict[str, Cell] = {}
        view.uses, view.sums = {}, {}
        for item in items:
            sk = str(item["sk"])
            if sk.startswith(BREAKER_PREFIX):
                cells[sk] = _cell(item)
            else:
                view.uses[sk] = item
        view.wrote_at = {sk: at for sk, at in view.wrote_at.items() if now - at < _OWN_WRITE_SECONDS}
        own = {sk: cell for sk, cell in view.cells.items() if sk in view.wrote_at and cell.version > cells.get(sk, WELL).version}
        view.cells = {**cells, **own}


def _fields(cell: Cell) -> dict[str, Any]:
    kinds = ",".join(f"{kind}={count}" for kind, count in cell.kinds.items())
    return {**{name: getattr(cell, name) for name in _NUMBERS}, "probe": cell.probe, "reason": cell.reason, "kinds": kinds}


def _cell(item: Item) -> Cell:
    """An item that somebody damaged says as little as it can, and never raises."""
    numbers = {name: int(value) for name in _NUMBERS if isinstance(value := item.get(name), int | float)}
    pairs = [pair.partition("=") for pair in str(item.get("kinds") or "").split(",")]
    kinds = {kind: int(count) for kind, _, count in pairs if count.isdecimal()}
    return Cell(**numbers, probe=str(item.get("probe") or ""), reason=str(item.get("reason") or ""), kinds=kinds)


def _tell(group: str, deployment_id: str, old: Cell, new: Cell) -> None:
    if new.trips > old.trips:
        log.warning("deployment_cooldown group=%s deployment=%s reason=%s trips=%d", group, deployment_id, new.reason, new.trips)
    elif old.until and not new.until:
        log.warning("deployment_recovered group=%s deployment=%s", group, deployment_id)
