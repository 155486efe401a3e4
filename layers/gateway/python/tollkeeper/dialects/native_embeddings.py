"""OpenAI's embeddings, asked of providers that have words of their own for them.

https://docs.cohere.com/reference/embed · https://ai.google.dev/api/embeddings · https://docs.ollama.com/api/embed
"""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.cohere_v2 import chat_url
from tollkeeper.dialects.fields import upstream_fields
from tollkeeper.dialects.gemini_errors import error_from_google
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.native_plain import Plain, parsed
from tollkeeper.dialects.ollama_chat import chat_url as ollama_url
from tollkeeper.errors import BadRequest, UpstreamError, UpstreamProtocolError

_OPENAIS = ("model", "input", "dimensions", "encoding_format", "user")


class Translated(Plain):
    """Requests become `wire`'s, answers the vectors that `vectors` finds, as floats whatever `encoding_format` was asked for: the edge
    encodes them.
    """

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest for input that is no text, UnsupportedParams."""
        fields = upstream_fields(request, target)
        texts = texts_of(fields)
        body = {name: value for name, value in fields.items() if name not in _OPENAIS}
        if fields.get("dimensions") is None:
            fields.pop("dimensions", None)
        return WireRequest(self.address(target), orjson.dumps(self.wire(body, texts, fields, target)), {"content-type": "application/json"})

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        """`body` has what OpenAI has no word for."""
        raise NotImplementedError

    def vectors(self, tree: Json) -> Any:
        raise NotImplementedError

    def tokens(self, tree: Json) -> Any:
        raise NotImplementedError

    def decode(self, body: bytes, target: Target) -> Json:
        tree = parsed(body, target, self.answers_with)
        vectors = self.vectors(tree)
        if not isinstance(vectors, list) or not all(isinstance(vector, list) for vector in vectors):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without vectors.", upstream_status=200)
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        answer: Json = {"object": "list", "data": data, "model": target.alias}
        tokens = self.tokens(tree)
        return {**answer, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if type(tokens) is int else answer


class CohereEmbeddings(Translated):
    answers_with: ClassVar[str] = "embeddings"

    def address(self, target: Target) -> str:
        return chat_url(target.base_url.removesuffix("/embed")).removesuffix("/chat") + "/embed"

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        if "dimensions" in fields:
            body.setdefault("output_dimension", fields["dimensions"])
        return {"input_type": "search_document", **body, "model": target.model, "texts": texts, "embedding_types": ["float"]}

    def vectors(self, tree: Json) -> Any:
        return as_object(tree["embeddings"]).get("float")

    def tokens(self, tree: Json) -> Any:
        counted = as_object(as_object(tree.get("meta")).get("billed_units")).get("input_tokens")
        return int(counted) if isinstance(counted, int | float) else None


class GeminiEmbeddings(Translated):
    answers_with: ClassVar[str] = "embeddings"

    def address(self, target: Target) -> str:
        return f"{target.base_url}/models/{quote(target.model.removeprefix('models/'), safe='/@:._-')}:batchEmbedContents"

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        if "dimensions" in fields:
            body.setdefault("outputDimensionality", fields["dimensions"])
        model = f"models/{target.model.removeprefix('models/')}"
        return {"requests": [{**body, "model": model, "content": {"parts": [{"text": text}]}} for text in texts]}

    def vectors(self, tree: Json) -> Any:
        return [row.get("values") for row in as_objects(tree["embeddings"])]

    def tokens(self, tree: Json) -> Any:
        return as_object(tree.get("usageMetadata")).get("promptTokenCount")

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_google(status, headers, body, target)


class OllamaEmbeddings(Translated):
    answers_with: ClassVar[str] = "embeddings"

    def address(self, target: Target) -> str:
        return ollama_url(target.base_url).removesuffix("/chat") + "/embed"

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        if "dimensions" in fields:
            body.setdefault("dimensions", fields["dimensions"])
        return {**body, "model": target.model, "input": texts}

    def vectors(self, tree: Json) -> Any:
        return tree["embeddings"]

    def tokens(self, tree: Json) -> Any:
        return tree.get("prompt_eval_count")


def texts_of(fields: Json) -> list[str]:
    given = fields.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest("'input' must be a string or an array of strings: this model takes no token arrays.", param="input")
    return texts
