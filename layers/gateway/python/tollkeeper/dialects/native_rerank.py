"""Rerank in Cohere's words (`query`, `documents`, `top_n`, `return_documents`), asked of providers that have their own.

https://docs.cohere.com/reference/rerank · https://docs.voyageai.com/reference/reranker-api · https://jina.ai/reranker
https://docs.nvidia.com/nim/nemo-retriever/text-reranking/latest/reference.html · https://deepinfra.com/Qwen/Qwen3-Reranker-8B/api
https://huggingface.co/docs/text-embeddings-inference · https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html

Answers are Cohere's: `{"id", "results": [{"index", "relevance_score", "document"?}], "meta"}`, best first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.bedrock_converse import model_path
from tollkeeper.dialects.bedrock_errors import error_from_bedrock
from tollkeeper.dialects.cohere_v2 import chat_url
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.native_plain import Plain
from tollkeeper.errors import UpstreamError, UpstreamProtocolError


@dataclass(frozen=True, slots=True)
class Shape:
    """How a provider says it. `rows` is the answer's list ("" : the answer itself is one), `score` a row's number."""

    path: str = "/rerank"
    names: Mapping[str, str] = field(default_factory=dict)
    rows: str = "results"
    score: str = "relevance_score"
    tokens: str = ""
    """Where tokens are counted, if not in `usage`."""


_PLAIN = Shape()
SHAPES: Mapping[str, Shape] = {
    "voyage": Shape(names={"top_n": "top_k"}, rows="data"),
    "nvidia_nim": Shape("/ranking", {"documents": "passages"}, "rankings", "logit"),
    "deepinfra": Shape("", {}, "scores", "", "input_tokens"),
    "huggingface": Shape("/rerank", {"documents": "texts"}, "", "score"),
}
"""By provider; the rest (Jina, Together, vLLM, llama.cpp, Infinity …) speak Cohere's."""
_NIM_HOST, _NIM_RETRIEVAL = "https://integrate.api.nvidia.com/v1", "https://ai.api.nvidia.com/v1/retrieval"


class Rerank(Plain):
    """See native.NativeDialect."""

    name = "rerank"
    path: ClassVar[str] = "/rerank"
    answers_with: ClassVar[str] = "results"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        fields = upstream_fields(request, target) | {"model": target.model}
        drop_unsupported(fields, unsupported_by_profile(target), target)
        shape = SHAPES.get(target.provider, _PLAIN)
        body = _WORDINGS.get(target.provider, _renamed)(fields, shape)
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=self.address(target), body=orjson.dumps(body), headers=headers)

    def address(self, target: Target) -> str:
        return address_of(target, SHAPES.get(target.provider, _PLAIN))

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, or the typed error that hides in it."""
        shape = SHAPES.get(target.provider, _PLAIN)
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise not_json(body, target) from None
        if isinstance(tree, dict) and tree.get("error"):
            raise error_from_tree(tree, target)
        rows = tree.get(shape.rows) if isinstance(tree, dict) else tree
        if not isinstance(rows, list):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `{shape.rows}`.", upstream_status=200)
        whole = tree if isinstance(tree, dict) else {}
        if shape is _PLAIN:
            return {**whole, "model": target.alias}
        return _cohere(whole, _ranked(rows, shape), shape, target)

    def usage(self, answer: Json) -> Json | None:
        """Billed by the search where no tokens are stated."""
        meta = as_object(answer.get("meta"))
        searches = as_object(meta.get("billed_units")).get("search_units")
        stated = super().usage(answer) or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return {**stated, "search_units": searches} if searches else stated


def address_of(target: Target, shape: Shape) -> str:
    """Under the base URL, but for providers whose rerank lives elsewhere."""
    if target.provider == "nvidia_nim" and target.base_url == _NIM_HOST:
        return f"{_NIM_RETRIEVAL}/{quote(target.model)}/reranking"
    if target.provider == "deepinfra":
        return f"{target.base_url.removesuffix('/openai')}/inference/{quote(target.model)}"
    return endpoint(target, shape.path)


def _renamed(fields: Json, shape: Shape) -> Json:
    return {shape.names.get(name, name): value for name, value in fields.items()}


def _nim(fields: Json, shape: Shape) -> Json:
    rest = {name: value for name, value in fields.items() if name not in {"query", "documents", "top_n", "return_documents"}}
    return {**rest, "query": {"text": fields.get("query")}, "passages": [{"text": _text(item)} for item in fields.get("documents") or ()]}


def _deepinfra(fields: Json, shape: Shape) -> Json:
    documents = [_text(item) for item in fields.get("documents") or ()]
    rest = {name: value for name, value in fields.items() if name not in {"query", "documents", "model", "top_n", "return_documents"}}
    return {**rest, "queries": [fields.get("query")] * len(documents), "documents": documents}


def _tei(fields: Json, shape: Shape) -> Json:
    texts = [_text(item) for item in fields.get("documents") or ()]
    rest = {name: value for name, value in fields.items() if name not in {"documents", "model", "top_n", "return_documents"}}
    return {**rest, "texts": texts, "return_text": fields.get("return_documents") is True}


_WORDINGS = {"nvidia_nim": _nim, "deepinfra": _deepinfra, "huggingface": _tei}


def _text(document: Any) -> Any:
    """Cohere takes `{"text": …}` for a document, too."""
    return document.get("text") if isinstance(document, dict) else document


def _ranked(rows: list[Any], shape: Shape) -> list[Json]:
    if not shape.score:  # bare scores, in the order of the documents
        made = [{"index": place, "relevance_score": float(score)} for place, score in enumerate(rows) if isinstance(score, int | float)]
        return sorted(made, key=lambda row: -float(row["relevance_score"]))
    return [_row(row, shape) for row in as_objects(rows)]


def _row(row: Json, shape: Shape) -> Json:
    made: Json = {"index": row.get("index"), "relevance_score": row.get(shape.score)}
    document = row.get("document", row.get("text"))
    if document is not None:
        made["document"] = document if isinstance(document, dict) else {"text": document}
    return made


def _cohere(tree: Json, results: list[Json], shape: Shape, target: Target) -> Json:
    usage = as_object(tree.get("usage"))
    tokens = tree.get(shape.tokens) if shape.tokens else usage.get("total_tokens", usage.get("prompt_tokens"))
    answer: Json = {"id": str(tree.get("id") or f"rerank-{target.created}"), "results": results, "model": target.alias}
    if type(tokens) is int:
        answer |= {"meta": {"billed_units": {"total_tokens": tokens}}, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return answer


class CohereRerank(Rerank):
    """https://docs.cohere.com/reference/rerank"""

    def address(self, target: Target) -> str:
        return chat_url(target.base_url.removesuffix("/rerank")).removesuffix("/chat") + "/rerank"


class BedrockRerank(Rerank):
    """Cohere's and Amazon's rerank models behind InvokeModel. https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html"""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        wire = super().encode(request, target)
        body = {name: value for name, value in orjson.loads(wire.body).items() if name not in {"model", "return_documents"}}
        if "cohere" in target.model:
            body["api_version"] = 2
        return WireRequest(wire.url, orjson.dumps(body), {"content-type": "application/json"})

    def address(self, target: Target) -> str:
        return f"{target.base_url}/model/{model_path(target.model)}/invoke"

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_bedrock(status, headers, body, target)
