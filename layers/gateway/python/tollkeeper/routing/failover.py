"""Runs a plan until a try succeeds, and tells the fleet how each try went."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tollkeeper.clock import Clock
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.plan import Attempt, Plan

Result = TypeVar("Result")

LONGEST_WAIT = 60.0


async def first_success(plan: Plan, attempt: Callable[[Attempt], Awaitable[Result]], clock: Clock) -> Result:
    """Raises the last try's error when the plan is exhausted, NoDeployment when it has none to begin with. `finish` closes the call."""
    await plan.health.refresh(plan.watched())
    step = plan.first()
    while True:
        passage = plan.passage_for(step)
        if not await plan.health.enter(passage):
            step = plan.passed_over(step, passage.wait)
            continue
        plan.passage = passage
        try:
            result = await attempt(step)
        except TollkeeperError as error:
            await asyncio.gather(plan.health.failed(passage, error), plan.health.refresh(plan.deployments() if plan.alternatives else ()))
            following = plan.after(error)
            if following is None:
                raise
            if following.delay:
                await clock.sleep(max(following.delay, min(error.retry_after or 0.0, LONGEST_WAIT)))
            step = following
        except BaseException:
            plan.health.abandoned(passage)
            raise
        else:
            plan.health.succeeded(passage)
            return result


async def finish(plan: Plan, *, tokens: int | None = None, output_tokens: int = 0, error: BaseException | None = None) -> None:
    """The call is over: what it used, and the error that cut its stream, if one did. Call it once, where the caller cannot cancel it.

    `tokens` are input and output together; None where nobody knows.
    """
    if plan.passage is not None:
        await plan.health.close(plan.passage, tokens=tokens, output_tokens=output_tokens, error=error)
