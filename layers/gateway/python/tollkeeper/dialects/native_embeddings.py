"""OpenAI's embeddings, asked of providers that have words of their own for them.

https://docs.cohere.com/reference/embed · https://docs.ollama.com/api/embed; those of the clouds are in native_cloud_embeddings.py
"""

from typing import Any, ClassVar

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.cohere_v2 import chat_url
from tollkeeper.dialects.fields import upstream_fields
from tollkeeper.dialects.hub_stream import as_object
from tollkeeper.dialects.native_plain import Plain, parsed
from tollkeeper.dialects.ollama_chat import chat_url as ollama_url
from tollkeeper.errors import BadRequest, UpstreamProtocolError

OPENAIS = ("model", "input", "dimensions", "encoding_format", "user")


class Translated(Plain):
    """Requests become `wire`'s, answers the vectors that `vectors` finds, as floats whatever `encoding_format` was asked for: the edge
    encodes them.
    """

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest for input that is no text, UnsupportedParams."""
        fields = upstream_fields(request, target)
        texts = texts_of(fields)
        body = {name: value for name, value in fields.items() if name not in OPENAIS}
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
        return embedding_list(self.vectors(tree), self.tokens(tree), target)


def embedding_list(vectors: Any, tokens: Any, target: Target) -> Json:
    """OpenAI's answer. Raises UpstreamProtocolError for what are no vectors."""
    if not isinstance(vectors, list) or not all(isinstance(vector, list) for vector in vectors):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without vectors.", upstream_status=200)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    answer: Json = {"object": "list", "data": data, "model": target.alias}
    return {**answer, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if type(tokens) is int else answer


class CohereEmbeddings(Translated):
    answers_with: ClassVar[str] = "embeddings"

    def address(self, target: Target) -> str:
        return chat_url(target.base_url.removesuffix("/embed")).removesuffix("/chat") + "/embed"

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        if "dimensions" in fields:
            body.setdefault("output_dimension", fields["dimensions"])
        kind, name = ("image", "images") if all(text.startswith("data:image/") for text in texts) else ("search_document", "texts")
        return {"input_type": kind, **body, "model": target.model, name: texts, "embedding_types": ["float"]}

    def vectors(self, tree: Json) -> Any:
        found = tree["embeddings"]
        return found.get("float") if isinstance(found, dict) else found

    def tokens(self, tree: Json) -> Any:
        counted = as_object(as_object(tree.get("meta")).get("billed_units")).get("input_tokens")
        return int(counted) if isinstance(counted, int | float) else None


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
