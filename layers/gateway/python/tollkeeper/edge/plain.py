"""Endpoints without chat behind them: embeddings, moderations, rerank. Their checks are what pipeline and budgets rely on.

https://platform.openai.com/docs/api-reference/embeddings · …/moderations · https://docs.cohere.com/reference/rerank
"""

import base64
import struct
from collections.abc import Mapping
from types import UnionType
from typing import Any

from tollkeeper.catalog.endpoints import EMBEDDINGS, MODERATIONS, RERANK
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_objects
from tollkeeper.edge.problems import cohere_error
from tollkeeper.edge.serving import Api, model_named
from tollkeeper.errors import BadRequest

DEFAULT_MODERATION = "omni-moderation-latest"
"""OpenAI's own default; a gateway has it if an alias is called so."""


def check_embeddings(body: Json, headers: Mapping[str, str]) -> Json:
    _needed(body, "input", str | list)
    if body.get("encoding_format") not in (None, "float", "base64"):
        raise BadRequest("'encoding_format' must be float or base64.", param="encoding_format", code="invalid_value")
    dimensions = body.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise BadRequest("'dimensions' must be a whole number, at least 1.", param="dimensions", code="invalid_value")
    return _in_one_piece(body, "/embeddings")


def check_moderations(body: Json, headers: Mapping[str, str]) -> Json:
    _needed(body, "input", str | list)
    return _in_one_piece({**body, "model": body.get("model") or DEFAULT_MODERATION}, "/moderations")


def check_rerank(body: Json, headers: Mapping[str, str]) -> Json:
    _needed(body, "query", str)
    _needed(body, "documents", list)
    return _in_one_piece(body, "/rerank")


def embedded(answer: Json, request: Json) -> Json:
    """Vectors in the form that was asked for, also from providers that only have one."""
    if request.get("encoding_format") != "base64":
        return answer
    rows = [
        {**row, "embedding": _as_base64(row["embedding"])} if isinstance(row.get("embedding"), list) else row
        for row in as_objects(answer.get("data"))
    ]
    return {**answer, "data": rows}


def ranked(answer: Json, request: Json) -> Json:
    """As many results as were asked for, with their documents if wanted, also from providers that have no words for that."""
    results, documents = as_objects(answer.get("results")), request["documents"]
    if type(top := request.get("top_n")) is int and top > 0:
        results = results[:top]
    if request.get("return_documents") is True:
        results = [{**row, "document": _document(row, documents)} if "document" not in row else row for row in results]
    return {**answer, "results": results}


def _document(row: Json, documents: list[Any]) -> Any:
    place = row.get("index")
    found = documents[place] if type(place) is int and 0 <= place < len(documents) else None
    return found if isinstance(found, dict) else {"text": found}


def _as_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _needed(body: Json, name: str, kinds: type | UnionType) -> None:
    if body.get(name) is None:
        raise BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(body[name], kinds):
        raise BadRequest(f"'{name}' is of the wrong type.", param=name, code="invalid_type")


def _in_one_piece(body: Json, route: str) -> Json:
    if body.get("stream"):
        raise BadRequest(f"{route} does not stream.", param="stream")
    return model_named(body, route)


EMBEDDINGS_API = Api(EMBEDDINGS, check_embeddings, native_say=embedded)
MODERATIONS_API = Api(MODERATIONS, check_moderations)
RERANK_API = Api(RERANK, check_rerank, error=cohere_error, native_say=ranked)
