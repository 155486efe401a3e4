"""OpenAI's embeddings, asked of clouds that have words of their own for them, and of models there that take one text at a time.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html · …/model-parameters-embed.html (Cohere)
https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
https://ai.google.dev/api/embeddings · https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
https://cloud.ibm.com/apidocs/watsonx-ai#text-embeddings
"""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Ask, Json, Opening, Steps, Target, WireRequest
from tollkeeper.dialects.bedrock_converse import model_path
from tollkeeper.dialects.bedrock_errors import error_from_bedrock
from tollkeeper.dialects.fields import upstream_fields
from tollkeeper.dialects.gemini_errors import error_from_google
from tollkeeper.dialects.gemini_options import is_vertex
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.native_embeddings import OPENAIS, Translated, embedding_list, texts_of
from tollkeeper.dialects.native_plain import parsed
from tollkeeper.dialects.sagemaker_chat import endpoint_error, invocation
from tollkeeper.dialects.watsonx_chat import versioned
from tollkeeper.errors import UpstreamError

_AT_ONCE = 8
"""Requests under way together, where a model takes one text at a time."""


class OneByOne(Translated):
    """A model that may want one request for each text (`base.SteppedDialect`); the answer is one list, in the order asked."""

    answers_with: ClassVar[str] = ""

    def batch(self, target: Target) -> int:
        """Texts in one request."""
        raise NotImplementedError

    def request(self, body: Json, texts: list[str], fields: Json, target: Target) -> WireRequest:
        raise NotImplementedError

    def read(self, body: bytes, target: Target) -> tuple[list[Any], int | None]:
        """(vectors, tokens) of one answer."""
        raise NotImplementedError

    def encode(self, request: Json, target: Target) -> WireRequest:
        """The first request. Raises BadRequest for input that is no text."""
        return self._requests(request, target)[0]

    def exchange(self, request: Json, target: Target) -> Steps:
        requests = self._requests(request, target)
        vectors: list[Any] = []
        counts: list[int] = []
        for start in range(0, len(requests), _AT_ONCE):
            bodies = yield Ask(tuple(requests[start : start + _AT_ONCE]))
            for body in bodies:
                found, tokens = self.read(body, target)
                vectors += found
                counts += [tokens] if tokens is not None else []
        return embedding_list(vectors, sum(counts) if len(counts) == len(requests) else None, target)

    def opening(self, request: Json, target: Target) -> Opening:
        """Nobody streams vectors."""
        yield Ask(())
        return self.encode(request, target)

    def decode(self, body: bytes, target: Target) -> Json:
        return embedding_list(*self.read(body, target), target)

    def _requests(self, request: Json, target: Target) -> list[WireRequest]:
        fields = upstream_fields(request, target)
        texts = texts_of(fields)
        body = {name: value for name, value in fields.items() if name not in OPENAIS}
        size = self.batch(target)
        pieces = [texts[start : start + size] for start in range(0, len(texts), size)]
        return [self.request(dict(body), piece, fields, target) for piece in pieces]


class BedrockEmbeddings(OneByOne):
    """Titan and Nova take one text at a time, Cohere 96."""

    def batch(self, target: Target) -> int:
        return 96 if "cohere" in target.model else 1

    def request(self, body: Json, texts: list[str], fields: Json, target: Target) -> WireRequest:
        wire = _bedrock_body(body, texts, fields.get("dimensions"), target.model)
        url = f"{target.base_url}/model/{model_path(target.model)}/invoke"
        return WireRequest(url, orjson.dumps(wire), {"content-type": "application/json"})

    def read(self, body: bytes, target: Target) -> tuple[list[Any], int | None]:
        tree = parsed(body, target, "embeddings" if b'"embeddings"' in body else "embedding")
        found = tree.get("embeddings", [tree.get("embedding")])
        if isinstance(found, dict):  # Cohere, by type
            found = next(iter(found.values()), [])
        vectors = [row["embedding"] if isinstance(row, dict) else row for row in found or ()]  # Nova names each row's type
        tokens = tree.get("inputTextTokenCount", tree.get("inputTokenCount"))
        return vectors, tokens if type(tokens) is int else None

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_bedrock(status, headers, body, target)


