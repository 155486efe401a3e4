"""Lets a call in, or not: money set aside and rates counted in every scope, in one parallel round trip, and all of it ended again.

Under a hard budget the output limit that was paid for is written into the request that goes upstream, in one field: a hold that is not sent
upstream is no cap. A key without budget and limit asks the store nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from tollkeeper.admission.payer import Payer, Policy, deployment_owners, money_owners, rate_limits
from tollkeeper.admission.spending import Spending
from tollkeeper.budgets.bound import UNKNOWN_WINDOW, Bound, Tariff, worst_case
from tollkeeper.budgets.estimate import expected_tokens
from tollkeeper.budgets.hold import Balance, Hold
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.scopes import ScopeCap, scope_caps
from tollkeeper.budgets.units import Units
from tollkeeper.catalog.output_limits import output_limit
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Prices
from tollkeeper.dialects.base import Json
from tollkeeper.errors import BadRequest, BudgetExceeded, RateLimited, UpstreamRateLimited
from tollkeeper.ledger.counted import counters_of
from tollkeeper.limits.rate import NOTHING, Admission, Limits
from tollkeeper.money import ZERO, NanoUSD
from tollkeeper.store.together import started, together

LIMIT_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""The hub's names for an output limit: of several the smallest counts, and one goes upstream."""
_MINUTE = 60
COUNT_FIELDS = ("n", "best_of")
"""How many answers are generated, and billed."""
MOST_ANSWERS = 10_000
MIN_OUTPUT_TOKENS = 64
"""A clamp below this is no useful answer; `tollkeeper.budgets.min_output_tokens`."""


