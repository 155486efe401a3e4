"""What a sink is."""

from collections.abc import Sequence
from typing import Protocol

from tollkeeper.store.table import Item

MOST_AT_ONCE = 100
"""Entries in one `send`."""


class SinkFailed(Exception):
    """The entries were not taken, or perhaps some of them: all are offered again later. The message goes to the log."""


class Sink(Protocol):
    """`name` is in the configuration, in logs and in the outbox's key: a word."""

    @property
    def name(self) -> str: ...

    async def send(self, entries: Sequence[Item]) -> None:
        """Ledger entries (ledger/entry.py: to_item), oldest first, at most MOST_AT_ONCE. Raises SinkFailed."""
        ...
