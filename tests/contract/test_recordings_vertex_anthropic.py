"""vertex_anthropic against every recorded rawPredict exchange, both ways. What the answers say is read as in the suite of the Messages API;
here it must be the same through Vertex's envelope.
"""

import json
from urllib.parse import urlsplit

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.anthropic_requests import meaning, to_hub
from tests.support.cloud_recordings import Exchange, exchanges
from tests.support.recordings import Answer, hub_answers, hub_stream_answers, splits, sse_data

from tollkeeper.dialects.base import Chunk, Target
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.dialects.vertex_anthropic import VertexAnthropic
from tollkeeper.errors import UpstreamProtocolError

DIALECT = VertexAnthropic()
FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}
ALL = "vertex/rawPredict"


def target(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/models/")
    return Target(model=rest.partition(":")[0], base_url=base, alias="my-claude", provider="vertex_ai", created=1_700_000_000)


def decoded(pieces: list[bytes], exchange: Exchange) -> list[Chunk]:
    decoder = DIALECT.stream_decoder(target(exchange))
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize("exchange", exchanges(ALL, kinds=("json",)))
def test_a_whole_answer_says_in_the_hub_what_it_said_to_google(exchange: Exchange) -> None:
    completion = DIALECT.decode(exchange.body, target(exchange))
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    said = json.loads(exchange.body)
    text = "".join(block.get("text", "") for block in said["content"])
    thought = "".join(block.get("thinking", "") for block in said["content"])
    tools = [(block["name"], block["input"]) for block in said["content"] if block["type"] == "tool_use"]
    assert hub_answers(completion) == {0: Answer(text, reasoning=thought, tools=tools, finish=FINISHES[said["stop_reason"]])}
    assert usage_from_hub(completion["usage"]).output == said["usage"]["output_tokens"]


@pytest.mark.parametrize("exchange", exchanges(ALL, kinds=("sse",)))
def test_a_stream_says_the_same_in_any_split_and_never_ends_falsely(exchange: Exchange) -> None:
    chunks = decoded([exchange.body], exchange)
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.payload(), strict=True)
    answer = hub_stream_answers([chunk.data for chunk in chunks])[0]
    events = [event for _, event in sse_data(exchange.body)]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert answer.text == "".join(delta.get("text", "") for delta in deltas)
    assert answer.reasoning == "".join(delta.get("thinking", "") for delta in deltas)
    assert json.dumps(answer.tools).count("{") >= sum("partial_json" in delta for delta in deltas[:1])
    assert answer.finish == next(FINISHES[event["delta"]["stop_reason"]] for event in events if event["type"] == "message_delta")
    expected = [chunk.payload() for chunk in chunks]
    for pieces in splits(exchange.body):
        assert [chunk.payload() for chunk in decoded(pieces, exchange)] == expected
    with pytest.raises(UpstreamProtocolError):
        decoded([exchange.body.split(b"event: message_delta")[0]], exchange)


@pytest.mark.parametrize("exchange", exchanges(ALL))
def test_a_request_told_in_the_hub_reaches_google_with_its_meaning(exchange: Exchange) -> None:
    wire = DIALECT.encode(to_hub(exchange.request), target(exchange))
    sent = json.loads(wire.body)
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in sent
    assert meaning(sent) == meaning(exchange.request)
    path, _, method = urlsplit(wire.url).path.rpartition(":")
    assert path == urlsplit(exchange.url).path.rpartition(":")[0]
    # Google streams from either; its documentation and both SDKs name the second for streams.
    assert method == ("streamRawPredict" if exchange.request.get("stream") else "rawPredict")
