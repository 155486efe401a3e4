"""Gemini's generateContent to a provider that speaks it, for a caller who speaks it: parts, signatures, tools and fields nobody here knows
arrive as sent, and events leave as they came, but for the model's name. https://ai.google.dev/api/generate-content
"""

from typing import Any
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import not_json
from tollkeeper.dialects.fields import GATEWAY_FIELDS
from tollkeeper.dialects.gemini_answer import usage_of
from tollkeeper.dialects.gemini_errors import error_from_google, error_status
from tollkeeper.dialects.gemini_generate import GeminiGenerate
from tollkeeper.dialects.gemini_options import is_vertex
from tollkeeper.dialects.gemini_stream import GeminiStream
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.native import one_limit
from tollkeeper.errors import UpstreamProtocolError

_JSON = {"content-type": "application/json"}
_OURS = GATEWAY_FIELDS | {"model", "stream", "user", "metadata"}
_COUNTED = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent")


def _body(request: Json, target: Target) -> Json:
    """The request as it came but for what is addressed to the gateway; the limit that was paid for is the one in generationConfig."""
    skipped = _OURS | target.drop
    body = {**target.extra_body, **{name: value for name, value in request.items() if name not in skipped}}
    one_limit(body, "max_output_tokens")
    if (limit := body.pop("max_output_tokens", None)) is not None:
        body["generationConfig"] = {**as_object(body.get("generationConfig")), "maxOutputTokens": limit}
    return body


def model_url(target: Target, method: str) -> str:
    return f"{target.base_url}/models/{quote(target.model.removeprefix('models/'), safe='/@:._-')}:{method}"


class NativeGenerate(GeminiGenerate):
    """See native.NativeDialect."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        method = "streamGenerateContent?alt=sse" if request.get("stream") else "generateContent"
        return WireRequest(model_url(target, method), orjson.dumps(_body(request, target)), _JSON)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, and the typed error of an error object under HTTP 200."""
        tree = parsed_answer(body, target)
        if not isinstance(tree.get("candidates"), list) and not isinstance(tree.get("promptFeedback"), dict):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without a candidate.", upstream_status=200)
        return _renamed(tree, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return NativeGeminiStream(target)

    def usage(self, answer: Json) -> Json | None:
        return usage_of(answer.get("usageMetadata"))


class NativeCountTokens(GeminiGenerate):
    """https://ai.google.dev/api/tokens#method:-models.counttokens"""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {name: request[name] for name in _COUNTED if name in request}
        whole: Json = {"generateContentRequest": {"model": f"models/{target.model.removeprefix('models/')}", **body}}
        if is_vertex(target) or body.keys() == {"contents"}:
            whole = body
        return WireRequest(model_url(target, "countTokens"), orjson.dumps(whole), _JSON)

    def decode(self, body: bytes, target: Target) -> Json:
        tree = parsed_answer(body, target)
        if type(tree.get("totalTokens")) is not int:
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `totalTokens`.", upstream_status=200)
        return tree

    def usage(self, answer: Json) -> Json | None:
        return None


class NativeGeminiStream(GeminiStream):
    """See base.StreamDecoder. What the hub's decoder knows of errors, counts and the end; each event is one chunk."""

    def _read(self, document: bytes) -> list[Chunk]:
        begun = any(chunk.has_content for chunk in super()._read(document))
        tree = _renamed(orjson.loads(document), self._target)
        return [Chunk(tree, raw=orjson.dumps(tree), has_content=begun, usage=usage_of(tree.get("usageMetadata")), text_bytes=_said(tree))]

    def _ending(self) -> list[Chunk]:
        return []


def _said(tree: Json) -> int:
    """UTF-8 bytes of the answer in an event."""
    contents = [as_object(candidate.get("content")) for candidate in as_objects(tree.get("candidates"))]
    parts = [part for content in contents for part in as_objects(content.get("parts"))]
    texts = sum(len(part["text"].encode()) for part in parts if isinstance(part.get("text"), str))
    return texts + sum(len(orjson.dumps(part["functionCall"])) for part in parts if part.get("functionCall"))


def _renamed(tree: Json, target: Target) -> Json:
    return {**tree, "modelVersion": target.alias} if "modelVersion" in tree else tree


def parsed_answer(body: bytes, target: Target) -> Json:
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(tree, dict) and "error" in tree:
        raise error_from_google(error_status(tree), {}, body, target)
    if not isinstance(tree, dict):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered with no object.", upstream_status=200)
    return tree
