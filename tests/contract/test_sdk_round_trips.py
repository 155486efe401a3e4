"""Each provider's own client and our gateway ask the same replayed provider the same thing: they must understand the same answer, and what
they sent must mean the same.

The gateway is the running program, asked through the official `openai` client. Google's client is not locked here, so AI Studio is asked in
plain HTTP and read by hand.
"""

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import anthropic
import boto3
import botocore.config
import httpx
import openai
import pytest
from tests.support.anthropic_requests import meaning, to_hub
from tests.support.cloud_recordings import (
    Exchange,
    converse_meaning,
    converse_reading,
    converse_stream_reading,
    converse_to_hub,
    exchanges,
    gemini_meaning,
    gemini_reading,
    gemini_to_hub,
)
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of
from tests.support.recordings import Answer, arguments, hub_answers, hub_stream_answers
from tests.support.upstream import Received, Reply, Upstream

from tollkeeper.dialects.eventstream import encode_message

pytestmark = pytest.mark.filterwarnings("ignore:The model '.*' is deprecated:DeprecationWarning")

Json = dict[str, Any]
Read = tuple[Answer, tuple[int, int]]
"""The answer, and input and output tokens as the bill counts them."""

FINISHES = {"tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}


# OpenAI


def openai_asked(exchange: Exchange) -> Json:
    return dict(exchange.request)


def openai_direct(exchange: Exchange, url: str) -> Read:
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        return openai_read(client, exchange.request)


def openai_read(client: openai.OpenAI, request: Json) -> Read:
    rest = {name: value for name, value in request.items() if name not in {"model", "messages", "stream"}}
    asked = partial(client.chat.completions.create, model=request["model"], messages=request["messages"], extra_body=rest)
    if not request.get("stream"):
        body = asked().model_dump()
        return hub_answers(body)[0], tokens(body["usage"])
    with asked(stream=True) as stream:
        chunks = [chunk.model_dump() for chunk in stream]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return hub_stream_answers(chunks)[0], tokens(usages[-1]) if usages else (0, 0)


def tokens(usage: Json) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def openai_means(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in {"model", "stream_options", "stream"}}


# Anthropic, itself and on Vertex


def anthropic_asked(exchange: Exchange) -> Json:
    return to_hub(exchange.request)


def anthropic_direct(exchange: Exchange, url: str) -> Read:
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        return anthropic_read(client, exchange.request)


def vertex_direct(exchange: Exchange, url: str) -> Read:
    body = {name: value for name, value in exchange.request.items() if name != "anthropic_version"}
    model = exchange.url.partition("/models/")[2].partition(":")[0]
    with anthropic.AnthropicVertex(access_token="t", project_id="p", region="l", base_url=f"{url}/v1", max_retries=0) as client:
        return anthropic_read(client, {**body, "model": model})


def anthropic_read(client: Any, request: Json) -> Read:
    named = {"model", "messages", "max_tokens", "stream"}
    given = {name: request[name] for name in ("model", "messages", "max_tokens")}
    extra = {name: value for name, value in request.items() if name not in named}
    if not request.get("stream"):
        message = client.messages.create(**given, extra_body=extra, timeout=30)
    else:
        with client.messages.stream(**given, extra_body=extra) as stream:
            message = stream.get_final_message()
    said = message.model_dump(warnings=False)  # beta blocks the stable types do not know
    usage = said["usage"]
    read = sum(usage[name] or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
    blocks = said["content"]
    tools = [(block["name"], arguments(block["input"])) for block in blocks if block["type"] == "tool_use"]
    answer = Answer(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tools=tools,
        finish=FINISHES.get(said["stop_reason"], "tool_calls" if tools else "stop"),
    )
    return answer, (read, usage["output_tokens"])


# Bedrock


def bedrock_asked(exchange: Exchange) -> Json:
    return converse_to_hub(exchange.request, stream=exchange.kind == "eventstream")


def bedrock_model(exchange: Exchange) -> str:
    return unquote(exchange.url.partition("/model/")[2].split("/")[0])


def bedrock_direct(exchange: Exchange, url: str) -> Read:
    config = botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
    client = boto3.client("bedrock-runtime", endpoint_url=url, config=config, **keys)
    request = {"modelId": bedrock_model(exchange), **with_bytes(exchange.request)}
    try:
        if exchange.kind == "eventstream":
            events = list(client.converse_stream(**request)["stream"])
            return boto_stream(events)
        return boto_whole(client.converse(**request))
    finally:
        client.close()


def with_bytes(value: Any, name: str = "") -> Any:
    """What is base64 on the wire is bytes to boto3."""
    if isinstance(value, dict):
        return {key: with_bytes(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [with_bytes(item) for item in value]
    return base64.b64decode(value) if name in {"bytes", "redactedContent"} and isinstance(value, str) else value


def boto_whole(said: Json) -> Read:
    plain = {name: value for name, value in said.items() if name in {"output", "stopReason", "usage"}}
    answer, usage = converse_reading(json.dumps(plain, default=repr).encode())
    return answer, bedrock_tokens(usage)


def boto_stream(events: list[Json]) -> Read:
    """boto3's events, framed again for the reader that knows the frames."""
    framed = b"".join(
        encode_message({":event-type": name}, json.dumps(value, default=repr).encode()) for event in events for name, value in event.items()
    )
    answer, usage = converse_stream_reading(framed)
    return answer, bedrock_tokens(usage)


def bedrock_tokens(usage: Json) -> tuple[int, int]:
    read = sum(usage.get(name, 0) for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))
    return read, usage.get("outputTokens", 0)


# Gemini


def gemini_asked(exchange: Exchange) -> Json:
    return gemini_to_hub(exchange.request, exchange.model, stream="streamGenerateContent" in exchange.url)


def gemini_direct(exchange: Exchange, url: str) -> Read:
    path = exchange.url.partition("googleapis.com")[2]
    answered = httpx.post(f"{url}{path}", json=exchange.request, headers={"x-goog-api-key": "k"}, trust_env=False)
    answer, usage = gemini_reading(answered.content)
    read = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    return answer, (read, usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0))


# The cases


def openai_row(exchange: Exchange, url: str) -> Json:
    return {"model": f"openai/{exchange.model}", "api_base": f"{url}/v1", "api_key": "k"}


def anthropic_row(exchange: Exchange, url: str) -> Json:
    return {"model": f"anthropic/{exchange.model}", "api_base": url, "api_key": "k"}


def vertex_row(exchange: Exchange, url: str) -> Json:
    place = "projects/p/locations/l/publishers/anthropic"
    user = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
        "token_uri": url.split("/case/", maxsplit=1)[0] + "/token",
    }
    model = exchange.url.partition("/models/")[2].partition(":")[0]
    return {"model": f"vertex_ai/{model}", "api_base": f"{url}/v1/{place}", "vertex_project": "p", "vertex_credentials": json.dumps(user)}


def bedrock_row(exchange: Exchange, url: str) -> Json:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "aws_region_name": "eu-west-1"}
    return {"model": f"bedrock/{bedrock_model(exchange)}", "api_base": url, **keys}


