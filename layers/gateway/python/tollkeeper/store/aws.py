"""Signing for AWS without its SDK: Signature Version 4 with the standard library, and the one-function seam to the network.

boto3's client costs about a millisecond of CPU a call and 200 ms of import; this costs some tens of microseconds and nothing.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"
_DEFAULT_PORT = {"https": 443, "http": 80}
# Hops on the way may change these, so a signature over them would break.
_NEVER_SIGNED = frozenset(("authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"))


class NotSent(OSError):
    """The connection could not be made: nothing of the request has left this machine, so sending it again is safe."""


class HttpSend(Protocol):
    """One HTTP exchange: (status, headers with lower-case names, body). `timeout` is seconds for the whole of it.

    Raises NotSent (or ConnectionRefusedError) if no connection could be made, and any other OSError, TimeoutError included,
    if the request may have arrived. HTTP statuses are answers, not errors.
    """

    async def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
    ) -> tuple[int, Mapping[str, str], bytes]: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. `expires` is epoch seconds; None for a key that lasts."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: float | None = None


class CredentialSource(Protocol):
    """Where keys come from. `refresh` asks for new ones because AWS called the present ones expired."""

    async def get(self, *, refresh: bool = False) -> Credentials: ...


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Keys that never change: tests, emulators."""

    credentials: Credentials

    async def get(self, *, refresh: bool = False) -> Credentials:
        return self.credentials


def endpoint_of(service: str, region: str) -> str:
    """The regional endpoint. Source: https://docs.aws.amazon.com/general/latest/gr/rande.html"""
    return f"https://{service}.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    now: float,
) -> dict[str, str]:
    """The headers to send: those given plus host, x-amz-date, x-amz-security-token and authorization.

    `url` is percent-encoded as it goes on the wire: signing and sending must see the same bytes. `now` is epoch seconds.
    A `body` of None signs UNSIGNED-PAYLOAD, for bodies that are streamed over TLS to a service that allows it.
    """
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    payload_hash = UNSIGNED_PAYLOAD if body is None else hashlib.sha256(body).hexdigest()
    signed = {name.lower(): value for name, value in headers.items() if name.lower() != "authorization"}
    if "host" not in signed:
        signed["host"] = _host(parts.scheme, parts.hostname or "", parts.port)
    signed["x-amz-date"] = stamp
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    if body is None or service == "s3":
        signed["x-amz-content-sha256"] = payload_hash
    names = sorted(signed.keys() - _NEVER_SIGNED)
    canonical = "\n".join(
        (
            method.upper(),
            canonical_path(parts.path, service),
            canonical_query(parts.query),
            *(f"{name}:{' '.join(signed[name].split())}" for name in names),
            "",
            ";".join(names),
            payload_hash,
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = signing_key(credentials.secret_key, stamp[:8], region, service)
    signature = hmac.digest(key, f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return signed


def presigned(method: str, url: str, seconds: int, *, service: str, region: str, credentials: Credentials, now: float) -> str:
    """The URL with a signature in its query that lets anyone send this one request for so many seconds, whatever its body.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    query = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
        "X-Amz-SignedHeaders": "host",
    }
    encoded = "&".join(f"{name}={quote(value, safe=_UNRESERVED)}" for name, value in sorted(query.items()))
    host = _host(parts.scheme, parts.hostname or "", parts.port)
    canonical = "\n".join((method, canonical_path(parts.path, service), encoded, f"host:{host}", "", "host", UNSIGNED_PAYLOAD))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = signing_key(credentials.secret_key, stamp[:8], region, service)
    signature = hmac.digest(key, f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    return f"{url}?{encoded}&X-Amz-Signature={signature}"


def canonical_path(path: str, service: str) -> str:
    """Each segment encoded once more (`%3A` → `%253A`), `.` and `..` resolved; S3 alone takes the path as it is."""
    if service == "s3":
        return quote(path or "/", safe="/~%")
    if "/." in path or "//" in path:
        resolved = posixpath.normpath("/" + path.lstrip("/"))
        path = resolved + "/" if path.endswith("/") and resolved != "/" else resolved
    return quote(path or "/", safe="/~")


def canonical_query(query: str) -> str:
    """The parameters re-encoded and sorted, as the service does it on its side."""
    if not query:
        return ""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in sorted((_encode_once(name), _encode_once(value)) for name, _, value in pairs))


def _encode_once(text: str) -> str:
    return quote(unquote(text), safe=_UNRESERVED)


def _host(scheme: str, hostname: str, port: int | None) -> str:
    host = f"[{hostname}]" if ":" in hostname else hostname
    return host if port is None or _DEFAULT_PORT.get(scheme) == port else f"{host}:{port}"


@lru_cache(maxsize=16)
def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service; `date` is yyyymmdd."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
