"""gemini_generate against every recorded exchange with AI Studio and Vertex, both ways."""

import json
from urllib.parse import urlsplit

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.cloud_recordings import Exchange, exchanges, gemini_documents, gemini_meaning, gemini_reading, gemini_to_hub
from tests.support.recordings import hub_answers, hub_stream_answers, splits

from tollkeeper import errors
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.gemini_generate import GeminiGenerate
from tollkeeper.dialects.usage import usage_from_hub

WHOLE = ("gemini/generateContent", "vertex/generateContent")
STREAMS = ("gemini/streamGenerateContent", "vertex/streamGenerateContent")
DIALECT = GeminiGenerate()


def target(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/models/")
    return Target(model=rest.partition(":")[0], base_url=base, alias="my-gemini", provider="gemini", created=1_700_000_000)


def decoded(pieces: list[bytes], exchange: Exchange) -> list[Chunk]:
    decoder = DIALECT.stream_decoder(target(exchange))
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize("exchange", exchanges(*WHOLE))
def test_a_whole_answer_says_in_the_hub_what_it_said_to_google(exchange: Exchange) -> None:
    completion = DIALECT.decode(exchange.body, target(exchange))
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    answer, usage = gemini_reading(exchange.body)
    assert hub_answers(completion) == {0: answer}
    assert completion["model"] == "my-gemini"
    assert_usage(completion.get("usage"), usage)


@pytest.mark.parametrize("exchange", exchanges(*STREAMS))
def test_a_stream_says_in_the_hub_what_it_said_to_google(exchange: Exchange) -> None:
    chunks = decoded([exchange.body], exchange)
    data = [chunk.data for chunk in chunks]
    for chunk in data:
        ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
    answer, usage = gemini_reading(exchange.body)
    assert hub_stream_answers(data) == {0: answer}
    assert data[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"] for chunk in data if "usage" in chunk] == [[]]
    assert chunks[-1].usage == data[-1]["usage"]
    assert_usage(chunks[-1].usage, usage)
    assert len({chunk["id"] for chunk in data}) == 1


@pytest.mark.parametrize("exchange", exchanges(*STREAMS))
def test_a_stream_reads_the_same_in_any_split(exchange: Exchange) -> None:
    expected = [chunk.payload() for chunk in decoded([exchange.body], exchange)]
    for pieces in splits(exchange.body):
        assert [chunk.payload() for chunk in decoded(pieces, exchange)] == expected


@pytest.mark.parametrize("exchange", exchanges(*STREAMS))
def test_a_stream_without_its_finish_is_an_error(exchange: Exchange) -> None:
    """Cut before the event that holds finishReason: never a false end."""
    cut = exchange.body.index(b"finishReason")
    with pytest.raises(errors.UpstreamProtocolError):
        decoded([exchange.body[:cut]], exchange)


@pytest.mark.parametrize("exchange", exchanges(*WHOLE))
def test_buffered_and_streamed_answers_agree(exchange: Exchange) -> None:
    """A whole answer sent as the only event of a stream means the same, ids included."""
    completion = DIALECT.decode(exchange.body, target(exchange))
    event = b"data: " + json.dumps(gemini_documents(exchange.body)[0]).encode() + b"\r\n\r\n"
    data = [chunk.data for chunk in decoded([event], exchange)]
    assert hub_stream_answers(data) == hub_answers(completion)
    streamed = [call["id"] for chunk in data for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert streamed == [call["id"] for call in completion["choices"][0]["message"].get("tool_calls", ())]
    if "usage" in completion:
        assert data[-1]["usage"] == completion["usage"]


EXPECTED = {400: errors.UpstreamRejected, 404: errors.UpstreamRejected, 429: errors.UpstreamRateLimited}


@pytest.mark.parametrize("exchange", exchanges(*WHOLE, *STREAMS, failed=True))
def test_an_error_is_typed(exchange: Exchange) -> None:
    said = json.loads(exchange.body)["error"]
    bad_key = "API_KEY_INVALID" in exchange.body.decode()
    expected = errors.UpstreamAuthFailed if bad_key else EXPECTED.get(exchange.status, errors.UpstreamFailed)
    error = DIALECT.decode_error(exchange.status, exchange.headers, exchange.body, target(exchange))
    assert type(error) is expected
    assert error.upstream_status == exchange.status
    assert said["message"] in error.message
    assert error.status == (401 if bad_key else exchange.status)
    if exchange.status == 429:
        assert error.retry_after == 23.0


@pytest.mark.parametrize("exchange", exchanges(*STREAMS, failed=True))
def test_the_same_error_under_200_ends_the_stream(exchange: Exchange) -> None:
    decoder = DIALECT.stream_decoder(target(exchange))
    with pytest.raises(StreamFailed) as caught:
        decoder.feed(exchange.body)
    expected = DIALECT.decode_error(exchange.status, {}, exchange.body, target(exchange))
    assert (type(caught.value.error), caught.value.error.message) == (type(expected), expected.message)


@pytest.mark.parametrize("exchange", [*exchanges(*WHOLE, *STREAMS), *exchanges(*WHOLE, *STREAMS, failed=True)])
def test_a_request_told_in_the_hub_reaches_google_with_its_meaning(exchange: Exchange) -> None:
    if any(content["role"] not in {"user", "model"} for content in exchange.request["contents"]):
        pytest.skip("the recorder sent a role that Google refuses; the hub refuses it itself")
    stream = "streamGenerateContent" in exchange.url
    request = gemini_to_hub(exchange.request, exchange.model, stream=stream)
    before = json.dumps(request)
    wire = DIALECT.encode(request, target(exchange))
    assert json.dumps(request) == before
    assert gemini_meaning(json.loads(wire.body)) == gemini_meaning(exchange.request)
    assert urlsplit(wire.url).path == urlsplit(exchange.url).path
    assert wire.url.endswith(":streamGenerateContent?alt=sse" if stream else ":generateContent")


def assert_usage(ours: dict | None, recorded: dict) -> None:
    if not recorded:
        assert ours is None
        return
    usage = usage_from_hub(ours)
    assert usage.input == recorded.get("promptTokenCount", 0) + recorded.get("toolUsePromptTokenCount", 0)
    assert usage.output == recorded.get("candidatesTokenCount", 0) + recorded.get("thoughtsTokenCount", 0)
    assert usage.reasoning == recorded.get("thoughtsTokenCount", 0)
    assert usage.cache_read == recorded.get("cachedContentTokenCount", 0)
    audio = [detail["tokenCount"] for detail in recorded.get("promptTokensDetails", []) if detail["modality"] == "AUDIO"]
    assert usage.audio_input == sum(audio)
    if "totalTokenCount" in recorded:
        assert ours["total_tokens"] == recorded["totalTokenCount"]
