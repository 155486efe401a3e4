"""Alerts, wired: what gateway.yaml asks for, and where it goes.

    general_settings: {alerting: [slack, webhook, teams, sns, email], alert_types: [...]}     # LiteLLM's
    tollkeeper: {alerts: {thresholds: [80, 95, 100], digest_minutes: 60, sns_topic: "arn:…", email: {sender: …, recipients: […]}}}

SLACK_WEBHOOK_URL, WEBHOOK_URL and TEAMS_WEBHOOK_URL are environment variables, or fields of a configured secret.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper.alerts.alert import Alert
from tollkeeper.alerts.board import Board
from tollkeeper.alerts.channels import Channel, NotDelivered
from tollkeeper.alerts.courier import Courier
from tollkeeper.bootstrap.installation import Installation
from tollkeeper.config.snapshot import Secret
from tollkeeper.errors import ConfigError

THRESHOLDS = (80, 95, 100)
_TYPES: Mapping[str, frozenset[str]] = {
    "budget_alerts": frozenset(
        {"soft_budget_crossed", "threshold_crossed", "budget_crossed", "projected_limit_exceeded", "bound_exceeded", "hold_expired"}
    ),
    "spend_anomalies": frozenset({"spend_anomaly"}),
    "outage_alerts": frozenset({"provider_outage"}),
    "cooldown_deployment": frozenset({"provider_outage"}),
    "failed_tracking_spend": frozenset({"export_failed"}),
}
"""LiteLLM's alert_types → our kinds. Without alert_types all are wanted."""


@dataclass(frozen=True, slots=True)
class Alerting:
    board: Board
    courier: Courier


def alerting_of(installation: Installation) -> Alerting | None:
    """None: nobody is to be told. Raises ConfigError for a channel that lacks what it needs."""
    general, own = _section(installation, "general_settings"), _section(installation, "tollkeeper").get("alerts") or {}
    channels = list(_channels(installation, general.get("alerting") or (), own))
    if not channels:
        return None
    board = Board(installation.store.ledger, installation.clock, _wanted(general.get("alert_types")))
    return Alerting(board, Courier(board, channels, installation.clock, digest_seconds=60 * (own.get("digest_minutes") or 0)))


def thresholds_of(installation: Installation) -> tuple[int, ...]:
    """Percents of a budget at which somebody wants to know."""
    if not _section(installation, "general_settings").get("alerting"):
        return ()
    given = (_section(installation, "tollkeeper").get("alerts") or {}).get("thresholds")
    return THRESHOLDS if given is None else tuple(sorted(set(given)))


def _section(installation: Installation, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = installation.snapshot.settings.get(name, {})
    return found


def _wanted(types: Any) -> Callable[[Alert], bool]:
    if not types:
        return lambda _: True
    kinds = frozenset().union(*(_TYPES.get(name, frozenset({name})) for name in types))
    return lambda alert: alert.kind in kinds


def _channels(installation: Installation, names: Any, own: Mapping[str, Any]) -> Iterator[Channel]:
    from tollkeeper.alerts.channels import Mail, Signed, Slack, Teams, Topic, Webhook

    send, settings = installation.http_send, installation.settings
    signed = Signed(send, installation.aws_credentials, settings.aws_region, settings.aws_endpoint or None, installation.clock)
    if "slack" in names:
        yield Slack(send, _secret(installation, "SLACK_WEBHOOK_URL"))
    if "webhook" in names:
        yield Webhook(send, _secret(installation, "WEBHOOK_URL"))
    if "teams" in names:
        yield Teams(send, _secret(installation, "TEAMS_WEBHOOK_URL"))
    if "sns" in names:
        yield Topic(signed, _needed(own, "sns_topic"))
    if "email" in names:
        mail = _needed(own, "email")
        yield Mail(signed, mail["sender"], mail["recipients"])


def _needed(own: Mapping[str, Any], name: str) -> Any:
    if not (value := own.get(name)):
        raise ConfigError(f"general_settings.alerting asks for {name.partition('_')[0]}, which needs tollkeeper.alerts.{name}.")
    return value


def _secret(installation: Installation, name: str) -> Callable[[], Awaitable[str]]:
    async def url() -> str:
        if found := await installation.credentials.resolve(Secret("env", name)):
            return found
        raise NotDelivered(f"{name} is not set")

    return url
