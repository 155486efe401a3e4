"""Counters against the ledger, in two ways: all at once by a command, and a few at a time by the janitor, for a metric that must be 0.

What both sides say is in counters.py. They are never read at the same moment, and a call that has just ended is in one of them first. So
the janitor (`DriftWatch`) believes no single look. It remembers a counter that is off and looks again a little later, when everything that
was on its way has arrived:

    booked before ─▶ entry, sums and counters follow within SETTLED_SECONDS ─▶ booked after
    ledger(before)  ≤  what the counter should have said in between  ≤  ledger(after)

Only what lies outside of that, with the counter's open holds on its side, is drift. A counter that is quiet for two looks is known to the
nano-dollar; one that never is quiet shows a drift larger than what it spends in a minute, and a smaller one as soon as it rests.

A process killed between the entry and a lifetime counter leaves that short. Lifetimes are for showing, so the janitor mends them once
nothing moves; a budget's window is never changed but by `tollkeeper rollup drift --write`.
"""

import asyncio
import logging
from collections import Counter as Tallies
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tollkeeper.budgets import counter
from tollkeeper.clock import Clock
from tollkeeper.ledger.sums import ALL
from tollkeeper.reports.counters import OWNERS, Counters, Look, Owner
from tollkeeper.reports.reader import Reader
from tollkeeper.store.items import DRIFT_FOUND, DRIFT_PK, DRIFT_ROUND_SK, LIFETIME_SK, sum_pk
from tollkeeper.store.table import Condition, ConditionFailed, Equals, Item, Missing, Table

log = logging.getLogger("tollkeeper.drift")

SETTLED_SECONDS = 30.0
"""Far longer than an entry needs to be in the sums and in the counters."""
REQUESTS_A_RUN = 200
MOST_SUSPECTS = 100
_KEPT_SECONDS = 7 * 86400


async def drifts(reader: Reader, ledger: Table, counters: Table, clock: Clock) -> list[Look]:
    """Those of all counters that are off now: while no calls are under way, every one is really. Raises StoreUnavailable."""
    await reader.fresh()
    months = await reader.months()
    looking, found = Counters(ledger, counters, clock), list[Look]()
    for kind in OWNERS:
        names = {""} if kind == ALL else {name for month in months for name in await reader.names(kind, month) if name}
        for name in sorted(names):
            found += [look for look in await looking.of((kind, name), months) if look.amount]
    return found


