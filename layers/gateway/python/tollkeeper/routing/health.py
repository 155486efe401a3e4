"""What a plan may know of the deployments, and what it tells of them. `fleet.py` has the real one; `ALWAYS_WELL` knows nothing.

The reading side is synchronous: whoever runs a plan refreshes first. A `Passage` is one try, from `enter` to `close`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.breaker import Rules
from tollkeeper.routing.policy import Canary, GroupPolicy
from tollkeeper.routing.statistics import NOTHING, Minute, Statistics

Trial = Literal["", "probe", "bypass", "hedge"]
"""Why a deployment is tried out of turn: in trouble, as the one half-open probe, or because nothing else is left; or beside a slow one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`reason` is the fault class it was opened for, `wait` the seconds its rest goes on. `due`: the rest is over, one probe may go."""

    open: bool = False
    due: bool = False
    wait: float = 0.0
    reason: str = ""

    @property
    def resting(self) -> bool:
        return self.open and not self.due


WELL = Standing()


@dataclass(slots=True)
class Passage:
    """`rules` None: no breaker watches this try. `started` is monotonic, `seconds` how long it took to the answer or its first content."""

    deployment: Deployment
    policy: GroupPolicy
    rules: Rules | None = None
    trial: Trial = ""
    streamed: bool = False
    tokens: int = 0
    """The estimate that stands in the statistics until the call ends."""
    who: str = ""
    started: float = 0.0
    seconds: float | None = None
    minute: Minute | None = None
    wait: float = 0.0
    """After `enter` refused: seconds until it is worth another try."""
    writing: asyncio.Task[None] | None = None
    ended: bool = False
    same_credential: Callable[[], Sequence[Deployment]] = tuple
    """The others of the group that a refusal of this one's credential speaks of."""


class Health(Protocol):
    """None of these raises: without its store a fleet falls back on what this process knows."""

    async def refresh(self, deployments: Iterable[Deployment]) -> None:
        """Reads what is older than a second, in one request per group."""
        ...

    def standing(self, deployment: Deployment) -> Standing: ...
    def statistics(self, deployment: Deployment) -> Statistics: ...
    def rolled_back(self, deployment: Deployment, canary: Canary) -> bool:
        """A canary that failed too often, under these settings."""
        ...

    def turn(self, group: str) -> int: ...
    def asked(self) -> None:
        """A new request: it earns its share of the retry budget."""
        ...

    def may_repeat(self) -> bool:
        """Takes one repetition out of the retry budget."""
        ...

    def may_hedge(self, share: float) -> bool:
        """Takes one out of the share of calls that may ask twice."""
        ...

    async def enter(self, passage: Passage) -> bool:
        """Begins a try. False: another process has the probe, or the deployment's rpm or tpm are used up."""
        ...

    async def failed(self, passage: Passage, error: TollkeeperError) -> None: ...
    def succeeded(self, passage: Passage) -> None:
        """The answer, or a stream's first content, is there."""
        ...

    def abandoned(self, passage: Passage) -> None:
        """It ended for a reason of ours or the caller's."""
        ...

    async def close(self, passage: Passage, *, tokens: int | None, output_tokens: int, error: BaseException | None) -> None:
        """The call is over; once. `tokens` None: not known, the estimate stands."""
        ...


class AlwaysWell:
    """No memory."""

    async def refresh(self, deployments: Iterable[Deployment]) -> None:
        del deployments

    def standing(self, deployment: Deployment) -> Standing:
        del deployment
        return WELL

    def statistics(self, deployment: Deployment) -> Statistics:
        del deployment
        return NOTHING

    def rolled_back(self, deployment: Deployment, canary: Canary) -> bool:
        del deployment, canary
        return False

    def turn(self, group: str) -> int:
        del group
        return 0

    def asked(self) -> None:
        return

    def may_repeat(self) -> bool:
        return True

    def may_hedge(self, share: float) -> bool:
        return share > 0

    async def enter(self, passage: Passage) -> bool:
        del passage
        return True

    async def failed(self, passage: Passage, error: TollkeeperError) -> None:
        del passage, error

    def succeeded(self, passage: Passage) -> None:
        del passage

    def abandoned(self, passage: Passage) -> None:
        del passage

    async def close(self, passage: Passage, *, tokens: int | None, output_tokens: int, error: BaseException | None) -> None:
        del passage, tokens, output_tokens, error


ALWAYS_WELL: Health = AlwaysWell()
