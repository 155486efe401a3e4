"""What every LLM endpoint has in common: read the request, let the pipeline serve it, answer or stream, and turn failures into the
caller's own error shape. What differs is an `Api` row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tollkeeper.admission.visit import Call, Measured, ToHub
from tollkeeper.catalog.endpoints import Endpoint
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.fields import unfold_extra_body
from tollkeeper.dialects.native import CONTENT_TYPE, RAW
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, read_form, read_json, send_bytes, send_json
from tollkeeper.edge.problems import openai_error, openai_error_event
from tollkeeper.edge.sse import EVENTS, EventStream, Media
from tollkeeper.errors import BadRequest, OurError
from tollkeeper.ledger.entry import Entry
from tollkeeper.pipeline import Answer, Gateway


class Frames(Protocol):
    """Chunks → the bytes of the caller's stream."""

    def feed(self, batch: list[Chunk]) -> bytes: ...
    def end(self) -> bytes:
        """The provider is done."""
        ...

    def fail(self, error: BaseException, call_id: str) -> bytes:
        """The last event of a stream that broke."""
        ...


ErrorShape = Callable[[BaseException, str], tuple[int, dict[str, str], Json]]
Say = Callable[[Json, Json], Json]
"""(hub answer or the provider's own, request) → what the caller gets."""
RECEIPT = "x-tollkeeper-receipt"
"""Of a request: the answer is to carry its receipt. Of an answer: the receipt."""
ReceiptFor = Callable[[Mapping[str, str], Entry], Awaitable[str | None]]
"""(request headers, what the call came to) → the signed receipt that the answer carries, if it is to."""


class Passed:
    """Frames of events that are as the caller wants them."""

    def __init__(self, request: Json) -> None:
        pass

    def feed(self, batch: list[Chunk]) -> bytes:
        return b"".join([chunk.raw for chunk in batch if chunk.raw is not None])

    def end(self) -> bytes:
        return b""

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return openai_error_event(error, call_id)


def unchanged(answer: Json, request: Json) -> Json:
    return answer


def events(request: Json) -> Media:
    return EVENTS


@dataclass(frozen=True, slots=True)
class Api:
    """One endpoint as its callers know it. `check` raises BadRequest; it may return another body.

    `media` is what its streams consist of, `measure` what is paid for in place of tokens, `form` says that requests are multipart forms.
    `say` and `frames` are for answers of a chat completion that served it, `native_*` for answers in the endpoint's own words.
    """

    endpoint: Endpoint
    check: Callable[[Json, Mapping[str, str]], Json]
    frames: Callable[[Json], Frames] = Passed
    native_frames: Callable[[Json], Frames] = Passed
    say: Say = unchanged
    native_say: Say = unchanged
    to_hub: ToHub | None = None
    error: ErrorShape = openai_error
    media: Callable[[Json], Media] = events
    measure: Callable[[Json], Measured] | None = None
    form: bool = False


class Desk:
    """What endpoints are made with."""

    def __init__(
        self, gateway: Gateway, clock: Clock, *, max_request_bytes: int, heartbeat_seconds: float, receipt: ReceiptFor | None = None
    ) -> None:
        self.gateway = gateway
        self._receipt = receipt
        self.clock = clock
        self._limit = max_request_bytes
        self._heartbeat_seconds = heartbeat_seconds

    def endpoint(self, api: Api) -> "ApiEndpoint":
        return ApiEndpoint(self, api)

    async def read(self, scope: Scope, receive: Receive, call_id: str, api: Api) -> Call:
        """Raises BadRequest, PayloadTooLarge, ClientGone."""
        headers = headers_of(scope)
        body, raw = await (read_form if api.form else read_json)(receive, headers, self._limit)
        body = unfold_extra_body(body)
        if model := scope.get("path_params", {}).get("model"):
            body["model"] = model
        body = api.check(body, headers)
        deadline = scope.get("extensions", {}).get("tollkeeper.deadline")
        measured = api.measure(body) if api.measure is not None else None
        shown_id = _shown_id(headers, call_id)
        return Call(call_id, shown_id, body, raw, headers, query_of(scope), deadline, api.endpoint, api.to_hub, measured=measured)

    async def receipt(self, call: Call, answer: Answer) -> dict[str, str]:
        """A header, once the books are closed; {}: it carries none."""
        if self._receipt is None or answer.entry is None:
            return {}
        signed = await self._receipt(call.headers, answer.entry)
        return {RECEIPT: signed} if signed else {}

    def events(self, receive: Receive, send: Send, media: Media = EVENTS) -> EventStream:
        return EventStream(receive, send, self._heartbeat_seconds, media)


