"""Lists are index reads, never scans, and read at most `LONGEST_WALK` records: a list that goes on says that its total is a minimum."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from tollkeeper.auth.records import Record
from tollkeeper.store.table import Table

R = TypeVar("R", bound=Record)
LONGEST_WALK = 10_000
LOOK_AHEAD = 1_000
"""How far a list is read that need be neither sorted nor filtered: a page of a hundred thousand costs what one of a thousand does."""
_STEP = 500


@dataclass(frozen=True, slots=True)
class Walk(Generic[R]):
    """Records newest first; `complete` is False when the list was longer than what was read."""

    records: list[R]
    complete: bool


async def walk(
    directory: Table,
    kind: type[R],
    partition: str,
    index: str = "gsi1",
    *,
    keep: Callable[[R], bool] | None = None,
    most: int = LONGEST_WALK,
) -> Walk[R]:
    """The records of one index partition that `keep` accepts, out of the newest `most`."""
    records: list[R] = []
    seen, after = 0, None
    while seen < most:
        page = await directory.query(partition, index=index, after=after, limit=min(_STEP, most - seen), descending=True)
        seen += len(page.items)
        found = (kind.from_item(item) for item in page.items)
        records += [record for record in found if keep is None or keep(record)]
        after = page.next
        if after is None:
            return Walk(records, complete=True)
    return Walk(records, complete=False)


async def members(directory: Table, kind: type[R], pk: str, *, most: int = LONGEST_WALK) -> list[R]:
    """The memberships under a team or an organization, by user id."""
    found: list[R] = []
    after = None
    while len(found) < most:
        page = await directory.query(pk, prefix="member#", after=after, limit=_STEP)
        found += [kind.from_item(item) for item in page.items]
        after = page.next
        if after is None:
            break
    return found


def page_of(records: Sequence[R], page: int, size: int) -> Sequence[R]:
    return records[(page - 1) * size : page * size]


def pages(total: int, size: int) -> int:
    return -(-total // size)


def in_order(records: Iterable[R], by: str, *, descending: bool) -> list[R]:
    """Records without the field come last, whichever way."""
    value: Callable[[R], Any] = attrgetter(by)
    listed = list(records)
    having = sorted((record for record in listed if value(record) is not None), key=value, reverse=descending)
    return [*having, *(record for record in listed if value(record) is None)]


def contains(search: str, *values: str | None) -> bool:
    """Whether one of the values holds the text, whatever the case."""
    wanted = search.casefold()
    return any(wanted in value.casefold() for value in values if value)
