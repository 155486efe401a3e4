"""Endpoints that are one JSON object in and one out, to providers that have them under OpenAI's addresses: embeddings, moderations.

https://platform.openai.com/docs/api-reference/embeddings · …/moderations
"""

from collections.abc import Mapping
from typing import ClassVar

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_response, error_from_tree, not_json
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.native import Streamless
from tollkeeper.errors import UpstreamError, UpstreamProtocolError


class Plain(Streamless):
    """See native.NativeDialect. `path` under the base URL, and the field that every answer has."""

    name = "plain"
    path: ClassVar[str]
    answers_with: ClassVar[str]

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        body = upstream_fields(request, target) | {"model": target.model}
        drop_unsupported(body, unsupported_by_profile(target), target)
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=self.address(target), body=orjson.dumps(body), headers=headers)

    def address(self, target: Target) -> str:
        return endpoint(target, self.path)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, or the typed error that hides in it."""
        return {**parsed(body, target, self.answers_with), "model": target.alias}

    def usage(self, answer: Json) -> Json | None:
        usage = as_object(answer.get("usage"))
        tokens = usage.get("prompt_tokens", usage.get("total_tokens"))
        return {**usage, "prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens} if type(tokens) is int else None

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


_WORDS: Mapping[str, Mapping[str, str]] = {
    "voyage": {"dimensions": "output_dimension", "user": "", "encoding_format": ""},
    "jina_ai": {"encoding_format": "embedding_type", "user": ""},
    "mistral": {"dimensions": "output_dimension", "user": ""},
}
"""Provider → OpenAI's parameter → its own word for it, or "" where it refuses the parameter and nothing is lost: the edge encodes vectors.

https://docs.voyageai.com/reference/embeddings-api · https://jina.ai/embeddings · https://docs.mistral.ai/api/endpoint/embeddings
"""


class Embeddings(Plain):
    path = "/embeddings"
    answers_with = "data"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        words = _WORDS.get(target.provider, {})
        renamed = {words.get(name, name): value for name, value in request.items()}
        renamed.pop("", None)
        return super().encode(renamed, target)

    def decode(self, body: bytes, target: Target) -> Json:
        """As OpenAI's package takes it, whatever a server leaves out."""
        answer = super().decode(body, target)
        rows = [{"object": "embedding", "index": place, **row} for place, row in enumerate(as_objects(answer["data"]))]
        usage = self.usage(answer)
        counted = {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["total_tokens"]} if usage else None
        return {**answer, "object": "list", "data": rows, **({"usage": {**as_object(answer.get("usage")), **counted}} if counted else {})}


class Moderations(Plain):
    """Free at OpenAI, and answered without usage."""

    path = "/moderations"
    answers_with = "results"

    def usage(self, answer: Json) -> Json | None:
        return super().usage(answer) or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def parsed(body: bytes, target: Target, needed: str, kinds: tuple[type, ...] = (list, dict)) -> Json:
    """The answer as an object that has the field `needed`, which is of one of `kinds`."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(tree, dict) and tree.get("error"):
        raise error_from_tree(tree, target)
    if not isinstance(tree, dict) or not isinstance(tree.get(needed), kinds):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `{needed}`.", upstream_status=200)
    return tree
