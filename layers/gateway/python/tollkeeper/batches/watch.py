"""A batch that its provider runs, one look after another until it has ended.

A look that fails is repeated, later and later. What never comes is said line by line in the end: neither a provider that answers with
nonsense nor results that are not there leave a batch open for ever.
"""

from typing import Any

from tollkeeper.batches.handed import HandedBatch, HandingFailed, Rest
from tollkeeper.batches.journal import Journal
from tollkeeper.batches.lines import LineFault
from tollkeeper.batches.progress import Progress
from tollkeeper.batches.records import CANCELLED, CANCELLING, COMPLETED, EXPIRED, Batch
from tollkeeper.batches.runner import NativeRun
from tollkeeper.clock import Clock
from tollkeeper.errors import UpstreamError

GRACE_SECONDS = 900
"""After the completion window, for providers that end a batch in time by themselves."""
PATIENCE_SECONDS = 86_400
"""After the completion window, for one that does not answer at all."""
FETCHES = 20
"""Tries to get the results of a batch that has ended."""
SLOWEST = 10
"""A look that fails waits for so many times the usual pause at most."""
LATE = Rest("batch_expired", "This request could not be run before the completion window was over.")
UNANSWERED = Rest(
    "no_answer", "The provider ended the batch without an answer to this request. It may have billed it; the ledger has no cost."
)


def is_due(batch: Batch, now: float) -> bool:
    """Whether it is time for a look at a batch that its provider has."""
    native = batch.native or {}
    must_cancel = batch.status == CANCELLING and not native.get("cancelled") and not native.get("failures")
    return must_cancel or now >= native.get("look_at", 0)


class Watch:
    """`look_seconds`: between two looks."""

    def __init__(self, progress: Progress, run: NativeRun, journal: Journal, clock: Clock, look_seconds: float) -> None:
        self._progress, self._run, self._journal, self._clock = progress, run, journal, clock
        self._look_seconds = look_seconds
        self._handed = HandedBatch(progress, run, journal, clock)

    @property
    def _native(self) -> dict[str, Any]:
        return self._progress.batch.native or {}

    @property
    def _cancelling(self) -> bool:
        return self._progress.batch.status == CANCELLING

    async def look(self) -> None:
        """One step further, which may be the last. Raises LeaseLost, StoreUnavailable."""
        try:
            await self._step()
        except HandingFailed as failed:
            await self._progress.fail(failed.fault)
        except UpstreamError as error:
            await self._failed(error)

    async def _step(self) -> None:
        batch = self._progress.batch
        if "id" not in self._native:
            if self._cancelling and await self._journal.mark(batch.id, 0) is None:
                await self._progress.finalize(CANCELLED)
                return
            await self._hand_over()
        late = self._clock.now() >= batch.expires_at + GRACE_SECONDS
        if (self._cancelling or late) and not self._native.get("cancelled"):
            if not await self._ended_by_itself():
                await self._run.cancel(self._native["id"])
            await self._note(cancelled=True, late=late and not self._cancelling)
        await self._follow()

    async def _hand_over(self) -> None:
        if "staged" not in self._native:
            created = await self._journal.mark(self._progress.batch.id, 0) is not None
            await self._note(staged="" if created else await self._handed.stage())
        await self._note(id=await self._handed.create(self._native["staged"]), failures=0)

    async def _ended_by_itself(self) -> bool:
        """What has ended cannot be cancelled; providers call that an error."""
        return (await self._run.look(self._native["id"], self._progress.batch.id)).ended

    async def _follow(self) -> None:
        state = await self._run.look(self._native["id"], self._progress.batch.id)
        self._progress.seen = state.completed, state.failed
        if not state.ended:
            await self._progress.show()
            await self._note(look_at=int(self._clock.now() + self._look_seconds), failures=0)
            return
        if state.failure is not None:
            raise HandingFailed(LineFault("provider_failed", f"The provider says that the batch failed: {state.failure}"))
        if not self._native.get("ended"):
            await self._note(ended=True)
        late = state.expired or self._native.get("late")
        await self._handed.fetch(state.results, None if self._cancelling else LATE if late else UNANSWERED)
        await self._end(EXPIRED if late else COMPLETED)

    async def _end(self, ending: str) -> None:
        if self._cancelling:
            await self._progress.finalize(CANCELLED)
        else:
            await self._progress.begin_finalizing(ending)
            await self._progress.finalize(self._progress.batch.ending)

    async def _failed(self, error: UpstreamError) -> None:
        failures = int(self._native.get("failures", 0)) + 1
        over = self._clock.now() >= self._progress.batch.expires_at + PATIENCE_SECONDS
        if over or (self._native.get("ended") and failures >= FETCHES):
            await self._give_up(error)
            return
        pause = self._look_seconds * min(failures, SLOWEST)
        await self._note(failures=failures, look_at=int(self._clock.now() + max(pause, error.retry_after or 0)))

    async def _give_up(self, error: UpstreamError) -> None:
        """What has been fetched stays; every other line is told why it has no answer."""
        if "id" not in self._native:
            await self._progress.fail(LineFault("provider_unreachable", f"The batch could not be handed over: {error.message}"))
            return
        message = f"The answer could not be had from the provider, which may have billed it; the ledger has no cost. {error.message}"
        await self._handed.fetch((), Rest("unconfirmed", message))
        await self._end(COMPLETED if self._native.get("ended") else EXPIRED)

    async def _note(self, **fields: object) -> None:
        await self._progress.write({"native": {**self._native, **fields}})
