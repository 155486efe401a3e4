"""From a request's headers to its Principal, or 401 in LiteLLM's words.

A key and what hangs on it (team, user, budget) is read from the directory once per `cache_seconds` and process: that is the longest a
revocation takes. Reads are consistent, because a key is often used the moment it was made. A key whose team is gone is refused:
its budget would be unknown. An error never repeats a key.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from tollkeeper.auth.credentials import KeyFinder, RawHeaders
from tollkeeper.auth.keys import hash_key, is_key, same_secret
from tollkeeper.auth.lookups import Known, Lookups
from tollkeeper.auth.principal import MASTER_USER, Principal, principal_of
from tollkeeper.auth.records import BudgetRecord, KeyRecord, Record, TeamRecord, UserRecord
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import Unauthenticated
from tollkeeper.store import items
from tollkeeper.store.table import Table

MasterKey = str | None | Callable[[], Awaitable[str | None]]
R = TypeVar("R", bound=Record)
_LARGEST = float("inf")


class Authenticator:
    """`master_key` may be a getter, for a secret that is fetched on first use. None: only virtual keys are accepted."""

    def __init__(
        self,
        directory: Table,
        pepper: bytes,
        *,
        master_key: MasterKey,
        clock: Clock,
        cache_seconds: float = 5.0,
        key_header: str | None = None,
        cache_size: int = 10_000,
    ) -> None:
        self._directory, self._pepper, self._master_key, self._clock = directory, pepper, master_key, clock
        self._finder = KeyFinder(key_header)
        self._master: tuple[str, Principal] | None = None
        self._principals = Lookups(self._load_principal, clock, cache_seconds, cache_size)
        self._teams = Lookups(self._reader(TeamRecord, items.team_pk, items.TEAM_SK), clock, cache_seconds, cache_size)
        self._users = Lookups(self._reader(UserRecord, items.user_pk, items.USER_SK), clock, cache_seconds, cache_size)
        self._budgets = Lookups(self._reader(BudgetRecord, items.budget_pk, items.BUDGET_SK), clock, cache_seconds, cache_size)

    async def authenticate(self, headers: RawHeaders | Mapping[str, str], query: Mapping[str, str] | None = None) -> Principal:
        """Raises Unauthenticated, or StoreUnavailable when the directory cannot be read."""
        key = self._finder.find(headers, query)
        if key is None:
            raise Unauthenticated("Authentication Error, No api key passed in.")
        return await self.verify(key)

    async def verify(self, key: str) -> Principal:
        """Raises as `authenticate`."""
        master = await self._master_key() if callable(self._master_key) else self._master_key
        if master and same_secret(key, master):
            return self._master_principal(master)
        known = await self._principals.get(hash_key(self._pepper, key)) if is_key(key) else None
        if known is None or known.value is None:
            raise Unauthenticated("Authentication Error, Invalid API key provided.", type="token_not_found_in_db", param="key")
        self._check(known.value)
        return known.value

    def forget(self) -> None:
        """For the process that has just changed the directory: its own change counts at once."""
        for lookups in (self._principals, self._teams, self._users, self._budgets):
            lookups.forget()

    def _master_principal(self, master: str) -> Principal:
        if self._master is None or self._master[0] != master:
            record = KeyRecord(key_hash=hash_key(self._pepper, master), key_name="master", key_alias="master", user_id=MASTER_USER)
            self._master = (master, principal_of(record, is_master=True))
        return self._master[1]

    def _check(self, principal: Principal) -> None:
        key, team = principal.key, principal.team
        if key.blocked:
            raise Unauthenticated("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")
        if key.expires is not None and self._clock.now() >= key.expires:
            raise _expired(key, key.expires, self._clock.now())
        if principal.team_id and team is None:
            raise Unauthenticated(f"Authentication Error, Team={principal.team_id} does not exist.")
        if team is not None and team.blocked:
            raise Unauthenticated(f"Authentication Error, Team={team.team_id} is blocked. Update via `/team/unblock` if you're an admin.")

    async def _load_principal(self, key_hash: str, until: float) -> Known[Principal]:
        item = await self._directory.get(items.key_pk(key_hash), items.KEY_SK, consistent=True)
        if item is None:
            return Known(None, until)
        key = KeyRecord.from_item(item)
        team = await _lookup(self._teams, key.team_id)
        user = await _lookup(self._users, key.user_id)
        budget = await _lookup(self._budgets, key.budget_id)
        if budget.value:
            key = key.under(budget.value)
        return Known(principal_of(key, team.value, user.value), min(until, team.until, user.until, budget.until))

    def _reader(self, kind: type[R], pk: Callable[[str], str], sk: str) -> Callable[[str, float], Awaitable[Known[R]]]:
        async def read(record_id: str, until: float) -> Known[R]:
            item = await self._directory.get(pk(record_id), sk, consistent=True)
            return Known(kind.from_item(item) if item else None, until)

        return read


async def _lookup(lookups: Lookups[R], record_id: str | None) -> Known[R]:
    return await lookups.get(record_id) if record_id else Known(None, _LARGEST)


def _expired(key: KeyRecord, expires: int, now: float) -> Unauthenticated:
    message = f"Authentication Error - Expired Key. Key Expiry time {iso(expires)} and current time {iso(now)}"
    return Unauthenticated(message, type="expired_key", param=key.key_name)
