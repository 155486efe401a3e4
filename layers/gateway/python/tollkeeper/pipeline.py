"""THE request: what happens to one call, in order. Orchestration only; each step is a feature's.

    authenticate ▶ resolve the model ▶ may this key use it ▶ limits and money ▶ plan ▶ first success ▶ relay ▶ close the books

Two rules make the money right: the books are closed exactly once, whatever ends the call; and they are closed in a task of their own,
which a caller who hangs up cannot cancel. `drain` waits for these tasks: on Lambda before the next invocation, on a server before exit.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tollkeeper.admission.asking import asking, deadline_of, plan_of
from tollkeeper.admission.attempts import Attempts
from tollkeeper.admission.doorkeeper import Doorkeeper, Ticket
from tollkeeper.admission.payer import payer_of
from tollkeeper.admission.told import answer_headers, error_headers
from tollkeeper.admission.visit import Call, Visit, cannot_serve, entry_of, serving
from tollkeeper.auth.access import may_use_model, may_use_route, visible_models
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.native import native
from tollkeeper.errors import BadRequest, TollkeeperError, UpstreamError
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_FAILURE, STATUS_SUCCESS, Entry
from tollkeeper.ledger.metered import MeteredStream
from tollkeeper.money import NanoUSD
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.patience import patience_for, usable
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.health import ALWAYS_WELL, Health
from tollkeeper.routing.resolve import Groups, ModelGroup

__all__ = ["Answer", "Call", "Gateway"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Response headers, and either a body or a stream of chunks (always `aclose` it): in the endpoint's own words if `native`, else the
    hub's.
    """

    headers: dict[str, str]
    native: bool
    body: Json | None = None
    stream: MeteredStream | None = None


