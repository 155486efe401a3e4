"""THE request: what happens to one call, in order. Orchestration only; each step is a feature's.

    authenticate ▶ resolve the model ▶ may this key use it ▶ limits and money ▶ plan ▶ first success ▶ relay ▶ close the books

Two rules make the money right: the books are closed exactly once, whatever ends the call; and they are closed in a task of their own,
which a caller who hangs up cannot cancel. `drain` waits for these tasks: on Lambda before the next invocation, on a server before exit.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tollkeeper.admission.doorkeeper import Doorkeeper, Ticket
from tollkeeper.admission.payer import payer_of
from tollkeeper.auth.access import may_use_model, may_use_route, visible_models
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.budgets.estimate import input_tokens, output_tokens
from tollkeeper.catalog.reasoning import thinks_unseen
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.usage import Usage
from tollkeeper.errors import BadRequest, UpstreamTimeout
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_CUT, STATUS_FAILURE, STATUS_SUCCESS, Entry
from tollkeeper.ledger.metered import MeteredStream, Opened, open_stream
from tollkeeper.money import NanoUSD, nano_to_usd
from tollkeeper.providers.client import ProviderClient, may_have_been_billed
from tollkeeper.providers.patience import patience_for
from tollkeeper.routing.failover import first_success
from tollkeeper.routing.plan import Attempt, Plan, wishes
from tollkeeper.routing.resolve import Groups, ModelGroup


@dataclass(frozen=True, slots=True)
class Call:
    """One request as an edge parsed it. `deadline` is epoch seconds, where the platform sets one."""

    id: str
    shown_id: str
    body: Json
    raw: bytes
    """The body as it came: its size bounds its tokens."""
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    route: str = "/v1/chat/completions"
    kind: str = "acompletion"


@dataclass(frozen=True, slots=True)
class Answer:
    """Response headers, and either a hub body or a stream of hub chunks (always `aclose` it)."""

    headers: dict[str, str]
    body: Json | None = None
    stream: MeteredStream | None = None


@dataclass(frozen=True, slots=True)
class _Visit:
    """An admitted call."""

    call: Call
    group: ModelGroup
    plan: Plan
    account: Account
    ticket: Ticket


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
    ) -> None:
        """`books_before_reply`: close the books before the last byte leaves, because a server may be killed at any moment; or after it,
        because a Lambda sandbox is not, and the caller need not wait.
        """
        self._groups = groups
        self._authenticator = authenticator
        self._doorkeeper = doorkeeper
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._books_before_reply = books_before_reply
        self._closing: set[asyncio.Task[None]] = set()

    async def chat(self, call: Call) -> Answer:
        """Returns when the answer is whole, or when a stream's first content is in. Raises TollkeeperError."""
        visit = await self._admit(call)
        streamed = bool(call.body.get("stream"))
        try:
            result = await first_success(visit.plan, lambda step: self._attempt(visit, step, streamed=streamed), self._clock)
        except BaseException as error:
            await self._close(visit, STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED, error)
            raise
        headers = self._headers(visit)
        if isinstance(result, Opened):
            return Answer(headers, stream=MeteredStream(result, visit.account, lambda status, error: self._close(visit, status, error)))
        await self._close(visit, STATUS_SUCCESS, None)
        return Answer(headers, body=result)

    async def models(self, headers: Mapping[str, str], query: Mapping[str, str]) -> list[str]:
        """The aliases this key may use."""
        principal = await self._authenticator.authenticate(headers, query)
        return visible_models(principal, self._groups().listed())

    async def drain(self) -> None:
        """Waits until every finished call is in the books."""
        while self._closing:
            await asyncio.wait(self._closing)

    async def _admit(self, call: Call) -> _Visit:
        principal = await self._authenticator.authenticate(call.headers, call.query)
        may_use_route(principal, call.route)
        groups = self._groups()
        model = call.body["model"]
        group = groups.find(model, principal.aliases)
        if group is None:
            raise BadRequest(
                f"/chat/completions: Invalid model name passed in model={model[:200]}. "
                "Call `/v1/models` to view available models for your key.",
                param="model",
            )
        may_use_model(principal, model, group.access_groups)
        plan = Plan(groups.snapshot, group, groups.find, self._random, **wishes(call.body, call.headers))
        payer = await payer_of(principal, call.body, call.headers, authenticator=self._authenticator, policy=self._doorkeeper.policy)
        ticket = await self._doorkeeper.admit(payer, call.body, call.raw, plan.deployments())
        entry = Entry(
            request_id=call.id,
            call_id=call.shown_id,
            started_at=self._clock.now(),
            call_type=call.kind,
            model=model,
            stream=bool(call.body.get("stream")),
            key_hash=principal.key_hash,
            key_alias=principal.key_alias,
            key_name=principal.key_name,
            team_id=principal.team_id,
            user_id=principal.user_id,
            organization_id=principal.organization_id,
            customer_id=payer.customer_id,
            tags=payer.tags,
            hold_id=ticket.hold.id if ticket.hold else None,
        )
        return _Visit(call, group, plan, Account(entry, self._clock), ticket)

    async def _attempt(self, visit: _Visit, step: Attempt, *, streamed: bool) -> Json | Opened:
        call, deployment, account = visit.call, step.deployment, visit.account
        body = await self._doorkeeper.enter(visit.ticket, call.raw, deployment, account.lost_cost)
        account.attempted(deployment, fallback=step.fallback)
        left = call.deadline - self._clock.now() if call.deadline is not None else None
        patience = patience_for(call.body, call.headers, deployment, left)
        try:
            async with asyncio.timeout(patience.first_byte if streamed else patience.whole):
                if streamed:
                    return await open_stream(await self._client.stream(deployment, call.body["model"], body, patience))
                done = await self._client.complete(deployment, call.body["model"], body, patience)
        except BaseException as error:
            if may_have_been_billed(error):
                account.lost(Usage(input=input_tokens(call.body, len(call.raw), deployment.provider, deployment.model)))
            if isinstance(error, TimeoutError):
                raise UpstreamTimeout(f"Timeout: {deployment.provider} did not answer in time.") from None
            raise
        account.stated(done.body.get("usage"))
        account.first_token()
        return done.body

    async def _close(self, visit: _Visit, status: str, error: BaseException | None) -> None:
        account, hold = visit.account, visit.ticket.hold
        estimate = None
        if status in {STATUS_CUT, STATUS_CANCELLED} or (status == STATUS_SUCCESS and account.usage is None):
            estimate = self._estimate(visit)
        entry = account.close(status, error, estimate=estimate, most=hold.amount if hold and visit.ticket.limit else None)
        task = asyncio.create_task(self._book(visit, entry))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        if self._books_before_reply:
            await asyncio.shield(task)

    async def _book(self, visit: _Visit, entry: Entry) -> None:
        tokens = entry.input_tokens + entry.output_tokens
        await asyncio.gather(self._doorkeeper.settle(visit.ticket, NanoUSD(entry.cost), tokens), self._ledger.record(entry))

    def _estimate(self, visit: _Visit) -> Usage | None:
        """For an answer that had begun; what a try took in before that is on the account as lost."""
        call, account, deployment = visit.call, visit.account, visit.account.deployment
        if deployment is None or account.entry.first_token_ms is None:
            return None
        hidden = visit.ticket.limit if thinks_unseen(deployment.model, call.body) else None
        received = output_tokens(account.text_bytes)
        limit = visit.ticket.limit or received
        return Usage(
            input=input_tokens(call.body, len(call.raw), deployment.provider, deployment.model), output=hidden or min(received, limit)
        )

    def _headers(self, visit: _Visit) -> dict[str, str]:
        entry = visit.account.entry
        headers = {
            "x-litellm-call-id": visit.call.shown_id,
            "x-request-id": visit.call.id,
            "x-litellm-model-id": entry.deployment_id or "",
            "x-litellm-model-group": visit.group.name,
            "x-litellm-attempted-retries": str(visit.plan.tries - 1 - visit.plan.fallbacks_used),
            "x-litellm-attempted-fallbacks": str(visit.plan.fallbacks_used),
            **visit.ticket.headers,
        }
        if (cost := visit.account.cost()) is not None:
            headers["x-litellm-response-cost"] = repr(nano_to_usd(cost.total))
        return headers
