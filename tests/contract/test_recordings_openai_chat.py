"""Every recorded OpenAI-format exchange, both ways, against a reading of the raw bytes that uses none of our code."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.recordings import (
    Answer,
    Recording,
    arguments,
    hub_answers,
    hub_stream_answers,
    recordings,
    splits,
    sse_data,
)

from tollkeeper.catalog.profiles import quirks_for
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import (
    ContentPolicyViolation,
    ContextWindowExceeded,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

DIALECT = OpenAIChat()
ALIAS = "the-alias"
CATALOG_NAMES = {"together": "together_ai", "vercel": "vercel_ai_gateway", "github_models": "github", "llamacpp": "llamafile"}
FINISHES = {"length": "length", "content_filter": "content_filter"}
PADDING = {"obfuscation", "p", "sla_metrics"}


def target(recording: Recording, **more: Any) -> Target:
    return Target(
        model="upstream-model", base_url="https://up.example/v1", alias=ALIAS, provider=recording.provider, created=1_700_000_000, **more
    )


def decode_stream(pieces: list[bytes], decoder: OpenAIStreamDecoder) -> tuple[list[Chunk], Exception | None]:
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.close()
    except StreamFailed as failed:
        return chunks + failed.chunks, failed.error
    except UpstreamProtocolError as error:
        return chunks, error
    return chunks, None


def shown(chunks: list[Chunk]) -> list[tuple[Any, ...]]:
    return [(json.loads(chunk.payload()), chunk.has_content, chunk.usage, chunk.text_bytes) for chunk in chunks]


def call_bytes(chunks: list[dict[str, Any]]) -> int:
    functions = [call["function"] for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or []]
    return sum(len(((function.get("name") or "") + (function.get("arguments") or "")).encode()) for function in functions)


# The independent reading


def text_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a content that may be Mistral's array."""
    if not isinstance(content, list):
        return content or "", ""
    texts = "".join(part["text"] for part in content if part["type"] == "text")
    thoughts = "".join(piece["text"] for part in content if part["type"] == "thinking" for piece in part["thinking"])
    return texts, thoughts


def reasoning_of(message: dict[str, Any]) -> str:
    named = message.get("reasoning_content") or message.get("reasoning")
    if named is not None:
        return str(named)
    return "".join(detail.get("text") or detail.get("summary") or "" for detail in message.get("reasoning_details") or [])


def expected_finish(given: Any, tools: list[Any]) -> str:
    return FINISHES.get(given) or ("tool_calls" if tools else "stop")


def read_buffered(data: dict[str, Any]) -> dict[int, Answer]:
    answers = {}
    for choice in data["choices"]:
        message = choice.get("message") or {}
        text, thoughts = text_of(message.get("content"))
        tools = [(call["function"]["name"], arguments(call["function"]["arguments"])) for call in message.get("tool_calls") or []]
        finish = expected_finish(choice["finish_reason"], tools)
        answers[choice["index"]] = Answer(text, thoughts or reasoning_of(message), message.get("refusal") or "", tools, finish)
    return answers


def read_stream(events: list[tuple[str, Any]]) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    calls: dict[int, dict[str, dict[str, Any]]] = {}
    finishes: dict[int, Any] = {}
    for _, event in events:
        for choice in event.get("choices") or []:
            index, delta = choice["index"], choice.get("delta") or {}
            answer = answers.setdefault(index, Answer())
            text, thoughts = text_of(delta.get("content"))
            answer.text += text
            answer.reasoning += thoughts or reasoning_of(delta)
            answer.refusal += delta.get("refusal") or ""
            mine = calls.setdefault(index, {})
            for call in delta.get("tool_calls") or []:
                key = call.get("id") or next((key for key, known in mine.items() if known["index"] == call.get("index")), "")
                known = mine.setdefault(key, {"index": call.get("index"), "name": "", "arguments": ""})
                known["name"] = known["name"] or call["function"].get("name")
                known["arguments"] += call["function"].get("arguments") or ""
            if choice.get("finish_reason"):
                finishes.setdefault(index, choice["finish_reason"])
    for index, answer in answers.items():
        answer.tools = [(call["name"], arguments(call["arguments"])) for call in calls[index].values()]
        answer.finish = expected_finish(finishes.get(index), answer.tools)
    return answers


def last_usage(events: list[tuple[str, Any]]) -> dict[str, Any] | None:
    usage = None
    for _, event in events:
        usage = event.get("usage") or (event.get("x_groq") or {}).get("usage") or usage
    return usage


def counts(usage: dict[str, Any]) -> tuple[int, int, int]:
    return usage["prompt_tokens"] or 0, usage["completion_tokens"] or 0, usage["total_tokens"] or 0


