"""Usage read beside raw bytes, cut at every byte; and where each API has its output limit."""

import json
from typing import Any

import pytest
from tests.support.upstream import as_sse, completion, text_stream

from tollkeeper.dialects.metering import Meter, kind_of, limit_in, model_of, with_limit
from tollkeeper.dialects.usage import usage_from_hub


def counted(meter: Meter) -> tuple[int, int]:
    usage = usage_from_hub(meter.usage or {})
    return usage.input, usage.output


CASES: list[tuple[str, dict[str, Any]]] = [
    ("v1/chat/completions", completion()),
    ("openai/deployments/d/chat/completions", completion()),
    ("v1/embeddings", {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 9, "total_tokens": 9}}),
    ("v1/messages", {"type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 9, "output_tokens": 12}}),
    (
        "v1beta/models/gemini-2.5-flash:generateContent",
        {"candidates": [{"content": {"parts": [{"text": "x"}]}}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 12}},
    ),
    (
        "model/amazon.nova-lite-v1:0/converse",
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 9, "outputTokens": 12, "totalTokens": 21},
        },
    ),
    ("v1/responses", {"id": "r", "object": "response", "output": [], "usage": {"input_tokens": 9, "output_tokens": 12}}),
]


@pytest.mark.parametrize(("path", "answer"), CASES, ids=[path for path, _ in CASES])
def test_whole_answers(path: str, answer: dict[str, Any]) -> None:
    kind = kind_of("POST", path)
    assert kind is not None
    meter = Meter(kind, "m", streamed=False)
    data = json.dumps(answer).encode()
    meter.feed(data[:7])
    meter.feed(data[7:])
    meter.close()
    assert counted(meter) == (9, 12 if kind.output else 0)


def test_a_stream_cut_at_every_byte() -> None:
    kind = kind_of("POST", "v1/chat/completions")
    assert kind is not None
    data = b"".join(as_sse(*text_stream("Hel", "lo")).pieces)
    for cut in range(len(data)):
        meter = Meter(kind, "m", streamed=True)
        meter.feed(data[:cut])
        meter.feed(data[cut:])
        meter.close()
        assert (counted(meter), meter.text_bytes) == ((9, 12), 5)


@pytest.mark.parametrize("data", [b"", b"<html>", b"[1]", b'{"usage": 1}', b'{"choices": "x", "usage": {"prompt_tokens": "many"}}'])
@pytest.mark.parametrize("path", [path for path, _ in CASES])
@pytest.mark.parametrize("streamed", [False, True])
def test_nonsense_has_no_usage_and_does_no_harm(path: str, data: bytes, streamed: bool) -> None:
    kind = kind_of("POST", path)
    assert kind is not None
    meter = Meter(kind, "m", streamed=streamed)
    meter.feed(data)
    meter.close()
    assert counted(meter) == (0, 0)


def test_what_is_not_metered() -> None:
    assert [kind_of(*call) for call in (("GET", "v1/chat/completions"), ("POST", "v1/assistants"), ("POST", "v1/images/generations"))] == [
        None
    ] * 3


def test_the_model_is_in_the_body_or_the_path() -> None:
    assert model_of("v1/chat/completions", {"model": "a"}) == "a"
    assert model_of("v1beta/models/g-2:streamGenerateContent", {}) == "g-2"
    assert model_of("model/amazon.nova-lite-v1:0/converse", {}) == "amazon.nova-lite-v1:0"
    assert model_of("openai/deployments/mine/chat/completions", {}) == "mine"
    assert model_of("v1/files", {}) is None


def test_each_api_has_its_own_output_limit() -> None:
    gemini, chat = kind_of("POST", "v1beta/models/g:generateContent"), kind_of("POST", "v1/chat/completions")
    assert gemini is not None
    assert chat is not None
    body = {"contents": [], "generationConfig": {"temperature": 0}}
    assert with_limit(body, gemini, 7) == {"contents": [], "generationConfig": {"temperature": 0, "maxOutputTokens": 7}}
    assert limit_in(with_limit(body, gemini, 7), gemini) == 7
    both = {"max_tokens": 9, "max_completion_tokens": 8}
    assert with_limit(both, chat, 5, ("max_completion_tokens", "max_tokens")) == {"max_tokens": 5}
