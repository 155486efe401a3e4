"""Cohere's Chat API, version 2. https://docs.cohere.com/reference/chat

`base_url` is `https://api.cohere.com`, or what a deployment of one's own has in its place. Requests are in cohere_encode, answers in
cohere_decode and cohere_stream.
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.cohere_decode import decode_chat
from tollkeeper.dialects.cohere_encode import chat_body
from tollkeeper.dialects.cohere_stream import ChatReader
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.fields import forwarded_headers
from tollkeeper.dialects.hub_stream import FramedDecoder, SseData
from tollkeeper.errors import UpstreamError

_PATH = "/v2/chat"


class CohereV2:
    """See base.ChatDialect."""

    name = "cohere_v2"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=chat_url(target.base_url), body=orjson.dumps(chat_body(request, target)), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_chat(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return FramedDecoder(target, SseData(), ChatReader(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def chat_url(base_url: str) -> str:
    """LiteLLM's api_base may be the host, end with a version, or be the whole address of either version."""
    for tail in ("/chat", "/v1", "/v2"):
        base_url = base_url.removesuffix(tail)
    return base_url + _PATH
