"""The Gemini API for our callers, against recordings: passed through where the provider speaks it, else translated from and to chat."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.cloud_recordings import Exchange, camel, exchanges, gemini_documents, gemini_reading
from tests.support.recordings import Answer, Recording, hub_answers, hub_stream_answers, recordings, splits
from tests.support.wire import decode_stream, target

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Target
from tollkeeper.dialects.native_gemini import NativeGenerate
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.gemini_answer import GenerateFrames, PassedGenerate, generated
from tollkeeper.edge.gemini_request import check_generate, check_stream, generate_to_hub
from tollkeeper.errors import BadRequest, UpstreamError

WHOLE = ("gemini/generateContent", "vertex/generateContent")
STREAMS = ("gemini/streamGenerateContent", "vertex/streamGenerateContent")
NATIVE = NativeGenerate()
REQUEST = {"model": "the-alias", "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
CHATS = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages", "cohere.v2": "cohere_v2", "ollama.native": "ollama_chat"}
OTHERS = [
    Deployment("d", "alias", "openai", "openai_chat", "gpt-5", "https://up.example/v1"),
    Deployment("d", "alias", "anthropic", "anthropic_messages", "claude-sonnet-4-5", "https://up.example"),
]


def aimed(exchange: Exchange) -> Target:
    base, _, rest = exchange.url.partition("/models/")
    return Target(model=rest.partition(":")[0], base_url=base, alias="the-alias", provider="gemini", created=1_700_000_000)


def renamed(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "modelVersion": "the-alias"} if "modelVersion" in document else document


@pytest.mark.parametrize("exchange", exchanges(*WHOLE, *STREAMS) + exchanges(*WHOLE, *STREAMS, failed=True))
def test_a_request_arrives_as_it_was_sent(exchange: Exchange) -> None:
    streamed = "stream" in exchange.url
    body = (check_stream if streamed else check_generate)({**exchange.request, "model": "the-alias", "num_retries": 1}, {})
    wire = NATIVE.encode(body, aimed(exchange))
    sent, meant = json.loads(wire.body), camel(exchange.request)
    assert camel(sent) == ({**meant, "contents": [meant["contents"]]} if isinstance(meant["contents"], dict) else meant)
    assert urlsplit(wire.url).path == urlsplit(exchange.url).path


@pytest.mark.parametrize("exchange", exchanges(*WHOLE))
def test_a_buffered_answer_is_googles_but_for_the_model(exchange: Exchange) -> None:
    answer = NATIVE.decode(exchange.body, aimed(exchange))
    assert answer == renamed(json.loads(exchange.body))
    counts = gemini_reading(exchange.body)[1]
    if "totalTokenCount" in counts:
        usage = usage_from_hub(NATIVE.usage(answer) or {})
        assert usage.input + usage.output == counts["totalTokenCount"]


@pytest.mark.parametrize("exchange", exchanges(*STREAMS))
def test_a_stream_is_googles_but_for_the_model(exchange: Exchange) -> None:
    original = [renamed(document) for document in gemini_documents(exchange.body)]
    for pieces in splits(exchange.body, everywhere_below=300, places=3):
        chunks, error = decode_stream(pieces, NATIVE.stream_decoder(aimed(exchange)))
        assert error is None
        assert any(chunk.has_content for chunk in chunks)
        assert gemini_documents(PassedGenerate(REQUEST).feed(chunks)) == original


@pytest.mark.parametrize("deployment", OTHERS, ids=["openai", "anthropic"])
@pytest.mark.parametrize("exchange", exchanges(*WHOLE, *STREAMS))
def test_every_recorded_request_can_be_said_elsewhere_or_is_refused_by_name(exchange: Exchange, deployment: Deployment) -> None:
    body = check_generate({**exchange.request, "model": "alias"}, {})
    try:
        hub = generate_to_hub(body, deployment)
    except BadRequest as refusal:
        assert refusal.param in {"tools", "contents", "cachedContent"}
        return
    aim = Target(deployment.model, deployment.base_url, "alias", deployment.provider, drop_params=True)
    sent = json.dumps(json.loads(registry.get(deployment.dialect).encode(hub, aim).body))
    for content in body["contents"]:
        for part in content.get("parts") or []:
            if isinstance(part.get("text"), str) and not part.get("thought"):
                assert json.dumps(part["text"])[1:-1] in sent
            if call := part.get("functionCall") or part.get("function_call"):
                assert call["name"] in sent


def chats(*kinds: str) -> list[Any]:
    found = [param for dialect in CHATS for kind in kinds for param in recordings(dialect, kind=kind)]
    return [param for param in found if param.values[0] is not None] or found[:1]


def told(answer: Answer) -> Answer:
    """What Gemini has a word for: a refusal is text, and arguments that the limit cut are no object."""
    tools = [(name, value if isinstance(value, dict) else {}) for name, value in answer.tools]
    return Answer(answer.text + answer.refusal, answer.reasoning, "", tools, "tool_calls" if tools else answer.finish)


def same(found: Answer, expected: Answer) -> None:
    found.finish = "tool_calls" if found.tools else found.finish
    expected = told(expected)
    if expected.finish == "stop" or not found.tools:
        assert found.finish == (expected.finish if expected.finish in {"stop", "length", "content_filter", "tool_calls"} else "stop")
    assert (found.text, found.reasoning, found.tools) == (expected.text, expected.reasoning, expected.tools)


@pytest.mark.parametrize("recording", chats("json"))
def test_a_chats_answer_is_googles(recording: Recording) -> None:
    aim = target(recording)
    try:
        hub = registry.get(CHATS[recording.dialect]).decode(recording.body, aim)
    except UpstreamError:
        pytest.skip("an error under HTTP 200")
    if any(choice["message"].get("audio") for choice in hub["choices"]):
        pytest.skip("speaks: its transcript is text to Google")
    answer = generated(hub, REQUEST)
    expected = hub_answers(hub)
    assert len(answer["candidates"]) == len(expected)
    first = {**answer, "candidates": answer["candidates"][:1]}
    same(gemini_reading(json.dumps(first).encode())[0], expected[min(expected)])
    usage = usage_from_hub(hub.get("usage") or {})
    assert answer["usageMetadata"]["totalTokenCount"] == usage.input + usage.output


@pytest.mark.parametrize("recording", chats("sse", "ndjson"))
def test_a_chats_stream_is_googles(recording: Recording) -> None:
    chunks, error = decode_stream([recording.body], registry.get(CHATS[recording.dialect]).stream_decoder(target(recording)))
    if error is not None:
        pytest.skip("ends with an error")
    frames = GenerateFrames(REQUEST)
    documents = gemini_documents(b"".join(frames.feed([chunk]) for chunk in chunks) + frames.end())
    firsts = [{**each, "candidates": [row for row in each["candidates"] if row["index"] == 0]} for each in documents]
    expected = hub_stream_answers([json.loads(chunk.payload()) for chunk in chunks])
    same(gemini_reading(json.dumps(firsts).encode())[0], expected.get(0, Answer(finish="stop")))
    assert [bool(row.get("finishReason")) for each in firsts for row in each["candidates"]][-1]
    assert all("finishReason" not in row for each in documents[:-1] for row in each["candidates"])
