"""What to do when scopes refuse: never, less, or later. Pure arithmetic on what they answered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tollkeeper.budgets import answers
from tollkeeper.budgets.hold import Options, Refusal
from tollkeeper.budgets.scopes import ScopeCap


@dataclass(frozen=True, slots=True)
class Demand:
    """One request's need in nano-USD. `minimum` is the least that makes it useful, `estimate` what soft budgets are asked for."""

    amount: int
    minimum: int
    estimate: int

    def of(self, scope: ScopeCap, want: int) -> int:
        """A soft budget is asked for the estimate, and for at least one nano-dollar, so that it ends when it is spent."""
        return max(self.estimate, 1) if scope.enforcement == "soft" else want


def next_amount(refusals: Sequence[Refusal], demand: Demand, options: Options, now: float, *, waited: bool = False) -> int | None:
    """How much to ask all scopes for next; None when nothing useful fits before open holds settle.

    Raises BudgetExceeded for a scope in which even the minimum can never fit, RateLimited where max_parallel_requests is reached.
    """
    for refusal in refusals:
        least = demand.of(refusal.scope, demand.minimum)
        if refusal.kind == "money" and refusal.balance.spent + least > (refusal.scope.cap or 0):
            raise answers.exceeded(replace(refusal, needed=least), options.status)
    for refusal in refusals:
        if refusal.kind == "parallel":
            raise answers.busy(refusal, now)
    fits = [_fit(refusal, demand, options, waited=waited) for refusal in refusals]
    known = [fit for fit in fits if fit is not None]
    return min(known) if len(known) == len(fits) else None


def _fit(refusal: Refusal, demand: Demand, options: Options, *, waited: bool) -> int | None:
    """The clamp: a share of what this scope has left, but a useful amount."""
    if refusal.kind != "money":
        return demand.amount if waited else None
    scope = refusal.scope
    left = (scope.cap or 0) - refusal.balance.committed
    if left >= demand.of(scope, demand.amount):
        return demand.amount
    least = demand.of(scope, demand.minimum)
    return None if left < least else max(least, left * options.clamp_percent // 100)
