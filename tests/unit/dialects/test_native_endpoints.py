"""Embeddings and rerank in the words of the providers that have their own, and back in OpenAI's and Cohere's."""

import json
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from tollkeeper.dialects.base import Ask, SteppedDialect, Target
from tollkeeper.dialects.native import NativeDialect, native
from tollkeeper.errors import BadRequest, UpstreamProtocolError

Json = dict[str, Any]
VERTEX = "https://h/v1/projects/p/locations/l/publishers/google"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com"
ASK = {"model": "alias", "input": ["a", "b"]}
RERANK = {"model": "alias", "query": "ruby", "documents": ["x", {"text": "y"}], "top_n": 1}


def target(model: str, base_url: str, provider: str = "p") -> Target:
    return Target(model, base_url, "alias", provider=provider, created=1_700_000_000)


def of(endpoint: str, dialect: str) -> NativeDialect:
    found = native(endpoint, dialect)
    assert found is not None
    return found


def walked(dialect: Any, request: Json, at: Target, answer: Any) -> tuple[list[Ask], Json]:
    """Every step, each request answered by `answer(body)`."""
    assert isinstance(dialect, SteppedDialect)
    steps = dialect.exchange(request, at)
    asks = [next(steps)]
    while True:
        try:
            asks.append(steps.send([json.dumps(answer(json.loads(wire.body))).encode() for wire in asks[-1].requests]))
        except StopIteration as done:
            return asks, done.value


def vectors(answer: Json) -> list[Any]:
    CreateEmbeddingResponse.model_validate({"usage": {"prompt_tokens": 0, "total_tokens": 0}, **answer}, strict=True)
    assert answer["model"] == "alias"
    assert [row["index"] for row in answer["data"]] == list(range(len(answer["data"])))
    return [row["embedding"] for row in answer["data"]]


@pytest.mark.parametrize(
    ("provider", "fields", "sent"),
    [
        ("voyage", {"dimensions": 8, "encoding_format": "float", "user": "u"}, {"output_dimension": 8}),
        ("jina_ai", {"dimensions": 8, "encoding_format": "base64"}, {"dimensions": 8, "embedding_type": "base64"}),
        ("mistral", {"dimensions": 8, "encoding_format": "float"}, {"output_dimension": 8, "encoding_format": "float"}),
        (
            "openai",
            {"dimensions": 8, "encoding_format": "base64", "user": "u"},
            {"dimensions": 8, "encoding_format": "base64", "user": "u"},
        ),
        ("voyage", {"input_type": "query"}, {"input_type": "query"}),
    ],
)
def test_openai_shaped_embeddings_in_each_providers_words(provider: str, fields: Json, sent: Json) -> None:
    wire = of("embeddings", "openai_chat").encode({**ASK, **fields}, target("up", "https://x/v1", provider))
    assert wire.url == "https://x/v1/embeddings"
    assert json.loads(wire.body) == {"model": "up", "input": ["a", "b"], **sent}


def test_what_a_server_leaves_out_of_embeddings_is_mended() -> None:
    dialect = of("embeddings", "openai_chat")
    answer = dialect.decode(
        b'{"data": [{"embedding": [0.5]}, {"embedding": [1.0]}], "usage": {"total_tokens": 4}}', target("up", "https://x")
    )
    assert vectors(answer) == [[0.5], [1.0]]
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert dialect.usage(answer) == {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}


def test_titan_takes_one_text_at_a_time_eight_at_once() -> None:
    at = target("amazon.titan-embed-text-v2:0", BEDROCK)
    texts = [str(number) for number in range(10)]
    asks, answer = walked(
        of("embeddings", "bedrock_converse"),
        {"input": texts, "dimensions": 256},
        at,
        lambda body: {"embedding": [float(body["inputText"])], "inputTextTokenCount": 2},
    )
    assert [len(ask.requests) for ask in asks] == [8, 2]
    assert asks[0].requests[0].url == f"{BEDROCK}/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert json.loads(asks[1].requests[1].body) == {"dimensions": 256, "inputText": "9"}
    assert vectors(answer) == [[float(text)] for text in texts]
    assert answer["usage"] == {"prompt_tokens": 20, "total_tokens": 20}


