"""The health of every deployment as the whole fleet knows it: `Health` over the counters table. One per process.

On the way of a healthy request: one query per group and second, no write (a strategy that balances by use adds one before and one after
the call). A group with one deployment and no fallback has nothing to choose and asks nothing. A write that records a success runs in a task
of its own, since the answer is ready; `close` waits for it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import TollkeeperError, UpstreamError
from tollkeeper.routing import breaker
from tollkeeper.routing.breaker import Cell
from tollkeeper.routing.cells import FRESH_SECONDS, Cells
from tollkeeper.routing.faults import Fault, fault_of, is_alive
from tollkeeper.routing.health import WELL, Passage, Standing
from tollkeeper.routing.policy import Canary, GroupPolicy
from tollkeeper.routing.retries import HedgeShare, RetryBudget
from tollkeeper.routing.statistics import Statistics, measured, minute_of, seconds_left
from tollkeeper.store.items import canary_day_sk, canary_sk
from tollkeeper.store.table import AtMost, Condition, Table

log = logging.getLogger("tollkeeper.routing")

DAY_SECONDS = 86_400
LONGEST_LEASE, SHORTEST_LEASE = 60.0, 5.0
"""Seconds a probe may take before another is let through: the deployment's own timeout, within these."""


@dataclass(slots=True)
class _Successes:
    """Of one deployment in this process, not yet counted in its cell. Times are epoch milliseconds."""

    count: int = 0
    since: int = 0
    last: int = 0
    told_at: float = 0.0


