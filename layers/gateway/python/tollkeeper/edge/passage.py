"""One raw call on its way: who pays and whether they can, the provider's answer passed on untouched, and the books closed behind it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from tollkeeper.admission.asking import held_to
from tollkeeper.admission.doorkeeper import LIMIT_FIELDS, Doorkeeper, Ticket
from tollkeeper.admission.guards import Guards
from tollkeeper.admission.payer import Payer, payer_of
from tollkeeper.auth.access import may_use_model
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.budgets.estimate import input_tokens, output_tokens
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.metering import Kind, Meter, limit_in, with_limit
from tollkeeper.dialects.usage import Usage
from tollkeeper.edge.http import Send, raw_headers
from tollkeeper.edge.toll import entry_for
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_CUT, STATUS_FAILURE, STATUS_SUCCESS
from tollkeeper.money import ZERO, NanoUSD
from tollkeeper.pipeline import Gateway
from tollkeeper.providers.transport import Response
from tollkeeper.routing.rules import Rules

CALL_TYPE = "pass_through_endpoint"
"""LiteLLM's word for it in a ledger."""
_OPENAI_LIMITS = ("max_completion_tokens", "max_tokens")
_DROPPED = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding", "server", "date", "set-cookie"}
)
_STREAMS = ("text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson")


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw call. `kind` None: nobody can meter it, and `flat` is what it costs, if that is known."""

    call_id: str
    principal: Principal
    headers: Mapping[str, str]
    path: str
    """For messages and the ledger, as the caller wrote it."""
    deployment: Deployment
    model: str
    body: Json = field(default_factory=dict)
    data: bytes = b""
    kind: Kind | None = None
    flat: NanoUSD | None = None


class Passage:
    """One per process."""

    def __init__(
        self,
        gateway: Gateway,
        doorkeeper: Doorkeeper,
        authenticator: Authenticator,
        clock: Clock,
        *,
        rules: Callable[[], Rules],
        guards: Guards,
    ) -> None:
        self._gateway, self._doorkeeper, self._authenticator, self._clock = gateway, doorkeeper, authenticator, clock
        self._rules, self._guards = rules, guards

    async def enter(self, raw: Raw) -> "Passing":
        """Raises Forbidden, BudgetExceeded, RateLimited, BadRequest, StoreUnavailable."""
        body = {**raw.body, "model": raw.model}
        policy = self._doorkeeper.policy
        payer = await payer_of(raw.principal, body, raw.headers, authenticator=self._authenticator, policy=policy)
        held_to(self._rules(), payer, body, raw.headers, raw.deployment)
        if (said := await self._guards.raw(payer, raw.body, raw.call_id)) is not raw.body:
            raw = replace(raw, body=said, data=orjson.dumps(said))
        if raw.kind is None:
            ticket, data = await self._doorkeeper.admit_flat(payer, raw.flat, on=raw.path), raw.data
        else:
            ticket, data = await self._metered(raw, raw.kind, payer, _flat_limit(body, raw.kind))
        entry = entry_for(raw.principal, raw.headers, raw.call_id, call_type=CALL_TYPE, model=raw.model, now=self._clock.now())
        entry.customer_id, entry.tags = payer.customer_id, payer.tags
        account = Account(entry, self._clock)
        account.attempted(raw.deployment, fallback=False)
        return Passing(raw, data, ticket, account, self._gateway)

    async def _metered(self, raw: Raw, kind: Kind, payer: Payer, body: Json) -> tuple[Ticket, bytes]:
        """The ticket, and the request to send: as it came, unless a hard budget lowers its output limit."""
        keeper = self._doorkeeper
        ticket = await keeper.admit(payer, body, raw.data, [raw.deployment], output=kind.output)
        try:
            limited = await keeper.enter(ticket, raw.data, raw.deployment, ZERO)
        except BaseException:
            await keeper.settle(ticket, ZERO, 0)
            raise
        if ticket.limit is None:
            return ticket, raw.data
        paid = min(limited[name] for name in LIMIT_FIELDS if isinstance(limited.get(name), int))
        if paid in {limit_in(raw.body, kind), *(raw.body.get(name) for name in _OPENAI_LIMITS)}:
            return ticket, raw.data
        return ticket, orjson.dumps(with_limit(raw.body, kind, paid, _OPENAI_LIMITS))


class Passing:
    """A raw call that is paid for. `relay` or `fail` ends it, once."""

    def __init__(self, raw: Raw, data: bytes, ticket: Ticket, account: Account, gateway: Gateway) -> None:
        self.data = data
        """The request's body as it goes out."""
        self._raw, self._ticket, self._account, self._gateway = raw, ticket, account, gateway
        self._ended = False

    async def relay(self, response: Response, send: Send) -> None:
        """The provider's answer to the caller as it comes: status, headers and bytes. Never raises for what the provider does."""
        content_type = response.headers.get("content-type", "").partition(";")[0].strip()
        streamed = content_type in _STREAMS or (not content_type and self._raw.body.get("stream") is True)
        kind = self._raw.kind if response.status < 300 else None
        meter = Meter(kind, self._raw.model, streamed=streamed) if kind is not None else None
        status = STATUS_SUCCESS if response.status < 400 else STATUS_FAILURE
        self._account.entry.stream, self._account.entry.http_status = streamed, response.status
        kept = {name: value for name, value in response.headers.items() if name not in _DROPPED}
        ours = {"x-litellm-call-id": self._account.entry.call_id, **self._ticket.headers}
        ended = STATUS_CANCELLED
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": raw_headers({**kept, **ours})})
            ended = STATUS_CUT
            async for block in response.chunks():
                if meter is not None:
                    self._account.first_token()
                    meter.feed(block)
                ended = STATUS_CANCELLED
                await send({"type": "http.response.body", "body": block, "more_body": True})
                ended = STATUS_CUT
            if meter is not None:
                meter.close()
            await self._end(status, meter)
            await send({"type": "http.response.body", "body": b""})
        except BaseException as error:
            if not self._ended:
                await self._end(STATUS_CANCELLED if isinstance(error, asyncio.CancelledError) else ended, meter)
            raise
        finally:
            await response.aclose()

    async def fail(self, error: BaseException) -> None:
        """Nothing has come back."""
        status = STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED
        await self._end(status, None, error)

    async def _end(self, status: str, meter: Meter | None, error: BaseException | None = None) -> None:
        account, raw, self._ended = self._account, self._raw, True
        if meter is not None:
            account.stated(meter.usage)
            account.received(meter.text_bytes)
        entry = account.close(
            status,
            error,
            estimate=self._unstated(status, meter),
            most=self._ticket.hold.amount if self._ticket.hold and self._ticket.limit else None,
        )
        if raw.kind is None and status != STATUS_FAILURE:
            entry.cost, entry.priced = raw.flat or 0, raw.flat is not None
        await self._gateway.close_books(entry, self._ticket, NanoUSD(entry.cost))

    def _unstated(self, status: str, meter: Meter | None) -> Usage | None:
        """What an answer used that says nothing of it, or not all."""
        if meter is None or (status == STATUS_SUCCESS and meter.usage):
            return None
        deployment, limit = self._account.deployment, self._ticket.limit
        assert deployment is not None
        received = output_tokens(meter.text_bytes)
        read = input_tokens(self._raw.body, len(self._raw.data), deployment.provider, deployment.model)
        return Usage(input=read, output=min(received, limit or received))


def _flat_limit(body: Json, kind: Kind) -> Json:
    """The request with its output limit where budgets look for one."""
    limit = limit_in(body, kind)
    return {**body, "max_tokens": limit} if kind.limit and len(kind.limit) == 2 and isinstance(limit, int) else body


def allow(principal: Principal, deployment: Deployment) -> None:
    """Raises Forbidden: a key that is held to some models is held to them here too."""
    may_use_model(principal, deployment.group, deployment.access_groups)
