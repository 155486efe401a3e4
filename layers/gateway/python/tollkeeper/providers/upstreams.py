"""What is called that is no model: any address with headers of its configuration, some of which are credentials."""

from collections.abc import Mapping

from tollkeeper.config.snapshot import Secret, Upstream
from tollkeeper.errors import UpstreamAuthFailed, UpstreamError
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.transport import OutboundRequest, Response, Timeouts, Transport


class Upstreams:
    """Shared by all requests."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials

    async def send(self, upstream: Upstream, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Whatever it answers; the configured headers win over `headers`. Raises UpstreamError, StoreUnavailable."""
        ours = {name: await self._value(upstream, parts) for name, parts in upstream.headers.items()}
        timeouts = Timeouts(first_byte=upstream.timeout, read=upstream.timeout)
        try:
            return await self._transport.send(OutboundRequest(url, body, {**headers, **ours}, method, timeouts))
        except UpstreamError as error:
            error.extra.setdefault("provider", upstream.name)
            raise

    async def _value(self, upstream: Upstream, parts: tuple[Secret, ...]) -> str:
        return "".join([await self._part(upstream, part) for part in parts])

    async def _part(self, upstream: Upstream, part: Secret) -> str:
        value = await self._credentials.resolve(part)
        if value is None:
            raise UpstreamAuthFailed(f"No credential for {upstream.name}: {part.value} is not set.")
        return value
