"""The running account of one call: facts are noted as they happen, `close` turns them into the ledger entry, once."""

from dataclasses import replace
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Prices
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.errors import TollkeeperError
from tollkeeper.ledger.content import Transcript
from tollkeeper.ledger.cost import CostBreakdown, cost_of
from tollkeeper.ledger.entry import STATUS_FAILURE, Entry
from tollkeeper.money import ZERO, NanoUSD


class Account:
    """One per call. `usage` is what the provider stated last."""

    def __init__(self, entry: Entry, clock: Clock) -> None:
        self.entry = entry
        self.usage: Usage | None = None
        self.deployment: Deployment | None = None
        self.prices: Prices | None = None
        """Those of the deployment on the day of the call."""
        self.text_bytes = 0
        self.transcript: Transcript | None = None
        """Where the key or team wants the answer kept."""
        self.lost_cost = ZERO
        self._tier: Any = None
        self.upstream = 0.0
        """Seconds spent waiting for providers, up to the answer or its first content."""
        self._clock = clock
        self._started = clock.monotonic()
        self._began_ms = 0

    def attempted(self, deployment: Deployment, *, fallback: bool) -> None:
        self._began_ms = self.elapsed_ms()
        self.entry.attempts += 1
        self.entry.fallbacks += fallback
        self.answered(deployment)

    def answered(self, deployment: Deployment) -> None:
        """Of the tries so far this one counts: the last, or of two at once the one that answered."""
        self.deployment = deployment
        self.prices = deployment.prices and deployment.prices.at(self.entry.started_at)
        self.entry.deployment_id = deployment.id
        self.entry.upstream_model = deployment.model
        self.entry.provider = deployment.provider

    def first_token(self) -> None:
        if self.entry.first_token_ms is None:
            self.entry.first_token_ms = self.elapsed_ms()

    def stated(self, hub_usage: dict[str, Any] | None, service_tier: Any = None) -> None:
        """The provider's usage object; the last one wins (streams repeat it cumulatively).

        `service_tier` is what the answer says beside it; one that is said once stays said.
        """
        if service_tier:
            self._tier = service_tier
        if hub_usage:
            stated, before = usage_from_hub({"service_tier": self._tier, **hub_usage}), self.usage
            self.usage = stated if before is None else with_units(stated, before)

    def received(self, text_bytes: int) -> None:
        """Bytes of answer text that reached us: what a cut call is charged for at least."""
        self.text_bytes += text_bytes

    def lost(self, usage: Usage, deployment: Deployment) -> None:
        """A try that may have been billed though nothing came of it: `usage` is what the provider took in at least."""
        if (prices := deployment.prices and deployment.prices.at(self.entry.started_at)) is not None:
            self.lost_cost = NanoUSD(self.lost_cost + cost_of(usage, prices).total)
            self.entry.usage_at_least = True

    def cost(self) -> CostBreakdown | None:
        """None: no usage, or no price is known."""
        if self.usage is None or self.prices is None:
            return None
        usage = replace(self.usage, occupied_ms=self.elapsed_ms() - self._began_ms) if self.prices.compute else self.usage
        return cost_of(usage, self.prices)

    def elapsed(self) -> float:
        """Seconds since the call was let in."""
        return self._clock.monotonic() - self._started

    def elapsed_ms(self) -> int:
        return round(self.elapsed() * 1000)

    def close(
        self, status: str, error: BaseException | None = None, *, estimate: Usage | None = None, most: NanoUSD | None = None
    ) -> Entry:
        """Fills in tokens, cost and outcome.

        `estimate` stands in for what the provider did not state; a cost that rests on it is at most `most`, a proven upper bound.
        """
        entry = self.entry
        entry.status, entry.latency_ms = status, self.elapsed_ms()
        if error is not None:
            entry.error_type = error.type if isinstance(error, TollkeeperError) else "internal_server_error"
        if error is not None and status == STATUS_FAILURE:
            entry.http_status = error.status if isinstance(error, TollkeeperError) else 500
        if estimate is not None:
            self.usage = at_least(self.usage, estimate)
            entry.usage_at_least = True
        if self.usage is not None:
            _note_tokens(entry, self.usage)
        self._note_cost(most)
        return entry

    def _note_cost(self, most: NanoUSD | None) -> None:
        entry, cost = self.entry, self.cost()
        entry.cost = (cost.total if cost else 0) + self.lost_cost
        if entry.usage_at_least and most is not None:
            entry.cost = min(entry.cost, most)
        if cost is not None:
            entry.cost_parts = cost.parts()
        entry.priced, entry.price_version = self.prices is not None, self.prices.version if self.prices else None


def with_units(stated: Usage, before: Usage) -> Usage:
    """What is known from the request (the characters of a text to speak) stays where the provider only counts tokens."""
    if not (before.characters or before.audio_ms or before.images):
        return stated
    return replace(
        stated,
        characters=stated.characters or before.characters,
        audio_ms=stated.audio_ms or before.audio_ms,
        images=stated.images or before.images,
    )


def at_least(stated: Usage | None, estimate: Usage) -> Usage:
    """What the provider said, raised where more has reached us: its count of a cut answer lags behind."""
    if stated is None:
        return estimate
    return replace(stated, input=stated.input or estimate.input, output=max(stated.output, estimate.output))


def _note_tokens(entry: Entry, usage: Usage) -> None:
    entry.input_tokens, entry.output_tokens = usage.input, usage.output
    entry.cache_read_tokens, entry.cache_creation_tokens = usage.cache_read, usage.cache_creation
    entry.reasoning_tokens = usage.reasoning
    entry.service_tier = usage.service_tier or None
