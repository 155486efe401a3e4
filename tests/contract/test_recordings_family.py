"""bedrock_family, embeddings and rerank against what was recorded of them: an answer in its endpoint's words, or a typed error."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.cloud_recordings import Exchange, exchanges
from tests.support.recordings import hub_answers, hub_stream_answers, splits
from tests.support.wire import decode_stream

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.bedrock_family import BedrockFamily
from tollkeeper.dialects.native import native
from tollkeeper.errors import UpstreamAuthFailed, UpstreamError, UpstreamRejected

DIALECT = BedrockFamily()
EMBEDDING = {"cohere": "cohere_v2", "gemini": "gemini_generate"}


def of_family(*apis: str, failed: bool = False) -> list[Any]:
    found = [param for param in exchanges(*apis, failed=failed) if param.values[0] is None or "claude" not in param.values[0].model]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="no such recordings at ../shared/recordings"))]


def target(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/model/")
    return Target(unquote(rest.split("/")[0]), base, "alias", provider="bedrock", created=1_700_000_000)


@pytest.mark.parametrize("exchange", of_family("bedrock/invoke"))
def test_an_answer_and_what_its_headers_count(exchange: Exchange) -> None:
    answer = DIALECT.decode(exchange.body, target(exchange))
    ChatCompletion.model_validate(answer, strict=True)
    said = json.loads(exchange.body)["outputs"][0]
    assert (hub_answers(answer)[0].text, hub_answers(answer)[0].finish) == (said["text"], said["stop_reason"])
    assert DIALECT.usage_in(exchange.headers) == {"prompt_tokens": 6, "completion_tokens": 10, "total_tokens": 16}


@pytest.mark.parametrize("exchange", of_family("bedrock/invoke-stream"))
def test_a_stream_in_every_split(exchange: Exchange) -> None:
    for pieces in splits(exchange.body, everywhere_below=0, places=8):
        chunks, error = decode_stream(pieces, DIALECT.stream_decoder(target(exchange)))
        assert error is None
        data = [json.loads(chunk.payload()) for chunk in chunks]
        for chunk in data:
            ChatCompletionChunk.model_validate(chunk, strict=True)
        answer = hub_stream_answers(data)[0]
        assert ([name for name, _ in answer.tools], answer.finish) == (["structured_output"], "tool_calls")
        assert data[-1]["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("exchange", of_family("bedrock/invoke", "bedrock/invoke-stream", failed=True))
def test_a_refusal_is_typed(exchange: Exchange) -> None:
    error = DIALECT.decode_error(exchange.status, exchange.headers, exchange.body, target(exchange))
    assert isinstance(error, UpstreamRejected | UpstreamAuthFailed)
    assert json.loads(exchange.body)["message"][:40] in error.message


EMBEDDED = [f"{name}/embeddings" for name in ("azure", "cohere", "doubleword", "gemini", "mistral", "ollama", "openai")]


@pytest.mark.parametrize("exchange", exchanges(*EMBEDDED))
def test_recorded_vectors(exchange: Exchange) -> None:
    provider = exchange.name.split("/")[0]
    if ":embedContent" in exchange.url:
        return  # one text at a time; ours asks for batches
    dialect = native("embeddings", EMBEDDING.get(provider, "openai_chat"))
    assert dialect is not None
    answer = dialect.decode(exchange.body, Target("m", "https://x", "alias", provider=provider))
    assert answer["model"] == "alias"
    assert answer["data"]
    assert all(isinstance(row["embedding"], list | str) and row["embedding"] for row in answer["data"])
    if provider != "cohere":  # billed by the image
        if isinstance(answer["data"][0]["embedding"], list):  # base64 is decoded by OpenAI's client
            CreateEmbeddingResponse.model_validate(answer, strict=False)
        assert (dialect.usage(answer) or {})["prompt_tokens"] > 0


@pytest.mark.parametrize("exchange", exchanges("cohere/rerank"))
def test_a_recorded_rerank(exchange: Exchange) -> None:
    dialect = native("rerank", "cohere_v2")
    assert dialect is not None
    at = Target(exchange.model, "https://api.cohere.com", "alias", provider="cohere")
    assert json.loads(dialect.encode(exchange.request, at).body) == exchange.request
    answer = dialect.decode(exchange.body, at)
    assert [row["index"] for row in answer["results"]] == [0, 2]
    assert (dialect.usage(answer) or {})["search_units"] == 1


@pytest.mark.parametrize(
    "exchange",
    exchanges("cohere/embeddings", "mistral/embeddings", "llamacpp/embeddings", "llamacpp/rerank", "vertex/predict", failed=True),
)
def test_recorded_refusals(exchange: Exchange) -> None:
    provider = exchange.name.split("/")[0]
    dialect = native("embeddings", {**EMBEDDING, "vertex": "gemini_generate"}.get(provider, "openai_chat"))
    assert dialect is not None
    error = dialect.decode_error(exchange.status, exchange.headers, exchange.body, Target("m", "https://x", "alias", provider=provider))
    assert isinstance(error, UpstreamError)
    assert error.upstream_status == exchange.status
