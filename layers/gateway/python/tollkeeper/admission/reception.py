"""Every step before the first try: who calls, which model serves, by which rules, with whose money.

authenticate ▶ resolve the model (or let an auto-router choose) ▶ may this key use it ▶ rules ▶ plan ▶ limits and money
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tollkeeper.admission.asking import Asking, asking, budget_fallbacks, deadline_of, plan_of
from tollkeeper.admission.conduct import conforming
from tollkeeper.admission.doorkeeper import Doorkeeper
from tollkeeper.admission.payer import Payer, payer_of
from tollkeeper.admission.visit import Call, Visit, cannot_serve, entry_of, serving, shown_route
from tollkeeper.auth.access import may_use_model, may_use_route
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import AutoRouter
from tollkeeper.errors import BadRequest, BudgetExceeded, CallerError, Forbidden
from tollkeeper.ledger.account import Account
from tollkeeper.routing.asked import Requirement
from tollkeeper.routing.auto import Choice, Chooser, Embed
from tollkeeper.routing.health import Health
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.resolve import Groups, ModelGroup

EmbedFor = Callable[[Principal, tuple[Requirement, ...]], Embed]
"""(who pays, what the deployment that embeds must be) → the embedding."""


@dataclass(frozen=True, slots=True)
class Received:
    """A call whose caller and model are known. `call` may name another model than the caller did, `chosen_by` says why."""

    call: Call
    principal: Principal
    group: ModelGroup
    chosen_by: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    received: Received
    payer: Payer
    asks: Asking
    plan: Plan


class Reception:
    """One per process."""

    def __init__(
        self,
        groups: Callable[[], Groups],
        authenticator: Authenticator,
        doorkeeper: Doorkeeper,
        *,
        clock: Clock,
        random: Random,
        health: Health,
    ) -> None:
        self.groups = groups
        self.authenticator = authenticator
        self.doorkeeper = doorkeeper
        self.health = health
        self._clock, self._random = clock, random
        self._chooser = Chooser(random)

    async def permitted(self, call: Call, embed: EmbedFor) -> ModelGroup:
        """The group with those deployments only that may see this request. Raises as `admit` does before it spends."""
        plan = (await self.plan(await self.receive(call, embed))).plan
        return replace(plan.group, deployments=tuple(plan.fitting or plan.deployments()))

    async def admit(self, call: Call, embed: EmbedFor) -> Visit:
        """Raises TollkeeperError. Where the model's budget is used up, the next of its `budget_fallbacks` serves, if there is one."""
        received = await self.receive(call, embed)
        try:
            return await self._enter(await self.plan(received))
        except BudgetExceeded:
            model = received.call.body["model"]
            for cheaper in budget_fallbacks(received.principal, self.groups(), model):
                if (visit := await self._instead(received, cheaper)) is not None:
                    return visit
            raise

    async def receive(self, call: Call, embed: EmbedFor) -> Received:
        """Raises Unauthenticated, Forbidden, BadRequest."""
        principal = call.principal or await self.authenticator.authenticate(call.headers, call.query)
        groups, model = self.groups(), call.body["model"]
        if not call.internal:
            may_use_route(principal, call.endpoint.route)
        found = groups.find(model, principal.aliases)
        if found is None:
            raise BadRequest(
                f"{shown_route(call.endpoint)}: Invalid model name passed in model={model[:200]}. "
                "Call `/v1/models` to view available models for your key.",
                param="model",
            )
        if not call.internal:
            may_use_model(principal, model, found.access_groups)
            conforming(groups.snapshot.settings.get("general_settings", {}), principal, call.shown)
        reason = None
        if (router := groups.auto_router(model, principal.aliases)) is not None:
            choice = await self._choose(call, principal, found, router, embed)
            call, reason = call.renamed(choice.model), f"auto-router {model}: {choice.reason}"
            found = groups.find(choice.model) or found
        group = serving(found, call.endpoint)
        if group is None:
            raise cannot_serve(found, call.endpoint, model)
        return Received(call, principal, group, reason)

    async def _choose(self, call: Call, principal: Principal, group: ModelGroup, router: AutoRouter, embed: EmbedFor) -> Choice:
        """What the request requires of a deployment holds for the one that embeds it, too. Where a rule decides, none does."""
        asks = await self._asks(call, principal, group)
        if asks[1].decision.use is not None:
            return Choice(router.default, "a rule decides")
        return await self._chooser.choose(call.body["model"], router, call.body, embed(principal, asks[1].asked.require))

    async def _asks(self, call: Call, principal: Principal, group: ModelGroup) -> tuple[Payer, Asking]:
        payer = await payer_of(principal, call.body, call.headers, authenticator=self.authenticator, policy=self.doorkeeper.policy)
        return payer, asking(call, payer, group, self.groups(), self._clock.now())

    async def plan(self, received: Received) -> Planned:
        """Raises Forbidden or BadRequest where nothing may serve the call."""
        call, groups = received.call, self.groups()
        payer, asks = await self._asks(call, received.principal, received.group)

        general = groups.snapshot.settings.get("general_settings", {})
        checked = general.get("enforce_fallback_model_access") is True and not call.internal

        def find(name: str) -> ModelGroup | None:
            other = groups.find(name)
            if other is None or (checked and not _allowed(received.principal, name, other)):
                return None
            return serving(other, call.endpoint)

        plan = plan_of(asks, groups, find, call, random=self._random, health=self.health)
        plan.record.chosen_by = received.chosen_by
        return Planned(received, payer, asks, plan)

    async def _enter(self, planned: Planned) -> Visit:
        call, plan = planned.received.call, planned.plan
        reachable, units = plan.deployments(), call.measured.units if call.measured else None
        ticket = await self.doorkeeper.admit(planned.payer, call.body, call.raw, reachable, output=call.endpoint.output, units=units)
        account = Account(entry_of(call, planned.received.principal, planned.payer, self._clock.now()), self._clock)
        deadline = deadline_of(call, planned.asks.group, self._clock)
        return Visit(call, plan.group, plan, account, ticket, deadline, planned.asks.asked.require)

    async def _instead(self, received: Received, model: str) -> Visit | None:
        """None: this one cannot serve, or cannot be paid for, either."""
        found = self.groups().find(model)
        group = serving(found, received.call.endpoint) if found is not None else None
        if group is None:
            return None
        reason = f"the budget for {received.call.body['model']} is used up"
        try:
            return await self._enter(await self.plan(Received(received.call.renamed(model), received.principal, group, reason)))
        except CallerError:
            return None


def _allowed(principal: Principal, name: str, group: ModelGroup) -> bool:
    try:
        may_use_model(principal, name, group.access_groups)
    except Forbidden:
        return False
    return True
