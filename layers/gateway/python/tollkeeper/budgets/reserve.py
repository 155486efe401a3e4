"""Money set aside before a call, in every scope at once, and booked after it. See counter.py for one write and slices.py for one scope.

    reserve ─▶ all scopes concurrently ─▶ all granted ──────────────────────────▶ Hold
                     │ one refuses: release the rest, then
                     ├─ it can never fit in this window ─────────────────────────▶ BudgetExceeded
                     ├─ a useful part of it fits now: reserve that part ─────────▶ Hold (clamped)
                     └─ it fits once open holds settle: wait a bounded time ─────▶ Hold, or RateLimited (busy)

Every round has its own hold id, so a release that overtakes a late reserve can never be taken for a grant of the next round.
`reserve` takes one parallel round trip when nothing refuses, and none without scopes. A cancelled caller leaves no hold behind.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tollkeeper.budgets import answers, counter
from tollkeeper.budgets.counter import Refused
from tollkeeper.budgets.hold import Balance, BudgetEvent, EventKind, EventSink, Hold, Options, Outcome, Part, Refusal, Settlement, ignore
from tollkeeper.budgets.janitor import Register
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.budgets.slices import Slices, cell_of
from tollkeeper.budgets.verdict import Demand, next_amount
from tollkeeper.clock import Clock
from tollkeeper.errors import BudgetExceeded, RateLimited, StoreUnavailable
from tollkeeper.money import NanoUSD
from tollkeeper.store.table import Item, Table
from tollkeeper.store.together import is_immediate, started, together

_ROUNDS = 4
_POLL_SECONDS, _POLL_MOST = 0.05, 0.4
_T = TypeVar("_T")


class Budgets:
    """The budgets of every scope. One per process; `events` must not block."""

    def __init__(self, counters: Table, clock: Clock, options: Options = Options(), events: EventSink = ignore) -> None:  # noqa: B008 - frozen
        self._table = counters
        self.immediate = is_immediate(counters)
        self._clock = clock
        self._options = options
        self._events = events
        self._slices = Slices(counters, clock, options, events)
        self._register = Register(counters, clock)
        self._told: set[tuple[str, str, str, int, int]] = set()
        self._tasks: set[asyncio.Future[Any]] = set()

    async def reserve(
        self,
        scopes: Sequence[ScopeCap],
        amount: NanoUSD,
        *,
        minimum: NanoUSD | None = None,
        estimate: NanoUSD | None = None,
        beside: str = "",
    ) -> Hold:
        """Sets `amount` aside in all `scopes`, or raises and holds nothing.

        `beside` is the id of another hold of the same call.
        With a `minimum` the hold may be smaller (`clamped`): the caller then lowers the output limit to what `hold.amount` buys.
        Raises BudgetExceeded (it will not fit in this window), RateLimited (it may later), StoreUnavailable (on_store_error: deny).
        """
        if not scopes:
            return Hold("", amount, self._clock.now())
        floor = amount if minimum is None else min(minimum, amount)
        demand = Demand(amount, floor, amount if estimate is None else estimate)
        task = self._spawn(self._reserve(scopes, demand, beside))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The writes are under way: let them land, then give back what they took.
            task.add_done_callback(self._abandon)
            raise

    async def extend(self, hold: Hold, amount: NanoUSD) -> Hold:
        """Grows a hold to `amount` before a dearer deployment is tried.

        Raises BudgetExceeded, RateLimited or StoreUnavailable; the hold then stays as it was.
        """
        binding: dict[int, list[Part]] = {}
        for part in hold.parts:
            if part.scope.enforcement == "hard":
                binding.setdefault(id(part.scope), []).append(part)
        grown = await self._finish(self._extend_all(list(binding.values()), amount))
        parts = {id(part): part for part in hold.parts}
        for group, outcome in zip(binding.values(), grown, strict=True):
            parts.update({id(old): new for old, new in zip(group, outcome.parts, strict=False)})
            parts.update({id(new): new for new in outcome.parts[len(group) :]})
        return replace(hold, amount=NanoUSD(max(amount, hold.amount)), parts=tuple(parts.values()))

    async def settle(self, hold: Hold, actual: NanoUSD) -> Settlement:
        """Books what the call cost and ends the hold. Never raises: what the store does not take now, the janitor books in full."""
        return await self._finish(self._settle(hold, actual))

    async def release(self, hold: Hold) -> Settlement:
        """Ends the hold of a call that cost nothing."""
        return await self.settle(hold, NanoUSD(0))

    async def expire(self, hold: Hold) -> Settlement:
        """Books the whole hold: for a call of which nothing is known."""
        return await self.settle(hold, hold.amount)

    async def balance(self, scope: ScopeCap) -> Balance:
        """What a scope's window stands at. Raises StoreUnavailable."""
        return await self._slices.balance(scope)

    async def reset_spend(self, scope: ScopeCap, spent: NanoUSD = NanoUSD(0)) -> Balance:  # noqa: B008 - a number
        """Sets what counts as spent in this window (LiteLLM's /key/{key}/reset_spend); open holds stay. Raises StoreUnavailable."""
        for _ in range(_ROUNDS):
            view = await self._slices.look(scope)
            before = view.balance()
            if before.spent == spent:
                return before
            try:
                await counter.correct(self._table, cell_of(scope), counter.number_of(view.root, "spent"), spent - before.spent)
            except Refused:
                continue
        raise StoreUnavailable(f"the spend of {scope.kind}={scope.name} keeps changing; try again")

    async def _reserve(self, scopes: Sequence[ScopeCap], demand: Demand, beside: str) -> Hold:
        deadline = self._clock.monotonic() + self._options.wait_seconds
        want, refusals = demand.amount, list[Refusal]()
        while True:
            for _ in range(_ROUNDS):
                hold, refusals = await self._round(scopes, demand, want, beside)
                if not refusals:
                    return replace(hold, clamped=True) if want < demand.amount else hold
                lower = next_amount(refusals, demand, self._options, self._clock.now())
                if lower is None:
                    break
                want = lower
            want = await self._wait(refusals, demand, deadline)

    async def _round(self, scopes: Sequence[ScopeCap], demand: Demand, want: int, beside: str) -> tuple[Hold, list[Refusal]]:
        """One try in all scopes. With a refusal nothing is held any more. Raises StoreUnavailable, holding nothing it knows of."""
        created = self._clock.now()
        identity = counter.hold_attribute(created, self._clock.new_id(), beside)
        takes = (self._slices.take(scope, identity, demand.of(scope, want)) for scope in scopes)
        enlisting = () if self._register.knows(_windows(scopes), created) else (self._enlist(scopes, created),)
        outcomes = (await together((*enlisting, *takes), immediate=self.immediate))[-len(scopes) :]
        parts = tuple(part for outcome in outcomes for part in outcome.parts)
        spent: dict[str, int] = {
            scope.kind: outcome.balance.spent for scope, outcome in zip(scopes, outcomes, strict=True) if outcome.balance
        }
        hold = Hold(identity, NanoUSD(want), created, parts, spent=spent)
        try:
            refusals = [refusal for scope, outcome in zip(scopes, outcomes, strict=True) if (refusal := self._judge(scope, outcome, want))]
        except StoreUnavailable:
            await self._settle(hold, 0)
            raise
        if refusals:
            await self._settle(hold, 0)
        return hold, refusals

    def _judge(self, scope: ScopeCap, outcome: Outcome, want: int) -> Refusal | None:
        """The refusal that binds. Shadow scopes never do; a store that does not answer binds unless the budget says otherwise."""
        if outcome.error is not None:
            self._tell("store_error", scope, error=outcome.error.message)
            if scope.on_store_error == "deny" and scope.mode == "enforce":
                raise outcome.error
        if scope.mode == "shadow":
            self._shadow(scope, outcome, want)
            return None
        return outcome.refusal

    def _shadow(self, scope: ScopeCap, outcome: Outcome, want: int) -> None:
        balance = outcome.balance
        over = balance is not None and scope.cap is not None and balance.committed > scope.cap
        crowd = balance is not None and scope.max_parallel is not None and balance.in_flight > scope.max_parallel
        if outcome.refusal is not None or over or crowd:
            reason = outcome.refusal.kind if outcome.refusal else "money" if over else "parallel"
            self._tell("shadow_refused", scope, reason=reason, needed=want)

    async def _wait(self, refusals: Sequence[Refusal], demand: Demand, deadline: float) -> int:
        """Polls until a useful amount fits (a read is half the price of a refused write) and returns how much. Raises RateLimited."""
        pause = _POLL_SECONDS
        while self._clock.monotonic() + pause <= deadline:
            await self._clock.sleep(pause)
            pause = min(pause * 2, _POLL_MOST)
            refusals = [replace(refusal, balance=await self._slices.balance(refusal.scope)) for refusal in refusals]
            want = next_amount(refusals, demand, self._options, self._clock.now(), waited=True)
            if want is not None:
                return want
        worst = refusals[0]
        raise answers.busy(replace(worst, needed=demand.of(worst.scope, demand.minimum)), self._clock.now())

    async def _extend_all(self, groups: Sequence[list[Part]], amount: int) -> list[Outcome]:
        outcomes = await asyncio.gather(*(self._extend(group, amount) for group in groups))
        failed = next((outcome for outcome in outcomes if outcome.refusal or outcome.error), None)
        if failed is None:
            return list(outcomes)
        await asyncio.gather(*(self._shrink(group, outcome) for group, outcome in zip(groups, outcomes, strict=True)))
        if failed.refusal is None:
            raise failed.error or StoreUnavailable("the budget store does not answer")
        refusal = replace(failed.refusal, needed=amount)
        if refusal.balance.spent + amount > (refusal.scope.cap or 0):
            raise answers.exceeded(refusal, self._options.status)
        raise answers.busy(refusal, self._clock.now())

    async def _extend(self, group: list[Part], amount: int) -> Outcome:
        """Grows one scope's hold in place, or, where its slice has no room, beside it."""
        scope, first = group[0].scope, group[0]
        missing = amount - sum(part.amount for part in group)
        if missing <= 0:
            return Outcome(tuple(group))
        grown = replace(first, amount=first.amount + missing)
        try:
            await self._slices.grow(first, grown.amount)
            return Outcome((grown, *group[1:]))
        except StoreUnavailable as error:
            allowed = scope.on_store_error == "allow" or scope.mode == "shadow"
            return Outcome((grown, *group[1:]), error=None if allowed else error)
        except Refused as refused:
            if not scope.sliceable:
                return self._refused(scope, missing, refused.item)
        created = self._clock.now()
        identity = counter.hold_attribute(created, self._clock.new_id(), first.hold)
        _, beside = await together((self._enlist([scope], created), self._slices.take(scope, identity, missing)), immediate=self.immediate)
        return replace(beside, parts=(*group, *beside.parts))

    def _refused(self, scope: ScopeCap, needed: int, item: Item) -> Outcome:
        balance = Balance(*(counter.number_of(item, name) for name in ("spent", "committed", "in_flight")))
        return Outcome(refusal=Refusal(scope, "money", balance, needed))

    async def _shrink(self, group: list[Part], outcome: Outcome) -> None:
        """Undoes one scope's growth; a hold left too large is only dear until it is settled."""
        for old, new in zip(group, outcome.parts, strict=False):
            if new.amount != old.amount:
                await self._try(counter.resize(self._table, old.cell, old.hold, new.amount, old.amount, limit=None), old)
        for extra in outcome.parts[len(group) :]:
            await self._try(self._slices.end(extra.cell, extra.hold, extra.amount, 0), extra)

    async def _try(self, write: Coroutine[Any, Any, Item | None], part: Part) -> None:
        try:
            await write
        except (StoreUnavailable, Refused):
            self._tell("unsettled", part.scope, hold=part.hold, amount=part.amount)

    async def _settle(self, hold: Hold, actual: int) -> Settlement:
        shares = _spread_over(hold.parts, actual)
        ends = await together(
            (self._end(part, share, actual) for part, share in zip(hold.parts, shares, strict=True)), immediate=self.immediate
        )
        by_state = {
            state: tuple(part for part, end in zip(hold.parts, ends, strict=True) if end == state) for state in ("unsettled", "gone")
        }
        if actual > hold.amount:
            for scope in {id(part.scope): part.scope for part in hold.parts if part.scope.binds}.values():
                self._tell("bound_exceeded", scope, hold=hold.id, amount=hold.amount, actual=actual)
        return Settlement(NanoUSD(actual), by_state["unsettled"], by_state["gone"])

    async def _end(self, part: Part, share: int, actual: int) -> str:
        try:
            item = await self._slices.end(part.cell, part.hold, part.amount, share)
        except (StoreUnavailable, Refused):
            self._tell("unsettled", part.scope, hold=part.hold, amount=part.amount, actual=actual)
            return "unsettled"
        if item is None:
            return "gone"
        await self._watch_marks(part, item, share)
        return "ended"

    async def _watch_marks(self, part: Part, item: Item, share: int) -> None:
        """Told once per window: the write that crosses knows it, except in a sliced scope, where each process tells once."""
        scope = part.scope
        marks = [mark for mark in self._marks(scope) if (scope.pk, scope.window.key, *mark) not in self._told]
        if not marks or not share:
            return
        spent = counter.number_of(item, "spent")
        before = spent - share
        if part.slice or "label" in item:
            try:
                spent, before = (await self._slices.balance(scope)).spent, -1
            except StoreUnavailable:
                return
        for kind, amount, percent in marks:
            if before < amount <= spent:
                self._told.add((scope.pk, scope.window.key, kind, amount, percent))
                said = {"soft_budget": scope.soft_budget} if kind == "soft_budget" else {"percent": percent}
                self._tell(kind, scope, spent=spent, max_budget=scope.cap, **said)

    def _marks(self, scope: ScopeCap) -> list[tuple[EventKind, int, int]]:
        """(event, nano-USD at which it is told, percent of the budget)."""
        marks: list[tuple[EventKind, int, int]] = []
        if scope.soft_budget is not None:
            marks.append(("soft_budget", scope.soft_budget, 0))
        if scope.cap:
            marks += [("threshold", -(-scope.cap * percent // 100), percent) for percent in self._options.thresholds]
        return marks

    async def _enlist(self, scopes: Sequence[ScopeCap], created: float) -> Outcome:
        try:
            await self._register.enlist(_windows(scopes), created)
        except StoreUnavailable as error:
            for scope in scopes:
                self._tell("store_error", scope, error=error.message)
        return Outcome()

    def _tell(self, kind: EventKind, scope: ScopeCap, **fields: Any) -> None:
        self._events(BudgetEvent(kind, scope.pk, scope.window.key, {"kind": scope.kind, "name": scope.name, **fields}))

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Future[_T]":
        task = started(work, immediate=self.immediate)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs to its end even if the caller is cancelled."""
        return await asyncio.shield(self._spawn(work))

    def _abandon(self, task: "asyncio.Future[Hold]") -> None:
        if task.cancelled() or isinstance(task.exception(), BudgetExceeded | RateLimited | StoreUnavailable):
            return
        self._spawn(self._settle(task.result(), 0))


def _windows(scopes: Iterable[ScopeCap]) -> list[tuple[str, str]]:
    return [(scope.pk, scope.window.key) for scope in scopes]


def _spread_over(parts: Sequence[Part], actual: int) -> list[int]:
    """Each scope books `actual` once: over its parts in order, and what is more than they hold goes on the last."""
    rest: dict[int, int] = {id(part.scope): actual for part in parts}
    last = {id(part.scope): index for index, part in enumerate(parts)}
    shares = []
    for index, part in enumerate(parts):
        left = rest[id(part.scope)]
        share = left if last[id(part.scope)] == index else min(left, part.amount)
        rest[id(part.scope)] = left - share
        shares.append(share)
    return shares
