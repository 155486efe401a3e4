"""bedrock_invoke against every recorded InvokeModel exchange that carries Anthropic's Messages, both ways."""

import base64
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.anthropic_requests import meaning, to_hub
from tests.support.cloud_recordings import Exchange, exchanges, frames
from tests.support.recordings import Answer, hub_answers, hub_stream_answers, splits

from tollkeeper import errors
from tollkeeper.dialects.base import Chunk, Target
from tollkeeper.dialects.bedrock_invoke import BedrockInvoke
from tollkeeper.dialects.usage import usage_from_hub

DIALECT = BedrockInvoke()
FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def of_messages(api: str) -> list[Any]:
    """Only those that speak Messages; the other families on InvokeModel are reached through Converse."""
    found = [param for param in exchanges(api) if param.values[0] is not None and "anthropic_version" in (param.values[0].request or {})]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=f"no recordings of {api} at ../shared/recordings"))]


def target(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/model/")
    return Target(model=unquote(rest.split("/")[0]), base_url=base, alias="my-claude", provider="bedrock", created=1_700_000_000)


def decoded(pieces: list[bytes], exchange: Exchange) -> list[Chunk]:
    decoder = DIALECT.stream_decoder(target(exchange))
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


def reading(body: bytes) -> tuple[Answer, dict[str, Any]]:
    answer, usage = Answer(), {}
    tools: dict[int, tuple[str, str]] = {}
    for _, frame in frames(body):
        event = json.loads(base64.b64decode(frame["bytes"]))
        if event["type"] == "message_start":
            usage = event["message"]["usage"]
        elif event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            tools[event["index"]] = (event["content_block"]["name"], "")
        elif event["type"] == "content_block_delta":
            answer.text += event["delta"].get("text", "")
            if event["index"] in tools:
                name, text = tools[event["index"]]
                tools[event["index"]] = (name, text + event["delta"].get("partial_json", ""))
        elif event["type"] == "message_delta":
            answer.finish = FINISHES[event["delta"]["stop_reason"]]
            usage |= event["usage"]
    answer.tools = [(name, json.loads(text or "{}")) for name, text in tools.values()]
    return answer, usage


def one_turn_per_run(body: dict[str, Any]) -> dict[str, Any]:
    """Two user turns in a row mean what one does."""
    turns: list[dict[str, Any]] = []
    for turn in body["messages"]:
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1] = turns[-1] | {"content": turns[-1]["content"] + turn["content"]}
        else:
            turns.append(turn)
    return body | {"messages": turns}


@pytest.mark.parametrize("exchange", of_messages("bedrock/invoke"))
def test_a_whole_answer_says_in_the_hub_what_it_said_to_aws(exchange: Exchange) -> None:
    completion = DIALECT.decode(exchange.body, target(exchange))
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    said = json.loads(exchange.body)
    text = "".join(block.get("text", "") for block in said["content"])
    tools = [(block["name"], block["input"]) for block in said["content"] if block["type"] == "tool_use"]
    assert hub_answers(completion) == {0: Answer(text=text, tools=tools, finish=FINISHES[said["stop_reason"]])}
    assert usage_from_hub(completion["usage"]).output == said["usage"]["output_tokens"]


@pytest.mark.parametrize("exchange", of_messages("bedrock/invoke-stream"))
def test_a_stream_says_in_the_hub_what_it_said_to_aws(exchange: Exchange) -> None:
    chunks = decoded([exchange.body], exchange)
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.payload(), strict=True)
    answer, raw = reading(exchange.body)
    assert hub_stream_answers([chunk.data for chunk in chunks]) == {0: answer}
    assert chunks[-1].usage is not None
    usage = usage_from_hub(chunks[-1].usage)
    read, written = raw.get("cache_read_input_tokens", 0), raw.get("cache_creation_input_tokens", 0)
    assert (usage.input, usage.output) == (raw["input_tokens"] + read + written, raw["output_tokens"])


@pytest.mark.parametrize("exchange", of_messages("bedrock/invoke-stream"))
def test_a_stream_reads_the_same_in_any_split_and_never_ends_falsely(exchange: Exchange) -> None:
    expected = [chunk.payload() for chunk in decoded([exchange.body], exchange)]
    for pieces in splits(exchange.body):
        assert [chunk.payload() for chunk in decoded(pieces, exchange)] == expected
    with pytest.raises(errors.UpstreamProtocolError):
        decoded([exchange.body[: len(exchange.body) // 2]], exchange)


@pytest.mark.parametrize("exchange", [*of_messages("bedrock/invoke"), *of_messages("bedrock/invoke-stream")])
def test_a_request_told_in_the_hub_reaches_aws_with_its_meaning(exchange: Exchange) -> None:
    request = to_hub(exchange.request) | ({"stream": True} if "stream" in exchange.url else {})
    wire = DIALECT.encode(request, target(exchange))
    sent = json.loads(wire.body)
    assert sent["anthropic_version"] == "bedrock-2023-05-31"
    assert not {"model", "stream"} & sent.keys()
    assert one_turn_per_run(meaning(sent)) == one_turn_per_run(meaning(exchange.request))
    assert unquote(urlsplit(wire.url).path) == unquote(urlsplit(exchange.url).path)
