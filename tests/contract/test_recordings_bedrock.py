"""bedrock_converse against every recorded Converse and ConverseStream exchange, both ways."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.cloud_recordings import (
    Exchange,
    converse_meaning,
    converse_reading,
    converse_stream_reading,
    converse_to_hub,
    exchanges,
    frames,
)
from tests.support.recordings import hub_answers, hub_stream_answers, splits

from tollkeeper import errors
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.bedrock_converse import BedrockConverse
from tollkeeper.dialects.eventstream import encode_message
from tollkeeper.dialects.usage import usage_from_hub

WHOLE, STREAM = "bedrock/converse", "bedrock/converse-stream"
DIALECT = BedrockConverse()


def target(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/model/")
    return Target(model=unquote(rest.split("/")[0]), base_url=base, alias="my-bedrock", provider="bedrock", created=1_700_000_000)


def decoded(pieces: list[bytes], exchange: Exchange) -> list[Chunk]:
    decoder = DIALECT.stream_decoder(target(exchange))
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize("exchange", exchanges(WHOLE))
def test_a_whole_answer_says_in_the_hub_what_it_said_to_aws(exchange: Exchange) -> None:
    completion = DIALECT.decode(exchange.body, target(exchange))
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    answer, usage = converse_reading(exchange.body)
    assert hub_answers(completion) == {0: answer}
    assert completion["model"] == "my-bedrock"
    assert_usage(completion["usage"], usage)


@pytest.mark.parametrize("exchange", exchanges(STREAM))
def test_a_stream_says_in_the_hub_what_it_said_to_aws(exchange: Exchange) -> None:
    chunks = decoded([exchange.body], exchange)
    data = [chunk.data for chunk in chunks]
    for chunk in data:
        ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
    answer, usage = converse_stream_reading(exchange.body)
    assert hub_stream_answers(data) == {0: answer}
    assert len({chunk["id"] for chunk in data}) == 1
    if usage:
        assert [chunk["choices"] for chunk in data if "usage" in chunk] == [[]]
        assert_usage(chunks[-1].usage, usage)
    else:
        assert not any("usage" in chunk for chunk in data)


@pytest.mark.parametrize("exchange", exchanges(STREAM))
def test_a_stream_reads_the_same_in_any_split(exchange: Exchange) -> None:
    expected = [chunk.payload() for chunk in decoded([exchange.body], exchange)]
    for pieces in splits(exchange.body):
        assert [chunk.payload() for chunk in decoded(pieces, exchange)] == expected


@pytest.mark.parametrize("exchange", exchanges(STREAM))
def test_a_stream_cut_before_its_stop_is_an_error_at_every_place(exchange: Exchange) -> None:
    body, stop = exchange.body, exchange.body.index(b"messageStop")
    for cut in (*range(1, min(stop, 200)), stop):
        with pytest.raises(errors.UpstreamProtocolError):
            decoded([body[:cut]], exchange)


@pytest.mark.parametrize("exchange", exchanges(STREAM))
def test_a_damaged_byte_is_noticed(exchange: Exchange) -> None:
    for place in range(0, len(exchange.body), max(1, len(exchange.body) // 50)):
        damaged = bytearray(exchange.body)
        damaged[place] ^= 0x20
        with pytest.raises((StreamFailed, errors.UpstreamProtocolError)):
            decoded([bytes(damaged)], exchange)


@pytest.mark.parametrize("exchange", exchanges(STREAM))
def test_an_exception_frame_ends_the_stream_with_a_typed_error(exchange: Exchange) -> None:
    """The answer so far, then throttled: nothing recorded has this, the service documents it."""
    body = exchange.body[: exchange.body.index(b"messageStop") - 40]
    whole = _whole_frames(body)
    headers = {":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"}
    decoder = DIALECT.stream_decoder(target(exchange))
    with pytest.raises(StreamFailed) as caught:
        decoder.feed(whole + encode_message(headers, b'{"message":"Too many tokens."}'))
    assert type(caught.value.error) is errors.UpstreamRateLimited
    assert caught.value.error.message == "Too many tokens."
    assert len(caught.value.chunks) >= 1


EXPECTED = {400: errors.UpstreamRejected, 403: errors.UpstreamAuthFailed, 404: errors.UpstreamRejected}
EXPECTED |= {429: errors.UpstreamRateLimited, 503: errors.UpstreamFailed}


@pytest.mark.parametrize("exchange", exchanges(WHOLE, STREAM, "bedrock/invoke", "bedrock/invoke-stream", failed=True))
def test_an_error_is_typed(exchange: Exchange) -> None:
    said: Any = json.loads(exchange.body)
    error = DIALECT.decode_error(exchange.status, exchange.headers, exchange.body, target(exchange))
    assert type(error) is EXPECTED[exchange.status]
    assert error.upstream_status == exchange.status
    assert said.get("message", said.get("Message")) in error.message
    name = exchange.headers.get("x-amzn-errortype", "").split(":")[0]
    assert (error.code or "") == name


@pytest.mark.parametrize("exchange", [*exchanges(WHOLE, STREAM), *exchanges(WHOLE, STREAM, failed=True)])
def test_a_request_told_in_the_hub_reaches_aws_with_its_meaning(exchange: Exchange) -> None:
    stream = exchange.url.endswith("converse-stream")
    request = converse_to_hub(exchange.request, stream=stream)
    before = json.dumps(request)
    wire = DIALECT.encode(request, target(exchange))
    assert json.dumps(request) == before
    assert converse_meaning(json.loads(wire.body)) == converse_meaning(exchange.request)
    assert unquote(urlsplit(wire.url).path) == unquote(urlsplit(exchange.url).path)
    assert ":" not in urlsplit(wire.url).path


def assert_usage(ours: dict[str, Any] | None, recorded: dict[str, Any]) -> None:
    assert ours is not None
    usage = usage_from_hub(ours)
    read, written = recorded.get("cacheReadInputTokens", 0), recorded.get("cacheWriteInputTokens", 0)
    assert usage.input == recorded["inputTokens"] + read + written
    assert (usage.cache_read, usage.cache_creation, usage.output) == (read, written, recorded["outputTokens"])
    assert ours["total_tokens"] == recorded["totalTokens"]


def _whole_frames(body: bytes) -> bytes:
    """The messages that are complete in a cut stream."""
    at = 0
    while at + 4 <= len(body) and at + (size := int.from_bytes(body[at : at + 4], "big")) <= len(body):
        at += size
    assert frames(body[:at])
    return body[:at]
