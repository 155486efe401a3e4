"""From a request's headers to its Principal, or 401 in LiteLLM's words.

A key and what hangs on it (team, user, membership, organization, project, budget) is read from the directory once per `cache_seconds`
and process: that is the longest a revocation takes. Reads are consistent, because a key is often used the moment it was made. A key whose
team, organization or project is gone is refused: its budget would be unknown. An error never repeats a key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Protocol

from tollkeeper.auth.credentials import KeyFinder, RawHeaders
from tollkeeper.auth.iam import PRINCIPAL_HEADER, IamAuth, IamCaller
from tollkeeper.auth.keys import hash_key, is_key, same_secret
from tollkeeper.auth.lookups import Known, Lookups
from tollkeeper.auth.principal import MASTER_USER, Principal, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.auth.records_groups import CustomerRecord, TagRecord
from tollkeeper.auth.shelves import Shelves
from tollkeeper.clock import Clock, iso
from tollkeeper.errors import Unauthenticated
from tollkeeper.store import items
from tollkeeper.store.table import Table

_SIGNED = "ey"
"""A signed token is JSON in base 64: `{"` comes out as this, and no virtual key begins so."""
_SIGV4 = "AWS4-HMAC-SHA256 "
"""What Authorization says where the request itself is signed, and holds no key."""
MasterKey = str | None | Callable[[], Awaitable[str | None]]


class Tokens(Protocol):
    """auth/tokens.py, seen from here: it needs a JWT library, which an installation without enable_jwt_auth does without."""

    async def principal(self, token: str, wanted_team: str | None = None) -> Principal: ...


class Authenticator:
    """`master_key` may be a getter, for a secret that is fetched on first use. None: only virtual keys are accepted. `tokens` makes what
    checks signed tokens; without it there are none. `iam_callers` are who may come by API Gateway's IAM authorizer, without a key.
    """

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
        tokens: Callable[[Shelves], "Tokens"] | None = None,
        iam_callers: Sequence[IamCaller] = (),
    ) -> None:
        self._directory, self._pepper, self._master_key, self._clock = directory, pepper, master_key, clock
        self._finder = KeyFinder(key_header)
        self._master: tuple[str, Principal] | None = None
        self._principals: Lookups[str, Principal] = Lookups(self._load_principal, clock, cache_seconds, cache_size)
        self._shelves = Shelves(directory, clock, cache_seconds, cache_size)
        self._tokens = tokens(self._shelves) if tokens else None
        self._iam = IamAuth(iam_callers, self._shelves) if iam_callers else None

    async def authenticate(self, headers: RawHeaders | Mapping[str, str], query: Mapping[str, str] | None = None) -> Principal:
        """Raises Unauthenticated, or StoreUnavailable when the directory cannot be read."""
        key = self._finder.find(headers, query)
        if self._iam is not None and (key is None or key.startswith(_SIGV4)) and (arn := _header(headers, PRINCIPAL_HEADER)):
            principal = await self._iam.principal(arn)
            self._check(principal)
            return principal
        if key is None:
            raise Unauthenticated("Authentication Error, No api key passed in.")
        if self._tokens is not None and key.startswith(_SIGNED):
            principal = await self._tokens.principal(key, _header(headers, b"x-litellm-team-id"))
            self._check(principal)
            return principal
        return await self.verify(key)

    async def verify(self, key: str) -> Principal:
        """Raises as `authenticate`."""
        master = await self._master_key() if callable(self._master_key) else self._master_key
        if master and same_secret(key, master):
            return self._master_principal(master)
        known = await self._principals.get(hash_key(self._pepper, key)) if is_key(key) else None
        if known is None or known.value is None:
            raise _unknown()
        self._check(known.value)
        return known.value

    async def by_hash(self, key_hash: str, *, master: bool = False) -> Principal:
        """A caller who has shown the key before: a batch goes on after its request. Raises as `authenticate`."""
        if master:
            text = await self._master_key() if callable(self._master_key) else self._master_key
            if text and same_secret(hash_key(self._pepper, text), key_hash):
                return self._master_principal(text)
            raise _unknown()
        known = await self._principals.get(key_hash)
        if known.value is None:
            raise _unknown()
        self._check(replace(known.value, text_counts_until=inf))  # a rotation replaces the text, not the key
        return known.value

    async def returns(self, principal: Principal) -> bool:
        """Whether `by_hash` will find this caller again: not one who showed a signed token."""
        return principal.is_master or (await self._principals.get(principal.key_hash)).value is not None

    def without_keys(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What may be kept of a request's headers."""
        return self._finder.without(headers)

    async def customer(self, customer_id: str) -> CustomerRecord | None:
        """The end user a request names, with the limits of its budget; None if nobody has written one down. Cached as keys are."""
        return (await self._shelves.customer(customer_id)).value

    async def tag(self, name: str) -> TagRecord | None:
        """As `customer`."""
        return (await self._shelves.tag(name)).value

    def forget(self) -> None:
        """For the process that has just changed the directory: its own change counts at once."""
        self._principals.forget()
        self._shelves.forget()

    def _master_principal(self, master: str) -> Principal:
        if self._master is None or self._master[0] != master:
            record = KeyRecord(key_hash=hash_key(self._pepper, master), key_name="master", key_alias="master", user_id=MASTER_USER)
            self._master = (master, principal_of(record, is_master=True))
        return self._master[1]

    def _check(self, principal: Principal) -> None:
        key, now = principal.key, self._clock.now()
        if now >= principal.text_counts_until:
            raise _unknown()
        if key.blocked:
            raise Unauthenticated("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")
        if key.expires is not None and now >= key.expires:
            raise _expired(key, key.expires, now)
        check_owners(principal)

    async def _load_principal(self, text_hash: str, until: float) -> Known[Principal]:
        key = await self._key(text_hash)
        if key is None:
            return Known(None, until)
        team, user, project, budget = await asyncio.gather(
            self._shelves.team(key.team_id),
            self._shelves.user(key.user_id),
            self._shelves.project(key.project_id),
            self._shelves.budget(key.budget_id),
        )
        organization, membership = await asyncio.gather(
            self._shelves.organization(key.organization_id or (team.value.organization_id if team.value else None)),
            self._shelves.member(team.value, key.user_id),
        )
        principal = principal_of(
            key.under(budget.value) if budget.value else key,
            team.value,
            user.value,
            organization=organization.value,
            project=project.value,
            membership=membership.value,
        )
        found = (team, user, project, budget, organization, membership)
        return Known(replace(principal, text_counts_until=key.text_counts_until(text_hash)), min(until, *(known.until for known in found)))

    async def _key(self, text_hash: str) -> KeyRecord | None:
        item = await self._directory.get(items.key_pk(text_hash), items.KEY_SK, consistent=True)
        if item is not None and "points_to" in item:
            item = await self._directory.get(items.key_pk(item["points_to"]), items.KEY_SK, consistent=True)
        return KeyRecord.from_item(item) if item else None


