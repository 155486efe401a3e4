"""What the management API is given, and how its routes reach it."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from tollkeeper.auth.access import may_administer
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.money import ZERO, NanoUSD
from tollkeeper.store.table import Table

_LONGEST_AUTHOR = 256


@dataclass(frozen=True, slots=True)
class Spend:
    """What a scope has spent in its current window, and when that ends (epoch seconds; None: never)."""

    spent: NanoUSD = ZERO
    resets_at: float | None = None


class SpendReader(Protocol):
    """The counters, seen from here. `scope` is key, team or user."""

    async def spend(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend: ...


@dataclass(frozen=True, slots=True)
class AdminServices:
    """`spend` None: rows show no spending (there are no counters). `authenticator` is told of every change made here."""

    directory: Table
    authenticator: Authenticator
    pepper: bytes
    clock: Clock
    spend: SpendReader | None = None

    async def spent(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend:
        return await self.spend.spend(scope, scope_id, budget_duration) if self.spend else Spend()


def _services(request: Request) -> AdminServices:
    services: AdminServices = request.app.state.services
    return services


Services = Annotated[AdminServices, Depends(_services)]


async def _caller(request: Request, services: Services) -> Principal:
    # `?key=` names the key a route is about, so it is never taken for the caller's own.
    return await services.authenticator.authenticate(request.headers.raw)


Caller = Annotated[Principal, Depends(_caller)]


async def _administrator(request: Request, caller: Caller) -> str:
    may_administer(caller, request.url.path, write=request.method not in ("GET", "HEAD"))
    changed_by = request.headers.get("litellm-changed-by", "")[:_LONGEST_AUTHOR]
    return changed_by or caller.user_id or caller.key_hash


Author = Annotated[str, Depends(_administrator)]
"""An administrator's call: who `created_by`/`updated_by` will name."""
