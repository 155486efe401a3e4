"""Virtual keys as the management API writes them: one record each, and one claim on its alias (see claims.py).

Order of writes, so that no crash leaves a key that works and should not: a new key claims its alias first and becomes a record second;
a deleted key ceases to be a record first and gives its alias back second.

A rotated key keeps its record and hash, which budgets and reports go by; a pointer leads from its new text to the record, and the record
says which texts count.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.claims import Claims, Taken
from tollkeeper.admin.kinds import BUDGET, KEY, ORGANIZATION, PROJECT, TEAM, Kind
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.keys import PREFIX, hash_key, key_name, new_key
from tollkeeper.auth.records import BudgetRecord, KeyPointer, KeyRecord
from tollkeeper.errors import BadRequest, CallerError
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

_HASH = re.compile(r"[0-9a-f]{64}")
_OWNERS: tuple[Kind[Any], ...] = (TEAM, ORGANIZATION, BUDGET)


class Keyring:
    def __init__(self, services: AdminServices) -> None:
        self._services = services
        self._directory = services.directory
        self._revisions = services.revisions
        self._claims = Claims(services.directory, services.clock, items.KEY_ALIAS, self._bears_alias)

    async def find(self, reference: str) -> KeyRecord | None:
        """By the key's text or by its hash, the present or an earlier one."""
        key_hash = hash_key(self._services.pepper, reference) if reference.startswith(PREFIX) else reference
        if not _HASH.fullmatch(key_hash):
            return None
        item = await self._directory.get(items.key_pk(key_hash), items.KEY_SK, consistent=True)
        if item is not None and "points_to" in item:
            item = await self._directory.get(items.key_pk(item["points_to"]), items.KEY_SK, consistent=True)
        return KeyRecord.from_item(item) if item else None

    async def find_alias(self, alias: str) -> KeyRecord | None:
        owner = await self._claims.owner(alias)
        record = await self.find(owner) if owner else None
        return record if record and record.key_alias == alias else None

    async def create(
        self, fields: Mapping[str, Any], actor: Actor, *, text: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> tuple[str, KeyRecord]:
        """The new key's text, which is nowhere kept, and its record. Raises BadRequest naming the field at fault."""
        await self._check_owners(fields)
        key = text or new_key()
        given = {name: value for name, value in fields.items() if value is not None}
        record = KeyRecord(key_hash=hash_key(self._services.pepper, key), key_name=key_name(key), extra=dict(extra or {}), **given)
        await self._schedule(record.rotate_at, record.key_hash)
        await self._claim(record.key_alias, record.key_hash)
        try:
            made = await self._revisions.create(record, actor)
        except ConditionFailed:
            await self._give_back(record.key_alias, record.key_hash)
            raise BadRequest("This key exists already.", param="key") from None
        except CallerError:
            await self._give_back(record.key_alias, record.key_hash)
            raise
        return key, made

    async def change(
        self,
        base: KeyRecord,
        changes: Mapping[str, Any],
        actor: Actor,
        *,
        extra: Mapping[str, Any] | None = None,
        action: str = "updated",
    ) -> KeyRecord:
        await self._check_owners({**_owners(base), **changes} if _owners(base).keys() & changes.keys() else {})
        renamed = "key_alias" in changes and changes["key_alias"] != base.key_alias
        await self._schedule(changes.get("rotate_at"), base.key_hash)
        if renamed:
            await self._claim(changes["key_alias"], base.key_hash)
        try:
            fresh = await self._revisions.change(base, changes, actor, extra=extra, action=action)
        except CallerError:
            if renamed:
                await self._give_back(changes["key_alias"], base.key_hash)
            raise
        if renamed:
            await self._give_back(base.key_alias, base.key_hash)
        return fresh

    async def rotate(
        self,
        base: KeyRecord,
        changes: Mapping[str, Any],
        actor: Actor,
        *,
        text: str | None = None,
        grace_seconds: int = 0,
        extra: Mapping[str, Any] | None = None,
    ) -> tuple[str, KeyRecord]:
        """A new text for the same key; the old one counts for `grace_seconds` more. `changes` are made with it."""
        now, present = self._services.clock.now(), base.active_hash or base.key_hash
        key = text or new_key()
        fresh = hash_key(self._services.pepper, key)
        if fresh == present:
            raise BadRequest("That is the key's present text.", param="new_key")
        await self._point(fresh, base.key_hash)
        retiring = {text_hash: until for text_hash, until in base.retiring.items() if until > now and text_hash != fresh}
        if grace_seconds:
            retiring[present] = int(now) + grace_seconds
        rotated = {"active_hash": None if fresh == base.key_hash else fresh, "key_name": key_name(key), "retiring": retiring}
        try:
            record = await self.change(base, {**changes, **rotated}, actor, extra=extra, action="rotated")
        except CallerError:
            await self._drop_pointers([fresh], base.key_hash)
            raise
        await self._drop_pointers({present, *base.retiring} - {*retiring, fresh}, base.key_hash)
        return key, record

    async def delete(self, record: KeyRecord, actor: Actor) -> None:
        gone = await self._revisions.delete(record, actor) or record
        await self._give_back(gone.key_alias, gone.key_hash)
        await self._drop_pointers([text for text in (gone.active_hash, *gone.retiring) if text], gone.key_hash)

    async def budget_of(self, record: KeyRecord) -> BudgetRecord | None:
        return await self._revisions.find(BUDGET, record.budget_id) if record.budget_id else None

    async def _check_owners(self, fields: Mapping[str, Any]) -> None:
        """A key of a team or budget that does not exist would be refused, or unlimited, at its first call."""
        for kind in _OWNERS:
            named = fields.get(kind.id_field)
            if named and await self._revisions.find(kind, named) is None:
                raise BadRequest(
                    f"Unable to find {kind.word.capitalize()}: {named}. Create it via `/{kind.word}/new`.", param=kind.id_field
                )
        if project_id := fields.get("project_id"):
            project = await self._revisions.find(PROJECT, project_id)
            if project is None or project.team_id != fields.get("team_id"):
                raise BadRequest(f"Unable to find Project: {project_id} in the key's team.", param="project_id")

    async def _schedule(self, due: int | None, key_hash: str) -> None:
        """Before the record says so, so that a key that is due is always found; the record decides whether it really is."""
        if due is not None:
            await self._directory.put({"pk": items.ROTATIONS_PK, "sk": f"{due:012d}#{key_hash}"})

    async def _point(self, text_hash: str, key_hash: str) -> None:
        if text_hash == key_hash:
            return
        try:
            await self._directory.put_new(KeyPointer(text_hash, key_hash).to_item())
        except ConditionFailed as taken:
            if (taken.old or {}).get("points_to") != key_hash:
                raise BadRequest("This key exists already.", param="new_key") from None

    async def _drop_pointers(self, texts: Iterable[str], key_hash: str) -> None:
        for text_hash in texts:
            if text_hash != key_hash:
                await self._directory.delete(items.key_pk(text_hash), items.KEY_SK)

    async def _claim(self, alias: str | None, key_hash: str) -> None:
        if alias is None:
            return
        try:
            await self._claims.claim(alias, key_hash)
        except Taken:
            message = f"Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
            raise BadRequest(message, type="bad_request_error", param="key_alias") from None

    async def _give_back(self, alias: str | None, key_hash: str) -> None:
        """Unless the key bears it after all: another request may have given it the same alias."""
        if alias is not None and not await self._bears_alias(key_hash, alias):
            await self._claims.give_back(alias, key_hash)

    async def _bears_alias(self, key_hash: str, alias: str) -> bool:
        record = await self._revisions.find(KEY, key_hash)
        return record is not None and record.key_alias == alias


def _owners(base: KeyRecord) -> dict[str, Any]:
    """Where one of these changes, all are looked up again: they have to fit each other."""
    return {name: getattr(base, name) for name in ("team_id", "project_id", "organization_id", "budget_id")}
