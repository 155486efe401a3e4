"""The worker's seam to the rest of the gateway: how a line becomes a call."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.native.base import Handed, Intake, NativeAnswer, Request
from tollkeeper.batches.owner import Owner


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """An HTTP status and body in the endpoint's words. `again`: seconds after which to try once more, as nothing can have been billed."""

    status: int
    body: dict[str, Any]
    request_id: str
    again: float | None = None


class NativeRun(Protocol):
    """A batch at a provider that runs batches itself: native.base.BatchFormat, walked. Raises UpstreamError, StoreUnavailable."""

    deployment_id: str
    by_number: bool
    repeatable: bool

    async def stage(self, jsonl: bytes, tag: str) -> str: ...
    async def create(self, staged: str, jsonl: bytes, tag: str) -> str: ...
    async def find(self, tag: str) -> str | None: ...
    async def look(self, native_id: str, tag: str) -> Handed: ...
    async def cancel(self, native_id: str) -> None: ...
    def rows(self, file: Request) -> AsyncIterator[dict[str, Any]]: ...
    def answer(self, row: dict[str, Any]) -> NativeAnswer: ...

    def row_of(self, line: Line) -> bytes:
        """Raises TollkeeperError for a line that the provider cannot be asked: it is left out."""
        ...

    async def book(self, answer: NativeAnswer, *, call_id: str, shown_id: str, at: float) -> None:
        """Into the ledger and the counters, once."""
        ...


class LineRunner(Protocol):
    """Raises nothing for what is the line's or the provider's fault."""

    async def fault(self, owner: Owner, endpoint: str, line: Line) -> LineFault | None:
        """Before anything is run: whether the endpoint and the key would take it."""
        ...

    async def run(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, deadline: float | None) -> LineAnswer:
        """`call_id` is the ledger's, `deadline` epoch seconds. When it returns, the call is in the books."""
        ...

    async def native(self, owner: Owner, intake: Intake, model: str, deployment_id: str | None = None) -> NativeRun | None:
        """How a provider of this model would run the batch itself; None: it would not, or this caller's budget does not let it.

        `deployment_id`: the one that has it already.
        """
        ...

    async def lost(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, at: float) -> str:
        """A line that was sent at `at` and whose answer nobody has: sees to the books, and says in a sentence what they know."""
        ...
