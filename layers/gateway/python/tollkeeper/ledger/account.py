"""The running account of one call: facts are noted as they happen, `close` turns them into the ledger entry, once."""

from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.errors import TollkeeperError
from tollkeeper.ledger.cost import CostBreakdown, cost_of
from tollkeeper.ledger.entry import STATUS_FAILURE, STATUS_SUCCESS, Entry


class Account:
    """One per call. `usage` is what the provider stated, or the last estimate noted."""

    def __init__(self, entry: Entry, clock: Clock) -> None:
        self.entry = entry
        self.usage: Usage | None = None
        self.deployment: Deployment | None = None
        self.text_bytes = 0
        self._clock = clock
        self._started = clock.monotonic()

    def attempted(self, deployment: Deployment, *, fallback: bool) -> None:
        self.deployment = deployment
        self.entry.attempts += 1
        self.entry.fallbacks += fallback
        self.entry.deployment_id = deployment.id
        self.entry.upstream_model = deployment.model
        self.entry.provider = deployment.provider

    def first_token(self) -> None:
        if self.entry.first_token_ms is None:
            self.entry.first_token_ms = self.elapsed_ms()

    def stated(self, hub_usage: dict[str, Any] | None) -> None:
        """The provider's usage object; the last one wins (streams repeat it cumulatively)."""
        if hub_usage:
            self.usage = usage_from_hub(hub_usage)

    def received(self, text_bytes: int) -> None:
        """Bytes of answer text that reached us: what a cut call is charged for at least."""
        self.text_bytes += text_bytes

    def estimated(self, usage: Usage) -> None:
        """For a call whose provider said nothing: marked as at-least."""
        self.usage = usage
        self.entry.usage_at_least = True

    def cost(self) -> CostBreakdown | None:
        """None: no usage, or no price is known."""
        if self.usage is None or self.deployment is None or self.deployment.prices is None:
            return None
        return cost_of(self.usage, self.deployment.prices)

    def elapsed_ms(self) -> int:
        return round((self._clock.monotonic() - self._started) * 1000)

    def close(self, status: str, error: BaseException | None = None) -> Entry:
        """Fills in tokens, cost and outcome."""
        entry = self.entry
        entry.status = status
        entry.latency_ms = self.elapsed_ms()
        if error is not None:
            entry.error_type = error.type if isinstance(error, TollkeeperError) else "internal_server_error"
        if error is not None and status == STATUS_FAILURE:
            entry.http_status = error.status if isinstance(error, TollkeeperError) else 500
        if usage := self.usage:
            entry.input_tokens, entry.output_tokens = usage.input, usage.output
            entry.cache_read_tokens, entry.cache_creation_tokens = usage.cache_read, usage.cache_creation
            entry.reasoning_tokens = usage.reasoning
        if (cost := self.cost()) is not None:
            entry.cost, entry.cost_parts, entry.priced = cost.total, cost.parts(), True
        if self.deployment is not None and self.deployment.prices is not None:
            entry.price_version = self.deployment.prices.version
            entry.priced = entry.priced or status != STATUS_SUCCESS
        return entry
