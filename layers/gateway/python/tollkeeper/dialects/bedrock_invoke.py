"""Anthropic's Messages API through Bedrock's InvokeModel: the same JSON, another envelope. Every other family speaks Converse.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
The stream is an AWS event stream of `chunk` messages, each `{"bytes": base64 of one Messages event}`.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

import base64
import binascii
from collections.abc import Mapping

import orjson

from tollkeeper.dialects.anthropic_decode import decode_message
from tollkeeper.dialects.anthropic_encode import messages_body
from tollkeeper.dialects.anthropic_messages import beta_names
from tollkeeper.dialects.anthropic_stream import MessagesDecoder
from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, StreamFailed, Target, WireRequest
from tollkeeper.dialects.bedrock_converse import model_path
from tollkeeper.dialects.bedrock_errors import error_from_bedrock, good
from tollkeeper.dialects.eventstream import EventStream, Message
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

VERSION = "bedrock-2023-05-31"
_ANTHROPIC_ONLY = ("metadata", "service_tier")
"""Hints to Anthropic's own service; InvokeModel refuses fields it does not know."""


class BedrockInvoke:
    """See base.ChatDialect."""

    name = "bedrock_invoke"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        body = {"anthropic_version": VERSION, **messages_body(request, target)}
        streamed = body.pop("stream", False)
        for name in _ANTHROPIC_ONLY:
            body.pop(name, None)
        if betas := beta_names(request):
            body["anthropic_beta"] = betas
        operation = "invoke-with-response-stream" if streamed else "invoke"
        url = f"{target.base_url}/model/{model_path(target.model)}/{operation}"
        return WireRequest(url=url, body=orjson.dumps(body), headers={"content-type": "application/json"})

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_message(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return InvokeStream(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_bedrock(status, headers, body, target)


class InvokeStream:
    """See base.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._frames = EventStream()
        self._messages = MessagesDecoder(target)

    @property
    def usage(self) -> Json | None:
        """The latest usage seen, also of a stream that fails later."""
        return self._messages.usage

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        chunks: list[Chunk] = []
        try:
            for message in good(self._frames.feed(data), self._target):
                chunks += self._read(message)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished."""
        if not self._messages.finished:
            raise UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)
        return self._messages.end()

    def _read(self, message: Message) -> list[Chunk]:
        if message.text(":event-type") != "chunk":
            return []
        try:
            event = orjson.loads(base64.b64decode(orjson.loads(message.payload)["bytes"]))
        except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError):
            event = None
        if not isinstance(event, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not a JSON object.", upstream_status=200)
        return self._messages.read(event)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"