@dataclass(slots=True)
class Ticket:
    """An admitted call. `body` is the request as it goes upstream; `limit` the output limit that was paid for, if a hard budget asked."""

    body: Json
    payer: Payer | None = None
    hold: Hold | None = None
    place: Hold | None = None
    """What is set aside in the budgets of the deployment being tried."""
    counted: Admission = NOTHING
    limit: int | None = None
    bound: Bound | None = None
    output: bool = True
    """False: the answer has no tokens that are paid for, and so no limit."""
    units: Units | None = None
    """What is paid for in place of tokens."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def hold_ids(self) -> tuple[str, ...]:
        return tuple(hold.id for hold in (self.hold, self.place) if hold is not None and hold.id)

    @property
    def counters(self) -> tuple[str, ...]:
        """Where the cost will be counted (ledger/counted.py)."""
        parts = (part for hold in (self.hold, self.place) if hold is not None for part in hold.parts)
        return counters_of((part.scope.pk, part.scope.window.key) for part in parts)


class Doorkeeper:
    """One per process."""

    def __init__(
        self,
        budgets: Budgets,
        limits: Limits,
        spending: Spending,
        policy: Policy,
        clock: Clock,
        *,
        zone: tzinfo = UTC,
        min_output_tokens: int = MIN_OUTPUT_TOKENS,
        on_refusal: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.policy = policy
        self._budgets = budgets
        self._limits = limits
        self._spending = spending
        self._clock = clock
        self._zone = zone
        self._min_output_tokens = min_output_tokens
        self._on_refusal = on_refusal

    @property
    def immediate(self) -> bool:
        """Whether the counters' store never waits (store/together.py)."""
        return self._budgets.immediate

    async def admit(
        self, payer: Payer, body: Json, raw: bytes, deployments: Sequence[Deployment], *, output: bool = True, units: Units | None = None
    ) -> Ticket:
        """Raises BudgetExceeded, RateLimited, StoreUnavailable, and BadRequest where a hard budget meets an unknown price."""
        caps = scope_caps(money_owners(payer, self.policy), self._clock.now(), self._zone)
        rates = rate_limits(payer, self.policy)
        if not caps and not rates:
            return Ticket(body, payer, output=output, units=units)
        estimate = expected_tokens(body, len(raw)) if rates else 0
        at_once = self._budgets.immediate
        reserving = started(self._reserve(caps, body, raw, deployments, output=output, units=units), immediate=at_once or not caps)
        counting = started(self._limits.admit(rates, estimate), immediate=at_once or not rates)
        try:
            ticket, counted = await reserving, await counting
        except BaseException as refusal:
            await self._give_back(reserving, counting)
            if isinstance(refusal, BudgetExceeded | RateLimited):
                self._on_refusal(refusal.type)
            raise
        ticket.payer, ticket.counted = payer, counted
        ticket.headers.update(counted.headers)
        return ticket

    def is_capped(self, payer: Payer) -> bool:
        """Whether a hard budget binds this payer."""
        caps = scope_caps(money_owners(payer, self.policy), self._clock.now(), self._zone)
        return any(cap.binds for cap in caps)

    async def admit_flat(self, payer: Payer, amount: NanoUSD | None, *, on: str, counted: bool = True) -> Ticket:
        """For a call whose cost no answer tells: it costs `amount` (None: nobody knows, which a hard budget refuses).

        `on` names the call; without `counted` it is in no rate limit. Raises what `admit` raises.
        """
        caps = scope_caps(money_owners(payer, self.policy), self._clock.now(), self._zone)
        if amount is None and self.is_capped(payer):
            self._on_refusal("budget_exceeded")
            raise BadRequest(
                f"The cost of {on} cannot be known, and this key has a hard budget. Use an endpoint that is metered, or have an admin set "
                "cost_per_request for it.",
                code="cost_unknown",
            )
        admission = await self._limits.admit(rate_limits(payer, self.policy) if counted else [], 0)
        try:
            hold = await self._budgets.reserve(caps, amount or ZERO) if caps else None
        except BaseException:
            await self._limits.release(admission)
            raise
        return Ticket({}, payer, hold, counted=admission, output=False, headers=dict(admission.headers))

    async def enter(self, ticket: Ticket, raw: bytes, deployment: Deployment, lost: NanoUSD, *, beside: int = 0) -> Json:
        """Before each try: room beside what earlier tries may have cost, and `beside` others that are under way; and the budgets of the
        place it goes to. The request to send.

        Raises BudgetExceeded or RateLimited when there is no room; UpstreamRateLimited when the place's own budget is used up, so that the
        plan goes elsewhere, or cannot hold two tries at once.
        """
        if beside and (ticket.place is not None or deployment_owners(deployment, self.policy)):
            raise UpstreamRateLimited("A deployment with a budget of its own is not asked beside another.")
        if (lost or beside) and ticket.hold is not None and ticket.bound is not None:
            worst = ticket.bound.amount_for(_limit_of(ticket))
            ticket.hold = await self._budgets.extend(ticket.hold, NanoUSD(worst * (1 + beside) + lost))
        await self._enter_place(ticket, raw, deployment)
        if ticket.limit is None:
            return ticket.body
        # What was paid for may be more than was asked: some providers bill a least number of tokens.
        limits = (ticket.limit, _most(deployment, ticket.body), _asked(ticket.body))
        return _limited(ticket.body, min(limit for limit in limits if limit is not None))

    async def reworded(self, ticket: Ticket, body: Json, raw: bytes, deployments: Sequence[Deployment]) -> None:
        """The request was changed after it was let in: what is set aside grows with it. Raises BudgetExceeded where there is no room."""
        ticket.body = body
        if ticket.hold is None or ticket.bound is None:
            return
        hard = ticket.limit is not None or not ticket.output
        bound = _bound(body, raw, deployments, self._clock.now(), hard=hard, output=ticket.output, units=ticket.units)
        worst = bound.amount_for(_limit_of(ticket))
        if worst > ticket.hold.amount:
            ticket.hold = await self._budgets.extend(ticket.hold, NanoUSD(worst))
        ticket.bound = bound

    async def standing(
        self, payer: Payer, body: Json, raw: bytes, deployments: Sequence[Deployment], *, output: bool = True
    ) -> tuple[NanoUSD | None, list[tuple[ScopeCap, Balance]]]:
        """What `admit` would ask for: the worst case (None: a price is unknown), and every budget as it stands. Takes nothing."""
        caps = scope_caps(money_owners(payer, self.policy), self._clock.now(), self._zone)
        balances = await asyncio.gather(*(self._budgets.balance(cap) for cap in caps))
        try:
            worst = _bound(body, raw, deployments, self._clock.now(), hard=True, output=output, units=None).amount
        except BadRequest:
            return None, list(zip(caps, balances, strict=True))
        return NanoUSD(worst), list(zip(caps, balances, strict=True))

    async def settle(self, ticket: Ticket, cost: NanoUSD, tokens: int) -> None:
        """Books what the call cost in every scope and ends it. Never raises."""
        holds = [hold for hold in (ticket.hold, ticket.place) if hold is not None]
        spenders = ticket.payer.spenders() if ticket.payer else []
        ends: list[Coroutine[Any, Any, object]] = [self._budgets.settle(hold, cost) for hold in holds]
        ends += [self._limits.settle(ticket.counted, tokens), self._spending.note(spenders, cost)]
        await together(ends, immediate=self._budgets.immediate)

    async def _reserve(
        self, caps: Sequence[ScopeCap], body: Json, raw: bytes, deployments: Sequence[Deployment], *, output: bool, units: Units | None
    ) -> Ticket:
        if not any(cap.cap is not None for cap in caps):
            return Ticket(body, hold=await self._budgets.reserve(caps, ZERO) if caps else None, output=output, units=units)
        hard = any(cap.binds for cap in caps)
        if hard:
            _check_counts(body)
        bound = _bound(body, raw, deployments, self._clock.now(), hard=hard, output=output, units=units)
        minimum = bound.minimum(self._min_output_tokens)
        hold = await self._budgets.reserve(caps, bound.amount, minimum=minimum, estimate=bound.estimate)
        if not hard or not output:
            return Ticket(body, hold=hold, bound=bound, output=output, units=units)
        paid = bound.tokens_for(hold.amount)
        shown = hold.clamped or _asked(body) is None
        return Ticket(body, hold=hold, limit=paid, bound=bound, headers={"x-tollkeeper-max-tokens": str(paid)} if shown else {})

    async def _enter_place(self, ticket: Ticket, raw: bytes, deployment: Deployment) -> None:
        if ticket.place is not None:
            left, ticket.place = ticket.place, None
            await self._budgets.release(left)
        caps = scope_caps(deployment_owners(deployment, self.policy), self._clock.now(), self._zone)
        if not caps:
            return
        amount = ZERO
        if any(cap.cap is not None for cap in caps):
            hard = any(cap.binds for cap in caps)
            if hard:
                _check_counts(ticket.body)
            bound = _bound(ticket.body, raw, [deployment], self._clock.now(), hard=hard, output=ticket.output, units=ticket.units)
            limit = min(ticket.limit or bound.output_tokens, bound.output_tokens)
            ticket.limit = limit if ticket.output else None
            amount = bound.amount_for(limit)
        try:
            ticket.place = await self._budgets.reserve(caps, amount, beside=ticket.hold.id if ticket.hold is not None else "")
        except (BudgetExceeded, RateLimited) as refusal:
            raise UpstreamRateLimited(refusal.message, type=refusal.type, retry_after=refusal.retry_after, extra=refusal.extra) from refusal

    async def _give_back(self, reserving: "asyncio.Future[Ticket]", counting: "asyncio.Future[Admission]") -> None:
        """One of the two refused, or the caller left: what the other took goes back."""
        reserved, counted = await asyncio.shield(asyncio.gather(reserving, counting, return_exceptions=True))
        if isinstance(reserved, Ticket) and reserved.hold is not None:
            await self._budgets.release(reserved.hold)
        if isinstance(counted, Admission):
            await self._limits.release(counted)


