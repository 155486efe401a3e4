"""What a scope has spent, for whoever shows it: the counter of its budget's window, or its lifetime where it has no budget.

Budget counters exist only where there is a budget, and a key without one asks the store nothing before a call. So that such a key still
has a spend to show, one unconditional write after the call adds to `<scope> / lifetime`. It is for showing: the ledger is the truth.
"""

import logging
from collections.abc import Iterable
from datetime import tzinfo

from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.scopes import Owner, ScopeCap, ScopeKind, Terms, scope_caps
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable
from tollkeeper.money import NanoUSD
from tollkeeper.store.items import LIFETIME_SK, scope_pk
from tollkeeper.store.table import Table
from tollkeeper.store.together import is_immediate, together

log = logging.getLogger("tollkeeper.spending")
_ANY = NanoUSD(0)


class Spending:
    """One per process. Scope ids are as the management API has them; a team member's is `<team id>/<user id>`."""

    def __init__(self, budgets: Budgets, counters: Table, clock: Clock, zone: tzinfo) -> None:
        self._budgets = budgets
        self._table = counters
        self._immediate = is_immediate(counters)
        self._clock = clock
        self._zone = zone

    async def note(self, scopes: Iterable[tuple[str, tuple[str, ...]]], cost: NanoUSD) -> None:
        """After a call, for (kind, ids) of everybody it belongs to. Never raises."""

        async def one(kind: str, ids: tuple[str, ...]) -> None:
            try:
                await self._table.apply(scope_pk(kind, *ids), LIFETIME_SK, add={"spent": cost, "calls": 1})
            except StoreUnavailable as error:
                log.warning("lifetime_spend_not_noted %s", error.message)

        if cost:
            await together((one(kind, ids) for kind, ids in scopes), immediate=self._immediate)

    async def spent(self, kind: ScopeKind, scope_id: str, budget_duration: str | None) -> tuple[NanoUSD, float | None]:
        """Nano-dollars, and when the window ends (epoch seconds; None: never). Raises StoreUnavailable."""
        cap = self._cap(kind, scope_id, budget_duration)
        balance = await self._budgets.balance(cap)
        if budget_duration or balance.spent:
            return NanoUSD(balance.spent), cap.window.end
        lifetime = await self._table.get(cap.pk, LIFETIME_SK)
        return NanoUSD(int(lifetime["spent"]) if lifetime else 0), None

    async def set_spent(self, kind: ScopeKind, scope_id: str, budget_duration: str | None, spent: NanoUSD) -> None:
        """Open holds stay. Raises StoreUnavailable."""
        cap = self._cap(kind, scope_id, budget_duration)
        await self._budgets.reset_spend(cap, spent)
        before = int((await self._table.get(cap.pk, LIFETIME_SK, consistent=True) or {}).get("spent", 0))
        # By a difference, and noted as one, so that calls of the same moment count and the ledger can be held against it.
        await self._table.apply(cap.pk, LIFETIME_SK, add={"spent": spent - before, "adjusted": before - spent})

    def _cap(self, kind: ScopeKind, scope_id: str, budget_duration: str | None) -> ScopeCap:
        ids = tuple(scope_id.split("/", 1)) if kind == "team_member" else (scope_id,)
        terms = Terms(max_budget=_ANY, budget_duration=budget_duration)
        (cap,) = scope_caps([Owner(kind, ids, terms)], self._clock.now(), self._zone)
        return cap