class ApiEndpoint:
    """Raw ASGI: no request object is built on the hot path."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self._desk = desk
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            await self.answer(await self.prepared(await self._desk.read(scope, receive, call_id, self._api)), receive, send)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # Nobody but a server that stops cancels this task (a caller who leaves is noticed by who serves it).
            await self._refuse(scope, send, stopping(), call_id)
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await self._refuse(scope, send, error, call_id)

    async def answer(self, call: Call, receive: Receive, send: Send) -> None:
        if call.streamed:
            await self._stream(call, receive, send)
        else:
            answer = await self._desk.gateway.serve(call)
            say = self._api.native_say if answer.native else self._api.say
            headers = answer.headers | await self._desk.receipt(call, answer)
            await _send(send, headers, await self.told(call, answer, say(answer.body or {}, call.shown)))

    async def _refuse(self, scope: Scope, send: Send, error: Exception, call_id: str) -> None:
        status, headers, body = self._api.error(error, call_id)
        await send_json(send, status, {**headers, "x-litellm-call-id": _shown_id(headers_of(scope), call_id)}, body)

    async def _stream(self, call: Call, receive: Receive, send: Send) -> None:
        events = self._desk.events(receive, send, self._api.media(call.body))
        frames = self._api.frames(call.shown)

        async def produce() -> None:
            nonlocal frames
            answer = await self._desk.gateway.serve(call)
            if answer.native:
                frames = self._api.native_frames(call.shown)
            await self._relay(call, answer, frames, events)

        try:
            await events.run(produce, {"x-litellm-call-id": call.shown_id})
        except (Exception, asyncio.CancelledError) as error:
            if not events.begun:
                raise
            await events.write(frames.fail(stopping() if isinstance(error, asyncio.CancelledError) else error, call.shown_id))
            await events.end()

    async def _relay(self, call: Call, answer: Answer, frames: Frames, events: EventStream) -> None:
        assert answer.stream is not None
        try:
            if not events.begun:
                await events.begin(answer.headers)
            async for batch in answer.stream:
                if data := frames.feed(batch):
                    if self.watches:
                        await self.before_write(call, answer, frames)
                    await events.write(data)
            if data := await self._receipted(call, answer, events.media) + frames.end():
                if self.watches:
                    await self.before_write(call, answer, frames)
                await events.write(data)
            await events.end()
        finally:
            await answer.stream.aclose()

    async def _receipted(self, call: Call, answer: Answer, media: Media) -> bytes:
        """A stream's cost is known at its end: the receipt is a comment there, where clients pass over comments."""
        receipt = await self._desk.receipt(call, answer) if media.heartbeat == EVENTS.heartbeat else {}
        return b"".join(f": {name}: {value}\n\n".encode() for name, value in receipt.items())

    # What an endpoint with a memory does besides.

    watches = False

    async def prepared(self, call: Call) -> Call:
        """The call as it is served."""
        return call

    async def told(self, call: Call, answer: Answer, said: Json) -> Json:
        """The answer as it is sent."""
        return said

    async def before_write(self, call: Call, answer: Answer, frames: Frames) -> None:
        """Of a stream, if the endpoint `watches`."""


async def _send(send: Send, headers: Mapping[str, str], said: Json) -> None:
    if RAW in said:
        await send_bytes(send, 200, {"content-type": said[CONTENT_TYPE], **headers}, said[RAW])
    else:
        await send_json(send, 200, headers, said)


def _shown_id(headers: Mapping[str, str], call_id: str) -> str:
    """The caller's own name for its call, if it has one."""
    return headers.get("x-litellm-call-id", call_id)[:128]


def stopping() -> OurError:
    return OurError("The gateway is stopping. Try again.", status=503, type="service_unavailable", headers={"x-should-retry": "true"})


def model_named(body: Json, route: str) -> Json:
    """Checks what every endpoint needs and the pipeline relies on; the rest is the provider's to judge."""
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest(
            f"{route}: Invalid model name passed in model={str(body.get('model'))[:200]}. "
            "Call `/v1/models` to view available models for your key.",
            param="model",
        )
    if not isinstance(body.get("stream"), bool | None):
        raise BadRequest("'stream' must be a boolean.", param="stream", code="invalid_type")
    return body