def _bound(
    body: Json, raw: bytes, deployments: Sequence[Deployment], now: float, *, hard: bool, output: bool, units: Units | None = None
) -> Bound:
    """Over every deployment the plan could reach. Raises BadRequest where a price is unknown and `hard` needs it."""
    # A window holds one prompt; embeddings, reranks and text completions take many of them at once.
    many = not output or isinstance(body.get("prompt"), list)
    most_input = len(raw) + UNKNOWN_WINDOW if many else None
    tariffs = [
        Tariff(row.group, row.provider, row.model, prices, most_input or row.max_input_tokens, _most(row, body))
        for row in deployments
        for prices in _charged(row, now)
    ]
    return worst_case(body, tariffs, body=raw, hard=hard, output=output, units=units)


def _charged(deployment: Deployment, now: float) -> list[Prices | None]:
    """What it charges, and what it charges in a minute: a call may be admitted before midnight and begin after it."""
    prices = deployment.prices
    if prices is None or not prices.later:
        return [prices]
    today, soon = prices.at(now), prices.at(now + _MINUTE)
    return [today] if today is soon else [today, soon]


def _most(deployment: Deployment, body: Json) -> int | None:
    """The model's own output limit. Where only the catalog knows one, it stands in for a caller's limit but does not overrule it."""
    if deployment.max_output_tokens is not None or _asked(body) is not None:
        return deployment.max_output_tokens
    return output_limit(deployment.model)


def _limit_of(ticket: Ticket) -> int:
    return ticket.limit if ticket.limit is not None else ticket.bound.output_tokens if ticket.bound else 0


def _asked(body: Json) -> int | None:
    """The smallest output limit in the request. Raises BadRequest naming the field that is no such number."""
    limits = []
    for name in LIMIT_FIELDS:
        if (value := body.get(name)) is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadRequest(f"'{name}' must be a whole number of tokens, at least 1.", param=name, code="invalid_value")
            limits.append(value)
    return min(limits, default=None)


def _check_counts(body: Json) -> None:
    """What a lenient provider may read as a number, a bound must not read as one. Raises BadRequest naming the field."""
    for name in COUNT_FIELDS:
        value = body.get(name)
        if value is not None and not (type(value) is int and 1 <= value <= MOST_ANSWERS):
            raise BadRequest(f"'{name}' must be a whole number from 1 to {MOST_ANSWERS}.", param=name, code="invalid_value")


def _limited(body: Json, limit: int) -> Json:
    """The request with this output limit, under the caller's name for it, and in no other field."""
    given = [name for name in LIMIT_FIELDS if body.get(name) is not None]
    rest: dict[str, Any] = {key: value for key, value in body.items() if key not in LIMIT_FIELDS}
    return {**rest, given[0] if given else "max_tokens": limit}
