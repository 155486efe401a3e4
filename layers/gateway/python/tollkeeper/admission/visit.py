"""One call and what the pipeline knows of it: what was asked, where it may be served, in whose words each place is asked, what it used."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tollkeeper.admission.doorkeeper import Ticket
from tollkeeper.admission.payer import Payer
from tollkeeper.auth.principal import Principal
from tollkeeper.budgets.estimate import input_tokens, output_tokens
from tollkeeper.budgets.units import Units
from tollkeeper.catalog.endpoints import CHAT, COMPACT, COMPLETIONS, ENDPOINTS, RESPONSES, Endpoint, mode_of, modes_of, speaks_responses
from tollkeeper.catalog.reasoning import thinks_unseen
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.native import NativeDialect, has_native, native
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.errors import BadRequest
from tollkeeper.guardrails.check import Asked, Verdict
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.content import Transcript, terms_of
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_CUT, STATUS_SUCCESS, Entry
from tollkeeper.providers.client import ProviderClient
from tollkeeper.routing.asked import Requirement
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.resolve import ModelGroup

MIN_THINKING_BUDGET = 1_024
"""Tokens. https://docs.claude.com/en/docs/build-with-claude/extended-thinking"""
_RESPONSES_API = frozenset({RESPONSES.name, COMPACT.name, "count_response", "forget_response"})
_LONGEST_TRACEPARENT = 55
ToHub = Callable[[Json, Deployment], Json]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a request of sound or images says of its cost: at most, and likely (as the hub's usage object). `exact`: that is what it is."""

    units: Units
    likely: Json
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request as an edge parsed it, in the endpoint's own words. `deadline` is epoch seconds, where the platform sets one.

    `to_hub` says it as a chat completion, for a deployment that does not speak the endpoint's dialect; None: they are the same words.
    `measured`: it is paid by other measures than tokens of text.
    """

    id: str
    shown_id: str
    body: Json
    raw: bytes
    """The body as it came: its size bounds its tokens."""
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    endpoint: Endpoint = CHAT
    to_hub: ToHub | None = None
    principal: Principal | None = None
    """Who calls, where that is known already (a batch's line, a message to an agent); its books are closed before its answer is used."""
    measured: Measured | None = None
    internal: bool = False
    """The gateway's own call, for which the caller need not be allowed the model."""
    alias: str = ""
    """What the caller calls the model, where another was chosen for it."""
    require: tuple[Requirement, ...] = ()
    """Beside what the request says itself."""
    asked: Json | None = None
    """What the caller wrote, where `body` says more: a conversation that is kept here, said again."""
    to_native: ToHub | None = None
    """Says it to a deployment that speaks the endpoint's dialect, where that depends on which one it is."""
    context: object = None
    """What the edge remembers of it."""

    @property
    def shown(self) -> Json:
        """The request as its caller knows it."""
        return self.body if self.asked is None else self.asked

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def exactly(self) -> Json | None:
        """What the request alone says of its usage, where that is all there is to say."""
        return self.measured.likely if self.measured is not None and self.measured.exact else None

    @property
    def shown_model(self) -> str:
        """The `model` of the answer."""
        return self.alias or str(self.body["model"])

    def renamed(self, model: str) -> "Call":
        """The same call of another model."""
        return replace(self, body={**self.body, "model": model}, alias=self.shown_model)

    def seconds_left(self, clock: Clock) -> float | None:
        return self.deadline - clock.now() if self.deadline is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class Guarding:
    """The guardrails one call has to pass (admission/guards.py); `stages` by name, `beside` are those that are being asked."""

    names: tuple[str, ...] = ()
    asked: Asked = field(default_factory=lambda: Asked(""))
    stages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: "list[asyncio.Future[Verdict]]" = field(default_factory=list)

    def of(self, stage: str) -> list[str]:
        return [name for name in self.names if stage in self.stages[name]]

    def stop(self) -> None:
        """The call is over before they are."""
        for task in self.beside:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


UNGUARDED = Guarding()


@dataclass(frozen=True, slots=True)
class Visit:
    """An admitted call."""

    call: Call
    group: ModelGroup
    plan: Plan
    account: Account
    ticket: Ticket
    deadline: float | None = None
    """Monotonic: when the whole call must have its answer, or a stream its first content."""
    require: tuple[Requirement, ...] = ()
    """What every deployment that sees this call must be."""
    guarding: Guarding = UNGUARDED
    door: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Two tries at once (a hedge) enter one after the other."""

    def left(self, clock: Clock) -> float | None:
        """Seconds until the deadline, a little at least."""
        return None if self.deadline is None else max(self.deadline - clock.monotonic(), 0.001)

    def wording(self, deployment: Deployment, body: Json) -> tuple[NativeDialect | None, Json]:
        """(dialect, request in its words); None: a chat completion. Raises BadRequest for what that cannot say."""
        call, body = self.call, _thinking_within(self.call.body, body)
        found = None if ProviderClient.is_scripted(deployment, body) else spoken(call.endpoint.name, deployment)
        if found is not None:
            return found, call.to_native(body, deployment) if call.to_native else body
        if not call.endpoint.bridged:
            raise BadRequest(f"{call.endpoint.route}: mock_response only answers chats.", param="model")
        return None, call.to_hub(body, deployment) if call.to_hub else body

    def input_estimate(self, deployment: Deployment) -> int:
        if self.call.measured is not None:
            return usage_from_hub(self.call.measured.likely).input
        return input_tokens(self.call.body, len(self.call.raw), deployment.provider, deployment.model)

    def unstated(self, status: str) -> Usage | None:
        """What an answer that had begun used, where the provider did not say; what a try took in before that is on the account as lost."""
        account, deployment, limit = self.account, self.account.deployment, self.ticket.limit
        ended_early = status in {STATUS_CUT, STATUS_CANCELLED}
        if not (ended_early or (status == STATUS_SUCCESS and account.usage is None)):
            return None
        if deployment is None or account.entry.first_token_ms is None:
            return None
        if self.call.measured is not None:
            return usage_from_hub(self.call.measured.likely)
        hidden = limit if thinks_unseen(deployment.model, self.call.body) else None
        received = output_tokens(account.text_bytes)
        return Usage(input=self.input_estimate(deployment), output=hidden or min(received, limit or received))


def entry_of(call: Call, principal: Principal, payer: Payer, now: float) -> Entry:
    """The ledger entry as it opens."""
    return Entry(
        request_id=call.id,
        call_id=call.shown_id,
        started_at=now,
        call_type=call.endpoint.call_type,
        model=call.body["model"],
        stream=call.streamed,
        key_hash=principal.key_hash,
        key_alias=principal.key_alias,
        key_name=principal.key_name,
        team_id=principal.team_id,
        user_id=principal.user_id,
        organization_id=principal.organization_id,
        customer_id=payer.customer_id,
        tags=payer.tags,
        traceparent=call.headers.get("traceparent", "")[:_LONGEST_TRACEPARENT] or None,
    )


def serving(group: ModelGroup, endpoint: Endpoint) -> ModelGroup | None:
    """The group's deployments that can serve the endpoint; None if there are none."""
    able = tuple(row for row in group.deployments if serves(row, endpoint))
    if len(able) == len(group.deployments):
        return group
    return replace(group, deployments=able) if able else None


def serves(deployment: Deployment, endpoint: Endpoint) -> bool:
    if not endpoint.modes:
        return True
    return not endpoint.modes.isdisjoint(modes_of(deployment)) and (
        endpoint.bridged or has_native(endpoint.name, _dialect(endpoint.name, deployment))
    )


def shown_route(endpoint: Endpoint) -> str:
    """As LiteLLM's messages name it."""
    return "/" + endpoint.route.removeprefix("/v1/").removeprefix("/")


def cannot_serve(group: ModelGroup, endpoint: Endpoint, model: str) -> BadRequest:
    """Names what the caller can ask instead."""
    routes = [row.route for row in ENDPOINTS if serving(group, row) is not None]
    instead = f"it can be called at {', '.join(routes)}" if routes else "no endpoint of this gateway serves it"
    return BadRequest(
        f"{endpoint.route}: the model {model[:200]} cannot be called here; {instead}. "
        "(What a model is for, an admin says in its model_info.mode.)",
        param="model",
        code="unsupported_endpoint",
    )


def _thinking_within(asked: Json, body: Json) -> Json:
    """A budget's clamp may leave less than the caller's thinking budget, which Anthropic refuses: half of it is for thinking then."""
    thinking, limit, wished = body.get("thinking"), body.get("max_tokens"), asked.get("max_tokens")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if type(limit) is not int or type(budget) is not int or type(wished) is not int or not limit <= budget < wished:
        return body
    if limit <= MIN_THINKING_BUDGET:
        return {name: value for name, value in body.items() if name != "thinking"}
    return {**body, "thinking": {**(thinking or {}), "budget_tokens": max(MIN_THINKING_BUDGET, limit // 2)}}


def spoken(name: str, deployment: Deployment) -> NativeDialect | None:
    """How the deployment serves an endpoint in the endpoint's own words; None: it does not."""
    if name == COMPLETIONS.name and mode_of(deployment) != "completion":
        return None
    return native(name, _dialect(name, deployment))


def _dialect(name: str, deployment: Deployment) -> str:
    return "openai_responses" if name in _RESPONSES_API and speaks_responses(deployment) else deployment.dialect


def transcript_for(visit: Visit) -> Transcript | None:
    """Where the key, or else its team, wants what is said kept (ledger/content.py)."""
    principal = visit.ticket.payer.principal if visit.ticket.payer else None
    if principal is None:
        return None
    terms = terms_of(principal.metadata, principal.team.metadata if principal.team else None)
    return Transcript(terms) if terms is not None else None