def gemini_row(exchange: Exchange, url: str) -> Json:
    version = exchange.url.partition("googleapis.com/")[2].split("/")[0]
    model = exchange.url.partition("/models/")[2].partition(":")[0]
    return {"model": f"gemini/{model}", "api_base": f"{url}/{version}", "api_key": "k"}


Row = Callable[[Exchange, str], Json]
KINDS: dict[str, tuple[Row, Callable[[Exchange], Json], Callable[[Exchange, str], Read], Callable[[Json], Json]]] = {
    "openai/chat": (openai_row, openai_asked, openai_direct, openai_means),
    "anthropic/messages": (anthropic_row, anthropic_asked, anthropic_direct, meaning),
    "vertex/rawPredict": (vertex_row, anthropic_asked, vertex_direct, meaning),
    "bedrock/converse": (bedrock_row, bedrock_asked, bedrock_direct, converse_meaning),
    "bedrock/converse-stream": (bedrock_row, bedrock_asked, bedrock_direct, converse_meaning),
    "gemini/generateContent": (gemini_row, gemini_asked, gemini_direct, gemini_meaning),
    "gemini/streamGenerateContent": (gemini_row, gemini_asked, gemini_direct, gemini_meaning),
}


def usable(exchange: Exchange | None) -> bool:
    """An answer to a request that was recorded too. Streams that fail in the middle have a suite of their own."""
    return exchange is not None and isinstance(exchange.request, dict) and b"event: error" not in exchange.body


ALL = [param for api in KINDS for param in exchanges(api) if usable(param.values[0])]
NUMBERS = {param.values[0].name: number for number, param in enumerate(ALL)}
CASES = ALL or [pytest.param(None, marks=pytest.mark.skip(reason="no recordings at ../shared/recordings"))]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    def replay(request: Received) -> Reply:
        if request.path == "/token":
            return Reply(200, {"content-type": "application/json"}, [b'{"access_token": "t", "expires_in": 3600}'])
        exchange = ALL[int(request.path.split("/")[2])].values[0]
        return Reply(exchange.status, {"content-type": exchange.headers.get("content-type", "application/json")}, [exchange.body])

    with Upstream(replay) as server:
        yield server


@pytest.fixture(scope="module")
def client(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    rows = [
        {"model_name": f"m{number}", "litellm_params": KINDS[kind_of(param.values[0])][0](param.values[0], f"{upstream.url}/case/{number}")}
        for number, param in enumerate(ALL)
    ]
    config = config_of(*rows, router_settings={"num_retries": 0}, litellm_settings={"drop_params": True})
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    with openai.OpenAI(api_key=MASTER_KEY, base_url=f"{process.url}/v1", max_retries=0) as made:
        yield made
    process.stop()


def kind_of(exchange: Exchange) -> str:
    return exchange.name.rpartition("/")[0]


@pytest.mark.parametrize("exchange", CASES)
def test_the_providers_own_client_and_the_gateway_understand_the_same(
    exchange: Exchange, upstream: Upstream, client: openai.OpenAI
) -> None:
    _, asked, direct, means = KINDS[kind_of(exchange)]
    number = NUMBERS[exchange.name]
    before = len(upstream.received)
    theirs, their_tokens = direct(exchange, f"{upstream.url}/case/{number}")
    request = {"stream_options": {"include_usage": True}, **asked(exchange), "model": f"m{number}"}
    if not request.get("stream"):
        del request["stream_options"]
    ours, our_tokens = openai_read(client, request)
    assert ours == theirs
    if their_tokens != (0, 0):
        assert our_tokens == their_tokens
    sent = [received for received in upstream.received[before:] if received.path != "/token"]
    assert unquote(urlsplit(sent[0].path).path) == unquote(urlsplit(sent[-1].path).path)
    assert means(sent[0].json) == means(sent[-1].json)
