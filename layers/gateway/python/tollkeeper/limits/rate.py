"""Requests and tokens per minute, and tokens per day: counted before the call, corrected after it.

One conditional write per scope and window admits a call: `ADD requests 1, tokens <estimate>` while both are below their limits; all of
them go out together. The tokens a call really used replace its estimate when it ends. A call whose estimate alone is above the limit is
admitted into an empty window: it would otherwise never be.

These limits protect capacity, not money, so a store that does not answer admits (and says so), unless `fail_closed_rate_limit_enforcement`.
https://docs.litellm.ai/docs/proxy/users#set-rate-limits
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tollkeeper.clock import Clock
from tollkeeper.errors import RateLimited, StoreUnavailable
from tollkeeper.limits.windows import RateWindow, day_at, minute_at
from tollkeeper.store.items import scope_pk
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Item, Table
from tollkeeper.store.together import is_immediate, together

log = logging.getLogger("tollkeeper.limits")

DESCRIPTORS = {"key": "api_key", "customer": "end_user", "key_model": "model_per_key", "team_model": "model_per_team"}
"""LiteLLM's word for a scope in messages and headers, where it is not the kind itself."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What one scope may use. `ids` identify it as in budgets/scopes.py; `name` is how a message calls it."""

    kind: str
    ids: tuple[str, ...]
    name: str
    rpm: int | None = None
    tpm: int | None = None
    tpd: int | None = None


