"""SageMaker endpoints whose container is Text Generation Inference (LiteLLM's `sagemaker/`): its JSON in, and out.

https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-test-endpoints.html
"""

from collections.abc import Mapping

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.hub_stream import Reframed
from tollkeeper.dialects.sagemaker_chat import PayloadFrames, endpoint_error, invocation
from tollkeeper.dialects.tgi_generate import TgiGenerate, generate_body
from tollkeeper.errors import UpstreamError


class SageMakerTgi(TgiGenerate):
    """See base.ChatDialect."""

    name = "sagemaker_tgi"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        body = generate_body(request, target)
        streamed = body["stream"]
        if not streamed:
            # Containers without streams refuse the field.
            del body["stream"]
        return invocation(target, orjson.dumps(body), streamed=streamed)

    def stream_decoder(self, target: Target) -> Reframed:
        return Reframed(PayloadFrames(target), super().stream_decoder(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return endpoint_error(status, headers, body, target)
