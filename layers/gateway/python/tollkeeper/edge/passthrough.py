"""`/{provider}/{path}`: raw provider APIs with our credentials, and the endpoints of `general_settings.pass_through_endpoints`.

Nothing is translated. What is metered (dialects/metering.py) is held, priced and booked like any call; the rest costs what
`cost_per_request` says, and is refused under a hard budget where nobody says. https://docs.litellm.ai/docs/pass_through/intro
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode

import orjson
from starlette.types import ASGIApp

from tollkeeper.auth.access import may_pass_through, may_use_route
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.catalog.passing import joined, provider_of
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Secret, Upstream
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.metering import kind_of, model_of
from tollkeeper.edge.http import ClientGone, Message, Receive, Scope, Send, headers_of, send_json, while_caller_stays
from tollkeeper.edge.passage import Passage, Passing, Raw, allow
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.routes import Row
from tollkeeper.edge.uploads import body_of
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.money import ZERO, NanoUSD, usd_to_nano
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.transport import OutboundRequest, Response, Timeouts
from tollkeeper.providers.upstreams import Upstreams

_READS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that make no model work."""
_OURS = frozenset({
    "host", "content-length", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect", "accept-encoding",
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key", "cookie", "x-amz-date", "x-amz-security-token",
    "x-amz-content-sha256", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip",
})  # fmt: skip
"""Headers that are about this hop, or hold the caller's key."""
_PLAIN = frozenset({"content-type", "accept", "user-agent"})
"""What goes to a configured endpoint without `forward_headers`."""
_ANYONE = principal_of(KeyRecord(key_hash="", key_name="anyone"), is_master=True)
"""The caller of an endpoint with `auth: false`."""
_TIMEOUT = 600.0
_PATH_SAFE = "/:@!$&'()*+,;=~-._"
Deployments = Callable[[], tuple[Deployment, ...]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for elsewhere; `path` is as the caller wrote it."""

    method: str
    path: str
    headers: dict[str, str]
    query: list[tuple[str, str]]
    data: bytes
    body: Json
    call_id: str


class PassThrough:
    """One per process."""

    def __init__(
        self,
        passage: Passage,
        client: ProviderClient,
        upstreams: Upstreams,
        *,
        authenticator: Authenticator,
        clock: Clock,
        deployments: Deployments,
        max_bytes: int,
    ) -> None:
        self._passage, self._client, self._upstreams, self._authenticator = passage, client, upstreams, authenticator
        self._clock, self._deployments, self._max_bytes = clock, deployments, max_bytes

    def rows(self, upstreams: tuple[Upstream, ...]) -> list[Row]:
        """The routes of configured endpoints."""
        rows: list[Row] = []
        for upstream in upstreams:
            if upstream.kind == "passage":
                paths = [upstream.name, *([f"{upstream.name.rstrip('/')}/{{rest:path}}"] if upstream.terms["include_subpath"] else [])]
                rows += [(method, path, _Configured(self, upstream)) for path in paths for method in upstream.terms["methods"] or ["*"]]
        return rows

    def or_else(self, otherwise: ASGIApp) -> ASGIApp:
        """Takes every path that begins with a provider's name."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            first, _, path = _raw_path(scope).lstrip("/").partition("/")
            provider = provider_of(first) if scope["type"] == "http" and path else None
            if provider is None:
                await otherwise(scope, receive, send)
            else:
                await self._answer(scope, receive, send, lambda asked: self._to_provider(asked, first, provider, path))

        return app

    async def to_configured(self, upstream: Upstream, scope: Scope, receive: Receive, send: Send) -> None:
        rest = quote(scope.get("path_params", {}).get("rest", ""), safe=_PATH_SAFE)
        await self._answer(scope, receive, send, lambda asked: self._to_upstream(asked, upstream, rest))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, serve: "Callable[[_Asked], Awaitable[_Sent]]") -> None:
        call_id, started = self._clock.new_id(), False

        async def told(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            asked = await self._read(scope, receive, call_id)
            await while_caller_stays(receive, _relayed(serve(asked), told))
        except ClientGone:
            return
        except Exception as error:
            if started:
                raise  # the status line has gone out: the server closes the connection without a proper end
            await send_json(send, *openai_error(error, call_id))

    async def _read(self, scope: Scope, receive: Receive, call_id: str) -> _Asked:
        headers, too_large = headers_of(scope), f"The request body is larger than {self._max_bytes} bytes, the most this gateway takes."
        data = b"".join([part async for part in body_of(receive, self._max_bytes, too_large)])
        return _Asked(scope["method"], scope["path"], headers, _pairs(scope), data, _json(headers, data), call_id)

    async def _to_provider(self, asked: _Asked, first: str, provider: str, path: str) -> "_Sent":
        principal = await self._authenticator.authenticate(asked.headers, dict(asked.query))
        plain = unquote(path)
        may_use_route(principal, f"/{first}/{plain}")
        may_pass_through(principal, f"/{first}/{plain}")
        kind, named = kind_of(asked.method, plain), model_of(plain, asked.body)
        deployment = self._deployment(provider, named)
        model = named or deployment.model or path
        if asked.method not in _READS:
            allow(principal, deployment)
        flat = ZERO if asked.method in _READS else None
        raw = Raw(asked.call_id, principal, asked.headers, asked.path, deployment, model, asked.body, asked.data, kind, flat)
        url = _with_query(joined(deployment.base_url.partition("?")[0], path), _query_in(deployment.base_url), asked)
        passed = {name: value for name, value in asked.headers.items() if name not in _OURS and not name.startswith("x-litellm-")}
        passing = await self._passage.enter(raw)
        timeouts = Timeouts(first_byte=_TIMEOUT, read=_TIMEOUT)
        request = OutboundRequest(url, passing.data, passed, asked.method, timeouts)
        return await _sent(passing, self._client.raw(deployment, request))

    async def _to_upstream(self, asked: _Asked, upstream: Upstream, rest: str) -> "_Sent":
        terms = upstream.terms
        principal: Principal = _ANYONE
        if terms["auth"]:
            principal = await self._authenticator.authenticate(asked.headers, dict(asked.query))
            may_use_route(principal, asked.path)
            may_pass_through(principal, asked.path)
        cost = terms["cost_per_request"]
        flat: NanoUSD | None = usd_to_nano(cost) if cost is not None else ZERO if asked.method in _READS else None
        deployment = Deployment(upstream.name, upstream.name, "pass_through", "", upstream.url, upstream.url)
        model = model_of(asked.path, asked.body) or upstream.name
        raw = Raw(asked.call_id, principal, asked.headers, asked.path, deployment, model, asked.body, asked.data, None, flat)
        passing = await self._passage.enter(raw)
        kept = {name: value for name, value in asked.headers.items() if name in _PLAIN or (terms["forward_headers"] and name not in _OURS)}
        url = _with_query(f"{upstream.url.rstrip('/')}/{rest}" if rest else upstream.url, terms["query"], asked)
        return await _sent(passing, self._upstreams.send(upstream, asked.method, url, passing.data, kept))

    def _deployment(self, provider: str, model: str | None) -> Deployment:
        """Whose address, credential and prices a raw call takes: the configured deployment of this model, else any of this provider, else
        the catalog's row with the credential of the environment. Raises NotFound, where nobody has said where the provider is.
        """
        rows = [row for row in self._deployments() if row.provider == provider and row.mock_response is None]
        if exact := next((row for row in rows if model in {row.model, row.group}), None):
            return exact
        wildcard = next((row for row in rows if "*" in row.model), None)
        if (some := wildcard or next(iter(rows), None)) is not None:
            prices = wildcard.prices or wildcard.wildcard_prices.get(model) if wildcard and model else None
            some = replace(some, model=model or "", group=f"{provider}/{model or '*'}", access_groups=())
            return replace(some, prices=prices, max_output_tokens=None, max_input_tokens=None)
        row = PROVIDERS[provider]
        if not row.base_url or row.blanks:
            raise NotFound(f"No deployment of {provider} is configured here: its address is not known.", code="provider_not_configured")
        key = Secret("env", row.key_env[0]) if row.key_env else None
        return Deployment(f"pass-through/{provider}", f"{provider}/{model or '*'}", provider, row.dialect, model or "", row.base_url, key)


@dataclass(frozen=True, slots=True)
class _Sent:
    passing: Passing
    response: Response


class _Configured:
    """The ASGI app of one configured endpoint."""

    def __init__(self, through: PassThrough, upstream: Upstream) -> None:
        self._through, self._upstream = through, upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._through.to_configured(self._upstream, scope, receive, send)


async def _relayed(sending: Awaitable[_Sent], send: Send) -> None:
    sent = await sending
    await sent.passing.relay(sent.response, send)


async def _sent(passing: Passing, sending: Awaitable[Response]) -> _Sent:
    try:
        return _Sent(passing, await sending)
    except BaseException as error:
        await passing.fail(error)
        raise


def _json(headers: Mapping[str, str], data: bytes) -> Json:
    """What budgets read of a body; any other body passes all the same. Raises BadRequest for broken JSON."""
    if "json" not in headers.get("content-type", "") or not data:
        return {}
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The request body is not valid JSON: {error.msg}.", param="request_body") from None
    return body if isinstance(body, dict) else {}


def _raw_path(scope: Scope) -> str:
    """As the caller encoded it: a model's ARN has characters that must stay so."""
    raw = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if raw else quote(str(scope.get("path", "")), safe=_PATH_SAFE)


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl((scope.get("query_string") or b"").decode("latin-1"), keep_blank_values=True)


def _query_in(url: str) -> dict[str, str]:
    """A deployment's own, such as Azure's api-version."""
    return dict(parse_qsl(url.partition("?")[2]))


def _with_query(url: str, defaults: Mapping[str, str], asked: _Asked) -> str:
    """The caller's parameters but the one that may hold its key, and of `defaults` what it has not given."""
    given = [(name, value) for name, value in asked.query if name != "key"]
    names = {name for name, _ in given}
    query = [*((name, value) for name, value in defaults.items() if name not in names), *given]
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if query else url
