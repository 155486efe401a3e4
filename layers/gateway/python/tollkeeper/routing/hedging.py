"""Asks a second deployment where the first is slower than usual, and takes the answer that comes first. Off unless a group has `hedge`.

The budget of the call holds both (admission/attempts.py refuses the second where it cannot); the loser is cancelled, and what it may have
cost is booked. "The Tail at Scale", Dean and Barroso 2013, https://research.google/pubs/the-tail-at-scale/
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from tollkeeper.clock import Clock
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.health import Passage
from tollkeeper.routing.plan import Attempt, Plan

Result = TypeVar("Result")
Discard = Callable[[Attempt, Result], Awaitable[None]]

FEWEST_SAMPLES = 10
"""A quantile of fewer calls says little."""
SOONEST = 0.05


async def raced(
    plan: Plan, step: Attempt, attempt: Callable[[Attempt], Awaitable[Result]], clock: Clock, discard: "Discard[Result] | None"
) -> Result:
    """`plan.passage` becomes the winner's. Raises the first try's error where both fail."""
    after = _patience(plan, step)
    if after is None or discard is None:
        return await attempt(step)
    first = asyncio.ensure_future(attempt(step))
    timer = asyncio.ensure_future(clock.sleep(after))
    try:
        await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
        if first.done() or (rival := await _rival(plan, step)) is None:
            return await first
        race = _Race(plan, discard, {first: (step, plan.passage)})
        race.runners[asyncio.ensure_future(attempt(rival[0]))] = rival
        return await race.run(first)
    except BaseException:
        await _cancelled(first)
        raise
    finally:
        timer.cancel()


class _Race(Generic[Result]):
    """Two tries under way; `runners` maps each to its step and passage."""

    def __init__(
        self, plan: Plan, discard: "Discard[Result]", runners: "dict[asyncio.Future[Result], tuple[Attempt, Passage | None]]"
    ) -> None:
        self._plan, self._discard, self.runners = plan, discard, runners

    async def run(self, first: "asyncio.Future[Result]") -> Result:
        running = set(self.runners)
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for runner in done:
                    if not _failed(runner):
                        return await self._won(runner)
        except BaseException:
            for runner in self.runners:
                await _cancelled(runner)
            raise
        for runner in self.runners.keys() - {first}:
            await self._tell(runner)
        return await first

    async def _won(self, winner: "asyncio.Future[Result]") -> Result:
        self._plan.passage = self.runners.pop(winner)[1]
        for loser, (step, passage) in self.runners.items():
            if _failed(loser):
                await self._tell(loser)
                continue
            if passage is not None:
                self._plan.health.abandoned(passage)
            # Cancelled, or, if it came in at the same moment, put away.
            if loser.done() and not loser.cancelled():
                await self._discard(step, loser.result())
            await _cancelled(loser)
        return winner.result()

    async def _tell(self, failed: "asyncio.Future[Result]") -> None:
        passage, error = self.runners[failed][1], failed.exception()
        if passage is not None and isinstance(error, TollkeeperError):
            await self._plan.health.failed(passage, error)


async def _rival(plan: Plan, step: Attempt) -> tuple[Attempt, Passage] | None:
    hedge = (step.group or plan.group).policy.hedge
    other = plan.beside()
    if hedge is None or other is None or not plan.health.may_hedge(hedge.share):
        return None
    passage = plan.passage_for(other)
    return (other, passage) if await plan.health.enter(passage) else None


def _patience(plan: Plan, step: Attempt) -> float | None:
    """Seconds to give the first alone. None: this call does not hedge, or nothing is known of what is usual."""
    hedge = (step.group or plan.group).policy.hedge
    if hedge is None or step.trial:
        return None
    if hedge.after is not None:
        return hedge.after
    usual = plan.health.statistics(step.deployment).quantile(hedge.quantile, streamed=plan.streamed, samples=FEWEST_SAMPLES)
    return None if usual is None else max(usual, SOONEST)


def _failed(future: "asyncio.Future[Result]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None


async def _cancelled(future: "asyncio.Future[Result]") -> None:
    future.cancel()
    with suppress(asyncio.CancelledError, TollkeeperError):
        await future
