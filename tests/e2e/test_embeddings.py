"""Embeddings, moderations and rerank through the official openai client and plain HTTP, against providers of several makes."""

import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json

VECTOR = [0.5, -0.25, 1.0]
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0}


def openais(request: Received) -> Reply:
    inputs = request.json["input"]
    rows = inputs if isinstance(inputs, list) else [inputs]
    encoded: Any = VECTOR
    if request.json.get("encoding_format") == "base64":
        encoded = b64encode(struct.pack("<3f", *VECTOR)).decode()
    data = [{"object": "embedding", "index": place, "embedding": encoded} for place, _ in enumerate(rows)]
    return as_json(
        {"object": "list", "data": data, "model": "up", "usage": {"prompt_tokens": 4 * len(rows), "total_tokens": 4 * len(rows)}}
    )


def cohere(request: Received) -> Reply:
    if request.path.endswith("/rerank"):
        results = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
        return as_json({"id": "r1", "results": results, "meta": {"billed_units": {"search_units": 2}}})
    vectors = {"float": [VECTOR for _ in request.json["texts"]]}
    return as_json({"id": "e1", "embeddings": vectors, "meta": {"billed_units": {"input_tokens": 6}}})


def provider(request: Received) -> Reply:
    if request.path.endswith("/moderations"):
        return as_json({"id": "modr-1", "model": "up", "results": [{"flagged": True, "categories": {}, "category_scores": {}}]})
    if request.path.startswith("/v2/"):
        return cohere(request)
    if request.path.endswith(":batchEmbedContents"):
        return as_json({"embeddings": [{"values": VECTOR} for _ in request.json["requests"]]})
    if request.path.endswith("/api/embed"):
        return as_json({"embeddings": [VECTOR for _ in request.json["input"]], "prompt_eval_count": 3})
    if request.path.endswith("/rerank"):
        return as_json({"results": [{"index": 0, "relevance_score": 1.0}], "usage": {"total_tokens": 11}})
    return openais(request)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    search = {"input_cost_per_query": 0.002, "input_cost_per_token": 0, "output_cost_per_token": 0}
    config = config_of(
        model("embed", "openai/text-embedding-3-small", f"{upstream.url}/v1", model_info=PRICES),
        model("own", "openai/some-name", f"{upstream.url}/v1", model_info={**PRICES, "mode": "embedding"}),
        model("embed-cohere", "cohere/embed-v4.0", upstream.url, model_info=PRICES),
        model("embed-gemini", "gemini/gemini-embedding-001", upstream.url, model_info=PRICES),
        model("embed-ollama", "ollama/nomic-embed-text", upstream.url, model_info=PRICES),
        model("omni-moderation-latest", "openai/omni-moderation-latest", f"{upstream.url}/v1"),
        model("ranker", "cohere/rerank-v3.5", upstream.url, model_info=search),
        model("own-ranker", "hosted_vllm/bge-reranker-v2-m3", f"{upstream.url}/v1", model_info=PRICES),
        model("chatty", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


def posted(gateway: GatewayProcess, path: str, body: dict[str, Any], key: str = MASTER_KEY) -> httpx.Response:
    return httpx.post(f"{gateway.url}{path}", json=body, headers={"authorization": f"Bearer {key}"}, trust_env=False)


@pytest.mark.parametrize(("name", "tokens"), [("embed", 8), ("own", 8), ("embed-cohere", 6), ("embed-ollama", 3), ("embed-gemini", None)])
def test_a_batch_from_every_make(client: openai.OpenAI, gateway: GatewayProcess, name: str, tokens: int | None) -> None:
    answer = client.embeddings.create(model=name, input=["one", "two"])
    assert [(row.index, row.embedding) for row in answer.data] == [(0, VECTOR), (1, VECTOR)]
    assert (answer.model, answer.object) == (name, "list")
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["output_tokens"]) == ("aembedding", 0)
    if tokens is None:
        assert entry["usage_at_least"], "a provider that states no usage is charged by estimate"
        assert entry["cost"] > 0
    else:
        assert (entry["input_tokens"], entry["cost"]) == (tokens, tokens * 1000)


@pytest.mark.parametrize("name", ["embed", "embed-cohere"])
@pytest.mark.parametrize("form", ["float", "base64"])
def test_vectors_come_in_the_form_that_was_asked_for(gateway: GatewayProcess, upstream: Upstream, name: str, form: str) -> None:
    upstream.handler = provider
    row = posted(gateway, "/v1/embeddings", {"model": name, "input": "x", "encoding_format": form}).json()["data"][0]
    vector = list(struct.unpack("<3f", b64decode(row["embedding"]))) if form == "base64" else row["embedding"]
    assert vector == VECTOR


@pytest.mark.parametrize(
    ("name", "path", "sent"),
    [
        ("embed", "/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a"], "dimensions": 3, "encoding_format": "float"}),
        (
            "embed-cohere",
            "/v2/embed",
            {"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document", "embedding_types": ["float"], "output_dimension": 3},
        ),
        (
            "embed-gemini",
            "/models/gemini-embedding-001:batchEmbedContents",
            {"requests": [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}]},
        ),
        ("embed-ollama", "/api/embed", {"model": "nomic-embed-text", "input": ["a"], "dimensions": 3}),
    ],
)
def test_each_make_is_asked_in_its_words(client: openai.OpenAI, upstream: Upstream, name: str, path: str, sent: dict[str, Any]) -> None:
    client.embeddings.create(model=name, input=["a"], dimensions=3, encoding_format="float")
    assert (upstream.received[-1].path.removeprefix("/v1beta"), upstream.received[-1].json) == (path, sent)


