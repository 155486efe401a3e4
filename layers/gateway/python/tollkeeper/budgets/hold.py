"""The values the budget modules hand each other."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tollkeeper.budgets.counter import Cell
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.errors import StoreUnavailable
from tollkeeper.money import NanoUSD

Booked = Callable[[str, float], Awaitable[int | None]]
"""(hold, when it was made) → what the ledger has booked for its call in nano-USD; None: nothing."""


async def nothing_booked(hold: str, created: float) -> int | None:
    """For whoever keeps no ledger."""
    del hold, created
    return None


@dataclass(frozen=True, slots=True)
class Options:
    """How budgets behave. `status` is LiteLLM's `budget_exceeded_status_code`."""

    status: int = 422
    clamp_percent: int = 25
    """The most of what is left that one clamped call may take."""
    wait_seconds: float = 2.0
    """How long a request waits for open holds to settle before it is told `busy`."""
    store_attempts: int = 3
    max_age: float = 1200.0
    """Seconds after which an open hold belongs to no living request (Lambda ends one after 900)."""
    max_holds: int = 4000
    """Open holds in one item (about 92 KB of DynamoDB's 400): beyond it the answer is `busy`."""
    thresholds: tuple[int, ...] = ()
    """Percents of a budget at which `threshold` is told."""
    booked: Booked = nothing_booked
    """Asked before a hold is expired: a process that died between its ledger entry and its settlement has told what the call cost."""


@dataclass(frozen=True, slots=True)
class Part:
    """One hold attribute in one counter item. `amount` is what this process believes is held."""

    scope: ScopeCap
    cell: Cell
    slice: int
    hold: str
    amount: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request, in every scope it belongs to. It always ends: settled, released, or expired by the janitor.

    `amount` is what was reserved in the scopes that bind (clamped: less than asked for). `id` names it in events and the ledger.
    """

    id: str
    amount: NanoUSD
    created: float
    parts: tuple[Part, ...] = ()
    clamped: bool = False
    spent: Mapping[str, int] = field(default_factory=dict)
    """What had been spent before, by kind of scope, where the reserving write showed it (the longest window, if there are several)."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What one scope's window stands at, over all its slices. Nano-USD."""

    spent: int
    committed: int
    in_flight: int

    @property
    def held(self) -> int:
        return self.committed - self.spent


RefusalKind = Literal["money", "parallel", "full"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One scope said no. `money`: it does not fit now; `parallel`: max_parallel_requests; `full`: too many open holds to add one."""

    scope: ScopeCap
    kind: RefusalKind
    balance: Balance
    needed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scope answered. `parts` may be held even beside an error: releasing what is not there is harmless.

    `balance` is what a single write showed, when it was granted.
    """

    parts: tuple[Part, ...] = ()
    refusal: Refusal | None = None
    error: StoreUnavailable | None = None
    balance: Balance | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold ended. `unsettled` parts stay open until the janitor books them in full; `gone` had ended before."""

    spent: NanoUSD
    unsettled: tuple[Part, ...] = ()
    gone: tuple[Part, ...] = ()


EventKind = Literal["soft_budget", "threshold", "shadow_refused", "bound_exceeded", "hold_expired", "store_error", "unsettled"]


@dataclass(frozen=True, slots=True)
class BudgetEvent:
    """Something an operator wants to know. `fields` are nano-USD and names, never content.

    `soft_budget` and `threshold` may come more than once for one (scope, window) when its counter is sliced: deliver them once.
    """

    kind: EventKind
    scope: str
    window: str
    fields: Mapping[str, Any] = field(default_factory=dict)


EventSink = Callable[[BudgetEvent], None]


def ignore(event: BudgetEvent) -> None:
    """The sink of whoever does not listen."""
    del event
