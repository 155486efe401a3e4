"""Tokens signed by an identity provider: its keys, fetched and kept, and the check of a token against them.

Keys are believed for `ttl` seconds; a token with a key id nobody knows makes us fetch anew, but not more often than every `PAUSE` seconds,
however many such tokens come. If the provider cannot be reached, known keys stay good for `STALE` seconds: an outage there need not be one
here. Only asymmetric algorithms: a public key must never serve as the secret of an HMAC.
https://datatracker.ietf.org/doc/html/rfc8725
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tollkeeper.clock import Clock
from tollkeeper.errors import StoreUnavailable, Unauthenticated

Fetch = Callable[[str], Awaitable[bytes]]
"""URL → the body of a 200. Raises StoreUnavailable for anything else."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
PAUSE, STALE = 30.0, 3600.0
LONGEST_TOKEN = 16_384
_LEEWAY = 60


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken: `issuer` must be the `iss` of the token, `audience` in its `aud` (empty: not asked)."""

    issuer: str
    jwks_url: str
    audience: str = ""


@dataclass(slots=True)
class _Kept:
    keys: KeySet
    read: float


class KeySource:
    """One provider's keys."""

    def __init__(self, url: str, fetch: Fetch, clock: Clock, ttl: float) -> None:
        self._url, self._fetch, self._clock, self._ttl = url, fetch, clock, ttl
        self._kept: _Kept | None = None
        self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, *, unknown: bool = False) -> KeySet:
        """`unknown`: the ones at hand do not know the token's key. Raises StoreUnavailable."""
        kept, now = self._kept, self._clock.monotonic()
        if kept is not None and not unknown and now < kept.read + self._ttl:
            return kept.keys
        async with self._lock:
            now = self._clock.monotonic()
            if self._kept is not None and now < self._tried + PAUSE:
                return self._kept.keys
            self._tried = now
            return await self._read(now)

    async def _read(self, now: float) -> KeySet:
        try:
            self._kept = _Kept(_key_set(await self._fetch(self._url)), now)
        except StoreUnavailable:
            if self._kept is None or now >= self._kept.read + STALE:
                raise
        return self._kept.keys


class TokenVerifier:
    """`issuers` may be several: the token's `iss`, unproven yet, only says whose keys to try."""

    def __init__(self, issuers: tuple[Issuer, ...], fetch: Fetch, clock: Clock, *, ttl: float = 600.0) -> None:
        self._issuers = {issuer.issuer: (issuer, KeySource(issuer.jwks_url, fetch, clock, ttl)) for issuer in issuers}
        self._clock = clock

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The proven claims. Raises Unauthenticated, which never repeats the token, or StoreUnavailable."""
        if len(token) > LONGEST_TOKEN:
            raise _refused("it is too long")
        issuer, source = self._issuer_of(token)
        try:
            found = jwt.decode(token, await source.keys(), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            found = self._again(token, await source.keys(unknown=True))
        self._check(found.claims, issuer)
        return dict(found.claims)

    def _again(self, token: str, keys: KeySet) -> jwt.Token:
        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            raise _refused("its signature is not one of its issuer's") from None

    def _issuer_of(self, token: str) -> tuple[Issuer, KeySource]:
        try:
            payload = orjson.loads(_decoded(token.split(".")[1]))
            named = payload["iss"]
            return self._issuers[named]
        except (ValueError, KeyError, IndexError, TypeError):
            raise _refused("its issuer is not one of ours") from None

    def _check(self, claims: Mapping[str, Any], issuer: Issuer) -> None:
        audience: dict[str, Any] = {"aud": {"essential": True, "value": issuer.audience}} if issuer.audience else {}
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock.now()), leeway=_LEEWAY, iss={"essential": True, "value": issuer.issuer}, exp={"essential": True}, **audience
        )
        try:
            registry.validate(dict(claims))
        except (JoseError, ValueError, TypeError):
            raise _refused("it is expired, not yet valid, or for somebody else") from None


def looks_signed(text: str) -> bool:
    """Whether this could be a token at all: three parts with dots."""
    return text.count(".") == 2 and text.startswith("ey")


def _key_set(body: bytes) -> KeySet:
    try:
        return KeySet.import_key_set(orjson.loads(body))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        raise StoreUnavailable("The identity provider's keys cannot be read.") from None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"Authentication Error, the token is refused: {why}.", type="auth_error", param="token")
