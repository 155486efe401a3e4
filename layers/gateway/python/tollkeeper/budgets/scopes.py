"""From what records say (max_budget, budget_duration, budget_limits …) to the counters one request has to pass.

A scope is whom money belongs to; each of its windows is a counter of its own. `max_parallel_requests` always sits on the window that never
ends: at midnight the calls of yesterday are still running.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Literal

from tollkeeper.budgets.windows import TOTAL, Window, check_duration, window_at
from tollkeeper.errors import BadRequest
from tollkeeper.money import NANO_PER_USD, NanoUSD
from tollkeeper.store.items import scope_pk

ScopeKind = Literal[
    "key", "user", "team", "team_member", "organization", "project", "customer", "tag",
    "key_model", "team_model", "user_model", "provider", "deployment", "gateway",
]  # fmt: skip
Enforcement = Literal["hard", "soft"]
Mode = Literal["enforce", "shadow"]
OnStoreError = Literal["deny", "allow"]

TTL_GRACE = 40 * 86400
"""Counters outlive their window by this many seconds, so that reports can still read last month's."""
_MOST = 10**12 * NANO_PER_USD


@dataclass(frozen=True, slots=True)
class Terms:
    """The budget fields of one record, named as in LiteLLM's API. Money is nano-USD; `temp_budget_expiry` is epoch seconds.

    `budget_limits` are further (budget_duration, max_budget) that hold at the same time. `spread` is the number of open holds at which a
    counter begins to be split over slices, `max_slices` the most there can be.
    """

    max_budget: NanoUSD | None = None
    budget_duration: str | None = None
    budget_limits: tuple[tuple[str, NanoUSD], ...] = ()
    soft_budget: NanoUSD | None = None
    max_parallel_requests: int | None = None
    temp_budget_increase: NanoUSD | None = None
    temp_budget_expiry: float | None = None
    enforcement: Enforcement = "hard"
    mode: Mode = "enforce"
    on_store_error: OnStoreError = "deny"
    spread: int = 32
    max_slices: int = 32


@dataclass(frozen=True, slots=True)
class Owner:
    """A scope with its terms. `ids` identify it (team member: team, user; key_model: key hash, model); `name` is how a message calls it."""

    kind: ScopeKind
    ids: tuple[str, ...]
    terms: Terms
    name: str = ""


@dataclass(frozen=True, slots=True)
class ScopeCap:
    """One counter a request has to pass. `cap` None: spend is counted for `soft_budget`, or parallel calls are; money is not limited."""

    kind: ScopeKind
    name: str
    pk: str
    window: Window
    cap: NanoUSD | None
    max_parallel: int | None = None
    enforcement: Enforcement = "hard"
    mode: Mode = "enforce"
    on_store_error: OnStoreError = "deny"
    soft_budget: NanoUSD | None = None
    spread: int = 32
    max_slices: int = 32

    @property
    def ttl(self) -> int | None:
        return None if self.window.end is None else int(self.window.end) + TTL_GRACE

    @property
    def binds(self) -> bool:
        """Whether what is held here is an upper bound of what may be spent."""
        return self.cap is not None and self.enforcement == "hard" and self.mode == "enforce"

    @property
    def sliceable(self) -> bool:
        """A limit on parallel calls needs every open hold in one item, and itself keeps that item small."""
        return self.cap is not None and self.max_parallel is None and self.mode == "enforce" and self.max_slices > 1


def scope_caps(owners: Iterable[Owner], now: float, zone: tzinfo = UTC) -> list[ScopeCap]:
    """Every counter of every owner at `now`; none for an owner without budget and parallel limit. Raises BadRequest (`check_terms`)."""
    return [cap for owner in owners for cap in _owner_caps(owner, now, zone)]


def check_terms(terms: Terms) -> None:
    """Raises BadRequest naming the field for what no budget can be: negative, not a number, a trillion dollars, an unknown duration."""
    for field in ("max_budget", "soft_budget", "temp_budget_increase"):
        _check_amount(getattr(terms, field), field)
    check_duration(terms.budget_duration)
    for duration, amount in terms.budget_limits:
        _check_amount(amount, "budget_limits")
        check_duration(duration, field="budget_limits")
    parallel = terms.max_parallel_requests
    if parallel is not None and (isinstance(parallel, bool) or parallel < 0):
        raise BadRequest(f"max_parallel_requests={parallel!r} must be a whole number, 0 or more", param="max_parallel_requests")


def _check_amount(amount: int | None, field: str) -> None:
    if amount is not None and not 0 <= amount <= _MOST:
        raise BadRequest(f"{field} must be an amount of dollars between 0 and {_MOST // NANO_PER_USD}", param=field)


def _owner_caps(owner: Owner, now: float, zone: tzinfo) -> list[ScopeCap]:
    terms = owner.terms
    check_terms(terms)
    increase = terms.temp_budget_increase if now < (terms.temp_budget_expiry or math.inf) else None
    raised = increase or 0
    by_window: dict[str, ScopeCap] = {}
    blank = _blank(owner)
    if terms.max_budget is not None or terms.soft_budget is not None:
        window = window_at(terms.budget_duration, now, zone)
        cap = None if terms.max_budget is None else NanoUSD(terms.max_budget + raised)
        by_window[window.key] = replace(blank, window=window, cap=cap, soft_budget=terms.soft_budget)
    for duration, amount in terms.budget_limits:
        window = window_at(duration, now, zone)
        known = by_window.get(window.key, replace(blank, window=window))
        # Two limits on one window are one counter: the lower one is what counts.
        cap = amount if known.cap is None else min(amount, known.cap)
        by_window[window.key] = replace(known, cap=cap)
    if terms.max_parallel_requests is not None:
        by_window[TOTAL.key] = replace(by_window.get(TOTAL.key, blank), max_parallel=terms.max_parallel_requests)
    return list(by_window.values())


def _blank(owner: Owner) -> ScopeCap:
    terms = owner.terms
    return ScopeCap(
        kind=owner.kind,
        name=owner.name or " ".join(owner.ids),
        pk=scope_pk(owner.kind, *owner.ids),
        window=TOTAL,
        cap=None,
        enforcement=terms.enforcement,
        mode=terms.mode,
        on_store_error=terms.on_store_error,
        spread=terms.spread,
        max_slices=terms.max_slices,
    )
