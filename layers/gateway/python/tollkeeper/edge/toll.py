"""What a call pays that is no model's: its rates counted, a flat cost set aside in every scope, and an entry in the ledger at its end."""

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from tollkeeper.admission.doorkeeper import Doorkeeper, Ticket
from tollkeeper.admission.payer import payer_of
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_FAILURE, STATUS_SUCCESS, Entry
from tollkeeper.money import ZERO, NanoUSD
from tollkeeper.pipeline import Gateway


class Toll:
    """One per process."""

    def __init__(self, gateway: Gateway, doorkeeper: Doorkeeper, authenticator: Authenticator, clock: Clock) -> None:
        self._gateway, self._doorkeeper, self._authenticator, self._clock = gateway, doorkeeper, authenticator, clock

    async def enter(
        self,
        principal: Principal,
        headers: Mapping[str, str],
        call_id: str,
        *,
        call_type: str,
        model: str,
        cost: NanoUSD,
        server: str | None = None,
    ) -> "Paid":
        """Raises BudgetExceeded, RateLimited, StoreUnavailable. Use what it returns as a context manager: it pays only if that succeeds."""
        payer = await payer_of(principal, {"model": model}, headers, authenticator=self._authenticator, policy=self._doorkeeper.policy)
        payer = replace(payer, server=server)
        ticket = await self._doorkeeper.admit_flat(payer, cost, on=model)
        entry = entry_for(principal, headers, call_id, call_type=call_type, model=model, now=self._clock.now())
        entry.customer_id, entry.tags = payer.customer_id, payer.tags
        return Paid(self._gateway, ticket, Account(entry, self._clock), cost)


class Paid:
    """A call that is under way."""

    def __init__(self, gateway: Gateway, ticket: Ticket, account: Account, cost: NanoUSD) -> None:
        self._gateway, self._ticket, self._account, self._cost = gateway, ticket, account, cost

    async def __aenter__(self) -> None:
        self._account.entry.attempts = 1

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status = STATUS_SUCCESS if error is None else STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED
        entry = self._account.close(status, error)
        cost = self._cost if status != STATUS_FAILURE else ZERO
        entry.cost, entry.priced = cost, True
        await self._gateway.close_books(entry, self._ticket, cost)


def entry_for(principal: Principal, headers: Mapping[str, str], call_id: str, *, call_type: str, model: str, now: float) -> Entry:
    """An entry as it opens."""
    return Entry(
        request_id=call_id,
        call_id=headers.get("x-litellm-call-id", call_id)[:128],
        started_at=now,
        call_type=call_type,
        model=model,
        key_hash=principal.key_hash,
        key_alias=principal.key_alias,
        key_name=principal.key_name,
        team_id=principal.team_id,
        user_id=principal.user_id,
        organization_id=principal.organization_id,
    )
