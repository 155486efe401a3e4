"""Anthropic's Messages API to a provider that speaks it, for a caller who speaks it: cache_control, betas, signatures and fields nobody
here knows arrive as sent, and events leave as they came. https://docs.claude.com/en/api/messages

Three carriers of the same JSON: Anthropic's own (and Azure's), Bedrock's InvokeModel, Vertex AI.
"""

from typing import Any

import orjson

from tollkeeper.dialects import anthropic_messages, bedrock_invoke, vertex_anthropic
from tollkeeper.dialects.anthropic_blocks import kind_of
from tollkeeper.dialects.anthropic_decode import hub_usage
from tollkeeper.dialects.anthropic_messages import AnthropicMessages, beta_names, messages_url
from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder, MessagesDecoder
from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.bedrock_converse import model_path
from tollkeeper.dialects.bedrock_invoke import BedrockInvoke, InvokeStream
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.eventstream import Message
from tollkeeper.dialects.fields import GATEWAY_FIELDS, drop_unsupported, forwarded_headers, unsupported_by_profile
from tollkeeper.dialects.native import framed, one_limit
from tollkeeper.dialects.vertex_anthropic import VertexAnthropic, raw_predict_url
from tollkeeper.errors import UpstreamProtocolError

_JSON = {"content-type": "application/json"}
_NOT_COUNTED = ("max_tokens", "stream", "metadata", "service_tier", "stop_sequences", "temperature", "top_k", "top_p")
"""https://docs.claude.com/en/api/messages-count-tokens does not take them."""


def native_body(request: Json, target: Target) -> Json:
    """The request as it came but for `model`, which the caller adds, what is addressed to the gateway, and the names of the output limit.

    Raises UnsupportedParams.
    """
    skipped = GATEWAY_FIELDS | target.drop | {"anthropic_beta", "model"}
    body = {**target.extra_body, **{name: value for name, value in request.items() if name not in skipped}}
    drop_unsupported(body, unsupported_by_profile(target), target)
    one_limit(body, "max_tokens")
    if isinstance(metadata := body.get("metadata"), dict):
        # LiteLLM's tags live here too, and Anthropic refuses any field but its own.
        body["metadata"] = {"user_id": metadata["user_id"]} if "user_id" in metadata else {}
    return body


class NativeMessages(AnthropicMessages):
    """See native.NativeDialect."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {"model": target.model, **native_body(request, target)}
        return WireRequest(url=messages_url(target.base_url), body=orjson.dumps(body), headers=_headers(request))

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_native(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return NativeStream(target)

    def usage(self, answer: Json) -> Json | None:
        return usage_of(answer)


class NativeCount(AnthropicMessages):
    """How many input tokens a message has, as Anthropic counts. https://docs.claude.com/en/api/messages-count-tokens"""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {"model": target.model, **native_body(request, target)}
        for name in _NOT_COUNTED:
            body.pop(name, None)
        return WireRequest(url=messages_url(target.base_url) + "/count_tokens", body=orjson.dumps(body), headers=_headers(request))

    def decode(self, body: bytes, target: Target) -> Json:
        answer = _parsed(body, target)
        if type(answer.get("input_tokens")) is not int:
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `input_tokens`.", upstream_status=200)
        return answer

    def usage(self, answer: Json) -> Json | None:
        return None


