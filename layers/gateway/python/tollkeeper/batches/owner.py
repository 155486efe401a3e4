"""Whose a file or batch is: the key's that made it, its user's and its team's. Anybody of them sees it, nobody else does."""

from dataclasses import dataclass
from typing import Any

from tollkeeper.store.items import scope_pk
from tollkeeper.store.table import Item, Table

MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class Owner:
    """Also the one who asks; `admin` sees everything."""

    key_hash: str
    user_id: str | None = None
    team_id: str | None = None
    admin: bool = False

    def scopes(self) -> list[str]:
        named = (("key", self.key_hash), ("user", self.user_id), ("team", self.team_id))
        return [scope_pk(kind, name) for kind, name in named if name]

    def sees(self, record: "Owner") -> bool:
        same_user = self.user_id is not None and self.user_id == record.user_id
        same_team = self.team_id is not None and self.team_id == record.team_id
        return self.admin or self.key_hash == record.key_hash or same_user or same_team

    def fields(self) -> dict[str, Any]:
        return {"key_hash": self.key_hash, "user_id": self.user_id, "team_id": self.team_id, "admin": self.admin}

    @classmethod
    def of(cls, item: Item) -> "Owner":
        return cls(item["key_hash"], item.get("user_id"), item.get("team_id"), bool(item.get("admin")))


async def enlist(table: Table, owner: Owner, kind: str, record_id: str, ttl: int) -> None:
    """Makes a record findable by everybody who may see it. Raises StoreUnavailable."""
    for scope in owner.scopes():
        await table.put({"pk": f"{scope}/{kind}", "sk": record_id, "ttl": ttl})


async def strike(table: Table, owner: Owner, kind: str, record_id: str) -> None:
    """The inverse of `enlist`."""
    for scope in owner.scopes():
        await table.delete(f"{scope}/{kind}", record_id)


async def ids_of(table: Table, owner: Owner, kind: str, *, after: str | None, limit: int, newest_first: bool = True) -> list[str]:
    """The ids an owner may see, in order of age, at most `limit` behind `after`. Raises StoreUnavailable.

    Each scope is read until it has given enough, so the answer is right whichever of them has the newest.
    """
    found: set[str] = set()
    for scope in owner.scopes():
        found.update(await _ids_in(table, f"{scope}/{kind}", after, limit, newest_first))
    return sorted(found, reverse=newest_first)[:limit]


async def _ids_in(table: Table, pk: str, after: str | None, limit: int, newest_first: bool) -> list[str]:
    found: list[str] = []
    token: str | None = None
    for _ in range(MAX_PAGES):
        page = await table.query(pk, after=token, limit=1000, descending=newest_first)
        beyond = (item["sk"] for item in page.items)
        found += [sk for sk in beyond if after is None or (sk < after if newest_first else sk > after)]
        token = page.next
        if token is None or len(found) >= limit:
            break
    return found[:limit]
