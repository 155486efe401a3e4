"""AWS as a provider: each request signed with the deployment's keys, those of a role it assumes, or the machine's own.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlencode

from tollkeeper.clock import Clock, from_iso
from tollkeeper.errors import StoreUnavailable, UpstreamAuthFailed, UpstreamFailed
from tollkeeper.providers.tokens import Issuer, TokenCache
from tollkeeper.providers.transport import OutboundRequest
from tollkeeper.store.aws import Credentials as Keys
from tollkeeper.store.aws import CredentialSource, endpoint_of, sign

# Proxies on the way may touch the others, and a signature over them would break.
_SIGNED_HEADERS = frozenset(("content-type",))
_SESSION_SECONDS = 3600
_DEFAULT_SESSION = "tollkeeper"
_STS_FIELDS = {name: re.compile(rf"<{name}>([^<]+)</{name}>") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")}
_RENEW_AT_MOST_EVERY = 30.0

Params = Mapping[str, str]


class AwsSigner:
    """`machine` gives the source of the machine's own keys, which is made when it is first needed; None where there is none."""

    def __init__(self, issuer: Issuer, clock: Clock, machine: Callable[[], CredentialSource] | None) -> None:
        self._issuer = issuer
        self._clock = clock
        self._machine = machine
        self._roles: TokenCache[Keys] = TokenCache(clock)
        self._renewed = 0.0

    async def headers_for(self, params: Params, request: OutboundRequest) -> dict[str, str]:
        """Raises UpstreamAuthFailed where there are no keys."""
        headers = {name: value for name, value in (request.headers or {}).items() if name in _SIGNED_HEADERS}
        keys = await self._keys(params)
        where = {"service": params["service"], "region": params["region"]}
        return sign(request.method, request.url, headers, request.body, **where, credentials=keys, now=self._clock.now())

    async def renewed(self, params: Params) -> bool:
        """Whether other keys are at hand than those that were refused."""
        if "role" in params:
            return await self._roles.renew(_role_key(params), partial(self._assumed, params))
        now = self._clock.now()
        if "access_key" in params or self._machine is None or now - self._renewed < _RENEW_AT_MOST_EVERY:
            return False
        self._renewed = now
        source = self._machine()
        try:
            return await source.get() != await source.get(refresh=True)
        except StoreUnavailable:
            return False

    async def _keys(self, params: Params) -> Keys:
        if "role" in params:
            return await self._roles.get(_role_key(params), partial(self._assumed, params))
        return await self._base_keys(params)

    async def _base_keys(self, params: Params) -> Keys:
        if "access_key" in params:
            if "secret_key" not in params:
                raise UpstreamAuthFailed("No AWS credentials: aws_access_key_id is set, and aws_secret_access_key is not.")
            return Keys(params["access_key"], params["secret_key"], params.get("token", ""))
        if self._machine is None:
            raise UpstreamAuthFailed("No AWS credentials: set aws_access_key_id and aws_secret_access_key.")
        try:
            return await self._machine().get()
        except StoreUnavailable as error:
            raise UpstreamAuthFailed(error.message) from None

    async def _assumed(self, params: Params) -> Keys:
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": params["role"],
            "RoleSessionName": params.get("session", _DEFAULT_SESSION),
            "DurationSeconds": str(_SESSION_SECONDS),
            **({"ExternalId": params["external_id"]} if "external_id" in params else {}),
        }
        url = params.get("sts") or endpoint_of("sts", params["region"])
        body = urlencode(form).encode()
        headers = sign(
            "POST",
            url,
            {"content-type": "application/x-www-form-urlencoded"},
            body,
            service="sts",
            region=params["region"],
            credentials=await self._base_keys(params),
            now=self._clock.now(),
        )
        try:
            answer = await self._issuer.ask("AWS STS", url, body=body, headers={**headers, "accept": "application/xml"})
        except UpstreamAuthFailed as error:
            raise UpstreamAuthFailed(f"The role {params['role']} could not be assumed: {error.message}") from None
        return _keys_of(answer.decode("utf-8", "replace"))


def _role_key(params: Params) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(params.items()))


def _keys_of(xml: str) -> Keys:
    found = {name: match[1] for name, pattern in _STS_FIELDS.items() if (match := pattern.search(xml))}
    if found.keys() != _STS_FIELDS.keys():
        raise UpstreamFailed("AWS STS answered without credentials.", upstream_status=200)
    try:
        expires = from_iso(found["Expiration"])
    except ValueError:
        raise UpstreamFailed("AWS STS answered without an expiration.", upstream_status=200) from None
    return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], expires)
