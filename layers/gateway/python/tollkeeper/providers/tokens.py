"""Tokens that are asked for, kept while they last, and asked for again a while before they end.

What can go wrong at an issuer is never billed by the provider behind it, so every failure here is either `NeverSent` or carries a status.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import orjson

from tollkeeper.clock import Clock
from tollkeeper.errors import UpstreamAuthFailed, UpstreamError, UpstreamFailed
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Timeouts, Transport, read_all

REFRESH_BEFORE = 300.0
"""Seconds before its end at which a token is replaced; a short one lives at least half its life."""
_RETRY_AFTER = 15.0
_RENEW_AT_MOST_EVERY = 30.0
_TIMEOUTS = Timeouts(connect=3.0, first_byte=10.0, read=10.0)
_MAX_ANSWER = 2**20
_REFUSALS = frozenset((400, 401, 403))
_XML_ERROR = re.compile(rb"<(?:Code|Message)>([^<]+)<")
_LOCAL = frozenset(("127.0.0.1", "::1", "localhost", "metadata.google.internal", "169.254.169.254"))


class Expiring(Protocol):
    @property
    def expires(self) -> float | None:
        """Epoch seconds; None: it lasts."""
        ...


Kind = TypeVar("Kind", bound=Expiring)


@dataclass(frozen=True, slots=True)
class Token:
    """`expires` is epoch seconds."""

    value: str = field(repr=False)
    expires: float | None


@dataclass(slots=True)
class _Kept(Generic[Kind]):
    value: Kind
    since: float
    next_try: float = 0.0


class TokenCache(Generic[Kind]):
    """One token per key. Callers who ask at once share one fetch; while the old one holds, a failed fetch is not an error."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Kept[Kind]] = {}
        self._locks: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[Kind]]) -> Kind:
        kept = self._kept.get(key)
        if kept is not None and self._fresh(kept):
            return kept.value
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and self._fresh(kept):
                return kept.value
            return await self._fetched(key, kept, fetch)

    async def renew(self, key: Hashable, fetch: Callable[[], Awaitable[Kind]]) -> bool:
        """After a refusal: whether there is another token than before. A token that was just fetched is not fetched again."""
        before = self._kept.get(key)
        if before is None or self._clock.now() - before.since < _RENEW_AT_MOST_EVERY:
            return False
        async with self._locks.setdefault(key, asyncio.Lock()):
            if self._kept.get(key) is before:
                self._kept[key] = _Kept(await fetch(), self._clock.now())
        return self._kept[key].value != before.value

    async def _fetched(self, key: Hashable, kept: _Kept[Kind] | None, fetch: Callable[[], Awaitable[Kind]]) -> Kind:
        now = self._clock.now()
        try:
            value = await fetch()
        except UpstreamError:
            if kept is None or (kept.value.expires is not None and kept.value.expires <= now):
                raise
            kept.next_try = now + _RETRY_AFTER
            return kept.value
        self._kept[key] = _Kept(value, now)
        return value

    def _fresh(self, kept: _Kept[Kind]) -> bool:
        expires, now = kept.value.expires, self._clock.now()
        if expires is None:
            return True
        early = min(REFRESH_BEFORE, (expires - kept.since) / 2)
        return now < expires - early or (now < kept.next_try and now < expires)


class Issuer:
    """Whoever gives out tokens, over the providers' transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def ask(
        self,
        who: str,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> bytes:
        """The 2xx body. Raises UpstreamAuthFailed with the issuer's own error code, NeverSent, or UpstreamFailed."""
        refuse_plain_text(who, url)
        kind = "application/x-www-form-urlencoded" if form is not None else "application/json"
        payload = urlencode(form).encode() if form is not None else body or b""
        sent = {"accept": "application/json", **({"content-type": kind} if payload else {}), **(headers or {})}
        try:
            response = await self._transport.send(OutboundRequest(url, payload, sent, method, _TIMEOUTS))
            answer = await read_all(response, _MAX_ANSWER)
        except UpstreamError:
            raise NeverSent(f"{who} did not answer when it was asked for a token.") from None
        if response.status < 300:
            return answer
        failed = UpstreamAuthFailed if response.status in _REFUSALS else UpstreamFailed
        raise failed(f"{who} gave no token: {_reason(answer) or f'HTTP {response.status}'}.", upstream_status=response.status)

    async def ask_json(self, who: str, url: str, form: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """As `ask`, read as a JSON object."""
        try:
            tree = orjson.loads(await self.ask(who, url, form, **more))
        except orjson.JSONDecodeError:
            tree = None
        if not isinstance(tree, dict):
            raise UpstreamFailed(f"{who} answered with something that is no token.", upstream_status=200)
        return tree


def token_of(who: str, answer: Mapping[str, Any], now: float) -> Token:
    """An OAuth answer (RFC 6749, 5.1): `access_token`, `expires_in` seconds. Raises UpstreamFailed for anything else."""
    value, lifetime = answer.get("access_token"), answer.get("expires_in", 3600)
    try:
        seconds = float(lifetime)
    except (TypeError, ValueError):
        seconds = 0.0
    if not isinstance(value, str) or not value or seconds <= 0:
        raise UpstreamFailed(f"{who} answered without an access token.", upstream_status=200)
    return Token(value, now + seconds)


def refuse_plain_text(who: str, url: str) -> None:
    """A credential crosses no network in the clear. Raises UpstreamAuthFailed."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise UpstreamAuthFailed(f"{who}: the address to ask for a token is not an https URL.")


def _reason(answer: bytes) -> str:
    """The error's code, and its description up to the first line's end; an issuer repeats no secret there."""
    try:
        tree = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return ": ".join(match.decode("utf-8", "replace")[:200].rstrip(".") for match in _XML_ERROR.findall(answer))
    if not isinstance(tree, dict):
        return ""
    node = tree.get("error")
    code = node.get("status") if isinstance(node, dict) else node or tree.get("errorCode")
    text = node.get("message") if isinstance(node, dict) else tree.get("error_description") or tree.get("errorMessage")
    return ": ".join(str(part).split("\r\n")[0].split("\n")[0][:200].rstrip(".") for part in (code, text) if part)
