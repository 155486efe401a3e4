"""Tokens signed by an identity provider: its keys, fetched and kept, and the check of a token against them.

Keys are believed for `ttl` seconds; a token with a key nobody knows makes us fetch anew, so that a rotation is seen at once, but not more
often than `BURST` times in `PAUSE` seconds, however many such tokens come. If the provider cannot be reached, known keys stay good for
`STALE` seconds: an outage there need not be one here. Only asymmetric algorithms: a public key must never serve as the secret of an HMAC.
https://datatracker.ietf.org/doc/html/rfc8725
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from tollkeeper.auth.token_rules import Issuer
from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable, Unauthenticated

Fetch = Callable[[str], Awaitable[bytes]]
"""URL → the body of a 200. Raises StoreUnavailable for anything else."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
BURST, PAUSE, STALE = 3, 15.0, 3600.0
LONGEST_TOKEN = 16_384
_LEEWAY = 60


@dataclass(slots=True)
class _Kept:
    keys: KeySet
    read: float


class KeySource:
    """One provider's keys."""

    def __init__(self, url: str, fetch: Fetch, clock: Clock, ttl: float) -> None:
        self._url, self._fetch, self._clock, self._ttl = url, fetch, clock, ttl
        self._kept: _Kept | None = None
        self._tries: list[float] = []
        self._lock = asyncio.Lock()

    async def keys(self, *, unknown: bool = False) -> KeySet:
        """`unknown`: the ones at hand do not know the token's key. Raises StoreUnavailable."""
        kept, now = self._kept, self._clock.monotonic()
        if kept is not None and not unknown and now < kept.read + self._ttl:
            return kept.keys
        async with self._lock:
            now = self._clock.monotonic()
            self._tries = [tried for tried in self._tries if now < tried + PAUSE]
            if self._kept is not kept and self._kept is not None:
                return self._kept.keys  # somebody has just read them
            if len(self._tries) >= BURST:
                if self._kept is None:
                    raise _unreadable()
                return self._kept.keys
            self._tries.append(now)
            return await self._read(now)

    async def _read(self, now: float) -> KeySet:
        try:
            found = _parsed(await self._fetch(self._url))
            if "keys" not in found and isinstance(elsewhere := found.get("jwks_uri"), str):
                found = _parsed(await self._fetch(elsewhere))
            self._kept = _Kept(_key_set(found), now)
        except StoreUnavailable:
            if self._kept is None or now >= self._kept.read + STALE:
                raise
        return self._kept.keys


class TokenVerifier:
    """`issuers` may be several: the token's `iss`, unproven yet, only says whose keys to try."""

    def __init__(self, issuers: tuple[Issuer, ...], fetch: Fetch, clock: Clock, *, ttl: float = 600.0) -> None:
        self._sources = [(issuer, KeySource(issuer.jwks_url, fetch, clock, ttl)) for issuer in issuers]
        self._clock = clock

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The proven claims. Raises Unauthenticated, which never repeats the token, or StoreUnavailable."""
        if len(token) > LONGEST_TOKEN:
            raise _refused("it is too long")
        candidates = self._candidates(token)
        for unknown in (False, True):
            for issuer, source in candidates:
                if (claims := _proven(token, await source.keys(unknown=unknown))) is not None:
                    self._check(claims, issuer)
                    return claims
        raise _refused("its signature is not one of its issuer's")

    def _candidates(self, token: str) -> list[tuple[Issuer, KeySource]]:
        try:
            named = orjson.loads(_decoded(token.split(".")[1])).get("iss")
        except (ValueError, IndexError, AttributeError):
            raise _refused("it cannot be read") from None
        found = [row for row in self._sources if not row[0].issuer or _same_issuer(row[0].issuer, named)]
        if not found:
            raise _refused("its issuer is not one of ours")
        return found

    def _check(self, claims: Mapping[str, Any], issuer: Issuer) -> None:
        audience: dict[str, Any] = {"aud": {"essential": True, "values": list(issuer.audience)}} if issuer.audience else {}
        registry = jwt.JWTClaimsRegistry(now=int(self._clock.now()), leeway=_LEEWAY, exp={"essential": True}, **audience)
        try:
            registry.validate(dict(claims))
        except (JoseError, ValueError, TypeError):
            raise _refused("it is expired, not yet valid, or for somebody else") from None


def _proven(token: str, keys: KeySet) -> dict[str, Any] | None:
    try:
        return dict(jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError):
        return None


def _same_issuer(ours: str, theirs: Any) -> bool:
    """Some providers end theirs with a slash, and some operators do not write it."""
    return isinstance(theirs, str) and ours.rstrip("/") == theirs.rstrip("/")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unreadable()
    return found


def _key_set(found: Mapping[str, Any]) -> KeySet:
    """The keys that can be used; a provider may show others too (for encryption, or of a kind nobody here knows)."""
    rows = found.get("keys")
    keys = [key for row in (rows if isinstance(rows, list) else ()) for key in _usable(row)]
    if not keys:
        raise _unreadable()
    return KeySet(keys)


def _usable(row: Any) -> Sequence[Key]:
    try:
        return KeySet.import_key_set({"keys": [row]}).keys if row.get("use", "sig") == "sig" else ()
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _unreadable() -> StoreUnavailable:
    return StoreUnavailable("The identity provider's keys cannot be read.")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"Authentication Error, the token is refused: {why}.", type="auth_error", param="token")
