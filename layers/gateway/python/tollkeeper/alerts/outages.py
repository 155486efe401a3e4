"""A deployment that the fleet has taken out of use, as an alert: once an hour while it goes on."""

from tollkeeper.alerts.alert import Alert
from tollkeeper.clock import iso


def outage_of(deployment_id: str, provider: str, model: str, reason: str, now: float) -> Alert:
    """`reason` is the breaker's fault class; `now` epoch seconds."""
    message = f"{provider}/{model} fails ({reason or 'unknown'}) and gets no calls until it is well again (deployment {deployment_id})."
    facts = {"kind": "deployment", "name": deployment_id, "provider": provider, "model": model, "reason": reason}
    return Alert("provider_outage", f"deployment#{deployment_id}", iso(now)[:13], message, facts=facts)
