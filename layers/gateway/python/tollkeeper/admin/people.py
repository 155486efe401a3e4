"""Users as the management API writes them: one record each, and one claim on the e-mail address (see claims.py)."""

from collections.abc import Mapping
from typing import Any

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.claims import Claims, Taken
from tollkeeper.admin.kinds import USER
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.records import UserRecord
from tollkeeper.errors import BadRequest, CallerError, Conflict
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed


class People:
    def __init__(self, services: AdminServices) -> None:
        self._revisions = services.revisions
        self._claims = Claims(services.directory, services.clock, items.USER_EMAIL, self._has_email)

    async def find(self, user_id: str) -> UserRecord | None:
        return await self._revisions.find(USER, user_id)

    async def find_email(self, email: str) -> UserRecord | None:
        owner = await self._claims.owner(email)
        user = await self.find(owner) if owner else None
        return user if user and user.user_email == email else None

    async def create(self, user: UserRecord, actor: Actor) -> UserRecord:
        await self._claim(user.user_email, user.user_id)
        try:
            made = await self._revisions.create(user, actor)
        except ConditionFailed:
            await self._give_back(user.user_email, user.user_id)
            raise Conflict(f"User with id {user.user_id} already exists.", param="user_id") from None
        except CallerError:
            await self._give_back(user.user_email, user.user_id)
            raise
        return made

    async def change(
        self, base: UserRecord, changes: Mapping[str, Any], actor: Actor, *, extra: Mapping[str, Any] | None = None
    ) -> UserRecord:
        renamed = "user_email" in changes and changes["user_email"] != base.user_email
        if renamed:
            await self._claim(changes["user_email"], base.user_id)
        try:
            fresh = await self._revisions.change(base, changes, actor, extra=extra)
        except CallerError:
            if renamed:
                await self._give_back(changes["user_email"], base.user_id)
            raise
        if renamed:
            await self._give_back(base.user_email, base.user_id)
        return fresh

    async def delete(self, user: UserRecord, actor: Actor) -> None:
        gone = await self._revisions.delete(user, actor) or user
        await self._give_back(gone.user_email, gone.user_id)

    async def _claim(self, email: str | None, user_id: str) -> None:
        if email is None:
            return
        try:
            await self._claims.claim(email, user_id)
        except Taken:
            raise BadRequest(f"User with email {email} already exists.", param="user_email") from None

    async def _give_back(self, email: str | None, user_id: str) -> None:
        if email is not None and not await self._has_email(user_id, email):
            await self._claims.give_back(email, user_id)

    async def _has_email(self, user_id: str, email: str) -> bool:
        user = await self.find(user_id)
        return user is not None and user.user_email == email
