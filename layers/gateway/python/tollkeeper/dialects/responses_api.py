"""OpenAI's Responses API, spoken to a provider on behalf of a chat completion. https://platform.openai.com/docs/api-reference/responses

Chosen by `openai/responses/<model>`, `azure/responses/<model>` or `model_info.mode: responses`. Requests are in responses_encode and
responses_items, answers in responses_decode and responses_stream.
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.fields import forwarded_headers
from tollkeeper.dialects.hub_stream import FramedDecoder, SseData
from tollkeeper.dialects.responses_decode import decode_response
from tollkeeper.dialects.responses_encode import response_body
from tollkeeper.dialects.responses_stream import ResponseReader
from tollkeeper.errors import UpstreamError


class OpenAIResponses:
    """See base.ChatDialect."""

    name = "openai_responses"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=endpoint(target, "/responses"), body=orjson.dumps(response_body(request, target)), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_response(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return FramedDecoder(target, SseData(), ResponseReader(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)
