"""Anthropic's Messages API. https://docs.claude.com/en/api/messages

Requests: anthropic_encode.py (body), anthropic_blocks.py (messages). Answers: anthropic_decode.py, anthropic_stream.py.
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.anthropic_decode import decode_message
from tollkeeper.dialects.anthropic_encode import messages_body
from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.fields import forwarded_headers
from tollkeeper.errors import UpstreamError

VERSION = "2023-06-01"
"""https://docs.claude.com/en/api/versioning"""


class AnthropicMessages:
    """See base.ChatDialect."""

    name = "anthropic_messages"

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {"model": target.model, **messages_body(request, target)}
        headers = {"content-type": "application/json", "anthropic-version": VERSION, **forwarded_headers(request)}
        if betas := beta_names(request):
            headers["anthropic-beta"] = ",".join(betas)
        return WireRequest(url=messages_url(target.base_url), body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_message(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return AnthropicStreamDecoder(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def messages_url(base_url: str) -> str:
    """LiteLLM's api_base may be the host, end with /v1, or be the whole address."""
    if base_url.endswith("/v1/messages"):
        return base_url
    return base_url.removesuffix("/v1") + "/v1/messages"


def beta_names(request: Json) -> list[str]:
    """Betas the caller asks for, from `extra_headers` and from the `anthropic_beta` field that Bedrock's clients use."""
    given = request.get("anthropic_beta")
    listed = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    names = [*forwarded_headers(request).get("anthropic-beta", "").split(","), *listed]
    return list(dict.fromkeys(stripped for name in names if (stripped := str(name).strip())))