# Answers


@pytest.mark.parametrize("recording", recordings("openai.chat", kind="json"))
def test_a_buffered_answer_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = DIALECT.decode(recording.body, target(recording))
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["model"] == ALIAS
    assert answer["id"]
    assert hub_answers(answer) == read_buffered(raw)
    assert counts(answer["usage"]) == counts(raw["usage"])
    assert not PADDING & answer.keys()


@pytest.mark.parametrize("recording", recordings("openai.chat", kind="json"))
def test_provider_extras_ride_along(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = DIALECT.decode(recording.body, target(recording))
    mended = {"id", "object", "created", "model", "choices", "usage", "service_tier", *PADDING}
    assert {name: answer.get(name) for name in raw.keys() - mended} == {name: raw[name] for name in raw.keys() - mended}


@pytest.mark.parametrize("recording", [r for r in recordings("openai.chat", kind="sse") if "midstream-error" not in (r.id or "")])
def test_a_stream_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    events = sse_data(recording.body)
    chunks, error = decode_stream([recording.body], OpenAIStreamDecoder(target(recording)))
    assert error is None
    data = [json.loads(chunk.payload()) for chunk in chunks]
    for chunk in data:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert chunk["model"] == ALIAS
        assert not PADDING & chunk.keys()
    assert hub_stream_answers(data) == read_stream(events)
    said = "".join(answer.text + answer.reasoning + answer.refusal for answer in read_stream(events).values())
    assert sum(chunk.text_bytes for chunk in chunks) == len(said.encode()) + call_bytes(data)
    usage = last_usage(events)
    carrying = [chunk for chunk in data if "usage" in chunk]
    if usage is None:
        assert carrying == []
    else:
        assert carrying == [data[-1]]
        assert data[-1]["choices"] == []
        assert counts(data[-1]["usage"]) == counts(usage)
        assert chunks[-1].usage == data[-1]["usage"]
    assert all(chunk["choices"] for chunk in data[: -1 if carrying else None])


@pytest.mark.parametrize("recording", recordings("openai.chat", kind="sse"))
def test_has_content_is_true_from_the_first_piece_of_the_answer(recording: Recording) -> None:
    chunks, _ = decode_stream([recording.body], OpenAIStreamDecoder(target(recording)))
    for chunk in chunks:
        said = hub_stream_answers([{**chunk.data, "choices": [c for c in chunk.data["choices"] if not _is_late_fragment(c)]}])
        if any(answer.text or answer.reasoning or answer.refusal for answer in said.values()):
            assert chunk.has_content


def _is_late_fragment(choice: dict[str, Any]) -> bool:
    return any(not call.get("id") for call in choice["delta"].get("tool_calls") or [])


@pytest.mark.parametrize("recording", recordings("openai.chat", kind="sse"))
def test_every_split_gives_the_same_chunks(recording: Recording) -> None:
    whole = decode_stream([recording.body], OpenAIStreamDecoder(target(recording)))
    for pieces in splits(recording.body):
        chunks, error = decode_stream(pieces, OpenAIStreamDecoder(target(recording)))
        assert shown(chunks) == shown(whole[0])
        assert repr(error) == repr(whole[1])


@pytest.mark.parametrize("recording", recordings("openai.chat", kind="sse"))
def test_the_fast_path_gives_what_the_slow_one_gives(recording: Recording) -> None:
    fast = decode_stream([recording.body], OpenAIStreamDecoder(target(recording)))
    slow = decode_stream([recording.body], OpenAIStreamDecoder(target(recording), fast=False))
    assert shown(fast[0]) == shown(slow[0])
    assert repr(fast[1]) == repr(slow[1])
    assert all(chunk.raw is None for chunk in slow[0])


@pytest.mark.parametrize("recording", [r for r in recordings("openai.chat", kind="sse") if "midstream-error" not in (r.id or "")])
def test_a_stream_cut_before_its_finish_is_an_error(recording: Recording) -> None:
    blocks = recording.body.replace(b"\r\n", b"\n").split(b"\n\n")
    finishing = next((i for i, block in enumerate(blocks) if b'"finish_reason":"' in block.replace(b" ", b"")), len(blocks) - 2)
    decoder = OpenAIStreamDecoder(target(recording))
    decoder.feed(b"\n\n".join(blocks[:finishing]) + b"\n\n")
    with pytest.raises(UpstreamProtocolError):
        decoder.close()


MIDSTREAM = {
    "groq/chat/stream-midstream-error-tools-unused--req-llm-d25e0c": (UpstreamRejected, 400, "tool call validation failed"),
    "openrouter/chat/stream-midstream-error-tool-call-reasoning--req-llm-31ef61": (UpstreamFailed, 502, "Provider returned error"),
}


@pytest.mark.parametrize("recording", [r for r in recordings("openai.chat", kind="sse") if r.id in MIDSTREAM])
def test_an_error_inside_a_stream_is_typed(recording: Recording) -> None:
    kind, status, message = MIDSTREAM[recording.name]
    _, error = decode_stream([recording.body], OpenAIStreamDecoder(target(recording)))
    assert type(error) is kind
    assert isinstance(error, UpstreamRejected | UpstreamFailed)
    assert error.upstream_status == status
    assert error.message.startswith(message)


# Errors

KINDS: dict[int, type[Exception]] = {
    400: UpstreamRejected,
    401: UpstreamAuthFailed,
    403: UpstreamAuthFailed,
    404: UpstreamRejected,
    408: UpstreamTimeout,
    413: UpstreamRejected,
    422: UpstreamRejected,
    429: UpstreamRateLimited,
    500: UpstreamFailed,
    502: UpstreamFailed,
    503: UpstreamFailed,
    504: UpstreamTimeout,
}
SPECIAL = {
    "azure/chat/err400-content-filter--mirascope-83fb6d": ContentPolicyViolation,
    "deepseek/chat/err400-invalid-request-error--ruby-llm-72f58a": ContextWindowExceeded,
    "openai/chat/err429-insufficient-quota--ellmer-e185c5": UpstreamQuotaExceeded,
    "openrouter/chat/err400--ruby-llm-e69c17": ContextWindowExceeded,
    "openrouter/chat/err403--req-llm-26bff0": ContentPolicyViolation,
    "openrouter/chat/err403--req-llm-33f93b": ContentPolicyViolation,
    "perplexity/chat/err400-too-many-prompt-tokens--ruby-llm-9af746": ContextWindowExceeded,
}


@pytest.mark.parametrize("recording", recordings("openai.chat", failed=True))
def test_an_error_is_typed_and_keeps_the_providers_words(recording: Recording) -> None:
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    assert type(error) is SPECIAL.get(recording.name, KINDS[recording.status])
    assert error.upstream_status == recording.status
    assert error.message
    assert len(error.message) <= 2_000
    try:
        raw = json.loads(recording.body)
    except ValueError:
        return
    node = raw.get("error", raw)
    words = node if isinstance(node, str) else node.get("message") or node.get("detail")
    if not isinstance(error, UpstreamAuthFailed):
        assert words.strip()[:100] in error.message
    if isinstance(error, UpstreamRejected) and isinstance(node, dict):
        assert error.code == (None if node.get("code") is None else str(node["code"]))
        assert error.status == recording.status


@pytest.mark.parametrize("recording", [r for r in recordings("openai.chat", failed=True) if "err429" in (r.id or "")])
def test_a_rate_limit_says_how_long_to_wait(recording: Recording) -> None:
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    if waited := float(recording.headers.get("retry-after", 0)):
        assert error.retry_after == waited


# Requests


@pytest.mark.parametrize("recording", recordings("openai.chat") + recordings("openai.chat", failed=True))
def test_a_request_arrives_as_it_was_sent(recording: Recording) -> None:
    if not isinstance(recording.request, dict) or "messages" not in recording.request:
        pytest.skip("the recorder kept no JSON request")
    request = {**recording.request, "model": ALIAS}
    before = json.dumps(request)
    wire = DIALECT.encode(request, target(recording))
    assert json.dumps(request) == before
    assert wire.url == "https://up.example/v1/chat/completions"
    expected = {**recording.request, "model": "upstream-model"}
    if recording.request.get("stream") is True:
        expected["stream_options"] = {**recording.request.get("stream_options", {}), "include_usage": True}
    assert json.loads(wire.body) == expected


@pytest.mark.parametrize("recording", recordings("openai.chat"))
def test_no_profile_refuses_what_a_provider_accepted(recording: Recording) -> None:
    if not isinstance(recording.request, dict) or "messages" not in recording.request:
        pytest.skip("the recorder kept no JSON request")
    provider = CATALOG_NAMES.get(recording.provider, recording.provider)
    model = recording.request.get("model") or recording.model
    body = json.loads(DIALECT.encode(recording.request, target(recording, quirks=quirks_for(provider, model))).body)
    limits = {"max_tokens", "max_completion_tokens"}
    assert body.keys() - limits - {"stream_options", "model"} == recording.request.keys() - limits - {"stream_options", "model"}
    assert [body[name] for name in limits & body.keys()] == [recording.request[name] for name in limits & recording.request.keys()]
