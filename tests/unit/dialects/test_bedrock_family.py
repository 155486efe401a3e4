"""InvokeModel in the words of families other than Claude's."""

import base64
import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.recordings import hub_answers, hub_stream_answers, splits
from tests.support.upstream import chunk, completion
from tests.support.wire import decode_stream

from tollkeeper.dialects.base import Chunk, Target
from tollkeeper.dialects.bedrock_family import BedrockFamily
from tollkeeper.dialects.eventstream import encode_message
from tollkeeper.errors import BadRequest, ContextWindowExceeded, UnsupportedParams, UpstreamProtocolError, UpstreamRateLimited

Json = dict[str, Any]
DIALECT = BedrockFamily()
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 3, "invocationLatency": 9, "firstByteLatency": 1}}
LIMITS = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9}


def target(model: str, **more: Any) -> Target:
    base = "https://bedrock-runtime.eu-west-1.amazonaws.com"
    return Target(model, base, "alias", provider="bedrock", created=1_700_000_000, **more)


def encoded(model: str, at: Target | None = None, **fields: Any) -> tuple[str, Json]:
    wire = DIALECT.encode({"model": "alias", "messages": [{"role": "user", "content": "Hi"}], **fields}, at or target(model))
    return wire.url, json.loads(wire.body)


def framed(*events: Any) -> bytes:
    frames = [json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode() for event in events]
    return b"".join(encode_message({":message-type": "event", ":event-type": "chunk"}, frame) for frame in frames)


def streamed(model: str, body: bytes) -> list[Json]:
    """The chunks, the same in every split."""
    expected: list[Chunk] = []
    for pieces in splits(body, everywhere_below=0, places=12):
        chunks, error = decode_stream(pieces, DIALECT.stream_decoder(target(model)))
        assert error is None
        expected = expected or chunks
        assert [each.payload() for each in chunks] == [each.payload() for each in expected]
    data = [json.loads(each.payload()) for each in expected]
    for each in data:
        ChatCompletionChunk.model_validate(each, strict=True)
    return data


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("meta.llama3-8b-instruct-v1:0", {"max_gen_len": 9, "temperature": 0.5, "top_p": 0.9}),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "<s>[INST] Hi [/INST]", **LIMITS}),
        (
            "amazon.titan-text-express-v1",
            {"inputText": "User: Hi\nBot:", "textGenerationConfig": {"maxTokenCount": 9, "temperature": 0.5, "topP": 0.9}},
        ),
        ("cohere.command-r-v1:0", {"message": "Hi", "max_tokens": 9, "temperature": 0.5, "p": 0.9}),
        ("cohere.command-text-v14", {"max_tokens": 9, "temperature": 0.5, "p": 0.9}),
        ("us.deepseek.r1-v1:0", {"prompt": "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>", **LIMITS}),
        ("openai.gpt-oss-20b-1:0", {"messages": [{"role": "user", "content": "Hi"}], **LIMITS}),
        ("mistral.pixtral-large-2502-v1:0", {"messages": [{"role": "user", "content": "Hi"}], **LIMITS}),
        (
            "amazon.nova-lite-v1:0",
            {"schemaVersion": "messages-v1", "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9}},
        ),
    ],
)
def test_every_family_is_asked_in_its_own_words(model: str, body: Json) -> None:
    for streamed, operation in ((False, "/invoke"), (True, "/invoke-with-response-stream")):
        url, sent = encoded(model, stream=streamed, **LIMITS)
        assert url.endswith(f"/model/{model.replace(':', '%3A')}{operation}")
        assert body.items() <= sent.items()
        assert not {"model", "stream", "stream_options", "max_completion_tokens"} & sent.keys()


def test_an_imported_models_name_says_nothing_and_its_family_does() -> None:
    at = target("arn:aws:bedrock:us-east-1:1:imported-model/x", quirks=frozenset({"family:llama"}))
    assert "max_gen_len" in encoded("", at, max_tokens=3)[1]
    at = target("arn:aws:bedrock:us-east-1:1:imported-model/x", quirks=frozenset({"family:qwen3"}))
    assert encoded("", at, max_tokens=3)[1]["messages"]


def test_a_command_r_conversation_keeps_its_history() -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    _, body = encoded("cohere.command-r-plus-v1:0", messages=talk)
    assert body == {
        "message": "Bye",
        "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"}],
        "preamble": "Be brief.",
    }


@pytest.mark.parametrize(("model", "field"), [("meta.llama3-8b-instruct-v1:0", "stop"), ("amazon.titan-text-express-v1", "top_k")])
def test_what_a_family_lacks_is_refused_by_name(model: str, field: str) -> None:
    with pytest.raises(UnsupportedParams) as caught:
        encoded(model, **{field: ["x"] if field == "stop" else 3})
    assert caught.value.param == field
    with pytest.raises(BadRequest):
        encoded(model, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}}]}])


ANSWERS: list[tuple[str, Json, str, str, int | None]] = [
    ("meta.llama3", {"generation": "Hey", "prompt_token_count": 7, "generation_token_count": 3, "stop_reason": "stop"}, "Hey", "stop", 10),
    ("meta.llama3", {"generation": "He", "prompt_token_count": 7, "generation_token_count": 1, "stop_reason": "length"}, "He", "length", 8),
    ("mistral.mistral-7b", {"outputs": [{"text": "Hey", "stop_reason": "stop"}]}, "Hey", "stop", None),
    (
        "amazon.titan-text",
        {"inputTextTokenCount": 7, "results": [{"tokenCount": 3, "outputText": "Hey", "completionReason": "CONTENT_FILTERED"}]},
        "Hey",
        "content_filter",
        10,
    ),
    ("cohere.command-r", {"text": "Hey", "finish_reason": "COMPLETE", "generation_id": "g"}, "Hey", "stop", None),
    ("cohere.command-text", {"generations": [{"text": "Hey", "finish_reason": "MAX_TOKENS"}]}, "Hey", "length", None),
    ("deepseek.r1", {"choices": [{"text": "<think>\nhm</think>\n\nHey", "stop_reason": "stop"}]}, "Hey", "stop", None),
    ("openai.gpt-oss", completion("<reasoning>hm</reasoning>Hey"), "Hey", "stop", 21),
    (
        "amazon.nova-lite",
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hey"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
        },
        "Hey",
        "stop",
        10,
    ),
]