class Gateway:
    """The wired features; one per process."""

    def __init__(
        self,
        *,
        groups: Callable[[], Groups],
        authenticator: Authenticator,
        doorkeeper: Doorkeeper,
        client: ProviderClient,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        books_before_reply: bool,
        health: Health = ALWAYS_WELL,
    ) -> None:
        """`books_before_reply`: close the books before the last byte leaves, because a server may be killed at any moment; or after it,
        because a Lambda sandbox is not, and the caller need not wait.
        """
        self._groups = groups
        self._authenticator = authenticator
        self._doorkeeper = doorkeeper
        self._client = client
        self._attempts = Attempts(doorkeeper, client, clock)
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._books_before_reply = books_before_reply
        self._health = health
        self._closing: set[asyncio.Task[None]] = set()

    async def serve(self, call: Call) -> Answer:
        """Returns when the answer is whole, or when a stream's first content is in. Raises TollkeeperError."""
        visit = await self._admit(call)
        try:
            result = await first_success(
                visit.plan,
                lambda step: self._attempts.try_one(visit, step),
                self._clock,
                deadline=visit.deadline,
                discard=lambda step, unneeded: self._attempts.put_away(visit, step, unneeded),
            )
        except BaseException as error:
            await self._close(visit, STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED, error)
            if isinstance(error, TollkeeperError):
                error.headers = {**error_headers(visit), **error.headers}
            raise
        visit.account.stated(call.exactly)
        if result.opened is None:
            visit.account.stated(result.usage, (result.body or {}).get("service_tier"))
            visit.account.first_token()
        headers = answer_headers(visit, result.headers)
        if result.opened is not None:
            stream = MeteredStream(result.opened, visit.account, lambda status, error: self._close(visit, status, error))
            return Answer(headers, result.native, stream=stream)
        await self._close(visit, STATUS_SUCCESS, None)
        return Answer(headers, result.native, body=result.body)

    async def models(self, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, ModelGroup]:
        """The aliases this key may use, and what is behind them."""
        principal = await self._authenticator.authenticate(headers, query)
        groups = self._groups()
        names = visible_models(principal, groups.listed())
        return {name: group for name in names if (group := groups.find(name)) is not None}

    async def group(self, call: Call) -> ModelGroup:
        """The deployments behind the model a call names, for endpoints that cost nothing. Raises as `serve` does before it spends."""
        return (await self._resolve(call))[1]

    async def count_tokens(self, call: Call, group: ModelGroup, counting: str = "count_tokens") -> Json | None:
        """The provider's own count, which costs nothing; `counting` names it in dialects/native.py. None: none of this model's counts."""
        for deployment in group.deployments:
            if (counter := native(counting, deployment.dialect)) and not self._client.is_scripted(deployment, call.body):
                patience = patience_for(call.body, call.headers, deployment, usable(call.seconds_left(self._clock)))
                try:
                    return (await self._client.complete(deployment, call.body["model"], call.body, patience, counter)).body
                except UpstreamError as error:
                    if not error.retryable:
                        raise
        return None

    async def close_books(self, entry: Entry, ticket: Ticket, cost: NanoUSD) -> None:
        """Of a call that did not come through `serve`: a raw provider API, a tool. Once, and whatever became of the caller."""
        entry.hold_ids = ticket.hold_ids

        async def book() -> None:
            await self._ledger.record(entry)
            await self._doorkeeper.settle(ticket, cost, entry.input_tokens + entry.output_tokens)

        await self._closed(book())

    async def drain(self) -> None:
        """Waits until every finished call is in the books."""
        while self._closing:
            await asyncio.wait(self._closing)

    async def _resolve(self, call: Call) -> tuple[Principal, ModelGroup]:
        """Who calls, and the deployments that can serve it. Raises Unauthenticated, Forbidden, BadRequest."""
        principal = call.principal or await self._authenticator.authenticate(call.headers, call.query)
        may_use_route(principal, call.endpoint.route)
        model = call.body["model"]
        found = self._groups().find(model, principal.aliases)
        if found is None:
            raise BadRequest(
                f"{call.endpoint.route.removeprefix('/v1/')}: Invalid model name passed in model={model[:200]}. "
                "Call `/v1/models` to view available models for your key.",
                param="model",
            )
        may_use_model(principal, model, found.access_groups)
        group = serving(found, call.endpoint)
        if group is None:
            raise cannot_serve(found, call.endpoint, model)
        return principal, group

    async def _admit(self, call: Call) -> Visit:
        principal, group = await self._resolve(call)
        groups, keeper, now = self._groups(), self._doorkeeper, self._clock.now()
        payer = await payer_of(principal, call.body, call.headers, authenticator=self._authenticator, policy=keeper.policy)
        asks = asking(call, payer, group, groups, now)

        def find(name: str) -> ModelGroup | None:
            other = groups.find(name)
            return other and serving(other, call.endpoint)

        plan = plan_of(asks, groups, find, call, random=self._random, health=self._health)
        units = call.measured.units if call.measured else None
        ticket = await keeper.admit(payer, call.body, call.raw, plan.deployments(), output=call.endpoint.output, units=units)
        account = Account(entry_of(call, principal, payer, now), self._clock)
        return Visit(call, group, plan, account, ticket, deadline_of(call, asks.group, self._clock))

    async def _close(self, visit: Visit, status: str, error: BaseException | None) -> None:
        ticket = visit.ticket
        most = ticket.hold.amount if ticket.hold and ticket.limit else None
        entry = visit.account.close(status, error, estimate=visit.unstated(status), most=most)
        entry.hold_ids, entry.routing = ticket.hold_ids, visit.plan.record.as_json()
        booking = self._book(visit, entry.cost, entry.input_tokens + entry.output_tokens, error)
        await self._closed(booking, waiting=visit.call.principal is not None)

    async def _closed(self, booking: Coroutine[Any, Any, None], *, waiting: bool = False) -> None:
        task = asyncio.create_task(booking)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        if self._books_before_reply or waiting:
            await asyncio.shield(task)

    async def _book(self, visit: Visit, cost: int, tokens: int, error: BaseException | None) -> None:
        """The entry first: from it the janitor learns what a call cost whose process died before it could settle."""
        entry = visit.account.entry
        await self._ledger.record(entry)
        settling = self._doorkeeper.settle(visit.ticket, NanoUSD(cost), tokens)
        await asyncio.gather(settling, finish(visit.plan, tokens=tokens, output_tokens=entry.output_tokens, error=error))