@pytest.mark.parametrize("said", [{"embeddings": {"float": [[0.5], [1.0]]}}, {"embeddings": [[0.5], [1.0]]}])
def test_cohere_on_bedrock_takes_them_all(said: Json) -> None:
    asks, answer = walked(
        of("embeddings", "bedrock_converse"), {**ASK, "input_type": "search_query"}, target("cohere.embed-v4:0", BEDROCK), lambda _: said
    )
    assert json.loads(asks[0].requests[0].body) == {"input_type": "search_query", "embedding_types": ["float"], "texts": ["a", "b"]}
    assert vectors(answer) == [[0.5], [1.0]]
    assert "usage" not in answer


def test_nova_embeddings() -> None:
    said = {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}], "inputTextTokenCount": 3}
    asks, answer = walked(
        of("embeddings", "bedrock_converse"), ASK, target("amazon.nova-2-multimodal-embeddings-v1:0", BEDROCK), lambda _: said
    )
    assert json.loads(asks[0].requests[0].body)["singleEmbeddingParams"]["text"]["value"] == "a"
    assert vectors(answer) == [[0.5], [0.5]]
    assert answer["usage"]["prompt_tokens"] == 6


@pytest.mark.parametrize(("model", "requests"), [("gemini-embedding-001", 2), ("text-embedding-005", 1)])
def test_vertex_predicts(model: str, requests: int) -> None:
    def predicted(body: Json) -> Json:
        return {"predictions": [{"embeddings": {"values": [0.5], "statistics": {"token_count": 3}}} for _ in body["instances"]]}

    asks, answer = walked(of("embeddings", "gemini_generate"), {**ASK, "dimensions": 8, "task_type": "X"}, target(model, VERTEX), predicted)
    assert len(asks[0].requests) == requests
    assert asks[0].requests[0].url == f"{VERTEX}/models/{model}:predict"
    sent = json.loads(asks[0].requests[0].body)
    assert (sent["instances"][0], sent["parameters"]) == ({"content": "a", "task_type": "X"}, {"outputDimensionality": 8})
    assert vectors(answer) == [[0.5], [0.5]]
    assert answer["usage"]["prompt_tokens"] == 6


