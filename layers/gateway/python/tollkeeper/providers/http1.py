"""HTTP/1.1 over asyncio, as small as the hot path needs: one request on a connection, connections kept for the next.

Why not a client library here: it runs twice for each wake-up of every stream and once for each DynamoDB call, and a general client costs
several times the rest of the gateway (httpx walks its whole pool for each request). Parsing is llhttp's, through httptools; what is left
is a pool and a protocol. What this does not do (HTTP/2, proxies), `httpx_transport.py` does.

A connection is in exactly one of three states: idle (in the pool), busy (one response owns it), closed. It goes back to the pool only
after a complete message, read to its end, that both sides want to keep. Anything else closes it: a body that was not read to the end
must never be taken for the next response's.
"""

import asyncio
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import cast

import httptools

from tollkeeper.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from tollkeeper.providers.transport import NeverSent, Origin, OutboundRequest, Response, parse_url

IDLE_SECONDS = 45.0
"""Shorter than the idle limits of common servers and load balancers (60 s), so that a kept connection is rarely found closed."""
IDLE_PER_ORIGIN = 100
HIGH_WATER = 2**20
"""Stop reading from the provider while this many bytes wait for a slow caller."""


class Http1Transport:
    """Implements `transport.Transport`. Belongs to the event loop it is first used in."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls` None: the system's certificate authorities, loaded (20 ms) when the first https URL is asked for."""
        self._tls = tls
        self._idle: dict[Origin, deque[tuple[_Connection, float]]] = {}

    async def send(self, request: OutboundRequest) -> Response:
        origin, target, host = parse_url(request.url)
        wire = _head(request, target, host) + request.body
        connection = self._kept(origin) or await self._connect(origin, request.timeouts.connect)
        return await connection.exchange(wire, request)

    async def aclose(self) -> None:
        for kept in self._idle.values():
            for connection, _ in kept:
                connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # asyncio closes sockets in the loop's next round

    def keep(self, origin: Origin, connection: "_Connection") -> None:
        """Takes back a connection whose response was read to its end."""
        kept = self._idle.setdefault(origin, deque())
        if len(kept) >= IDLE_PER_ORIGIN:
            kept.popleft()[0].close()
        kept.append((connection, asyncio.get_running_loop().time()))

    def _kept(self, origin: Origin) -> "_Connection | None":
        """The most recently used one: the others may age out."""
        kept = self._idle.get(origin)
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while kept:
            connection, since = kept.pop()
            if since >= oldest and connection.usable:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin, seconds: float) -> "_Connection":
        context = self._context() if origin.tls else None
        try:
            async with asyncio.timeout(seconds):
                _, protocol = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self, origin), origin.host, origin.port, ssl=context
                )
        except TimeoutError:
            raise NeverSent("Connection error: the provider could not be reached in time.") from None
        except ssl.SSLError:
            raise NeverSent("Connection error: the provider's TLS certificate or handshake was refused.") from None
        except (OSError, UnicodeError):
            raise NeverSent("Connection error: the provider could not be reached.") from None
        return protocol

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            paths = ssl.get_default_verify_paths()
            self._tls = ssl.create_default_context(cafile=None if paths.cafile or paths.capath else _bundled_authorities())
        return self._tls


def _bundled_authorities() -> str | None:
    """Some Python builds (python.org's for macOS) come without certificate authorities; the laptop install has a bundle."""
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()


