"""Partner models on Vertex AI that speak OpenAI's chat format behind rawPredict: Mistral's and AI21's.

https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/mistral · …/ai21
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.gemini_errors import error_from_google
from tollkeeper.dialects.openai_chat import OpenAIChat, chat_body
from tollkeeper.dialects.vertex_anthropic import raw_predict_url
from tollkeeper.errors import UpstreamError


class VertexOpenAI(OpenAIChat):
    """See base.ChatDialect."""

    name = "vertex_openai"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams. The body names the model without its version."""
        body = chat_body(request, target) | {"model": target.model.partition("@")[0]}
        url = raw_predict_url(target, streamed=body.get("stream") is True)
        return WireRequest(url=url, body=orjson.dumps(body), headers={"content-type": "application/json"})

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_google(status, headers, body, target)
