"""`api_base: onprem://<pool>`: one name in gateway.yaml, reached through the EgressApi on AWS and by a plain URL on a laptop.

TOLLKEEPER_ONPREM_POOLS says where the pools are: `vllm=http://localhost:8000,ollama=sigv4+https://<api>.execute-api.<region>.amazonaws.com/live/ollama`.
With `sigv4+` the request is signed for API Gateway; the pool's own credential then travels in `x-upstream-authorization`, which the
EgressApi maps back to `authorization`. https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tollkeeper.clock import Clock
from tollkeeper.errors import ConfigError
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Response, Transport
from tollkeeper.store.aws import CredentialSource, sign

SCHEME = "onprem://"
UPSTREAM_KEY = "x-upstream-authorization"
_SIGNED = "sigv4+"
# API Gateway may add to or rewrite the others on its way in, and a signature over them would break.
_SIGNED_HEADERS = frozenset(("content-type", UPSTREAM_KEY))


@dataclass(frozen=True, slots=True)
class Pool:
    """`url` has no slash at its end."""

    url: str
    signed: bool = False


def parse_pools(text: str) -> dict[str, Pool]:
    """`name=url,name=url` by name. Raises ConfigError, with what to write."""
    pools: dict[str, Pool] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = entry.partition("=")
        url = address.removeprefix(_SIGNED).rstrip("/")
        if not equals or not name or not url.startswith(("http://", "https://")):
            raise ConfigError(f"TOLLKEEPER_ONPREM_POOLS: {entry!r} is no pool; write <name>=http://<host>:<port>")
        pools[name.strip()] = Pool(url, signed=address.startswith(_SIGNED))
    return pools


class OnPremTransport:
    """A Transport that knows the pools; every other URL goes to the transport below as it is."""

    def __init__(
        self, below: Transport, pools: Mapping[str, Pool], *, credentials: CredentialSource | None, region: str, clock: Clock
    ) -> None:
        """`credentials` may be None where no pool is signed for. Raises ConfigError otherwise."""
        if any(pool.signed for pool in pools.values()) and (credentials is None or not region):
            raise ConfigError("TOLLKEEPER_ONPREM_POOLS has a sigv4+ address, for which AWS credentials and a region are needed.")
        self._below = below
        self._pools = pools
        self._credentials = credentials
        self._region = region
        self._clock = clock

    async def send(self, request: OutboundRequest) -> Response:
        if not request.url.startswith(SCHEME):
            return await self._below.send(request)
        name, slash, path = request.url.removeprefix(SCHEME).partition("/")
        pool = self._pools.get(name)
        if pool is None:
            known = ", ".join(self._pools) or "none"
            raise NeverSent(f"There is no on-prem pool {name} in TOLLKEEPER_ONPREM_POOLS (known: {known}).")
        located = replace(request, url=f"{pool.url}{slash}{path}")
        return await self._below.send(await self._sign(located) if pool.signed else located)

    async def aclose(self) -> None:
        await self._below.aclose()

    async def _sign(self, request: OutboundRequest) -> OutboundRequest:
        assert self._credentials is not None
        headers = {name.lower(): value for name, value in (request.headers or {}).items()}
        if upstream := headers.pop("authorization", ""):
            headers[UPSTREAM_KEY] = upstream
        signed = sign(
            request.method,
            request.url,
            {name: value for name, value in headers.items() if name in _SIGNED_HEADERS},
            request.body,
            service="execute-api",
            region=self._region,
            credentials=await self._credentials.get(),
            now=self._clock.now(),
        )
        return replace(request, headers={**headers, **signed})
