"""What is counted of calls, refusals and budget events, as metric lines on stdout (see emf.py). A laptop prints none."""

from collections.abc import Callable, Collection
from typing import Protocol

from tollkeeper.clock import Clock
from tollkeeper.telemetry import emf
from tollkeeper.telemetry.events import Event, log_event

_OF_EVENTS = {"hold_expired": "UnconfirmedHolds", "bound_exceeded": "BoundViolations"}


class CallFacts(Protocol):
    """What a ledger entry says of a call."""

    model: str
    provider: str | None
    status: str
    cost: int
    input_tokens: int
    output_tokens: int
    latency_ms: int
    first_token_ms: int | None
    fallbacks: int


class Metrics:
    """`write` takes a line; `configured` are the model names that may be a dimension: never one a caller made up."""

    def __init__(self, environment: str, configured: Collection[str], clock: Clock, write: Callable[[str], None]) -> None:
        self._environment = environment
        self._configured = frozenset(configured)
        self._clock = clock
        self._write = write

    def call(self, facts: CallFacts) -> None:
        values = {
            "Requests": 1,
            "Latency": facts.latency_ms,
            "CostNanoUSD": facts.cost,
            "InputTokens": facts.input_tokens,
            "OutputTokens": facts.output_tokens,
            "Fallbacks": facts.fallbacks,
            "Errors": int(facts.status in {"failure", "cut"}),
        }
        if facts.first_token_ms is not None:
            values["TimeToFirstToken"] = facts.first_token_ms
        self._line(values, provider=facts.provider or "", model=facts.model, outcome=facts.status)

    def refusal(self, kind: str) -> None:
        """A call that limits or budgets did not let in; `kind` is the error's type."""
        self._line({"Refusals": 1}, outcome=kind)

    def event(self, event: Event) -> None:
        log_event(event)
        if (name := _OF_EVENTS.get(event.kind)) is not None:
            self._line({name: 1})

    def drift(self, nano: int, mended: int) -> None:
        """What the counters and the ledger differ by, and how many counters were put right."""
        self._line({"LedgerDriftNanoUSD": nano, "CountersMended": mended})

    def _line(self, values: dict[str, int], *, provider: str = "", model: str = "", outcome: str = "") -> None:
        shown = model if model in self._configured else ""
        self._write(emf.line(self._clock.now(), self._environment, values, provider=provider, model=shown, outcome=outcome))
