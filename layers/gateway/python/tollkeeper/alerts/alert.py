"""An alert, and its forms: LiteLLM's webhook JSON, and a sentence for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.money import nano_to_usd

Json = dict[str, Any]

KINDS = (
    "soft_budget_crossed",
    "threshold_crossed",
    "budget_crossed",
    "projected_limit_exceeded",
    "spend_anomaly",
    "provider_outage",
    "bound_exceeded",
    "hold_expired",
    "export_failed",
)
"""The first four are LiteLLM's `event`s. https://docs.litellm.ai/docs/proxy/alerting#webhook-events"""
_GROUPS = {
    "key": "key",
    "team": "team",
    "user": "internal_user",
    "customer": "customer",
    "organization": "organization",
    "gateway": "proxy",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """`about` is what it is about (a scope, a deployment), `once` what it is said once for (a window, a day). Money in `facts` is
    nano-dollars; no content and no secret is in any of it.
    """

    kind: str
    about: str
    once: str
    message: str
    created: float = 0.0
    """Epoch seconds."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.kind}#{self.about}#{self.once}"


def webhook_json(alert: Alert) -> Json:
    """What LiteLLM's `webhook` alerting sends. https://docs.litellm.ai/docs/proxy/alerting#api-spec-for-webhook-event"""
    facts, kind = alert.facts, str(alert.facts.get("kind", ""))
    name = facts.get("name")
    return {
        "event": alert.kind,
        "event_group": _GROUPS.get(kind, kind or "proxy"),
        "event_message": alert.message,
        "spend": _usd(facts.get("spent")) or 0.0,
        "max_budget": _usd(facts.get("max_budget")),
        "soft_budget": _usd(facts.get("soft_budget")),
        "projected_spend": _usd(facts.get("projected")),
        "projected_exceeded_date": facts.get("exceeded_on"),
        "token": facts.get("token") or (name if kind == "key" else None),
        "user_id": name if kind == "user" else None,
        "team_id": name if kind == "team" else None,
        "customer_id": name if kind == "customer" else None,
        "organization_id": name if kind == "organization" else None,
        "key_alias": facts.get("key_alias"),
        "window": alert.once,
        "created_at": alert.created,
    }


def _usd(nano: Any) -> float | None:
    return nano_to_usd(nano) if isinstance(nano, int) else None


def dollars(nano: Any) -> str:
    """$1,234.56, with as many places as small sums need."""
    usd = nano_to_usd(int(nano or 0))
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.6f}".rstrip("0")