class Fleet:
    def __init__(
        self, counters: Table, clock: Clock, random: Random, benched: Callable[[Deployment, Cell], None] = lambda _, __: None
    ) -> None:
        """`benched` hears of a deployment that this process has taken out of use; it must not block."""
        self._cells = Cells(counters, clock)
        self._benched = benched
        self._clock = clock
        self._random = random
        self._turns: dict[str, int] = {}
        self._successes: dict[str, _Successes] = {}
        self._budget = RetryBudget()
        self._hedges = HedgeShare()
        self._writing: set[asyncio.Task[None]] = set()

    async def refresh(self, deployments: Iterable[Deployment]) -> None:
        await self._cells.refresh({row.group for row in deployments})

    def standing(self, deployment: Deployment) -> Standing:
        cell = self._cells.cell(deployment.group, deployment.id)
        if not cell.until:
            return WELL
        now = self._now()
        return Standing(open=True, due=cell.due(now), wait=max(cell.until - now, 0) / 1000, reason=cell.reason)

    def statistics(self, deployment: Deployment) -> Statistics:
        return self._cells.statistics(deployment.group, deployment.id)

    def rolled_back(self, deployment: Deployment, canary: Canary) -> bool:
        mark = self._cells.mark_of(deployment.group, canary_sk(deployment.id))
        return mark is not None and mark.get("settings") == repr(canary)

    def turn(self, group: str) -> int:
        self._turns[group] = self._turns.get(group, self._random.randrange(2**16)) + 1
        return self._turns[group]

    def asked(self) -> None:
        self._budget.asked()
        self._hedges.asked()

    def may_repeat(self) -> bool:
        return self._budget.may_repeat()

    def may_hedge(self, share: float) -> bool:
        return self._hedges.may_hedge(share)

    async def enter(self, passage: Passage) -> bool:
        if passage.trial == "probe" and not await self._claim(passage):
            passage.wait = self.standing(passage.deployment).wait
            return False
        if passage.policy.counts_at_end:
            passage.minute = minute_of(passage.deployment.id, self._clock.now())
            if passage.policy.counts_at_start and not await self._begin(passage):
                passage.minute, passage.wait = None, seconds_left(self._clock.now())
                self.abandoned(passage)
                return False
        passage.started = self._clock.monotonic()
        return True

    async def failed(self, passage: Passage, error: TollkeeperError) -> None:
        counted = {"errors": 1} if self._fault(passage, error) is not None else {}
        await asyncio.gather(self._end(passage, 0, counted), self._judge(passage, error))

    def succeeded(self, passage: Passage) -> None:
        passage.seconds = self._clock.monotonic() - passage.started
        if passage.rules is None:
            return
        if passage.trial:
            self._write(passage, self._change(passage, breaker.recovered))
        elif not passage.streamed:
            self._went_well(passage)

    def abandoned(self, passage: Passage) -> None:
        if passage.trial == "probe" or passage.minute is not None:
            self._write(passage, self._give_up(passage))

    async def close(self, passage: Passage, *, tokens: int | None, output_tokens: int, error: BaseException | None) -> None:
        if passage.streamed and passage.seconds is not None:
            await self._stream_ended(passage, error)
        if passage.writing is not None:
            await passage.writing
        more: dict[str, int] = {}
        if passage.seconds is not None and error is None:
            whole = self._clock.monotonic() - passage.started
            more = measured(passage.seconds, whole, streamed=passage.streamed, output_tokens=output_tokens)
        elif isinstance(error, UpstreamError):
            more = {"errors": 1}
        await self._end(passage, passage.tokens if tokens is None else tokens, more)

    async def observed(
        self, deployment: Deployment, policy: GroupPolicy, error: TollkeeperError | None, seconds: float, *, peers: bool
    ) -> None:
        """What a health probe saw of a deployment, as if a call had: it closes the circuit, or counts against it."""
        await self._cells.refresh([deployment.group])
        passage = Passage(deployment, policy, policy.rules_for(deployment, peers=peers))
        passage.started = self._clock.monotonic() - seconds
        if error is not None:
            await self._judge(passage, error)
        elif self._cells.cell(deployment.group, deployment.id).until:
            await self._change(passage, breaker.recovered)

    async def _stream_ended(self, passage: Passage, error: BaseException | None) -> None:
        """Only its end tells whether a stream went well; a probe's was answered by its first content."""
        trial, passage.trial = passage.trial, ""
        if isinstance(error, UpstreamError):
            if passage.writing is not None:
                await passage.writing
            await self._judge(passage, error)
        elif not trial and passage.rules is not None:
            self._went_well(passage)

    async def _claim(self, passage: Passage) -> bool:
        deployment = passage.deployment
        own = min(deployment.timeout, deployment.stream_timeout or deployment.timeout)
        lease = min(max(own, SHORTEST_LEASE), LONGEST_LEASE)
        passage.who = self._clock.new_id()
        cell = await self._change(passage, lambda cell: breaker.claimed(cell, passage.who, self._now(), lease) or cell)
        return cell.probe == passage.who

    async def _begin(self, passage: Passage) -> bool:
        assert passage.minute is not None
        deployment = passage.deployment
        when: list[Condition] = []
        if passage.policy.limited and deployment.rpm is not None:
            when.append(AtMost("requests", deployment.rpm - 1))
        if passage.policy.limited and deployment.tpm is not None:
            # A prompt larger than the limit itself is let into an empty minute: it would otherwise never be.
            when.append(AtMost("tokens", max(deployment.tpm - passage.tokens, 0)))
        add = {"requests": 1, "tokens": passage.tokens}
        return await self._cells.count(deployment.group, passage.minute.sk, add=add, ttl=passage.minute.ttl, when=when)

    async def _end(self, passage: Passage, tokens: int, more: dict[str, int]) -> None:
        if passage.minute is None or passage.ended:
            return
        passage.ended = True
        begun = {"ended": 1, "tokens": tokens - passage.tokens} if passage.policy.counts_at_start else {}
        if add := {**begun, **more}:
            await self._cells.count(passage.deployment.group, passage.minute.sk, add=add, ttl=passage.minute.ttl)
        canary = passage.policy.canary
        if canary is not None and canary.deployment == passage.deployment.id and more:
            await self._watch_canary(passage.deployment, canary, failed="errors" in more)

    async def _watch_canary(self, deployment: Deployment, canary: Canary, *, failed: bool) -> None:
        """Counts a canary's call, and rolls it back for the whole fleet, once, when too many of yesterday's and today's failed.

        (The minutes above are too short a memory: a canary that fails soon rests most of the time.)
        """
        now = self._clock.now()
        days = [canary_day_sk(deployment.id, repr(canary), moment) for moment in (now - DAY_SECONDS, now)]
        ttl = int(now) + 2 * DAY_SECONDS
        await self._cells.count(deployment.group, days[1], add={"errors": 1} if failed else {"answered": 1}, ttl=ttl)
        items = [item for sk in days if (item := self._cells.mark_of(deployment.group, sk)) is not None]
        errors, total = (sum(int(item.get(name, 0)) for item in items for name in names) for names in (("errors",), ("errors", "answered")))
        if total >= canary.min_requests and errors > canary.max_error_rate * total and not self.rolled_back(deployment, canary):
            told = f"{errors} of {total} calls failed"
            await self._cells.mark(deployment.group, canary_sk(deployment.id), {"reason": told, "settings": repr(canary)})
            log.warning("canary_rolled_back group=%s deployment=%s %s", deployment.group, deployment.id, told)

    async def _judge(self, passage: Passage, error: TollkeeperError) -> None:
        rules = passage.rules
        if rules is None:
            return
        fault = self._fault(passage, error)
        if fault is None:
            await self._not_its_fault(passage, error)
        elif passage.trial == "probe":
            await self._change(passage, lambda cell: breaker.relapsed(cell, passage.who, fault, self._now(), rules))
        else:
            await self._went_badly(passage, fault)

    def _fault(self, passage: Passage, error: TollkeeperError) -> Fault | None:
        return fault_of(error, passage.deployment, self._clock.monotonic() - passage.started)

    async def _not_its_fault(self, passage: Passage, error: TollkeeperError) -> None:
        if passage.trial and is_alive(error):
            await self._change(passage, breaker.recovered)
        elif passage.trial == "probe":
            await self._change(passage, lambda cell: breaker.released(cell, passage.who, self._now()))

    async def _went_badly(self, passage: Passage, fault: Fault) -> None:
        rules, now = passage.rules, self._now()
        assert rules is not None
        mine = self._successes.pop(passage.deployment.id, _Successes())
        oks = mine.count if now - mine.since < rules.window * 1000 else 0
        cell = await self._change(passage, lambda cell: breaker.failed(cell, fault, now, rules, oks=oks, ok_at=mine.last))
        if cell.open(now):
            self._benched(passage.deployment, cell)
        if fault.kind == "Authentication" and fault.fault_class == "hard":
            # The credential was refused: whatever else in the group has the same is benched unasked.
            others = (
                self._cells.change(row.group, row.id, lambda cell: breaker.failed(cell, fault, now, rules))
                for row in passage.same_credential()
            )
            await asyncio.gather(*others)

    def _went_well(self, passage: Passage) -> None:
        mine, now = self._successes.setdefault(passage.deployment.id, _Successes()), self._now()
        if now - mine.since >= breaker.WINDOW_SECONDS * 1000:
            mine.count, mine.since = 0, now
        mine.count, mine.last = mine.count + 1, now
        cell = self._cells.cell(passage.deployment.group, passage.deployment.id)
        if cell.failing and self._clock.monotonic() - mine.told_at >= FRESH_SECONDS:
            oks, mine.count, mine.told_at = mine.count, 0, self._clock.monotonic()
            self._write(passage, self._change(passage, lambda cell: breaker.succeeded(cell, oks)))

    async def _give_up(self, passage: Passage) -> None:
        if passage.trial == "probe":
            await self._change(passage, lambda cell: breaker.released(cell, passage.who, self._now()))
        await self._end(passage, passage.tokens, {})

    async def _change(self, passage: Passage, step: "breaker.Step") -> Cell:
        return await self._cells.change(passage.deployment.group, passage.deployment.id, step)

    def _write(self, passage: Passage, work: Coroutine[Any, Any, object]) -> None:
        async def run() -> None:
            await work

        task = passage.writing = asyncio.create_task(run())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _now(self) -> int:
        return int(self._clock.now() * 1000)
