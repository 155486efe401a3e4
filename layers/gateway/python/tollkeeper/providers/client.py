"""One attempt at one deployment: encode, add the credential, send, decode. Knows no dialect and no provider by name."""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeGuard, TypeVar

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import (
    Ask,
    ChatDialect,
    Chunk,
    Json,
    SteppedDialect,
    StreamDecoder,
    StreamFailed,
    Target,
    TellsByHeaders,
    WireRequest,
)
from tollkeeper.errors import TollkeeperError, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from tollkeeper.providers import scripted
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.headers import shown_headers
from tollkeeper.providers.patience import Patience
from tollkeeper.providers.signers import MachineKeys, Signers
from tollkeeper.providers.target import target_for
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Response, Timeouts, Transport, read_all

MAX_ERROR_BYTES = 2**20
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Completed:
    """A buffered answer in the hub or the native dialect's words, and the provider's response headers (lower case)."""

    body: Json
    headers: Mapping[str, str]


class ProviderClient:
    """Shared by all requests; holds no state but the transport's pool, the credentials' cache and the signers' tokens."""

    def __init__(
        self, transport: Transport, credentials: Credentials, clock: Clock, *, machine: MachineKeys | None = None, region: str = ""
    ) -> None:
        """`machine` and `region` are this machine's own AWS identity, for deployments that are given no keys."""
        self._transport = transport
        self._signers = Signers(transport, credentials, clock, machine=machine, region=region)
        self._clock = clock
        self._scripted = scripted.ScriptedTransport(clock)

    @staticmethod
    def is_scripted(deployment: Deployment, request: Json) -> bool:
        """Whether a script answers in the provider's place; scripts are chats."""
        return scripted.script_for(deployment, request) is not None

    async def complete(
        self, deployment: Deployment, alias: str, request: Json, patience: Patience, native: ChatDialect | None = None
    ) -> Completed:
        """`native`: the dialect to speak in place of the deployment's own, if the request is in its words.

        Raises UpstreamError of any kind, or BadRequest from the dialect's encoder.
        """
        attempt = self._attempt(deployment, alias, request, patience, native)
        if _steps(attempt.dialect):
            return Completed(await self._walk(attempt, attempt.dialect.exchange(request, attempt.target)), {})
        response = await self._send(attempt, request)
        answer = attempt.dialect.decode(await read_all(response), attempt.target)
        if _tells(attempt.dialect) and not answer.get("usage") and (told := attempt.dialect.usage_in(response.headers)):
            answer = {**answer, "usage": told}
        return Completed(answer, response.headers)

    async def stream(
        self, deployment: Deployment, alias: str, request: Json, patience: Patience, native: ChatDialect | None = None
    ) -> "UpstreamStream":
        """Returns once the provider answered 2xx; takes and raises what `complete` does."""
        attempt = self._attempt(deployment, alias, request, patience, native)
        if _steps(attempt.dialect):
            wire = await self._walk(attempt, attempt.dialect.opening(request, attempt.target))
            response = await self._answered(attempt, wire)
        else:
            response = await self._send(attempt, request)
        return UpstreamStream(response, attempt.dialect.stream_decoder(attempt.target))

    def _attempt(self, deployment: Deployment, alias: str, request: Json, patience: Patience, native: ChatDialect | None) -> "_Attempt":
        mocked = self.is_scripted(deployment, request)
        dialect = native or registry.get("openai_chat" if mocked else deployment.dialect)
        target = target_for(deployment, alias, int(self._clock.now()))
        target = replace(target, base_url=scripted.BASE_URL, quirks=frozenset()) if mocked else target
        return _Attempt(deployment, dialect, target, patience)

    async def _walk(self, attempt: "_Attempt", steps: Generator[Ask, list[bytes], _Made]) -> _Made:
        """Sends what the steps ask for until they return."""
        bodies: list[bytes] | None = None
        while True:
            try:
                ask = next(steps) if bodies is None else steps.send(bodies)
            except StopIteration as done:
                made: _Made = done.value
                return made
            if ask.wait:
                await self._clock.sleep(ask.wait)
            bodies = await self._bodies(attempt, ask.requests)

    async def _bodies(self, attempt: "_Attempt", requests: tuple[WireRequest, ...]) -> list[bytes]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._body(attempt, wire)) for wire in requests]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _body(self, attempt: "_Attempt", wire: WireRequest) -> bytes:
        return await read_all(await self._answered(attempt, wire))

    async def _send(self, attempt: "_Attempt", request: Json) -> Response:
        wire = attempt.dialect.encode(request, attempt.target)
        if attempt.target.base_url != scripted.BASE_URL:
            return await self._answered(attempt, wire)
        script = scripted.script_for(attempt.deployment, request)
        return await self._accepted(attempt, await self._scripted.answer(script, request, attempt.patience.first_byte))

    async def _answered(self, attempt: "_Attempt", wire: WireRequest) -> Response:
        """A 2xx answer, else the typed error."""
        response = await self._send_signed(attempt, wire)
        if response.status in {401, 403} and await self._renewed(attempt.deployment):
            await response.aclose()
            response = await self._send_signed(attempt, wire)
        return await self._accepted(attempt, response)

    async def _accepted(self, attempt: "_Attempt", response: Response) -> Response:
        if response.status < 300:
            return response
        body = await read_all(response, MAX_ERROR_BYTES)
        error = attempt.dialect.decode_error(response.status, response.headers, body, attempt.target)
        error.headers = {**shown_headers(response.headers), **error.headers}
        raise _named(error, attempt.deployment)

    async def raw(self, deployment: Deployment, request: OutboundRequest) -> Response:
        """A request in the provider's own words, with our credential; whatever it answers. Raises UpstreamError where it does not."""
        response = await self._sign_and_send(deployment, request)
        if response.status in {401, 403} and await self._renewed(deployment):
            await response.aclose()
            response = await self._sign_and_send(deployment, request)
        return response

    async def _renewed(self, deployment: Deployment) -> bool:
        """Whether one more try makes sense: the secret has been rotated, or the token replaced. Otherwise the refusal stands."""
        try:
            return await self._signers.renewed(deployment)
        except TollkeeperError:
            return False

    async def _send_signed(self, attempt: "_Attempt", wire: WireRequest) -> Response:
        deployment, patience = attempt.deployment, attempt.patience
        timeouts = Timeouts(first_byte=patience.first_byte, read=patience.whole)
        if not wire.credential:
            return await self._transport.send(OutboundRequest(wire.url, wire.body, wire.headers, wire.method, timeouts))
        plain = {"content-type": "application/json", **wire.headers, **deployment.headers}
        return await self._sign_and_send(deployment, OutboundRequest(wire.url, wire.body, plain, wire.method, timeouts))

    async def _sign_and_send(self, deployment: Deployment, request: OutboundRequest) -> Response:
        try:
            signed = await self._signers.headers_for(deployment, request)
            return await self._transport.send(replace(request, headers={**(request.headers or {}), **signed, **deployment.headers}))
        except UpstreamError as error:
            raise _named(error, deployment)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try: where, in which words, and how long."""

    deployment: Deployment
    dialect: ChatDialect
    target: Target
    patience: Patience


class UpstreamStream:
    """A provider's stream as hub chunks, a list for each wake-up (many events may arrive in one read).

    Raises UpstreamError where the provider or the connection failed; what was complete before it is returned first.
    """

    def __init__(self, response: Response, decoder: StreamDecoder) -> None:
        self.headers = response.headers
        self._response = response
        self._decoder = decoder
        self._source = response.chunks()
        self._failed: UpstreamError | None = None
        self._ended = False

    def __aiter__(self) -> AsyncIterator[list[Chunk]]:
        return self

    async def __anext__(self) -> list[Chunk]:
        while True:
            if self._failed is not None:
                raise self._failed
            if self._ended:
                raise StopAsyncIteration
            if chunks := await self._pull():
                return chunks

    async def _pull(self) -> list[Chunk]:
        try:
            data = await anext(self._source, None)
            if data is None:
                self._ended = True
                return self._decoder.close()
            return self._decoder.feed(data)
        except StreamFailed as failed:
            self._failed = failed.error
            return failed.chunks
        except UpstreamError as error:
            self._failed = error
            return []

    @property
    def stated_usage(self) -> Json | None:
        """What the provider has said of usage so far, also when the stream ended early."""
        return self._decoder.usage

    async def aclose(self) -> None:
        await self._response.aclose()


@cache
def _has(kind: type, protocol: type) -> bool:
    """Asking a protocol costs 20 µs, and a dialect's class does not change."""
    return issubclass(kind, protocol)


def _steps(dialect: ChatDialect) -> TypeGuard[SteppedDialect]:
    return _has(type(dialect), SteppedDialect)


def _tells(dialect: ChatDialect) -> TypeGuard[TellsByHeaders]:
    return _has(type(dialect), TellsByHeaders)


def may_have_been_billed(error: BaseException) -> bool:
    """Whether a provider may charge for a try that ended like this: it got the request, and has not said that it failed."""
    if isinstance(error, UpstreamError):
        lost = isinstance(error, UpstreamTimeout | UpstreamUnreachable | UpstreamProtocolError)
        return lost and error.upstream_status is None and not isinstance(error, NeverSent)
    return isinstance(error, TimeoutError | asyncio.CancelledError)


def _named(error: UpstreamError, deployment: Deployment) -> UpstreamError:
    """Says which provider it was; an operator with nine of them wants to know."""
    error.extra.setdefault("provider", deployment.provider)
    if isinstance(error, UpstreamTimeout):
        error.headers.setdefault("x-should-retry", "true")
    return error
