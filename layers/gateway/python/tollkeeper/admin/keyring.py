"""Virtual keys as the management API writes them: one record each, and one claim on its alias (see claims.py).

Order of writes, so that no crash leaves a key that works and should not: a new key claims its alias first and becomes a record second;
a deleted key ceases to be a record first and gives its alias back second.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from tollkeeper.admin.claims import Claims, Taken
from tollkeeper.admin.revisions import Revisions
from tollkeeper.admin.services import AdminServices
from tollkeeper.auth.keys import PREFIX, hash_key, key_name, new_key
from tollkeeper.auth.records import BudgetRecord, KeyRecord, Record, TeamRecord
from tollkeeper.errors import BadRequest, CallerError
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

R = TypeVar("R", bound=Record)


class Keyring:
    def __init__(self, services: AdminServices) -> None:
        self._services = services
        self._directory = services.directory
        self._revisions = Revisions(services.directory, services.clock)
        self._claims = Claims(services.directory, services.clock, items.KEY_ALIAS, self._bears_alias)

    async def find(self, reference: str) -> KeyRecord | None:
        """By the key's text or by its hash."""
        key_hash = hash_key(self._services.pepper, reference) if reference.startswith(PREFIX) else reference
        return await self._revisions.read(KeyRecord, items.key_pk(key_hash), items.KEY_SK)

    async def find_alias(self, alias: str) -> KeyRecord | None:
        owner = await self._claims.owner(alias)
        record = await self.find(owner) if owner else None
        return record if record and record.key_alias == alias else None

    async def create(
        self, fields: Mapping[str, Any], author: str, *, text: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> tuple[str, KeyRecord]:
        """The new key's text, which is nowhere kept, and its record. Raises BadRequest naming the field at fault."""
        await self._check_owners(fields)
        key = text or new_key()
        given = {name: value for name, value in fields.items() if value is not None}
        record = KeyRecord(key_hash=hash_key(self._services.pepper, key), key_name=key_name(key), extra=dict(extra or {}), **given)
        await self._claim(record.key_alias, record.key_hash)
        try:
            made = await self._revisions.create(record, author)
        except ConditionFailed:
            await self._give_back(record.key_alias, record.key_hash)
            raise BadRequest("This key exists already.", param="key") from None
        except CallerError:
            await self._give_back(record.key_alias, record.key_hash)
            raise
        self._services.authenticator.forget()
        return key, made

    async def change(
        self, base: KeyRecord, changes: Mapping[str, Any], author: str, *, extra: Mapping[str, Any] | None = None
    ) -> KeyRecord:
        await self._check_owners(changes)
        renamed = "key_alias" in changes and changes["key_alias"] != base.key_alias
        if renamed:
            await self._claim(changes["key_alias"], base.key_hash)
        try:
            fresh = await self._revisions.change(base, changes, author, extra=extra)
        except CallerError:
            if renamed:
                await self._give_back(changes["key_alias"], base.key_hash)
            raise
        if renamed:
            await self._give_back(base.key_alias, base.key_hash)
        self._services.authenticator.forget()
        return fresh

    async def delete(self, record: KeyRecord) -> None:
        old = await self._directory.delete(items.key_pk(record.key_hash), items.KEY_SK)
        self._services.authenticator.forget()
        await self._give_back(KeyRecord.from_item(old).key_alias if old else record.key_alias, record.key_hash)

    async def budget_of(self, record: KeyRecord) -> BudgetRecord | None:
        return await self._read_budget(record.budget_id) if record.budget_id else None

    async def _read_budget(self, budget_id: str) -> BudgetRecord | None:
        return await self._revisions.read(BudgetRecord, items.budget_pk(budget_id), items.BUDGET_SK)

    async def _check_owners(self, fields: Mapping[str, Any]) -> None:
        """A key of a team or budget that does not exist would be refused, or unlimited, at its first call."""
        team_id, budget_id = fields.get("team_id"), fields.get("budget_id")
        if team_id and await self._revisions.read(TeamRecord, items.team_pk(team_id), items.TEAM_SK) is None:
            raise BadRequest(f"Unable to find Team: {team_id}. Create it via `/team/new`.", param="team_id")
        if budget_id and await self._read_budget(budget_id) is None:
            raise BadRequest(f"Unable to find budget: {budget_id}. Create it via `/budget/new`.", param="budget_id")

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
        record = await self.find(key_hash)
        return record is not None and record.key_alias == alias
