"""A table that fails or lets somebody in at a chosen moment; everything else is the real table's."""

from collections.abc import Awaitable, Callable
from typing import Any

from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.table import Item, Page, Table


class FaultyTable:
    """`cut_at` = n: the n-th write from now fails, having happened or not (`happened`). `meanwhile` runs once before the next write.
    Writes to the partitions in `spared` always succeed and are not counted.
    """

    def __init__(self, table: Table, *, spared: tuple[str, ...] = ()) -> None:
        self._table = table
        self.spared = spared
        self.reads = 0
        self.writes = 0
        self.down = False
        self.cut_at: int | None = None
        self.happened = False
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None
        self.before_read: Callable[[], Awaitable[Any]] | None = None
        self.before_write: Callable[[int], Awaitable[Any] | None] = lambda _: None

    def cut(self, nth: int, *, happened: bool) -> None:
        self.cut_at, self.happened = self.writes + nth, happened

    async def get(self, pk: str, sk: str, *, consistent: bool = False) -> Item | None:
        self.reads += 1
        if self.before_read is not None:
            await self.before_read()
        if self.down:
            raise StoreUnavailable("The table does not answer.")
        return await self._table.get(pk, sk, consistent=consistent)

    async def query(self, pk: str, **options: Any) -> Page:
        return await self._table.query(pk, **options)

    async def put_new(self, item: Item) -> None:
        await self._write(item["pk"], lambda: self._table.put_new(item))

    async def put(self, item: Item) -> None:
        await self._write(item["pk"], lambda: self._table.put(item))

    async def delete(self, pk: str, sk: str) -> Item | None:
        return await self._write(pk, lambda: self._table.delete(pk, sk))

    async def apply(self, pk: str, sk: str, **change: Any) -> Item:
        return await self._write(pk, lambda: self._table.apply(pk, sk, **change))

    async def _write(self, pk: str, write: Callable[[], Awaitable[Any]]) -> Any:
        if pk in self.spared:
            return await write()
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        self.writes += 1
        if (other := self.before_write(self.writes)) is not None:
            await other
        if self.writes != self.cut_at:
            return await write()
        if self.happened:
            await write()
        raise StoreUnavailable("The table stopped answering.")