class NativeInvoke(BedrockInvoke):
    """See native.NativeDialect."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {"anthropic_version": bedrock_invoke.VERSION, **native_body(request, target)}
        streamed = body.pop("stream", False)
        for name in ("metadata", "service_tier"):
            body.pop(name, None)
        if betas := beta_names(request):
            body["anthropic_beta"] = betas
        operation = "invoke-with-response-stream" if streamed else "invoke"
        return WireRequest(f"{target.base_url}/model/{model_path(target.model)}/{operation}", orjson.dumps(body), _JSON)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_native(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return NativeInvokeStream(target)

    def usage(self, answer: Json) -> Json | None:
        return usage_of(answer)


class NativeVertex(VertexAnthropic):
    """See native.NativeDialect."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {"anthropic_version": vertex_anthropic.VERSION, **native_body(request, target)}
        betas = beta_names(request)
        headers = {**_JSON, "anthropic-beta": ",".join(betas)} if betas else _JSON
        return WireRequest(raw_predict_url(target, streamed=bool(body.get("stream"))), orjson.dumps(body), headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_native(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return NativeStream(target)

    def usage(self, answer: Json) -> Json | None:
        return usage_of(answer)


def decode_native(body: bytes, target: Target) -> Json:
    """The message with the caller's name for the model. Raises UpstreamProtocolError, or the typed error that hides in a 200."""
    data = _parsed(body, target)
    if not isinstance(data.get("content"), list):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `content`.", upstream_status=200)
    return {**data, "model": target.alias}


def usage_of(answer: Json) -> Json | None:
    usage = answer.get("usage")
    return hub_usage(usage) if isinstance(usage, dict) else None


def _parsed(body: bytes, target: Target) -> Json:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(data, dict) and isinstance(data.get("error"), dict):
        raise error_from_tree(data, target)
    if not isinstance(data, dict):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered with no object.", upstream_status=200)
    return data


def _headers(request: Json) -> dict[str, str]:
    headers = {**_JSON, "anthropic-version": anthropic_messages.VERSION, **forwarded_headers(request)}
    if betas := beta_names(request):
        headers["anthropic-beta"] = ",".join(betas)
    return headers


class EventPasser(MessagesDecoder):
    """Counts, and hands each event on as one chunk; of the hub decoder it uses what it knows of usage, of errors and of the end."""

    def read(self, event: Json) -> list[Chunk]:
        kind = kind_of(event)
        if kind == "message_start" and isinstance(message := event.get("message"), dict):
            event = {**event, "message": {**message, "model": self._target.alias}}
        if kind in {"message_start", "message_delta", "message_stop", "error"}:
            super().read({**event, "delta": dict(event["delta"])} if isinstance(event.get("delta"), dict) else event)
        said = _said(event, kind)
        begun = said > 0 or (kind == "content_block_start" and kind_of(_object(event.get("content_block"))) not in {"text", "thinking"})
        return [Chunk(event, has_content=begun, usage=self.usage if kind == "message_delta" else None, text_bytes=said)]

    def end(self) -> list[Chunk]:
        self.done = True
        return []


class NativeStream(AnthropicStreamDecoder):
    """See base.StreamDecoder. Events leave byte for byte, but for the one that names the model."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, fast=False)
        self._messages: EventPasser = EventPasser(target)

    def _read(self, event: bytes) -> list[Chunk]:
        chunks = super()._read(event)
        for chunk in chunks:
            kind = kind_of(chunk.data)
            chunk.raw = framed(kind, orjson.dumps(chunk.data) if kind == "message_start" else event)
        return chunks


class NativeInvokeStream(InvokeStream):
    """The same out of an AWS event stream."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._messages: EventPasser = EventPasser(target)

    def _read(self, message: Message) -> list[Chunk]:
        chunks = super()._read(message)
        for chunk in chunks:
            chunk.data.pop("amazon-bedrock-invocationMetrics", None)
            chunk.raw = framed(kind_of(chunk.data), orjson.dumps(chunk.data))
        return chunks


def _said(event: Json, kind: str) -> int:
    """UTF-8 bytes of the answer in an event."""
    part: Any = event.get({"content_block_delta": "delta", "content_block_start": "content_block"}.get(kind, ""))
    if not isinstance(part, dict):
        return 0
    said = sum(len(text.encode()) for name in ("text", "thinking", "partial_json", "name") if isinstance(text := part.get(name), str))
    return said + len(orjson.dumps(part["input"])) if part.get("input") else said


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
