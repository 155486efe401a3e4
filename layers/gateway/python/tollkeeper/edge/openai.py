"""The OpenAI API: chat completions and models. https://platform.openai.com/docs/api-reference"""

from collections.abc import Mapping
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Chunk
from tollkeeper.dialects.fields import unfold_extra_body
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, read_json, send_json
from tollkeeper.edge.problems import openai_error, openai_error_event
from tollkeeper.edge.sse import EventStream
from tollkeeper.errors import BadRequest, NotFound, TollkeeperError
from tollkeeper.pipeline import Answer, Call, Gateway

DONE = b"data: [DONE]\n\n"


class OpenAIEdge:
    """Raw ASGI endpoints (method names are routes' endpoints): no request object is built on the hot path."""

    def __init__(self, gateway: Gateway, clock: Clock, *, max_request_bytes: int, heartbeat_seconds: float) -> None:
        self._gateway = gateway
        self._clock = clock
        self._limit = max_request_bytes
        self._heartbeat_seconds = heartbeat_seconds

    async def chat_completions(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        call_id = self._clock.new_id()
        try:
            body, raw = await read_json(receive, headers, self._limit)
            call = _call(scope, call_id, headers, _chat_request(unfold_extra_body(body)), raw)
            if call.body.get("stream"):
                await self._stream(call, receive, send)
            else:
                answer = await self._gateway.chat(call)
                await send_json(send, 200, answer.headers, answer.body)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))

    async def models(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._clock.new_id()
        try:
            names = await self._gateway.models(headers_of(scope), query_of(scope))
            await send_json(send, 200, {"x-litellm-call-id": call_id}, {"object": "list", "data": [_model(name) for name in names]})
        except TollkeeperError as error:
            await send_json(send, *openai_error(error, call_id))

    async def model(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._clock.new_id()
        wanted = scope["path_params"]["model"]
        try:
            if wanted not in await self._gateway.models(headers_of(scope), query_of(scope)):
                raise NotFound(
                    f"The model `{wanted[:200]}` does not exist or you do not have access to it.", param="model", code="model_not_found"
                )
            await send_json(send, 200, {"x-litellm-call-id": call_id}, _model(wanted))
        except TollkeeperError as error:
            await send_json(send, *openai_error(error, call_id))

    async def _stream(self, call: Call, receive: Receive, send: Send) -> None:
        events = EventStream(receive, send, self._heartbeat_seconds)

        async def produce() -> None:
            answer = await self._gateway.chat(call)
            await _relay(answer, call, events)

        try:
            await events.run(produce, {"x-litellm-call-id": call.shown_id})
        except Exception as error:
            if not events.begun:
                raise
            await events.write(openai_error_event(error, call.shown_id))
            await events.end()


async def _relay(answer: Answer, call: Call, events: EventStream) -> None:
    assert answer.stream is not None
    wanted = _wants_usage(call.body)
    try:
        if not events.begun:
            await events.begin(answer.headers)
        async for batch in answer.stream:
            if frames := b"".join([b"data: " + chunk.payload() + b"\n\n" for chunk in batch if wanted or not _only_usage(chunk)]):
                await events.write(frames)
        await events.write(DONE)
        await events.end()
    finally:
        await answer.stream.aclose()


def _only_usage(chunk: Chunk) -> bool:
    return chunk.usage is not None and not chunk.data.get("choices")


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _call(scope: Scope, call_id: str, headers: dict[str, str], body: dict[str, Any], raw: bytes) -> Call:
    deadline = scope.get("extensions", {}).get("tollkeeper.deadline")
    return Call(call_id, headers.get("x-litellm-call-id", call_id)[:128], body, raw, headers, query_of(scope), deadline)


def _chat_request(body: dict[str, Any]) -> dict[str, Any]:
    """Checks what every provider needs and the pipeline relies on; the rest is the provider's to judge."""
    if "messages" not in body:
        raise BadRequest("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not isinstance(body["messages"], list) or not all(isinstance(message, dict) for message in body["messages"]):
        raise BadRequest("'messages' must be an array of message objects.", param="messages", code="invalid_type")
    if not isinstance(body.get("model"), str) or not body["model"]:
        shown = body.get("model")
        raise BadRequest(
            f"/chat/completions: Invalid model name passed in model={str(shown)[:200]}. "
            "Call `/v1/models` to view available models for your key.",
            param="model",
        )
    if not isinstance(body.get("stream"), bool | None):
        raise BadRequest("'stream' must be a boolean.", param="stream", code="invalid_type")
    return body


def _model(name: str) -> dict[str, Any]:
    """`created` is a constant, as in LiteLLM: an alias has no birthday. https://platform.openai.com/docs/api-reference/models/object"""
    return {"id": name, "object": "model", "created": 1677610602, "owned_by": "openai"}
