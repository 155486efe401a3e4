"""Which headers convince a provider: the scheme of the deployment (catalog/auth.py) decides, the client asks only here.

A plain key goes into its header. Where there is none, or the scheme exchanges it: `sigv4` signs the request, `google` and the OAuth schemes
fetch a token and keep it. A parameter that is set nowhere counts as not given; what is missing in the end is named, never its value.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from tollkeeper.catalog.auth import KEY_IS_EXCHANGED, SCHEMES, Scheme
from tollkeeper.catalog.providers import scheme_of
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Secret
from tollkeeper.errors import UpstreamAuthFailed
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.google import GoogleTokens
from tollkeeper.providers.oauth import GRANTS, Grant
from tollkeeper.providers.sigv4 import AwsSigner
from tollkeeper.providers.tokens import Issuer, Token, TokenCache, token_of
from tollkeeper.providers.transport import OutboundRequest, Transport
from tollkeeper.store.aws import CredentialSource

MachineKeys = Callable[[], CredentialSource]
"""The source of this machine's own AWS keys, made when it is first needed."""


class Signers:
    """Shared by all requests; holds tokens and nothing else."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        *,
        machine: MachineKeys | None = None,
        region: str = "",
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._issuer = Issuer(transport)
        self._aws = AwsSigner(self._issuer, clock, machine)
        self._google = GoogleTokens(self._issuer, clock, machine, region)
        self._tokens: TokenCache[Token] = TokenCache(clock)

    async def headers_for(self, deployment: Deployment, request: OutboundRequest) -> Mapping[str, str]:
        """Names in lower case. Raises UpstreamAuthFailed; NeverSent or UpstreamFailed where a token could not be had."""
        name = deployment.auth.scheme or scheme_of(deployment.provider)
        scheme = SCHEMES[name]
        key = await self._resolved(deployment.api_key)
        if name == "header":
            scheme = await self._own_header(deployment)
        if key is not None and name not in KEY_IS_EXCHANGED:
            return {scheme.header: scheme.prefix + key} if scheme.header else {}
        params = await self._params(deployment)
        if name == "sigv4":
            return await self._aws.headers_for(params, request)
        if (given := _given_token(name, params)) is not None:
            return {"authorization": f"Bearer {given}"}
        if fetch := self._fetcher(name, deployment, params, key):
            token = await self._tokens.get(_identity(deployment), fetch)
            return {"authorization": f"Bearer {token.value}"}
        if deployment.api_key is not None:
            raise _missing(deployment, deployment.api_key)
        return {}

    async def renewed(self, deployment: Deployment) -> bool:
        """After a 401 or 403: whether another credential is at hand now than the one that was refused."""
        name = deployment.auth.scheme or scheme_of(deployment.provider)
        before = await self._resolved(deployment.api_key)
        changed = await self._refreshed(deployment)
        key = await self._resolved(deployment.api_key)
        if key is not None and name not in KEY_IS_EXCHANGED:
            return key != before
        params = await self._params(deployment)
        if name == "sigv4":
            return changed or await self._aws.renewed(params)
        if _given_token(name, params) is not None:
            return changed
        fetch = self._fetcher(name, deployment, params, key)
        return fetch is not None and await self._tokens.renew(_identity(deployment), fetch)

    def _fetcher(
        self, name: str, deployment: Deployment, params: Mapping[str, str], key: str | None
    ) -> Callable[[], Awaitable[Token]] | None:
        """None: there is nothing to exchange."""
        if name == "google":
            return partial(self._google.fetch, params.get("credentials"))
        grant = GRANTS[name](deployment, params, key) if name in GRANTS else None
        return partial(self._granted, grant) if grant else None

    async def _granted(self, grant: Grant) -> Token:
        answer = await self._issuer.ask_json(grant.who, grant.url, grant.form, headers=grant.headers)
        return token_of(grant.who, answer, self._clock.now())

    async def _own_header(self, deployment: Deployment) -> Scheme:
        params = await self._params(deployment)
        return Scheme(params.get("header", "authorization"), params.get("prefix", ""))

    async def _params(self, deployment: Deployment) -> dict[str, str]:
        return {name: value for name, secret in deployment.auth.params.items() if (value := await self._credentials.resolve(secret))}

    async def _resolved(self, secret: Secret | None) -> str | None:
        return None if secret is None else await self._credentials.resolve(secret)

    async def _refreshed(self, deployment: Deployment) -> bool:
        """Looks up anew what is not written in the configuration itself; whether anything changed."""
        changed = False
        for secret in (*filter(None, [deployment.api_key]), *deployment.auth.params.values()):
            if secret.source != "literal":
                before = await self._credentials.resolve(secret)
                changed |= await self._credentials.resolve(secret, fresh=True) != before
        return changed


def _given_token(scheme: str, params: Mapping[str, str]) -> str | None:
    """A token that somebody else keeps fresh (azure_ad_token)."""
    return params.get("token") if scheme in GRANTS else None


def _identity(deployment: Deployment) -> object:
    """Deployments with the same credentials share a token."""
    where = deployment.base_url if deployment.auth.scheme == "databricks" else ""
    return (deployment.auth.scheme or deployment.provider, where, deployment.api_key, frozenset(deployment.auth.params.items()))


def _missing(deployment: Deployment, secret: Secret) -> UpstreamAuthFailed:
    named = f": {secret.value} is not set" if secret.source == "env" else ""
    return UpstreamAuthFailed(f"No credential for provider {deployment.provider}{named}.")
