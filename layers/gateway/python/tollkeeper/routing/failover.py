"""Runs a plan until a try succeeds."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tollkeeper.clock import Clock
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.plan import Attempt, Plan

Result = TypeVar("Result")


async def first_success(plan: Plan, attempt: Callable[[Attempt], Awaitable[Result]], clock: Clock) -> Result:
    """Raises the last try's error when the plan is exhausted."""
    step = plan.first()
    while True:
        try:
            return await attempt(step)
        except TollkeeperError as error:
            following = plan.after(error)
            if following is None:
                raise
            if following.delay:
                await clock.sleep(max(following.delay, min(error.retry_after or 0.0, 60.0)))
            step = following
