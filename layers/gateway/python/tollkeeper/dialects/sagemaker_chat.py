"""SageMaker endpoints whose container speaks OpenAI's chat format (the Messages API of TGI, DJL and vLLM images).

The body goes to `/endpoints/{name}/invocations` as it is; a stream is an AWS event stream whose `PayloadPart`s are, in any split, the
container's own server-sent events.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.bedrock_errors import error_from_bedrock, good
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.eventstream import EventStream
from tollkeeper.dialects.hub_stream import Reframed
from tollkeeper.dialects.openai_chat import OpenAIChat, chat_body
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import UpstreamError


class SageMakerChat(OpenAIChat):
    """See base.ChatDialect."""

    name = "sagemaker_chat"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        body = chat_body(request, target)
        return invocation(target, orjson.dumps(body), streamed=body.get("stream") is True)

    def stream_decoder(self, target: Target) -> Reframed:
        return Reframed(PayloadFrames(target), OpenAIStreamDecoder(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return endpoint_error(status, headers, body, target)


def invocation(target: Target, body: bytes, *, streamed: bool = False) -> WireRequest:
    """One call of the endpoint that the model's name is."""
    operation = "invocations-response-stream" if streamed else "invocations"
    url = f"{target.base_url}/endpoints/{quote(target.model, safe='')}/{operation}"
    return WireRequest(url=url, body=body, headers={"content-type": "application/json"})


def endpoint_error(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
    """A ModelError (424) carries the container's own status and body."""
    original = _original(body)
    return error_from_response(*original, target) if original else error_from_bedrock(status, headers, body, target)


class PayloadFrames:
    """See hub_stream.Frames: the bytes of `PayloadPart` messages, which the container may have cut anywhere."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._frames = EventStream()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises the typed error of an exception message."""
        for message in good(self._frames.feed(data), self._target):
            if message.text(":event-type") == "PayloadPart":
                yield message.payload

    def close(self) -> list[bytes]:
        self._frames.close()
        return []


def _original(body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    status, message = (tree.get("OriginalStatusCode"), tree.get("OriginalMessage")) if isinstance(tree, dict) else (None, None)
    if not isinstance(status, int) or not 400 <= status <= 599 or not isinstance(message, str):
        return None
    return status, {}, message.encode()