def check_owners(principal: Principal) -> None:
    """Raises Unauthenticated where one the key belongs to is blocked or gone: with it would go its budget."""
    owners = (
        ("Team", "/team/unblock", principal.team_id, principal.team),
        ("Organization", "/organization/update", principal.organization_id, principal.organization),
        ("Project", "/project/update", principal.key.project_id, principal.project),
    )
    for word, remedy, owner_id, owner in owners:
        if owner_id and owner is None:
            raise Unauthenticated(f"Authentication Error, {word}={owner_id} does not exist.")
        if owner is not None and owner.blocked:
            raise Unauthenticated(f"Authentication Error, {word}={owner_id} is blocked. Update via `{remedy}` if you're an admin.")


def _header(headers: RawHeaders | Mapping[str, str], name: bytes) -> str | None:
    if isinstance(headers, Mapping):
        return next((value for key, value in headers.items() if key.lower().encode() == name), None)
    return next((value.decode("latin-1") for key, value in headers if key == name), None)


def _unknown() -> Unauthenticated:
    return Unauthenticated("Authentication Error, Invalid API key provided.", type="token_not_found_in_db", param="key")


def _expired(key: KeyRecord, expires: int, now: float) -> Unauthenticated:
    message = f"Authentication Error - Expired Key. Key Expiry time {iso(expires)} and current time {iso(now)}"
    return Unauthenticated(message, type="expired_key", param=key.key_name)
