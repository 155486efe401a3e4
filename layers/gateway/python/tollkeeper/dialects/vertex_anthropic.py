"""Anthropic's Messages API on Google's Vertex AI: the same JSON but for the model, which is in the address, and Google's errors beside
Anthropic's.

`base_url` ends before `/models/…`: `https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/anthropic`.
https://docs.claude.com/en/api/claude-on-vertex-ai
"""

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from tollkeeper.dialects.anthropic_decode import decode_message
from tollkeeper.dialects.anthropic_encode import messages_body
from tollkeeper.dialects.anthropic_messages import beta_names
from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.gemini_errors import error_from_google
from tollkeeper.errors import UpstreamError

VERSION = "vertex-2023-10-16"


class VertexAnthropic:
    """See base.ChatDialect."""

    name = "vertex_anthropic"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        body = {"anthropic_version": VERSION, **messages_body(request, target)}
        headers = {"content-type": "application/json"}
        if betas := beta_names(request):
            headers["anthropic-beta"] = ",".join(betas)
        body.pop("anthropic_beta", None)
        return WireRequest(url=raw_predict_url(target, streamed=bool(body.get("stream"))), body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_message(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return AnthropicStreamDecoder(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        """Anthropic's envelope for what the model refused, Google's for quota, permission and address."""
        named = error_from_response if _is_anthropics(body) else error_from_google
        return named(status, headers, body, target)


def raw_predict_url(target: Target, *, streamed: bool) -> str:
    method = "streamRawPredict" if streamed else "rawPredict"
    return f"{target.base_url}/models/{quote(target.model, safe='@:._-')}:{method}"


def _is_anthropics(body: bytes) -> bool:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(tree, dict) and tree.get("type") == "error"