def test_ai_studio_takes_a_hundred_and_images() -> None:
    at = target("gemini-embedding-2", "https://g/v1beta")
    texts = ["a", "data:image/png;base64,QUJD", *["x"] * 99]
    said = {"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 4}}
    asks, answer = walked(
        of("embeddings", "gemini_generate"),
        {"input": texts},
        at,
        lambda body: {**said, "embeddings": said["embeddings"] * len(body["requests"])},
    )
    assert [len(json.loads(wire.body)["requests"]) for wire in asks[0].requests] == [100, 1]
    parts = [row["content"]["parts"][0] for row in json.loads(asks[0].requests[0].body)["requests"][:2]]
    assert parts == [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]
    assert len(vectors(answer)) == 101
    assert answer["usage"]["prompt_tokens"] == 8


def test_watsonx_and_sagemaker_embed() -> None:
    at = target("ibm/slate", "https://w?version=2025-01-01")
    wire = of("embeddings", "watsonx_chat").encode(ASK, at)
    assert wire.url == "https://w/ml/v1/text/embeddings?version=2025-01-01"
    assert json.loads(wire.body) == {"model_id": "ibm/slate", "inputs": ["a", "b"]}
    answer = of("embeddings", "watsonx_chat").decode(b'{"results": [{"embedding": [0.5]}], "input_token_count": 3}', at)
    assert (vectors(answer), answer["usage"]["prompt_tokens"]) == ([[0.5]], 3)
    at = target("jumpstart-dft-hf-textembedding", "https://runtime.sagemaker.x.amazonaws.com")
    wire = of("embeddings", "sagemaker_tgi").encode(ASK, at)
    assert wire.url.endswith("/endpoints/jumpstart-dft-hf-textembedding/invocations")
    assert json.loads(wire.body) == {"inputs": ["a", "b"]}
    for said in (b'{"embedding": [[0.5], [1.0]]}', b"[[0.5], [1.0]]"):
        assert vectors(of("embeddings", "sagemaker_tgi").decode(said, at)) == [[0.5], [1.0]]


@pytest.mark.parametrize("dialect", ["bedrock_converse", "gemini_generate", "watsonx_chat", "cohere_v2", "ollama_chat"])
def test_token_arrays_are_refused_where_nobody_takes_them(dialect: str) -> None:
    with pytest.raises(BadRequest) as caught:
        of("embeddings", dialect).encode({"input": [[1, 2]]}, target("m", BEDROCK))
    assert caught.value.param == "input"
    with pytest.raises(UpstreamProtocolError):
        of("embeddings", dialect).decode(b"<html>", target("m", BEDROCK))


def test_cohere_embeds_images() -> None:
    wire = of("embeddings", "cohere_v2").encode({"input": ["data:image/png;base64,QUJD"]}, target("embed-v4.0", "https://api.cohere.com"))
    assert json.loads(wire.body)["images"] == ["data:image/png;base64,QUJD"]
    assert json.loads(wire.body)["input_type"] == "image"


@pytest.mark.parametrize(
    ("provider", "base", "url", "body", "said", "scores"),
    [
        (
            "jina_ai",
            "https://api.jina.ai/v1",
            "https://api.jina.ai/v1/rerank",
            {"model": "up", "query": "ruby", "documents": ["x", {"text": "y"}], "top_n": 1},
            {"results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "y"}}], "usage": {"total_tokens": 5}},
            [(1, 0.9)],
        ),
        (
            "voyage",
            "https://api.voyageai.com/v1",
            "https://api.voyageai.com/v1/rerank",
            {"model": "up", "query": "ruby", "documents": ["x", {"text": "y"}], "top_k": 1},
            {"data": [{"index": 1, "relevance_score": 0.9, "document": "y"}], "usage": {"total_tokens": 5}},
            [(1, 0.9)],
        ),
        (
            "nvidia_nim",
            "https://integrate.api.nvidia.com/v1",
            "https://ai.api.nvidia.com/v1/retrieval/up/reranking",
            {"model": "up", "query": {"text": "ruby"}, "passages": [{"text": "x"}, {"text": "y"}]},
            {"rankings": [{"index": 1, "logit": 3.5}, {"index": 0, "logit": -1.0}], "usage": {"prompt_tokens": 5, "total_tokens": 5}},
            [(1, 3.5), (0, -1.0)],
        ),
        ("nvidia_nim", "http://nim:8000/v1", "http://nim:8000/v1/ranking", None, {"rankings": []}, []),
        (
            "deepinfra",
            "https://api.deepinfra.com/v1/openai",
            "https://api.deepinfra.com/v1/inference/up",
            {"queries": ["ruby", "ruby"], "documents": ["x", "y"]},
            {"scores": [0.1, 0.9], "input_tokens": 5},
            [(1, 0.9), (0, 0.1)],
        ),
        (
            "huggingface",
            "https://tei.example",
            "https://tei.example/rerank",
            {"query": "ruby", "texts": ["x", "y"], "return_text": False},
            [{"index": 1, "score": 0.9, "text": "y"}],
            [(1, 0.9)],
        ),
    ],
)
def test_rerank_in_each_providers_words(provider: str, base: str, url: str, body: Json | None, said: Any, scores: list[Any]) -> None:
    at, dialect = target("up", base, provider), of("rerank", "openai_chat")
    wire = dialect.encode(RERANK, at)
    assert wire.url == url
    if body is not None:
        assert json.loads(wire.body) == body
    answer = dialect.decode(json.dumps(said).encode(), at)
    assert [(row["index"], row["relevance_score"]) for row in answer["results"]] == scores
    assert answer["model"] == "alias"
    if isinstance(said, dict) and "rankings" not in said:
        assert (dialect.usage(answer) or {})["prompt_tokens"] == 5
    for other in (b"<html>", b'{"results": 5}', b"{}"):
        with pytest.raises(UpstreamProtocolError):
            dialect.decode(other, at)


def test_bedrock_reranks_through_invoke_model() -> None:
    dialect, at = of("rerank", "bedrock_converse"), target("cohere.rerank-v3-5:0", BEDROCK, "bedrock")
    wire = dialect.encode(RERANK, at)
    assert wire.url == f"{BEDROCK}/model/cohere.rerank-v3-5%3A0/invoke"
    assert json.loads(wire.body) == {"query": "ruby", "documents": ["x", {"text": "y"}], "top_n": 1, "api_version": 2}
    assert dialect.decode(b'{"results": [{"index": 0, "relevance_score": 0.3}]}', at)["results"][0]["index"] == 0