def test_token_arrays_pass_to_openai_and_are_refused_elsewhere(client: openai.OpenAI, upstream: Upstream) -> None:
    client.embeddings.create(model="embed", input=[[1, 2], [3]])
    assert upstream.received[-1].json["input"] == [[1, 2], [3]]
    with pytest.raises(openai.BadRequestError, match="token arrays"):
        client.embeddings.create(model="embed-cohere", input=[[1, 2]])


def test_a_hard_budget_holds_for_a_batch_larger_than_a_window(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    text = "word " * 4000  # 20,000 bytes, each of which may be a token of a millionth of a dollar
    before = len(upstream.received)
    assert posted(gateway, "/v1/embeddings", {"model": "embed", "input": [text] * 20}, gateway.new_key(max_budget=0.1)).status_code == 422
    assert len(upstream.received) == before
    key = gateway.new_key(max_budget=1)
    answer = posted(gateway, "/v1/embeddings", {"model": "embed", "input": [text] * 20}, key)
    assert answer.status_code == 200
    assert upstream.received[-1].json.keys() == {"model", "input"}, "no output limit for what has no output"
    info = gateway.admin("GET", "/key/info", key=key).json()["info"]
    assert info["spend"] == pytest.approx(80e-6)


def test_moderations(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    for name in ("omni-moderation-latest", openai.omit):
        answer = client.moderations.create(model=name, input="something")
        assert answer.results[0].flagged
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["status"], entry["cost"]) == ("amoderation", "success", 0)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank_is_passed_on_and_billed_by_the_search(gateway: GatewayProcess, upstream: Upstream, path: str) -> None:
    upstream.handler = provider
    body = {"model": "ranker", "query": "ruby", "documents": ["a", "b", "c"], "top_n": 2}
    answer = posted(gateway, path, body)
    assert [row["index"] for row in answer.json()["results"]] == [2, 0]
    assert (upstream.received[-1].path, upstream.received[-1].json) == ("/v2/rerank", {**body, "model": "rerank-v3.5"})
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["cost"]) == ("arerank", 2 * 2_000_000)


def test_rerank_of_another_make_is_billed_by_its_tokens(gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = posted(gateway, "/v1/rerank", {"model": "own-ranker", "query": "ruby", "documents": ["a"]})
    assert answer.status_code == 200
    assert upstream.received[-1].path == "/v1/rerank"
    assert gateway.ledger()[-1]["input_tokens"] == 11


def test_what_a_rerank_provider_cannot_do_is_done_for_it(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]})
    body = {"model": "own-ranker", "query": "ruby", "documents": ["a", "b"], "top_n": 1, "return_documents": True}
    answer = posted(gateway, "/v1/rerank", body).json()
    assert answer["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    upstream.handler = provider


def test_a_hard_budget_holds_every_search_of_a_rerank(gateway: GatewayProcess) -> None:
    body = {"model": "ranker", "query": "ruby", "documents": ["a"] * 1000}
    assert posted(gateway, "/v1/rerank", body, gateway.new_key(max_budget=0.015)).status_code == 422
    assert posted(gateway, "/v1/rerank", body, gateway.new_key(max_budget=0.05)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"model": "embed"}, "input"),
        ("/v1/embeddings", {"model": "embed", "input": 5}, "input"),
        ("/v1/embeddings", {"model": "embed", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ("/v1/embeddings", {"model": "embed", "input": "x", "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"model": "embed", "input": "x", "stream": True}, "stream"),
        ("/v1/embeddings", {"input": "x"}, "model"),
        ("/v1/moderations", {}, "input"),
        ("/v1/rerank", {"model": "ranker", "documents": ["a"]}, "query"),
        ("/v1/rerank", {"model": "ranker", "query": "x", "documents": "a"}, "documents"),
    ],
)
def test_bad_input_is_named(gateway: GatewayProcess, path: str, body: dict[str, Any], param: str) -> None:
    answer = posted(gateway, path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("name", "path", "instead"),
    [
        (
            "chatty",
            "/v1/embeddings",
            "/v1/chat/completions, /v1/messages, /v1/responses, /v1beta/models/{model}:generateContent, /v1/completions",
        ),
        ("embed", "/v1/chat/completions", "/v1/embeddings"),
        ("ranker", "/v1/embeddings", "/v1/rerank"),
    ],
)
def test_an_endpoint_that_the_model_does_not_serve_names_those_it_does(gateway: GatewayProcess, name: str, path: str, instead: str) -> None:
    body = {"model": name, "input": "x", "messages": [{"role": "user", "content": "x"}]}
    answer = posted(gateway, path, body)
    assert answer.status_code == 400
    assert f"it can be called at {instead}." in answer.json()["error"]["message"].replace(";", ".")
