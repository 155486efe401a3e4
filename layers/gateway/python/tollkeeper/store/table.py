"""The state ring's one seam: few verbs, one item at a time, atomic.

An item is a flat JSON object with string `pk` and `sk`. Whole numbers are exact at any size up to 38 digits. An attribute that is None is
stored as null; a float that is whole comes back as an int (DynamoDB has one number type, and the embedded store behaves the same).
`ttl`, when present, is epoch seconds: an item past it is never returned, whether or not the engine has swept it yet.

Secondary indexes are named `gsi1`, `gsi2`, `gsi3`: an item appears in one when it carries `<name>pk` and `<name>sk`. Index reads are
eventually consistent on DynamoDB; nothing that money depends on may use one.

Two implementations pass one contract suite (tests/contract/test_table.py): `dynamodb.py` and `sqlite.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Item = dict[str, Any]
OUTCOME_UNKNOWN = "write_outcome_unknown"
"""The `code` of a StoreUnavailable after which the write may have happened: the answer was lost on the way."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The item (attribute None) or one of its attributes is there."""

    attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """The item (attribute None) or one of its attributes is not there."""

    attribute: str | None = None


@dataclass(frozen=True, slots=True)
class AtMost:
    """The number is at most `limit`; a missing attribute counts as 0."""

    attribute: str
    limit: int


@dataclass(frozen=True, slots=True)
class Equals:
    """The attribute is there and equals `value`."""

    attribute: str
    value: str | int | bool


Condition = Exists | Missing | AtMost | Equals


class ConditionFailed(Exception):
    """A condition did not hold; nothing was written. `old` is the item as it stood (None: there was none)."""

    def __init__(self, old: Item | None) -> None:
        super().__init__("condition failed")
        self.old = old


@dataclass(frozen=True, slots=True)
class Page:
    """Items in sort-key order, and where to go on (None: that was all)."""

    items: list[Item]
    next: str | None


class Table(Protocol):
    """All verbs raise errors.StoreUnavailable when the engine cannot be reached or keeps throttling.

    After StoreUnavailable with code `write_outcome_unknown` a write may have happened: callers make their writes idempotent.
    All verbs raise ValueError for what no store can hold: see values.py.
    """

    async def get(self, pk: str, sk: str, *, consistent: bool = False) -> Item | None:
        """One item. `consistent` reads what every finished write left; otherwise the answer may be a moment old."""
        ...

    async def query(
        self,
        pk: str,
        *,
        index: str | None = None,
        prefix: str = "",
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Page:
        """Items of one partition whose sort key starts with `prefix`. `after` is a previous page's `next`, opaque to callers.

        A page may hold fewer than `limit` items while `next` is set. Raises ValueError for an `after` that is not ours.
        """
        ...

    async def put_new(self, item: Item) -> None:
        """Writes an item that must not exist yet; raises ConditionFailed with the one that does."""
        ...

    async def put(self, item: Item) -> None:
        """Writes the whole item, replacing what was there."""
        ...

    async def delete(self, pk: str, sk: str) -> Item | None:
        """Removes the item and returns what it was; None if there was none."""
        ...

    async def apply(
        self,
        pk: str,
        sk: str,
        *,
        add: Mapping[str, int] | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - the verb's name in the protocol
        remove: Iterable[str] = (),
        when: Sequence[Condition] = (),
    ) -> Item:
        """One atomic update, creating the item if it is missing (unless `when` forbids it); returns the item after it.

        `add` treats a missing number as 0. All of `when` must hold, or ConditionFailed carries the old item.
        """
        ...
