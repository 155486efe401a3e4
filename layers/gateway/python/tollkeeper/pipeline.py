"""THE request: what happens to one call, in order. Orchestration only; each step is a feature's.

    authenticate ▶ resolve the model ▶ may this key use it ▶ limits and money ▶ guardrails ▶ first success ▶ guardrails ▶ relay ▶ books

Two rules make the money right: the books are closed exactly once, whatever ends the call; and they are closed in a task of their own,
which a caller who hangs up cannot cancel. `drain` waits for these tasks: on Lambda before the next invocation, on a server before exit.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tollkeeper.admission.asides import counted, forgotten
from tollkeeper.admission.attempts import Attempts, note_answer
from tollkeeper.admission.doorkeeper import Doorkeeper, Ticket
from tollkeeper.admission.explain import explained
from tollkeeper.admission.guards import Guards
from tollkeeper.admission.own_calls import embedder, mirrored, silent_copy
from tollkeeper.admission.reception import EmbedFor, Reception
from tollkeeper.admission.told import answer_headers, error_headers
from tollkeeper.admission.visit import Call, Visit, transcript_for
from tollkeeper.auth.access import may_use_route, visible_models
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.errors import TollkeeperError
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.content import ContentLog
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_FAILURE, STATUS_SUCCESS, Entry
from tollkeeper.ledger.metered import MeteredStream
from tollkeeper.money import NanoUSD
from tollkeeper.providers.client import ProviderClient
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.health import ALWAYS_WELL, Health
from tollkeeper.routing.resolve import Groups, ModelGroup
from tollkeeper.store.together import started, together

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
    entry: Entry | None = None
    """Who asked, and who answered."""


class Gateway:
    """The wired features; one per process."""

    def __init__(
        self,
        *,
        groups: Callable[[], Groups],
        authenticator: Authenticator,
        doorkeeper: Doorkeeper,
        client: ProviderClient,
        guards: Guards,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        books_before_reply: bool,
        health: Health = ALWAYS_WELL,
        content: ContentLog | None = None,
    ) -> None:
        """`books_before_reply`: close the books before the last byte leaves, because a server may be killed at any moment; or after it,
        because a Lambda sandbox is not, and the caller need not wait. `content` keeps what keys and teams want kept.
        """
        self._reception = Reception(groups, authenticator, doorkeeper, clock=clock, random=random, health=health)
        self._authenticator, self._doorkeeper, self._client, self._guards = authenticator, doorkeeper, client, guards
        self._attempts = Attempts(doorkeeper, client, clock)
        self._ledger, self._content, self._clock = ledger, content, clock
        self._books_before_reply = books_before_reply
        self._closing: set[asyncio.Future[None]] = set()

    async def serve(self, call: Call) -> Answer:
        """Returns when the answer is whole, or when a stream's first content is in. Raises TollkeeperError."""
        visit = await self._reception.admit(call, self._embedder(call))
        if self._content is not None:
            visit.account.transcript = transcript_for(visit)
        try:
            visit = await self._guards.before(visit)
            result = await first_success(
                visit.plan,
                lambda step: self._attempts.try_one(visit, step),
                self._clock,
                deadline=visit.deadline,
                discard=lambda step, unneeded: self._attempts.put_away(visit, step, unneeded),
            )
            note_answer(visit, result)
            await self._guards.after(visit, result)
        except BaseException as error:
            visit.guarding.stop()
            await self._close(visit, STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED, error)
            if isinstance(error, TollkeeperError):
                error.headers = {**error_headers(visit), **error.headers}
            raise
        if (copy := silent_copy(visit, self._clock)) is not None:
            self._keep(asyncio.create_task(mirrored(copy, self._said)))
        headers = answer_headers(visit, result.headers)
        if result.opened is not None:
            stream = self._guards.stream(visit, result.opened, lambda status, error: self._close(visit, status, error))
            await stream.ready()
            return Answer(headers, result.native, stream=stream, entry=visit.account.entry)
        await self._close(visit, STATUS_SUCCESS, None)
        return Answer(headers, result.native, body=result.body, entry=visit.account.entry)

    async def models(self, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, ModelGroup]:
        """The aliases this key may use, and what is behind them."""
        principal = await self._authenticator.authenticate(headers, query)
        groups = self._reception.groups()
        names = visible_models(principal, groups.listed())
        return {name: group for name in names if (group := groups.find(name)) is not None}

    async def caller(self, headers: Mapping[str, str], query: Mapping[str, str], route: str) -> Principal:
        """Who asks for what costs nothing. Raises Unauthenticated, Forbidden."""
        principal = await self._authenticator.authenticate(headers, query)
        may_use_route(principal, route)
        return principal

    async def forget_response(self, deployment_id: str, response_id: str) -> None:
        """Deletes a response where its provider keeps it, too. Raises UpstreamError."""
        await forgotten(self._client, self._reception.groups().deployment(deployment_id), response_id)

    async def group(self, call: Call) -> ModelGroup:
        """The deployments behind the model a call names, for endpoints that cost nothing. Raises as `serve` does before it spends."""
        return await self._reception.permitted(call, self._embedder(call))

    async def explain(self, call: Call) -> Json:
        """Where a call would go, and why (admission/explain.py). Nothing is sent, nothing is spent."""
        return await explained(self._reception, call, self._embedder(call))

    async def count_tokens(self, call: Call, group: ModelGroup, counting: str = "count_tokens") -> Json | None:
        """The provider's own count, which costs nothing; `counting` names it in dialects/native.py. None: none of this model's counts."""
        return await counted(self._client, self._clock, call, group, counting)

    async def close_books(self, entry: Entry, ticket: Ticket, cost: NanoUSD) -> None:
        """Of a call that did not come through `serve`: a raw provider API, a tool. Once, and whatever became of the caller."""
        entry.hold_ids, entry.counters = ticket.hold_ids, ticket.counters

        async def book() -> None:
            await self._ledger.record(entry)
            await self._doorkeeper.settle(ticket, cost, entry.input_tokens + entry.output_tokens)

        await self._closed(book())

    async def drain(self) -> None:
        """Waits until every finished call is in the books."""
        while self._closing:
            await asyncio.wait(self._closing)

    async def _close(self, visit: Visit, status: str, error: BaseException | None) -> None:
        ticket = visit.ticket
        most = ticket.hold.amount if ticket.hold and ticket.limit else None
        entry = visit.account.close(status, error, estimate=visit.unstated(status), most=most)
        entry.hold_ids, entry.counters, entry.routing = ticket.hold_ids, ticket.counters, visit.plan.record.as_json()
        booking = self._book(visit, entry.cost, entry.input_tokens + entry.output_tokens, error)
        await self._closed(booking, waiting=visit.call.principal is not None)

    async def _closed(self, booking: Coroutine[Any, Any, None], *, waiting: bool = False) -> None:
        task = started(booking, immediate=self._doorkeeper.immediate)
        if task.done():
            task.result()  # raises what it raised
            return
        self._keep(task)
        if self._books_before_reply or waiting:
            await asyncio.shield(task)

    async def _book(self, visit: Visit, cost: int, tokens: int, error: BaseException | None) -> None:
        """The entry first: from it the janitor learns what a call cost whose process died before it could settle."""
        entry = visit.account.entry
        await self._ledger.record(entry)
        if self._content is not None and visit.account.transcript is not None:
            await self._content.keep(entry.request_id, visit.call.body, visit.account.transcript)
        settling = self._doorkeeper.settle(visit.ticket, NanoUSD(cost), tokens)
        finishing = finish(visit.plan, tokens=tokens, output_tokens=entry.output_tokens, error=error)
        await together((settling, finishing), immediate=self._doorkeeper.immediate)

    async def _said(self, own: Call) -> Json:
        """The answer to a call the gateway makes itself."""
        return (await self.serve(own)).body or {}

    def _embedder(self, call: Call) -> EmbedFor:
        return embedder(call, self._said, self._clock)

    def _keep(self, task: asyncio.Future[None]) -> None:
        """Nobody waits for it but `drain`."""
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
