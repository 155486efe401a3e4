"""Budget events (budgets/hold.py) as alerts."""

from collections.abc import Callable

from tollkeeper.alerts.alert import Alert, dollars
from tollkeeper.telemetry.events import Event


def alert_of(event: Event) -> Alert | None:
    """None: nobody need know."""
    made = _MAKERS.get(event.kind)
    return made(event) if made else None


def _who(event: Event) -> str:
    return f"{event.fields.get('kind', 'scope')} {event.fields.get('name', event.scope)}"


def _soft(event: Event) -> Alert:
    spent, soft = event.fields.get("spent"), event.fields.get("soft_budget")
    message = f"Soft budget crossed: {_who(event)} has spent {dollars(spent)} of {dollars(soft)} ({event.window})."
    return Alert("soft_budget_crossed", event.scope, event.window, message, facts=event.fields)


def _threshold(event: Event) -> Alert:
    percent = event.fields.get("percent", 100)
    kind = "budget_crossed" if percent >= 100 else "threshold_crossed"
    spent, cap = event.fields.get("spent"), event.fields.get("max_budget")
    message = f"{percent}% of a budget is spent: {_who(event)} has spent {dollars(spent)} of {dollars(cap)} ({event.window})."
    # A budget that was raised may cross the same share of itself again.
    return Alert(kind, event.scope, f"{event.window}#{percent}#{cap}", message, facts=event.fields)


def _bound(event: Event) -> Alert:
    message = f"A call cost more than was set aside for it: {_who(event)} ({event.window}). The books hold the truth; please report it."
    return Alert("bound_exceeded", event.scope, event.window, message, facts=event.fields)


_MAKERS: dict[str, Callable[[Event], Alert]] = {"soft_budget": _soft, "threshold": _threshold, "bound_exceeded": _bound}
