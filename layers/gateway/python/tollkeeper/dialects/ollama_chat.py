"""Ollama's own chat API. https://docs.ollama.com/api/chat

`base_url` is the server, `http://localhost:11434`. Requests are in ollama_encode, answers (one JSON object, or one for each line) in
ollama_decode.
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.fields import forwarded_headers
from tollkeeper.dialects.framing import LineParser
from tollkeeper.dialects.hub_stream import FramedDecoder
from tollkeeper.dialects.ollama_decode import ChatReader, decode_chat
from tollkeeper.dialects.ollama_encode import chat_body
from tollkeeper.errors import UpstreamError


class OllamaChat:
    """See base.ChatDialect."""

    name = "ollama_chat"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=chat_url(target.base_url), body=orjson.dumps(chat_body(request, target)), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_chat(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return FramedDecoder(target, LineParser(), ChatReader(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def chat_url(base_url: str) -> str:
    """LiteLLM's api_base may be the host or any of Ollama's own addresses."""
    for tail in ("/chat", "/generate", "/api"):
        base_url = base_url.removesuffix(tail)
    return base_url + "/api/chat"
