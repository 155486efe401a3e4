"""What gateway.yaml says, as the features that it is said to: budgets, retention, what is kept, what is told."""

from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING

from tollkeeper.admission.doorkeeper import MIN_OUTPUT_TOKENS, Doorkeeper
from tollkeeper.admission.payer import Policy
from tollkeeper.admission.spending import Spending
from tollkeeper.auth.durations import after
from tollkeeper.bootstrap.installation import Installation
from tollkeeper.budgets.hold import Options
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.windows import zone_named
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.limits.rate import Limits
from tollkeeper.store.archive import Archive
from tollkeeper.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from tollkeeper.ledger.stream import Pump
    from tollkeeper.sinks.outbox import Outbox

KEEP_DAYS = 30
_SHORTEST_RETENTION = 2 * 86400
"""Until then every entry is in the sums, whatever stream brings it."""


def retention_of(snapshot: Snapshot) -> Callable[[float], int] | None:
    """general_settings.maximum_spend_logs_retention_period, from the start of a call; two days at least."""
    period = snapshot.settings.get("general_settings", {}).get("maximum_spend_logs_retention_period")
    return (lambda started: max(after(started, period), int(started) + _SHORTEST_RETENTION)) if period else None


def outbox_of(installation: Installation) -> "Outbox | None":
    settings = installation.snapshot.settings.get("litellm_settings", {})
    if not any(settings.get(name) for name in ("callbacks", "success_callback", "failure_callback")):
        return None
    from tollkeeper.bootstrap import sinks

    return sinks.outbox_of(installation)


def pump_of(installation: Installation, outbox: "Outbox | None") -> "Pump | None":
    store, clock = installation.store, installation.clock
    if store.stream is None:
        return None
    from tollkeeper.ledger.roller import Roller
    from tollkeeper.ledger.stream import Pump, nobody

    return Pump(store.stream, store.ledger, Roller(store.ledger, clock), clock, outbox.note if outbox else nobody)


def budget_options_of(snapshot: Snapshot) -> Options:
    own = snapshot.settings.get("tollkeeper", {}).get("budgets") or {}
    status = snapshot.settings.get("litellm_settings", {}).get("budget_exceeded_status_code")
    given = {"status": status, **{name: own.get(name) for name in ("clamp_percent", "wait_seconds")}}
    return Options(**{name: value for name, value in given.items() if value is not None})


def archive_of(installation: Installation) -> Archive | None:
    """tollkeeper.responses: what the Responses API keeps, prompts and answers, for as long as OpenAI does unless it says otherwise."""
    own = installation.snapshot.settings.get("tollkeeper", {}).get("responses") or {}
    if own.get("store") is False:
        return None
    seconds = int((own.get("keep_days") or KEEP_DAYS) * 86_400)
    return Archive(installation.store.counters, installation.clock, seconds=seconds)


def zone_of(snapshot: Snapshot) -> tzinfo:
    return zone_named(snapshot.settings.get("litellm_settings", {}).get("timezone") or "UTC")


def doorkeeper_of(installation: Installation, budgets: Budgets, spending: Spending, metrics: Metrics) -> Doorkeeper:
    settings = installation.snapshot.settings
    general, own = settings.get("general_settings", {}), settings.get("tollkeeper", {})
    fail_closed = general.get("fail_closed_rate_limit_enforcement") is True
    return Doorkeeper(
        budgets,
        Limits(installation.store.counters, installation.clock, fail_closed=fail_closed),
        spending,
        Policy.of(installation.snapshot),
        installation.clock,
        zone=zone_of(installation.snapshot),
        min_output_tokens=(own.get("budgets") or {}).get("min_output_tokens") or MIN_OUTPUT_TOKENS,
        on_refusal=metrics.refusal,
    )
