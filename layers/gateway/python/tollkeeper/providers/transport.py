"""The way out, one verb wide: send a request, get the status line, then bytes as they come.

Everything above (`client.py`, the store's AWS calls) is written against `Transport`. Two implementations pass one contract suite:
`http1.py` for the hot path, and `httpx_transport.py` where HTTP/2 or a proxy is wanted.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from tollkeeper.errors import UpstreamProtocolError, UpstreamUnreachable

MAX_BODY_BYTES = 64 * 2**20
"""A buffered answer larger than this is refused: it would not fit a small sandbox's memory."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte` bounds the wait for the status line and the first body bytes; `read` the silence between bytes after that."""

    connect: float = 5.0
    first_byte: float | None = None
    read: float = 300.0


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    url: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    method: str = "POST"
    timeouts: Timeouts = Timeouts()


class Response(Protocol):
    """Header names are lower case. Iterate `chunks` at most once; always `aclose`."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class NeverSent(UpstreamUnreachable):
    """No connection was made: nothing has left this machine, so sending it again is safe."""


class Origin(NamedTuple):
    host: str
    port: int
    tls: bool


@lru_cache(maxsize=1024)
def parse_url(url: str) -> tuple[Origin, str, str]:
    """Origin, request target and Host value. Raises NeverSent for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise NeverSent("The provider's URL is not valid.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isascii() or any(char <= " " for char in url):
        raise NeverSent("The provider's URL is not valid.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Origin(parts.hostname, port, parts.scheme == "https"), target, host if parts.port is None else f"{host}:{parts.port}"


class Transport(Protocol):
    async def send(self, request: OutboundRequest) -> Response:
        """Returns once the status line and headers are in.

        Raises UpstreamTimeout, UpstreamUnreachable (NeverSent where that is certain) or UpstreamProtocolError; so does iterating the
        response.
        """
        ...

    async def aclose(self) -> None: ...


async def read_all(response: Response, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, then closes. Raises UpstreamProtocolError above `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.chunks():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise UpstreamProtocolError(f"The provider's answer is larger than {limit} bytes.")
    finally:
        await response.aclose()
    return b"".join(parts)
