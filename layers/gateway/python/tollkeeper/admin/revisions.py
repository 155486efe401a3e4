"""Creating, changing and deleting records, one atomic write each, and one entry in the audit log for each write.

A change is a merge patch on the version that was read. When somebody else wrote in between, the patch is put on top of theirs if the two
touched different fields; if both set one field to different values, the later one is told (409). A write that the store had already
taken when it reported a failure is recognised by its outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.audit import AuditLog, Change
from tollkeeper.admin.kinds import KIND_OF, Kind
from tollkeeper.auth.records import Record, defaults
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import Conflict, NotFound, PayloadTooLarge
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed, Equals, Item, Table

R = TypeVar("R", bound=Record)
_TRIES = 8
_LARGEST_ITEM_BYTES = 300_000
"""DynamoDB takes 400 KB, counted a little differently (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Limits.html)."""
_UNAUDITED = frozenset({"pk", "sk", "version", "created_at", "created_by", "updated_at", "updated_by"})


class Revisions:
    """The directory's records of every kind. `forget` tells the authenticator that something it may remember has changed."""

    def __init__(self, directory: Table, clock: Clock, audit: AuditLog, forget: Callable[[], None]) -> None:
        self._directory, self._clock, self._audit, self._forget = directory, clock, audit, forget

    async def find(self, kind: Kind[R], record_id: str) -> R | None:
        return await self.read(kind.record, kind.pk(record_id), kind.sk)

    async def member(self, kind: Kind[R], owner_id: str, user_id: str) -> R | None:
        """The membership of a user in a team or an organization."""
        return await self.read(kind.record, kind.pk(owner_id), items.member_sk(user_id))

    async def read(self, record: type[R], pk: str, sk: str) -> R | None:
        item = await self._directory.get(pk, sk, consistent=True)
        return record.from_item(item) if item else None

    async def create(self, record: R, actor: Actor) -> R:
        """Raises ConditionFailed if there is one with this id."""
        now = iso(self._clock.now())
        made = replace(record, created_at=now, created_by=actor.name, updated_at=now, updated_by=actor.name)
        item = _fitting(made.to_item())
        try:
            await self._directory.put_new(item)
        except ConditionFailed as failed:
            if failed.old != item:
                raise
        await self._written(actor, "created", made, {}, item)
        return made

    async def change(
        self, base: R, changes: Mapping[str, Any], actor: Actor, *, extra: Mapping[str, Any] | None = None, action: str = "updated"
    ) -> R:
        """`changes` by field name, None meaning back to the default; `extra` is merged key by key. Raises Conflict, NotFound."""
        wanted = {name: defaults(type(base))[name] if value is None else value for name, value in changes.items()}
        for _ in range(_TRIES):
            fresh = self._revised(base, wanted, extra or {}, actor.name)
            try:
                return await self._apply(base, fresh, actor, action)
            except ConditionFailed as lost:
                if lost.old is None:
                    raise NotFound("It has been deleted in the meantime.") from None
                theirs = type(base).from_item(lost.old)
            _no_contradiction(base, theirs, wanted)
            base = theirs
        raise Conflict("Others keep changing this record; try again.")

    async def rework(self, base: R, work: Callable[[R], Mapping[str, Any]], actor: Actor, *, action: str = "updated") -> R:
        """A change that is computed from the record (a member more, a model less), and so put on whatever others made of it."""
        for _ in range(_TRIES):
            fresh = self._revised(base, work(base), {}, actor.name)
            try:
                return await self._apply(base, fresh, actor, action)
            except ConditionFailed as lost:
                if lost.old is None:
                    raise NotFound("It has been deleted in the meantime.") from None
                base = type(base).from_item(lost.old)
        raise Conflict("Others keep changing this record; try again.")

    async def delete(self, record: R, actor: Actor) -> R | None:
        """What it was at the end; None if somebody else has deleted it already."""
        place = record.address()
        old = await self._directory.delete(place["pk"], place["sk"])
        if old is None:
            self._forget()
            return None
        gone = type(record).from_item(old)
        await self._written(actor, "deleted", gone, old, {})
        return gone

    def _revised(self, base: R, wanted: Mapping[str, Any], extra: Mapping[str, Any], author: str) -> R:
        merged = {name: value for name, value in {**base.extra, **extra}.items() if value is not None}
        stamp = {"version": base.version + 1, "updated_at": iso(self._clock.now()), "updated_by": author}
        return replace(base, **{**wanted, "extra": merged, **stamp})

    async def _apply(self, base: R, fresh: R, actor: Actor, action: str) -> R:
        before, after = base.to_item(), _fitting(fresh.to_item())
        changed = {name: value for name, value in after.items() if name not in ("pk", "sk") and before.get(name) != value}
        gone = before.keys() - after.keys()
        when = (Equals("version", base.version),)
        item = await self._directory.apply(after["pk"], after["sk"], set=changed, remove=gone, when=when)
        await self._written(actor, action, fresh, before, after)
        return type(base).from_item(item)

    async def _written(self, actor: Actor, action: str, record: Record, before: Item, after: Item) -> None:
        self._forget()
        kind = KIND_OF[type(record)]
        names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        shown = sorted(name for name in names - _UNAUDITED if not name.startswith("gsi"))
        await self._audit.append(
            Change(
                action=action,
                kind=kind.word,
                object_id=kind.id_of(record),
                by=actor.user,
                by_key=actor.principal.key_hash,
                changed_by=actor.name if actor.name != actor.user else None,
                request_id=actor.request_id,
                before={name: before[name] for name in shown if name in before} if before else None,
                after={name: after[name] for name in shown if name in after} if after else None,
            )
        )


def _no_contradiction(base: Record, theirs: Record, wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if getattr(theirs, name) not in (getattr(base, name), value):
            raise Conflict(f"Somebody else has just set {name} to another value; read the record again.", param=name)


def _fitting(item: Item) -> Item:
    if len(orjson.dumps(item)) > _LARGEST_ITEM_BYTES:
        raise PayloadTooLarge("This record would be larger than the store takes; keep long texts out of metadata.", param="metadata")
    return item
