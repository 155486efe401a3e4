"""Runs a plan until a try succeeds, and tells the fleet how each try went."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tollkeeper.clock import Clock
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.hedging import raced
from tollkeeper.routing.plan import Attempt, Plan

Result = TypeVar("Result")

LONGEST_WAIT = 60.0


async def first_success(
    plan: Plan,
    attempt: Callable[[Attempt], Awaitable[Result]],
    clock: Clock,
    *,
    deadline: float | None = None,
    discard: Callable[[Attempt, Result], Awaitable[None]] | None = None,
) -> Result:
    """Raises the last try's error when the plan or the time is exhausted, NoDeployment when there is none to begin with. `finish` closes
    the call.

    `deadline` is monotonic: nothing is begun after it, and no wait runs into it. `discard` takes an answer that nobody needs, where two
    deployments were asked at once.
    """
    await plan.health.refresh(plan.watched())
    step = plan.first()
    while True:
        passage = plan.passage_for(step)
        if not await plan.health.enter(passage):
            step = plan.passed_over(step, passage.wait)
            continue
        plan.passage = passage
        began = clock.monotonic()
        try:
            result = await raced(plan, step, attempt, clock, discard)
        except TollkeeperError as error:
            plan.record.tried(step.deployment.id, error.type, _ms(clock, began), step.trial)
            await asyncio.gather(plan.health.failed(passage, error), plan.health.refresh(plan.deployments() if plan.alternatives else ()))
            following = plan.after(error)
            if following is None:
                raise
            delay = max(following.delay, min(error.retry_after or 0.0, LONGEST_WAIT)) if following.delay else 0.0
            if deadline is not None and clock.monotonic() + delay >= deadline:
                raise
            if delay:
                await clock.sleep(delay)
            step = following
        except BaseException:
            plan.health.abandoned(passage)
            raise
        else:
            plan.record.tried(plan.passage.deployment.id, "ok", _ms(clock, began), plan.passage.trial)
            plan.health.succeeded(plan.passage)
            return result


async def finish(plan: Plan, *, tokens: int | None = None, output_tokens: int = 0, error: BaseException | None = None) -> None:
    """The call is over: what it used, and the error that cut its stream, if one did. Call it once, where the caller cannot cancel it.

    `tokens` are input and output together; None where nobody knows.
    """
    if plan.passage is not None:
        await plan.health.close(plan.passage, tokens=tokens, output_tokens=output_tokens, error=error)


def _ms(clock: Clock, began: float) -> int:
    return round((clock.monotonic() - began) * 1000)
