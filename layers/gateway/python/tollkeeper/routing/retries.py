"""A budget for repetitions, so that a fleet does not hammer a provider that is down.

Going on to another deployment is no repetition; asking the same one again is, and so is trying one that rests. Each request earns half
a repetition, so a total outage sees at most half as many calls again (Finagle's RetryBudget has the idea:
https://twitter.github.io/finagle/docs/com/twitter/finagle/service/RetryBudget).
"""

from random import Random

EARNED = 0.5
AT_THE_START = 10.0
MOST = 100.0


class RetryBudget:
    """One per process: a sandbox that has just started may repeat ten times."""

    def __init__(self) -> None:
        self._balance = AT_THE_START

    def asked(self) -> None:
        self._balance = min(self._balance + EARNED, MOST)

    def may_repeat(self) -> bool:
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


class HedgeShare:
    """Of the last thousand requests or so of this process, how many asked twice. The first may: a share of few calls is not none."""

    def __init__(self) -> None:
        self._asked, self._hedged = 0.0, 0.0

    def asked(self) -> None:
        self._asked += 1
        if self._asked > _REMEMBERED:
            self._asked, self._hedged = self._asked / 2, self._hedged / 2

    def may_hedge(self, share: float) -> bool:
        if share <= 0 or self._hedged + 1 > max(share * self._asked, 1.0):
            return False
        self._hedged += 1
        return True


_REMEMBERED = 1000
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


def backoff(lap: int, random: Random) -> float:
    """Seconds to wait before going round for the `lap`-th time, between half and all of a capped exponential."""
    return BACKOFF_SECONDS[min(lap, len(BACKOFF_SECONDS)) - 1] * random.uniform(0.5, 1.0)
