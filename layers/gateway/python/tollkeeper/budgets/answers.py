"""What a caller is told when a budget refuses: LiteLLM's words first, then what it would take, and the same as fields.

https://docs.litellm.ai/docs/proxy/users
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from tollkeeper.budgets.hold import Refusal
from tollkeeper.clock import iso
from tollkeeper.errors import BudgetExceeded, RateLimited
from tollkeeper.money import NANO_PER_USD, nano_to_usd

_EXCEEDED: Mapping[str, str] = {
    "key": "Budget has been exceeded! Key={name} Current cost: {spent}, Max budget: {limit}",
    "team": "Budget has been exceeded! Team={name} Current cost: {spent}, Max budget: {limit}",
    "team_member": "Budget has been exceeded! User={name} Current cost: {spent}, Max budget: {limit}",
    "organization": "Budget has been exceeded! Organization={name} Current cost: {spent}, Max budget: {limit}",
    "tag": "Budget has been exceeded! Tag={name} Current cost: {spent}, Max budget: {limit}",
    "user": "ExceededBudget: User={name} over budget. Spend={spent}, Budget={limit}",
    "customer": "ExceededBudget: End User={name} over budget. Spend={spent}, Budget={limit}",
    "key_model": "LiteLLM Virtual Key {name} exceeded budget for model. Spend={spent}, Budget={limit}",
    "provider": "No deployments available - crossed budget: {name}. Spend={spent}, Budget={limit}",
    "deployment": "No deployments available - crossed budget: {name}. Spend={spent}, Budget={limit}",
}
"""By scope kind; the rest say the first sentence without a name. `name` of a team member is `<user> in Team=<team>`."""
_EXCEEDED_ANY = "Budget has been exceeded! Current cost: {spent}, Max budget: {limit}"

_DESCRIPTOR: Mapping[str, str] = {"key": "api_key", "customer": "end_user", "key_model": "model_per_key", "team_model": "model_per_team"}
"""LiteLLM's word for a scope in a rate-limit message, where it is not the kind itself."""

_REMEDY = "Ask for fewer output tokens, wait for the reset, or have an admin raise {field} of this {kind}."


def exceeded(refusal: Refusal, status: int) -> BudgetExceeded:
    """This window cannot hold the request any more, however long it waits."""
    return BudgetExceeded(
        f"{_opening(refusal)}{_figures(refusal)} {_remedy(refusal)}",
        status=status,
        extra=_fields(refusal),
        headers={"x-should-retry": "false"},
    )


def busy(refusal: Refusal, now: float, retry_after: float = 1.0) -> RateLimited:
    """It would fit once open requests have settled; or there is no place for one more open request."""
    if refusal.kind == "parallel":
        return _too_many(refusal, now, retry_after)
    return RateLimited(
        f"Budget is busy: open requests hold what is left of it. {refusal.scope.kind}={refusal.scope.name}{_figures(refusal)}"
        " Retry when they have finished.",
        code="budget_busy",
        retry_after=retry_after,
        extra=_fields(refusal),
        headers={"x-should-retry": "true"},
    )


def _too_many(refusal: Refusal, now: float, retry_after: float) -> RateLimited:
    """LiteLLM's sentence for max_parallel_requests, with the time at which a retry makes sense as the reset."""
    scope, resets = refusal.scope, datetime.fromtimestamp(now + retry_after, UTC)
    at = f"{resets:%Y-%m-%d %H:%M:%S} UTC"
    return RateLimited(
        f"Rate limit exceeded for {_DESCRIPTOR.get(scope.kind, scope.kind)}: {scope.name}. Limit type: max_parallel_requests. "
        f"Current limit: {scope.max_parallel}, Remaining: 0. Limit resets at: {at}",
        code="429",
        retry_after=retry_after,
        extra={"scope": f"{scope.kind}={scope.name}", "limit": scope.max_parallel},
        headers={"x-should-retry": "true", "rate_limit_type": "max_parallel_requests", "reset_at": at},
    )


def _opening(refusal: Refusal) -> str:
    scope, balance = refusal.scope, refusal.balance
    template = _EXCEEDED.get(scope.kind, _EXCEEDED_ANY)
    return template.format(name=scope.name, spent=nano_to_usd(balance.spent), limit=nano_to_usd(scope.cap or 0))


def _figures(refusal: Refusal) -> str:
    scope, balance = refusal.scope, refusal.balance
    left, held, needed = _usd(max((scope.cap or 0) - balance.committed, 0)), _usd(balance.held), _usd(refusal.needed)
    period = f" per {scope.window.duration}" if scope.window.duration else ""
    return f". This request needs up to {needed}; {left}{period} is free and open requests hold {held}."


def _usd(nano: int) -> str:
    """Never in powers of ten: people read this."""
    whole, rest = divmod(nano, NANO_PER_USD)
    return f"${whole}.{rest:09d}".rstrip("0").rstrip(".")


def _remedy(refusal: Refusal) -> str:
    end = refusal.scope.window.end
    resets = f"Resets at {iso(end)}. " if end is not None else ""
    owner = refusal.scope.kind.removesuffix("_model")
    field = "max_budget" if owner == refusal.scope.kind else "model_max_budget"
    return resets + _REMEDY.format(field=field, kind=owner.replace("_", " "))


def _fields(refusal: Refusal) -> dict[str, str | float | None]:
    scope, balance = refusal.scope, refusal.balance
    return {
        "scope": f"{scope.kind}={scope.name}",
        "window": scope.window.key,
        "limit_usd": None if scope.cap is None else nano_to_usd(scope.cap),
        "spent_usd": nano_to_usd(balance.spent),
        "held_usd": nano_to_usd(balance.held),
        "needed_usd": nano_to_usd(refusal.needed),
        "resets_at": None if scope.window.end is None else iso(scope.window.end),
        "remedy": _remedy(refusal),
    }