def _bedrock_body(body: Json, texts: list[str], dimensions: Any, model: str) -> Json:
    if "cohere" in model:
        wanted = {"output_dimension": dimensions} if dimensions else {}
        return {"input_type": "search_document", "embedding_types": ["float"], **wanted, **body, "texts": texts}
    if "nova" in model:
        single: Json = {"embeddingPurpose": "GENERIC_INDEX", "text": {"truncationMode": "END", "value": texts[0]}}
        params = {**single, **({"embeddingDimension": dimensions} if dimensions else {}), **body}
        return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}
    return {**({"dimensions": dimensions} if dimensions else {}), **body, "inputText": texts[0]}


class GoogleEmbeddings(OneByOne):
    """AI Studio's batchEmbedContents, 100 texts at a time; Vertex's predict, where models that carry Gemini's name take one, others 250."""

    def batch(self, target: Target) -> int:
        if not is_vertex(target):
            return 100
        return 1 if "gemini" in target.model else 250

    def request(self, body: Json, texts: list[str], fields: Json, target: Target) -> WireRequest:
        predicting = is_vertex(target)
        wire = (_predict if predicting else _batch)(body, texts, fields.get("dimensions"), target)
        model = quote(target.model.removeprefix("models/"), safe="/@:._-")
        url = f"{target.base_url}/models/{model}:{'predict' if predicting else 'batchEmbedContents'}"
        return WireRequest(url, orjson.dumps(wire), {"content-type": "application/json"})

    def read(self, body: bytes, target: Target) -> tuple[list[Any], int | None]:
        if not is_vertex(target):
            tree = parsed(body, target, "embeddings")
            tokens = as_object(tree.get("usageMetadata")).get("promptTokenCount")
            return [row.get("values") for row in as_objects(tree["embeddings"])], tokens if type(tokens) is int else None
        found = [as_object(row.get("embeddings")) for row in as_objects(parsed(body, target, "predictions")["predictions"])]
        counts = [as_object(row.get("statistics")).get("token_count") for row in found]
        numbers = [int(count) for count in counts if isinstance(count, int | float)]
        return [row.get("values") for row in found], sum(numbers) if len(numbers) == len(counts) else None

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_google(status, headers, body, target)


def _batch(body: Json, texts: list[str], dimensions: Any, target: Target) -> Json:
    wanted = {"outputDimensionality": dimensions} if dimensions else {}
    model = f"models/{target.model.removeprefix('models/')}"
    return {"requests": [{**wanted, **body, "model": model, "content": {"parts": [_part(text)]}} for text in texts]}


def _part(text: str) -> Json:
    """A data: URL is what it holds."""
    kind, found, data = text.removeprefix("data:").partition(";base64,")
    return {"inlineData": {"mimeType": kind, "data": data}} if found and text.startswith("data:") else {"text": text}


def _predict(body: Json, texts: list[str], dimensions: Any, target: Target) -> Json:
    kinds = {name: body.pop(name) for name in ("task_type", "title") if name in body}
    parameters = {**({"outputDimensionality": dimensions} if dimensions else {}), **body}
    return {"instances": [{"content": text, **kinds} for text in texts], **({"parameters": parameters} if parameters else {})}


class WatsonxEmbeddings(Translated):
    answers_with: ClassVar[str] = "results"

    def address(self, target: Target) -> str:
        return versioned(target, "/ml/v1/text/embeddings")

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        return {**body, "model_id": target.model, "inputs": texts}

    def vectors(self, tree: Json) -> Any:
        return [row.get("embedding") for row in as_objects(tree["results"])]

    def tokens(self, tree: Json) -> Any:
        return tree.get("input_token_count")


class SageMakerEmbeddings(Translated):
    """JumpStart's containers take `text_inputs`, Hugging Face's `inputs` and answer with the vectors alone."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        return invocation(target, super().encode(request, target).body)

    def address(self, target: Target) -> str:
        return target.base_url

    def wire(self, body: Json, texts: list[str], fields: Json, target: Target) -> Json:
        name = "inputs" if "hf" in target.model or "huggingface" in target.model else "text_inputs"
        return {**body, name: texts}

    def decode(self, body: bytes, target: Target) -> Json:
        tree = orjson.loads(body) if body.lstrip()[:1] == b"[" else None
        found = tree if tree is not None else parsed(body, target, "embedding")["embedding"]
        return embedding_list(found, None, target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return endpoint_error(status, headers, body, target)
