"""Names that may have one owner: a key's alias, a user's e-mail address.

A claim is one item per name, written before the record that bears the name and given back after the record has let go of it. Whatever
write a crash cuts off, no record is left half made: at worst a claim is left whose owner does not bear the name. Such a claim is
taken over by the next who asks, once it is older than any write that might still be under way. A claim authenticates nobody.

Giving back leaves an empty claim instead of deleting it, because a deletion cannot be made conditional on the owner.
"""

from collections.abc import Awaitable, Callable

from tollkeeper.clock import Clock
from tollkeeper.errors import Conflict
from tollkeeper.store.items import unique_name_pk
from tollkeeper.store.table import ConditionFailed, Equals, Table

_UNDER_WAY_SECONDS = 60
_NOBODY = ""

Bears = Callable[[str, str], Awaitable[bool]]
"""(owner, name) → whether that owner's record exists and bears the name."""


class Taken(Exception):
    """Another record bears the name."""


class Claims:
    """`kind` is one of store.items' unique names (KEY_ALIAS, USER_EMAIL)."""

    def __init__(self, directory: Table, clock: Clock, kind: str, bears: Bears) -> None:
        self._directory, self._clock, self._kind, self._bears = directory, clock, kind, bears

    async def owner(self, name: str) -> str | None:
        item = await self._directory.get(unique_name_pk(self._kind, name), self._kind, consistent=True)
        return (item["owner"] or None) if item else None

    async def claim(self, name: str, owner: str) -> None:
        """Raises Taken, or Conflict when two ask for it at once."""
        claim = {"owner": owner, "claimed_at": int(self._clock.now())}
        try:
            await self._directory.put_new({"pk": unique_name_pk(self._kind, name), "sk": self._kind, **claim})
        except ConditionFailed as failed:
            await self._take_over(name, failed.old or {}, claim)

    async def give_back(self, name: str, owner: str) -> None:
        try:
            await self._move(name, owner, {"owner": _NOBODY, "claimed_at": 0})
        except ConditionFailed:
            return  # somebody else's by now: a takeover, as above

    async def _take_over(self, name: str, held: dict[str, object], claim: dict[str, object]) -> None:
        holder = str(held.get("owner", _NOBODY))
        if holder == claim["owner"]:
            return
        if holder != _NOBODY and (self._is_young(held) or await self._bears(holder, name)):
            raise Taken(name)
        try:
            await self._move(name, holder, claim)
        except ConditionFailed:
            raise Conflict(f"Somebody else is taking the name {name!r} at this moment; try again.") from None

    async def _move(self, name: str, holder: str, claim: dict[str, object]) -> None:
        await self._directory.apply(unique_name_pk(self._kind, name), self._kind, set=claim, when=(Equals("owner", holder),))

    def _is_young(self, held: dict[str, object]) -> bool:
        claimed_at = held.get("claimed_at")
        return isinstance(claimed_at, int) and self._clock.now() - claimed_at < _UNDER_WAY_SECONDS
