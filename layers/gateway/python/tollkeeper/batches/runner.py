"""The worker's seam to the rest of the gateway: how a line becomes a call."""

from dataclasses import dataclass
from typing import Any, Protocol

from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.owner import Owner


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """An HTTP status and body in the endpoint's words. `again`: seconds after which to try once more, as nothing can have been billed."""

    status: int
    body: dict[str, Any]
    request_id: str
    again: float | None = None


class LineRunner(Protocol):
    """Raises nothing for what is the line's or the provider's fault."""

    async def fault(self, owner: Owner, endpoint: str, line: Line) -> LineFault | None:
        """Before anything is run: whether the endpoint and the key would take it."""
        ...

    async def run(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, deadline: float | None) -> LineAnswer:
        """`call_id` is the ledger's, `deadline` epoch seconds. When it returns, the call is in the books."""
        ...

    async def lost(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, at: float) -> str:
        """A line that was sent at `at` and whose answer nobody has: sees to the books, and says in a sentence what they know."""
        ...