@pytest.mark.parametrize(("model", "said", "text", "finish", "total"), ANSWERS)
def test_every_familys_answer_is_understood(model: str, said: Json, text: str, finish: str, total: int | None) -> None:
    answer = DIALECT.decode(json.dumps(said).encode(), target(model))
    ChatCompletion.model_validate(answer, strict=True)
    read = hub_answers(answer)[0]
    assert (read.text, read.finish) == (text, finish)
    assert (answer.get("usage") or {}).get("total_tokens") == total
    assert (read.reasoning.strip() == "hm") == ("hm" in json.dumps(said))


STREAMS: list[tuple[str, list[Json]]] = [
    ("meta.llama3", [{"generation": "He"}, {"generation": "y"}, {"generation": "", "stop_reason": "length", **METRICS}]),
    (
        "mistral.mistral-7b",
        [{"outputs": [{"text": "Hey", "stop_reason": None}]}, {"outputs": [{"text": "", "stop_reason": "length"}], **METRICS}],
    ),
    (
        "amazon.titan-text",
        [{"outputText": "Hey", "index": 0, "completionReason": None}, {"outputText": "", "completionReason": "LENGTH", **METRICS}],
    ),
    (
        "cohere.command-r",
        [
            {"event_type": "stream-start", "is_finished": False},
            {"event_type": "text-generation", "text": "Hey"},
            {"event_type": "stream-end", "finish_reason": "MAX_TOKENS", "response": {"text": "Hey"}, **METRICS},
        ],
    ),
    ("deepseek.r1", [{"choices": [{"text": "Hey", "stop_reason": None}]}, {"choices": [{"text": "", "stop_reason": "length"}], **METRICS}]),
    ("openai.gpt-oss", [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hey"}), chunk({}, "length", **METRICS)]),
    (
        "amazon.nova-lite",
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hey"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "max_tokens"}},
            {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3}, "metrics": {}}, **METRICS},
        ],
    ),
]


@pytest.mark.parametrize(("model", "events"), STREAMS)
def test_every_familys_stream_is_understood(model: str, events: list[Json]) -> None:
    data = streamed(model, framed(*events))
    answer = hub_stream_answers(data)[0]
    assert (answer.text, answer.finish) == ("Hey", "length")
    assert {name: data[-1]["usage"][name] for name in ("prompt_tokens", "completion_tokens")} == {
        "prompt_tokens": 7,
        "completion_tokens": 3,
    }


@pytest.mark.parametrize("model", ["openai.gpt-oss", "deepseek.r1"])
def test_thoughts_between_tags_are_told_apart_wherever_they_are_cut(model: str) -> None:
    text = " <reasoning>Why < not?</reasoning>\nHey <b>"
    for size in (1, 3, 7, 100):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        if model == "openai.gpt-oss":
            events = [*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop")]
        else:
            events = [*({"choices": [{"text": piece}]} for piece in pieces), {"choices": [{"text": "", "stop_reason": "stop"}]}]
        answer = hub_stream_answers(streamed(model, framed(*events)))[0]
        assert (answer.reasoning, answer.text, answer.finish) == ("Why < not?", "Hey <b>", "stop")


def test_a_tool_call_of_an_openai_shaped_family_comes_through() -> None:
    opening = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"a":1}'}}
    events = [chunk({"content": "<reasoning>hm"}), chunk({"tool_calls": [opening]}), chunk({"tool_calls": [more]}), chunk({}, "tool_calls")]
    answer = hub_stream_answers(streamed("openai.gpt-oss", framed(*events)))[0]
    assert (answer.reasoning, answer.tools, answer.finish) == ("hm", [("f", {"a": 1})], "tool_calls")


def test_token_counts_that_only_the_headers_have() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "3"}
    assert DIALECT.usage_in(headers) == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert DIALECT.usage_in({}) is None


def test_errors_are_bedrocks() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException:http://x"}
    assert isinstance(DIALECT.decode_error(429, headers, b'{"message":"slow"}', target("meta.llama3")), UpstreamRateLimited)
    said = b'{"message":"This model\'s maximum context length is 8192 tokens. Please reduce the length of the prompt"}'
    error = DIALECT.decode_error(400, {"x-amzn-errortype": "ValidationException"}, said, target("meta.llama3"))
    assert isinstance(error, ContextWindowExceeded)


@pytest.mark.parametrize(("model", "events"), STREAMS)
def test_a_stream_that_breaks_is_an_error_after_what_was_said(model: str, events: list[Json]) -> None:
    frame = encode_message({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message": "Too fast"}')
    _, error = decode_stream([framed(*events[:-2]) + frame], DIALECT.stream_decoder(target(model)))
    assert isinstance(error, UpstreamRateLimited)
    _, error = decode_stream([framed(*events[:1])], DIALECT.stream_decoder(target(model)))
    assert isinstance(error, UpstreamProtocolError)
    for body in (b"[]", b"{}", b"<html>"):
        with pytest.raises(UpstreamProtocolError):
            DIALECT.decode(body, target(model))
