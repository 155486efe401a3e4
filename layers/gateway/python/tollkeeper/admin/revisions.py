"""Creating, changing and reading records, one atomic write each.

A change is a merge patch on the version that was read. When somebody else wrote in between, the patch is put on top of theirs if the two
touched different fields; if both set one field to different values, the later one is told (409). A write that the store had already
taken when it reported a failure is recognised by its outcome.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from tollkeeper.auth.records import Record, defaults
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import Conflict, NotFound, PayloadTooLarge
from tollkeeper.store.table import ConditionFailed, Equals, Item, Table

R = TypeVar("R", bound=Record)
_TRIES = 8
_LARGEST_ITEM_BYTES = 300_000
"""DynamoDB takes 400 KB, counted a little differently (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Limits.html)."""


class Revisions:
    """The directory's records of every kind, as `author` writes them."""

    def __init__(self, directory: Table, clock: Clock) -> None:
        self._directory, self._clock = directory, clock

    async def read(self, kind: type[R], pk: str, sk: str) -> R | None:
        item = await self._directory.get(pk, sk, consistent=True)
        return kind.from_item(item) if item else None

    async def create(self, record: R, author: str) -> R:
        """Raises ConditionFailed if there is one with this id."""
        now = iso(self._clock.now())
        made = replace(record, created_at=now, created_by=author, updated_at=now, updated_by=author)
        item = _fitting(made.to_item())
        try:
            await self._directory.put_new(item)
        except ConditionFailed as failed:
            if failed.old != item:
                raise
        return made

    async def change(self, base: R, changes: Mapping[str, Any], author: str, *, extra: Mapping[str, Any] | None = None) -> R:
        """`changes` by field name, None meaning back to the default; `extra` is merged key by key. Raises Conflict, NotFound."""
        wanted = {name: defaults(type(base))[name] if value is None else value for name, value in changes.items()}
        for _ in range(_TRIES):
            fresh = self._revised(base, wanted, extra or {}, author)
            try:
                return type(base).from_item(await self._write(base, fresh))
            except ConditionFailed as lost:
                if lost.old is None:
                    raise NotFound("It has been deleted in the meantime.") from None
                theirs = type(base).from_item(lost.old)
            _no_contradiction(base, theirs, wanted)
            base = theirs
        raise Conflict("Others keep changing this record; try again.")

    def _revised(self, base: R, wanted: Mapping[str, Any], extra: Mapping[str, Any], author: str) -> R:
        merged = {name: value for name, value in {**base.extra, **extra}.items() if value is not None}
        stamp = {"version": base.version + 1, "updated_at": iso(self._clock.now()), "updated_by": author}
        return replace(base, **{**wanted, "extra": merged, **stamp})

    async def _write(self, base: Record, fresh: Record) -> Item:
        before, after = base.to_item(), _fitting(fresh.to_item())
        changed = {name: value for name, value in after.items() if name not in ("pk", "sk") and before.get(name) != value}
        gone = before.keys() - after.keys()
        return await self._directory.apply(after["pk"], after["sk"], set=changed, remove=gone, when=(Equals("version", base.version),))


def _no_contradiction(base: Record, theirs: Record, wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if getattr(theirs, name) not in (getattr(base, name), value):
            raise Conflict(f"Somebody else has just set {name} to another value; read the record again.", param=name)


def _fitting(item: Item) -> Item:
    if len(orjson.dumps(item)) > _LARGEST_ITEM_BYTES:
        raise PayloadTooLarge("This record would be larger than the store takes; keep long texts out of metadata.", param="metadata")
    return item