@dataclass(frozen=True, slots=True)
class _Gate:
    """One counter a call has to pass."""

    limit: RateLimit
    window: RateWindow
    requests: int | None
    tokens: int | None

    @property
    def pk(self) -> str:
        return scope_pk(self.limit.kind, *self.limit.ids)


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that was let in: the counters that carry its estimate, and the headers that tell what is left."""

    gates: tuple[_Gate, ...]
    estimate: int
    headers: dict[str, str]


NOTHING = Admission((), 0, {})


class Limits:
    """The rate limits of every scope. One per process."""

    def __init__(self, counters: Table, clock: Clock, *, fail_closed: bool = False) -> None:
        self._table = counters
        self._immediate = is_immediate(counters)
        self._clock = clock
        self._fail_closed = fail_closed

    async def admit(self, limits: Sequence[RateLimit], estimate: int) -> Admission:
        """Counts the call in every window, or raises RateLimited (StoreUnavailable if fail_closed) and counts it in none."""
        now = self._clock.now()
        gates = [gate for limit in limits for gate in _gates(limit, now)]
        if not gates:
            return NOTHING
        results = await together((self._pass(gate, estimate) for gate in gates), immediate=self._immediate)
        passed = tuple(gate for gate, result in zip(gates, results, strict=True) if isinstance(result, dict))
        refused = next((pair for pair in zip(gates, results, strict=True) if isinstance(pair[1], ConditionFailed | StoreUnavailable)), None)
        if refused is not None:
            await self._give_back(passed, 1, estimate)
            gate, reason = refused
            raise _refusal(gate, reason.old or {}, estimate, now) if isinstance(reason, ConditionFailed) else _unavailable()
        counted = [(gate, result) for gate, result in zip(gates, results, strict=True) if isinstance(result, dict)]
        return Admission(passed, estimate, _headers(counted, now))

    async def settle(self, admission: Admission, actual: int) -> None:
        """Replaces the estimate by the tokens the call used. Never raises: a window that is gone needs no correction."""
        if difference := admission.estimate - actual:
            await self._give_back([gate for gate in admission.gates if gate.tokens is not None], 0, difference)

    async def release(self, admission: Admission) -> None:
        """For a call that was refused by a later step: as if it had never been counted."""
        await self._give_back(admission.gates, 1, admission.estimate)

    async def _pass(self, gate: _Gate, estimate: int) -> Item | ConditionFailed | StoreUnavailable | None:
        """The counter after the call was counted, the refusal, or None: not counted, and let in all the same."""
        when: list[Condition] = []
        if gate.requests is not None:
            when.append(AtMost("requests", gate.requests - 1))
        if gate.tokens is not None:
            when.append(AtMost("tokens", max(gate.tokens - max(estimate, 1), 0 if gate.tokens else -1)))
        add = {"requests": 1, "tokens": estimate}
        try:
            return await self._table.apply(gate.pk, gate.window.key, add=add, set={"ttl": gate.window.ttl}, when=when)
        except ConditionFailed as failed:
            return failed
        except StoreUnavailable as error:
            log.error("rate_limit_store_error %s", error.message)
            return error if self._fail_closed else None

    async def _give_back(self, gates: Sequence[_Gate], requests: int, tokens: int) -> None:
        async def one(gate: _Gate) -> None:
            try:
                await self._table.apply(
                    gate.pk, gate.window.key, add={"requests": -requests, "tokens": -tokens}, set={"ttl": gate.window.ttl}
                )
            except StoreUnavailable as error:
                log.error("rate_limit_store_error %s", error.message)

        await together((one(gate) for gate in gates), immediate=self._immediate)


def _gates(limit: RateLimit, now: float) -> list[_Gate]:
    gates = []
    if limit.rpm is not None or limit.tpm is not None:
        gates.append(_Gate(limit, minute_at(now), limit.rpm, limit.tpm))
    if limit.tpd is not None:
        gates.append(_Gate(limit, day_at(now), None, limit.tpd))
    return gates


def _refusal(gate: _Gate, counter: Item, estimate: int, now: float) -> RateLimited:
    requests, tokens = int(counter.get("requests", 0)), int(counter.get("tokens", 0))
    by_requests = gate.requests is not None and requests >= gate.requests
    most, used, kind = (gate.requests or 0, requests, "requests") if by_requests else (gate.tokens or 0, tokens, "tokens")
    at = f"{datetime.fromtimestamp(gate.window.end, UTC):%Y-%m-%d %H:%M:%S} UTC"
    who = DESCRIPTORS.get(gate.limit.kind, gate.limit.kind)
    return RateLimited(
        f"Rate limit exceeded for {who}: {gate.limit.name}. Limit type: {kind}. Current limit: {most}, Remaining: {max(most - used, 0)}. "
        f"Limit resets at: {at}",
        code="429",
        retry_after=gate.window.end - now,
        extra={"scope": f"{gate.limit.kind}={gate.limit.name}", "limit": most, "used": used, "needed": 1 if by_requests else estimate},
        headers={**_headers([(gate, counter)], now), "rate_limit_type": kind, "reset_at": at, "x-should-retry": "true"},
    )


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("Rate limit enforcement unavailable: the counters cannot be reached. Retry shortly.", retry_after=1.0)


def _headers(counted: Sequence[tuple[_Gate, Item]], now: float) -> dict[str, str]:
    """The tightest window of each kind, under OpenAI's names, and each scope's own under LiteLLM's.

    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    headers: dict[str, str] = {}
    tightest: dict[str, int] = {}
    for gate, counter in counted:
        who = DESCRIPTORS.get(gate.limit.kind, gate.limit.kind)
        for kind, most in (("requests", gate.requests), ("tokens", gate.tokens)):
            if most is None:
                continue
            left = max(most - int(counter.get(kind, 0)), 0)
            # A scope's minute comes before its day: under its own name the minute's limit stands, as in LiteLLM.
            headers.setdefault(f"x-ratelimit-{who}-limit-{kind}", str(most))
            headers.setdefault(f"x-ratelimit-{who}-remaining-{kind}", str(left))
            if left < tightest.get(kind, left + 1):
                tightest[kind] = left
                headers[f"x-ratelimit-limit-{kind}"], headers[f"x-ratelimit-remaining-{kind}"] = str(most), str(left)
                headers[f"x-ratelimit-reset-{kind}"] = f"{max(gate.window.end - now, 0):.0f}s"
    return headers
