"""The counters behind SpendReader and SpendWriter: any pair of functions that reads and sets a scope's spend."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tollkeeper.admin.parts import Spend
from tollkeeper.money import NanoUSD


@dataclass(frozen=True, slots=True)
class CounterSpend:
    """`read(kind, id, duration)` gives nano-dollars and the window's end; `write` sets them. Both raise StoreUnavailable."""

    read: Callable[[Any, str, str | None], Awaitable[tuple[NanoUSD, float | None]]]
    write: Callable[[Any, str, str | None, NanoUSD], Awaitable[None]]

    async def spend(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend:
        return Spend(*await self.read(scope, scope_id, budget_duration))

    async def set_spend(self, scope: str, scope_id: str, budget_duration: str | None, spent: NanoUSD) -> None:
        await self.write(scope, scope_id, budget_duration, spent)
