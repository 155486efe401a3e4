"""A spender as the directory knows it: what people call it, and the budgets it has to keep to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from tollkeeper.admission.spending import Spending
from tollkeeper.auth.lookups import Known
from tollkeeper.auth.records import KeyRecord, Record
from tollkeeper.auth.shelves import Shelves
from tollkeeper.budgets.scopes import ScopeKind
from tollkeeper.clock import Clock
from tollkeeper.money import NanoUSD

_ALIASES = ("key_alias", "team_alias", "user_alias", "organization_alias", "alias")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A cap with what its window has spent, in nano-dollars. `resets` is an epoch second; None: never."""

    cap: NanoUSD
    spent: NanoUSD
    duration: str | None
    resets: float | None


@dataclass(frozen=True, slots=True)
class KnownOwner:
    kind: str
    name: str
    alias: str | None = None
    allowances: tuple[Allowance, ...] = ()


class Owners:
    def __init__(self, shelves: Shelves, spending: Spending, clock: Clock) -> None:
        self._shelves, self._spending, self._clock = shelves, spending, clock

    async def find(self, kind: str, name: str) -> KnownOwner:
        """One without a record has neither alias nor allowance. Raises StoreUnavailable."""
        record = await self._record(kind, name)
        if record is None:
            return KnownOwner(kind, name)
        alias = next((found for field in _ALIASES if (found := getattr(record, field, None))), None)
        return KnownOwner(kind, name, alias, tuple([await self._allowance(kind, name, *cap) for cap in self._caps(record)]))

    async def _record(self, kind: str, name: str) -> Record | None:
        shelves = self._shelves
        readers: dict[str, Callable[[str], Awaitable[Known[Any]]]] = {
            "key": shelves.key,
            "team": shelves.team,
            "user": shelves.user,
            "organization": shelves.organization,
            "customer": shelves.customer,
            "tag": shelves.tag,
        }
        record: Record | None = (await readers[kind](name)).value
        return record

    def _caps(self, record: Record) -> list[tuple[str | None, NanoUSD]]:
        whole = record.max_budget_at(self._clock.now()) if isinstance(record, KeyRecord) else record.max_budget
        own = [(record.budget_duration, whole), *((each.budget_duration, each.max_budget) for each in record.budget_limits)]
        return [(duration, cap) for duration, cap in own if cap is not None]

    async def _allowance(self, kind: str, name: str, duration: str | None, cap: NanoUSD) -> Allowance:
        spent, resets = await self._spending.spent(cast("ScopeKind", kind), name, duration)
        return Allowance(cap, spent, duration, resets)
