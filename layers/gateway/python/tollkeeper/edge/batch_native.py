"""A batch at its provider, for one caller: the deployment, the caller's name for the model, and the books."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import orjson

from tollkeeper.admission.doorkeeper import Doorkeeper
from tollkeeper.admission.guards import Guards
from tollkeeper.admission.payer import payer_of
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.batches.lines import Line
from tollkeeper.batches.native.base import Asked, BatchFormat, Handed, Intake, NativeAnswer, Request
from tollkeeper.batches.native.calls import Calls
from tollkeeper.batches.native.choice import format_for, runs_natively
from tollkeeper.batches.owner import Owner
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.toll import entry_for
from tollkeeper.errors import CallerError
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.cost import cost_of
from tollkeeper.ledger.entry import STATUS_SUCCESS
from tollkeeper.money import ZERO
from tollkeeper.pipeline import Gateway
from tollkeeper.providers.client import ProviderClient
from tollkeeper.routing.resolve import Groups

CALL_TYPE = "aretrieve_batch"
"""LiteLLM books a provider's batch under this name."""
_TIER = "batch"


class Books:
    """What every native run of a process shares."""

    def __init__(
        self,
        gateway: Gateway,
        doorkeeper: Doorkeeper,
        authenticator: Authenticator,
        ledger: Ledger,
        *,
        groups: Callable[[], Groups],
        guards: Guards,
        clock: Clock,
        client: ProviderClient,
    ) -> None:
        self._groups, self._guards = groups, guards
        self.gateway, self.doorkeeper, self.authenticator, self.ledger = gateway, doorkeeper, authenticator, ledger
        self.clock, self.client = clock, client

    async def line_by_line(self, principal: Principal, model: str, intake: Intake) -> bool:
        """Whether the gateway must run the batch itself: for a hard budget, as nobody can hold money for a day, and for guardrails, which
        read every line. Raises BadRequest for a guardrail nobody has.
        """
        if "guardrails" in intake.needs or self._guards.asks_of(principal):
            return True
        policy = self.doorkeeper.policy
        payer = await payer_of(principal, {"model": model}, {}, authenticator=self.authenticator, policy=policy)
        return self.doorkeeper.is_capped(payer)

    async def handed(self, owner: Owner, model: str, intake: Intake, deployment_id: str) -> "GatewayNative | None":
        """A batch that is at its provider already: what it costs is booked and what it answers is kept, whatever the key may today."""
        try:
            principal = await self.authenticator.by_hash(owner.key_hash, master=owner.admin)
        except CallerError:
            principal = principal_of(KeyRecord(key_hash=owner.key_hash, user_id=owner.user_id, team_id=owner.team_id))
        group = self._groups().find(model, principal.aliases)
        rows = group.deployments if group is not None else ()
        row = next((row for row in rows if row.id == deployment_id), None) or self._groups().deployment(deployment_id)
        return run_of(self, row, principal, model, intake, has_it=True) if row is not None else None


def run_of(books: Books, row: Deployment, principal: Principal, alias: str, intake: Intake, *, has_it: bool) -> "GatewayNative | None":
    """`has_it`: the batch is there already. None: this deployment's provider does not take such a batch."""
    way = format_for(row, Asked(alias, intake.endpoint, int(books.clock.now())))
    if way is None or not (has_it or runs_natively(row, intake)):
        return None
    return GatewayNative(books, row, principal, alias, way)


class GatewayNative:
    """Implements batches.runner.NativeRun."""

    def __init__(self, books: Books, deployment: Deployment, principal: Principal, alias: str, way: BatchFormat) -> None:
        self._books, self._deployment, self._principal, self._alias = books, deployment, principal, alias
        self._format, self._calls = way, Calls(books.client, books.clock)
        self.deployment_id, self.by_number, self.repeatable = deployment.id, self._format.by_number, self._format.repeatable

    async def stage(self, jsonl: bytes, tag: str) -> str:
        return await self._calls.walk(self._format.stage(jsonl, tag))

    async def create(self, staged: str, jsonl: bytes, tag: str) -> str:
        return await self._calls.walk(self._format.create(staged, jsonl, tag))

    async def find(self, tag: str) -> str | None:
        return await self._calls.walk(self._format.find(tag))

    async def look(self, native_id: str, tag: str) -> Handed:
        return await self._calls.walk(self._format.look(native_id, tag))

    async def cancel(self, native_id: str) -> None:
        await self._calls.walk(self._format.cancel(native_id))

    def rows(self, file: Request) -> AsyncIterator[Json]:
        return self._calls.rows(file)

    def answer(self, row: Json) -> NativeAnswer:
        return self._format.answer(row)

    def row_of(self, line: Line) -> bytes:
        return orjson.dumps(self._format.row_of(line))

    async def book(self, answer: NativeAnswer, *, call_id: str, shown_id: str, at: float) -> None:
        """At the provider's batch prices."""
        books, deployment = self._books, self._deployment
        if await books.ledger.cost_of(call_id, at) is not None:
            return
        usage = replace(usage_from_hub(answer.usage or {}), service_tier=_TIER)
        cost = cost_of(usage, deployment.prices).total if deployment.prices else ZERO
        policy = books.doorkeeper.policy
        payer = await payer_of(self._principal, {"model": self._alias}, {}, authenticator=books.authenticator, policy=policy)
        ticket = await books.doorkeeper.admit_flat(payer, cost, on="a batch", counted=False)
        entry = entry_for(self._principal, {"x-litellm-call-id": shown_id}, call_id, call_type=CALL_TYPE, model=self._alias, now=at)
        entry.customer_id, entry.tags = payer.customer_id, payer.tags
        account = Account(entry, books.clock)
        account.attempted(deployment, fallback=False)
        account.stated({**(answer.usage or {}), "service_tier": _TIER})
        closed = account.close(STATUS_SUCCESS)
        await books.gateway.close_books(closed, ticket, cost)
