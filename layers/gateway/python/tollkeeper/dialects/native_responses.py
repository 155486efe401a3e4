"""OpenAI's Responses API to a provider that speaks it, for a caller who speaks it: items, tools and events of any kind pass as they came.

https://platform.openai.com/docs/api-reference/responses
"""

from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import not_json
from tollkeeper.dialects.fields import GATEWAY_FIELDS, drop_unsupported, forwarded_headers, unsupported_by_profile
from tollkeeper.dialects.hub_stream import FramedDecoder, SseData, as_object, as_word
from tollkeeper.dialects.native import framed, one_limit
from tollkeeper.dialects.responses_api import OpenAIResponses
from tollkeeper.dialects.responses_decode import failure, response_usage
from tollkeeper.errors import BadRequest, UpstreamProtocolError

_FAILED = frozenset({"failed", "cancelled"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.done"})
_ERRORS = frozenset({"response.failed", "response.cancelled", "error"})
_SILENT_ITEMS = frozenset({"message", "reasoning"})


class NativeResponses(OpenAIResponses):
    """See native.NativeDialect. `path` below the responses' own."""

    path = ""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        skipped = GATEWAY_FIELDS | target.drop
        body = {**target.extra_body, **{name: value for name, value in request.items() if name not in skipped}, "model": target.model}
        if body.get("background") and body.get("stream") is not True:
            # The answer would be a ticket, and what is generated behind it is paid for and never metered.
            raise BadRequest("'background' needs 'stream': true here, so that the answer is metered.", param="background")
        drop_unsupported(body, unsupported_by_profile(target), target)
        one_limit(body, "max_output_tokens")
        if isinstance(metadata := body.get("metadata"), dict):
            # Values are strings there; LiteLLM's tags and trace fields are the gateway's.
            body["metadata"] = {name: value for name, value in metadata.items() if isinstance(value, str)}
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=responses_url(target, self.path), body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for a body that is no response, or the typed error of one that failed."""
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise not_json(body, target) from None
        if isinstance(tree, dict) and (tree.get("error") or as_word(tree.get("status")) in _FAILED):
            raise failure(tree, target)
        if not isinstance(tree, dict) or not isinstance(tree.get("output"), list):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `output`.", upstream_status=200)
        return {**tree, "model": target.alias}

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return NativeResponsesStream(target)

    def usage(self, answer: Json) -> Json | None:
        return metered(answer)


def metered(response: Json) -> Json | None:
    """What is billed of a response: its usage, and the tier that served it."""
    usage = response_usage(response)
    return usage and {**usage, "service_tier": response.get("service_tier")}


class NativeCompact(NativeResponses):
    """A conversation made shorter. https://platform.openai.com/docs/api-reference/responses/compact"""

    path = "/compact"


class NativeCountInput(NativeResponses):
    """https://platform.openai.com/docs/api-reference/responses/input-tokens"""

    path = "/input_tokens"

    def encode(self, request: Json, target: Target) -> WireRequest:
        return super().encode({name: value for name, value in request.items() if name not in _NOT_COUNTED}, target)

    def decode(self, body: bytes, target: Target) -> Json:
        tree = _object(body, target)
        if type(tree.get("input_tokens")) is not int:
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `input_tokens`.", upstream_status=200)
        return tree

    def usage(self, answer: Json) -> Json | None:
        return None


class NativeForget(NativeResponses):
    """`request` names the response. https://platform.openai.com/docs/api-reference/responses/delete"""

    def encode(self, request: Json, target: Target) -> WireRequest:
        return WireRequest(responses_url(target, "/" + quote(request["response_id"], safe="")), b"", {}, "DELETE")

    def decode(self, body: bytes, target: Target) -> Json:
        return {}

    def usage(self, answer: Json) -> Json | None:
        return None


_NOT_COUNTED = ("stream", "store", "background", "metadata", "max_output_tokens", "temperature", "top_p", "include", "user", "service_tier")


def responses_url(target: Target, path: str) -> str:
    base, mark, query = endpoint(target, "/responses").partition("?")
    return base + path + mark + query


def _object(body: bytes, target: Target) -> Json:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    return as_object(tree)


class EventPasser:
    """See hub_stream.Reader."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target

    def read(self, event: Json) -> list[Chunk]:
        kind = as_word(event.get("type")) or ("error" if event.get("error") else "")
        response = as_object(event.get("response"))
        if kind in _ERRORS:
            raise failure(response or event, self._target)
        self.usage = metered(response) or self.usage
        self.done = kind in _ENDS
        raw = None
        if response:
            event = {**event, "response": {**response, "model": self._target.alias}}
            raw = framed(kind, orjson.dumps(event))
        delta = event.get("delta") if kind.endswith(".delta") else None
        said = len(delta.encode()) if isinstance(delta, str) else 0
        begun = said > 0 or as_word(as_object(event.get("item")).get("type") or "message") not in _SILENT_ITEMS
        return [Chunk(event, raw=raw, has_content=begun, usage=self.usage if self.done else None, text_bytes=said)]


class NativeResponsesStream(FramedDecoder):
    """See base.StreamDecoder. Events leave byte for byte, but for those that name the model."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, SseData(), EventPasser(target))

    def _read(self, message: bytes) -> list[Chunk]:
        chunks = super()._read(message)
        for chunk in chunks:
            if chunk.raw is None:
                chunk.raw = framed(as_word(chunk.data.get("type")), message)
        return chunks
