"""Lists are index reads, never scans, and read at most `LONGEST_WALK` records: a list that goes on says that its total is a minimum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tollkeeper.auth.records import Record
from tollkeeper.store.table import Table

R = TypeVar("R", bound=Record)
LONGEST_WALK = 10_000
_STEP = 500


@dataclass(frozen=True, slots=True)
class Walk(Generic[R]):
    """Records newest first; `complete` is False when the list was longer than LONGEST_WALK."""

    records: list[R]
    complete: bool


async def walk(directory: Table, kind: type[R], partition: str, index: str = "gsi1", *, keep: Callable[[R], bool] | None = None) -> Walk[R]:
    """The records of one index partition that `keep` accepts."""
    records: list[R] = []
    seen, after = 0, None
    while seen < LONGEST_WALK:
        page = await directory.query(partition, index=index, after=after, limit=_STEP, descending=True)
        seen += len(page.items)
        found = (kind.from_item(item) for item in page.items)
        records += [record for record in found if keep is None or keep(record)]
        after = page.next
        if after is None:
            return Walk(records, complete=True)
    return Walk(records, complete=False)


def page_of(records: Sequence[R], page: int, size: int) -> Sequence[R]:
    return records[(page - 1) * size : page * size]


def pages(total: int, size: int) -> int:
    return -(-total // size)
