"""A budget for repetitions, so that a fleet does not hammer a provider that is down.

Going on to another deployment is no repetition; asking the same one again is, and so is trying one that rests. Each request earns half
a repetition, so a total outage sees at most half as many calls again (Finagle's RetryBudget has the idea:
https://twitter.github.io/finagle/docs/com/twitter/finagle/service/RetryBudget).
"""

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
