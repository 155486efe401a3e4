"""Outbound HTTP on httpx: for HTTP/2 upstreams (TOLLKEEPER_OUTBOUND=http2) and machines that reach the world through a proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import httpx

from tollkeeper.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Response, parse_url


class HttpxTransport:
    """Pooled HTTP/1.1 (HTTP/2 when asked and the h2 package is there) on httpx, honouring HTTPS_PROXY and NO_PROXY."""

    def __init__(self, *, http2: bool = False, max_connections: int = 1000) -> None:
        limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=100, keepalive_expiry=30)
        self._client = httpx.AsyncClient(http2=http2, limits=limits, follow_redirects=False, verify=ssl.create_default_context())

    async def send(self, request: OutboundRequest) -> Response:
        limits = request.timeouts
        timeout = httpx.Timeout(limits.read, connect=limits.connect, pool=limits.connect)
        parse_url(request.url)
        headers = dict(request.headers or {})
        try:
            outbound = self._client.build_request(request.method, request.url, content=request.body, headers=headers, timeout=timeout)
            async with asyncio.timeout(limits.first_byte):
                return _HttpxResponse(await self._client.send(outbound, stream=True))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        await self._client.aclose()


class _HttpxResponse:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.aiter_bytes():
                yield part
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _translate(error: Exception) -> UpstreamError:
    """httpx's exceptions → ours. The message names what happened, never the URL (it may carry a key) nor the library."""
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return NeverSent("Connection error: the provider could not be reached in time.")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return UpstreamTimeout("Timeout: the provider did not answer in time.")
    if isinstance(error, httpx.RemoteProtocolError):
        return UpstreamUnreachable("Connection error: the provider closed the connection before its answer was complete.")
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return UpstreamProtocolError("The provider's answer could not be read.")
    if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return UpstreamUnreachable("Connection error: the connection to the provider broke.")
    return NeverSent("Connection error: the provider could not be reached.")