class _Connection(asyncio.Protocol):
    """One socket. Its callbacks are llhttp's and asyncio's; `exchange` is the only entry from above."""

    def __init__(self, pool: Http1Transport, origin: Origin) -> None:
        self._pool = pool
        self._origin = origin
        self._response: _Http1Response | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.usable = True

    async def exchange(self, wire: bytes, request: OutboundRequest) -> Response:
        """Writes the request and waits for the response's head."""
        response = self._response = _Http1Response(self, request.timeouts.read)
        try:
            self._socket.write(wire)
            await response.head(request.timeouts.first_byte)
        except BaseException:
            self.close()
            raise
        return response

    def close(self) -> None:
        self.usable = False
        self._response = None
        self._socket.close()

    def release(self) -> None:
        """The response was read to its end."""
        self._response = None
        if self.usable:
            self._pool.keep(self._origin, self)
        else:
            self._socket.close()

    def pause(self) -> None:
        self._socket.pause_reading()

    def resume(self) -> None:
        self._socket.resume_reading()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self.close()  # bytes nobody asked for: whatever they are, they must not answer the next request
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._response.fail(UpstreamProtocolError("The provider's answer is not HTTP."))
            self.usable = False
            self._socket.close()
            return
        response = self._response
        if response is not None:
            response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._response is not None:
            self._response.lost()

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        if self._response is not None:
            self._response.raw_headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is not None:
            self._response.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._response is not None and status >= 200:
            self._response.begin(status)

    def on_body(self, body: bytes) -> None:
        if self._response is not None:
            self._response.add(body)

    def on_message_complete(self) -> None:
        if self._response is not None and self._response.begun:  # else it was a 1xx
            self.usable = self.usable and self._parser.should_keep_alive()
            self._response.complete()


class _Http1Response:
    """Implements `transport.Response`: what has arrived, and one waiter for more."""

    status = 0
    begun = False

    def __init__(self, connection: _Connection, read_seconds: float) -> None:
        self.headers: Mapping[str, str] = {}
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self._connection: _Connection | None = connection
        self._read_seconds = read_seconds
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._paused = False
        self._done = False
        self._error: Exception | None = None
        self._inflate: zlib._Decompress | None = None

    async def head(self, seconds: float | None) -> None:
        """Waits for the status line and headers."""
        while not self.begun:
            if self._error is not None:
                raise self._error
            await self._wait(seconds if seconds is not None else self._read_seconds)

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            if self._parts:
                data = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
                self._parts, self._size = [], 0
                self._resume()
                yield data
            elif self._error is not None:
                raise self._error
            elif self._done:
                return
            else:
                await self._wait(self._read_seconds)

    async def aclose(self) -> None:
        """A message that was not read to its end takes its connection with it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._done and self._error is None:
            self._resume_on(connection)
            connection.release()
        else:
            connection.close()

    # what the connection tells

    def begin(self, status: int) -> None:
        self.begun = True
        self.status = status
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}
        if self.headers.get("content-encoding", "identity") in {"gzip", "deflate"}:
            self._inflate = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, told by the first bytes

    def add(self, body: bytes) -> None:
        if self._inflate is not None:
            try:
                body = self._inflate.decompress(body)
            except zlib.error:
                self.fail(UpstreamProtocolError("The provider's answer could not be decompressed."))
                return
        self._parts.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause()

    def complete(self) -> None:
        self._done = True

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.wake()

    def lost(self) -> None:
        """The provider closed. That is an end only for a body that declared no length and no chunks."""
        if not self._done and self.begun and "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            self._done = True
        if not self._done:
            self.fail(UpstreamUnreachable("Connection error: the provider closed the connection before its answer was complete."))
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, seconds: float) -> None:
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self.fail, UpstreamTimeout("Timeout: the provider did not answer in time."))
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _resume(self) -> None:
        if self._connection is not None:
            self._resume_on(self._connection)

    def _resume_on(self, connection: _Connection) -> None:
        if self._paused:
            self._paused = False
            connection.resume()


def _head(request: OutboundRequest, target: str, host: str) -> bytes:
    headers = {
        "host": host,
        "accept": "*/*",
        "user-agent": "tollkeeper",
        **{name.lower(): value for name, value in (request.headers or {}).items()},
        "accept-encoding": "identity",
        "content-length": str(len(request.body)),
    }
    lines = [f"{request.method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            raise NeverSent(f"The header {name} for the provider has a line break in its value.")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