async def mend(counters: Table, found: Iterable[Look]) -> None:
    """Sets them to what the ledger says. Only while no calls are under way. Raises StoreUnavailable; Refused if there were some."""
    for look in found:
        change, spent = look.ledger - look.counter, counter.number_of
        if look.cell.sk == LIFETIME_SK:
            await counters.apply(look.cell.pk, LIFETIME_SK, add={"spent": change})
        elif change:
            item = await counters.get(look.cell.pk, look.cell.sk, consistent=True) or {}
            await counter.correct(counters, look.cell, spent(item, "spent"), change, noted=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of drift. Nano-dollars by kind of scope, of either direction; `rounds` is how often all was looked at."""

    by_kind: Mapping[str, int] = field(default_factory=dict)
    counters: int = 0
    mended: int = 0
    rounds: int = 0
    looked_at: float = 0.0

    @property
    def amount(self) -> int:
        return sum(self.by_kind.values())


class _Turn:
    """One run: what it knows, what it has asked, and what it has mended."""

    def __init__(self, months: list[str], looking: Counters, found: Iterable[Item]) -> None:
        self.months, self.looking, self.mended = months, looking, 0
        self.suspects = {str(item["sk"]): item for item in found}
        self.suspected: dict[Owner, set[str]] = {}
        for sk, item in self.suspects.items():
            self.suspected.setdefault((str(item["kind"]), str(item["value"])), set()).add(sk)


class DriftWatch:
    """One per process; two at once do no harm. A run asks the store about REQUESTS_A_RUN times, however many counters there are.

    It goes round over everybody who called in this month or the last, and looks again at whatever was off.
    """

    def __init__(self, reader: Reader, ledger: Table, counters: Table, clock: Clock, *, requests_a_run: int = REQUESTS_A_RUN) -> None:
        self._reader, self._ledger, self._table, self._clock = reader, ledger, counters, clock
        self._most = requests_a_run

    async def run(self) -> Standing:
        """Raises StoreUnavailable; the next run goes on where this one stopped."""
        await self._reader.fresh()
        turn = _Turn(await self._reader.months(), Counters(self._ledger, self._table, self._clock), await _found(self._table))
        for owner in list(turn.suspected)[:MOST_SUSPECTS]:
            await self._look(turn, owner)
        await self._go_round(turn)
        return replace(await standing(self._table), mended=turn.mended)

    async def _go_round(self, turn: "_Turn") -> None:
        """On from where the last run stopped, to the end of the round at most."""
        stages = [f"{month}#{kind}" for month in reversed(turn.months[-2:]) for kind in OWNERS]
        mark = await self._table.get(DRIFT_PK, DRIFT_ROUND_SK) or {}
        place = stages.index(mark["stage"]) if mark.get("stage") in stages else 0
        rounds, after = int(mark.get("rounds", 0)), mark.get("after") if place or mark.get("stage") in stages[:1] else None
        while place < len(stages) and turn.looking.asked < self._most:
            after = await self._stage(turn, stages[place], after)
            place += after is None
        done = place == len(stages)
        stage, at = "" if done else stages[place], int(self._clock.now())
        await self._table.put({"pk": DRIFT_PK, "sk": DRIFT_ROUND_SK, "rounds": rounds + done, "stage": stage, "after": after, "at": at})

    async def _stage(self, turn: "_Turn", stage: str, after: str | None) -> str | None:
        """A page of a month's owners of one kind. Where to go on; None: that was all."""
        month, kind = stage[:7], stage[8:]
        if kind == ALL:
            await self._look(turn, (ALL, ""))
            return None
        turn.looking.asked += 1
        # So many that their months and counters are about half of what a run may ask for.
        limit = max(1, self._most // (2 * (len(turn.months) + 2)))
        page = await self._ledger.query(sum_pk(kind, month), prefix="month#", after=after, limit=limit)
        for name in (str(item["value"]) for item in page.items if item["value"]):
            if (kind, name) not in turn.suspected:
                await self._look(turn, (kind, name))
        return page.next

    async def _look(self, turn: "_Turn", owner: Owner) -> None:
        looks = await turn.looking.of(owner, turn.months)
        for look in looks:
            turn.mended += await self._judge(look, turn.suspects.get(_found_sk(look)))
        for sk in turn.suspected.get(owner, set()) - {_found_sk(look) for look in looks}:
            await self._table.delete(DRIFT_PK, sk)  # its window has ended
        # The embedded store works inline: the calls that wait for the event loop come first.
        await asyncio.sleep(0)

    async def _judge(self, look: Look, before: Item | None) -> int:
        if not look.amount:
            if before is not None:
                await self._table.delete(DRIFT_PK, before["sk"])
            return 0
        now = self._clock.now()
        if before is not None and now - before["at"] < SETTLED_SECONDS:
            return 0
        amount = look.unbalanced or _proven(look, before)
        if amount and (before is None or before.get("amount") != amount):
            log.error("ledger_drift %s %s nano-USD: the counter says %s, the ledger %s", look.name, amount, look.counter, look.ledger)
        await self._table.put({
            "pk": DRIFT_PK,
            "sk": _found_sk(look),
            "kind": look.owner[0],
            "value": look.owner[1],
            "scope": look.kind,
            "counter": look.counter,
            "held": look.held,
            "ledger": look.ledger,
            **({} if before is None else {"earlier": before["ledger"]}),
            "amount": amount,
            "at": int(now),
            "ttl": int(now) + _KEPT_SECONDS,
        })  # fmt: skip
        return await self._mend(look) if before is not None and _fell_short(look, before, amount) else 0

    async def _mend(self, look: Look) -> int:
        """Once, however many janitors see it. What the counter said is drift until the next look."""
        item = await self._table.get(look.cell.pk, LIFETIME_SK, consistent=True) or {}
        unmoved: Condition = Equals("spent", item["spent"]) if "spent" in item else Missing("spent")
        if counter.number_of(item, "spent") + counter.number_of(item, "adjusted") != look.counter:
            return 0
        try:
            await self._table.apply(look.cell.pk, LIFETIME_SK, add={"spent": look.ledger - look.counter}, when=[unmoved])
        except ConditionFailed:
            return 0
        log.warning("lifetime_mended %s %s nano-USD", look.cell.pk, look.ledger - look.counter)
        return 1


def _proven(look: Look, before: Item | None) -> int:
    """By how much the counter was off when it was looked at before: at least, and 0 if it may have been right."""
    if before is None:
        return 0
    over = int(before["counter"]) - look.ledger
    if over > 0:
        return over
    short = int(before["counter"]) + int(before["held"]) - int(before["earlier"]) if "earlier" in before else 0
    return min(short, 0)


def _fell_short(look: Look, before: Item, amount: int) -> bool:
    """A lifetime that lacks something, where nothing has moved since the last look but one."""
    still = before.get("earlier") == before["ledger"] == look.ledger and before["counter"] == look.counter
    return still and amount < 0 and look.cell.sk == LIFETIME_SK


def _found_sk(look: Look) -> str:
    return f"{DRIFT_FOUND}{look.cell.pk}#{look.cell.sk}"


async def _found(counters: Table) -> list[Item]:
    return (await counters.query(DRIFT_PK, prefix=DRIFT_FOUND, limit=1000)).items


async def standing(counters: Table) -> Standing:
    """As the last run left it: two requests. Raises StoreUnavailable."""
    off, by_kind = 0, Tallies[str]()
    for item in await _found(counters):
        by_kind[str(item["scope"])] += abs(int(item["amount"]))
        off += bool(item["amount"])
    mark = await counters.get(DRIFT_PK, DRIFT_ROUND_SK) or {}
    return Standing(dict(by_kind), off, 0, int(mark.get("rounds", 0)), float(mark.get("at", 0)))
