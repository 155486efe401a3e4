"""Providers that have no chat: what they have is in dialects/native.py, and a chat is refused before it is sent."""

from collections.abc import Mapping

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.errors import BadRequest, UpstreamError, UpstreamProtocolError


class NoChat:
    """See base.ChatDialect."""

    name = "no_chat"

    def encode(self, request: Json, target: Target) -> WireRequest:
        raise BadRequest(f"{target.provider or 'The provider'} has no chat models.", param="model")

    def decode(self, body: bytes, target: Target) -> Json:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} has no chat models.")

    def stream_decoder(self, target: Target) -> StreamDecoder:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} has no chat models.")

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


class Deepgram(NoChat):
    name = "deepgram"


class ElevenLabs(NoChat):
    name = "elevenlabs"
