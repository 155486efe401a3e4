"""Endpoints that are one JSON object in and one out, to providers that have them under OpenAI's or Cohere's addresses: embeddings,
moderations, rerank.

https://platform.openai.com/docs/api-reference/embeddings · …/moderations · https://docs.cohere.com/reference/rerank
"""

from collections.abc import Mapping
from typing import ClassVar

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.cohere_v2 import chat_url
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_response, error_from_tree, not_json
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_stream import as_object
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


class Embeddings(Plain):
    path = "/embeddings"
    answers_with = "data"


class Moderations(Plain):
    """Free at OpenAI, and answered without usage."""

    path = "/moderations"
    answers_with = "results"

    def usage(self, answer: Json) -> Json | None:
        return super().usage(answer) or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class Rerank(Plain):
    """Jina's, Together's, vLLM's and llama.cpp's, which is Cohere's but for the address and the usage."""

    path = "/rerank"
    answers_with = "results"

    def usage(self, answer: Json) -> Json | None:
        """Billed by the search where no tokens are stated."""
        searches = as_object(as_object(answer.get("meta")).get("billed_units")).get("search_units")
        stated = super().usage(answer) or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return {**stated, "search_units": searches} if searches else stated


class CohereRerank(Rerank):
    """https://docs.cohere.com/reference/rerank"""

    def address(self, target: Target) -> str:
        return chat_url(target.base_url.removesuffix("/rerank")).removesuffix("/chat") + "/rerank"


def parsed(body: bytes, target: Target, needed: str) -> Json:
    """The answer as an object that has the field `needed`."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(tree, dict) and tree.get("error"):
        raise error_from_tree(tree, target)
    if not isinstance(tree, dict) or not isinstance(tree.get(needed), list | dict):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `{needed}`.", upstream_status=200)
    return tree
