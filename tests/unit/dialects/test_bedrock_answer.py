"""Converse answers, streams and errors → hub, for what recordings do not show or show once."""

import base64
import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollkeeper import errors
from tollkeeper.dialects.base import Chunk, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.bedrock_converse import BedrockConverse
from tollkeeper.dialects.bedrock_invoke import BedrockInvoke
from tollkeeper.dialects.eventstream import encode_message
from tollkeeper.dialects.usage import usage_from_hub

DIALECT = BedrockConverse()
TARGET = Target(model="amazon.nova-2-lite-v1:0", base_url="https://up.example", alias="nova", provider="bedrock", created=1_700_000_000)
USAGE = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}


def decoded(*blocks: Any, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    tree = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stop, "usage": USAGE, **more}
    completion = DIALECT.decode(json.dumps(tree).encode(), TARGET)
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    return completion


def message(*blocks: Any, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = decoded(*blocks, **more)["choices"][0]["message"]
    return said


def event(name: str, **payload: Any) -> bytes:
    return encode_message({":event-type": name, ":message-type": "event"}, json.dumps({**payload, "p": "abc"}).encode())


def delta(index: int = 0, **fields: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=fields)


def stop(index: int = 0) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


def tool_start(name: str, **more: Any) -> bytes:
    return event("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"toolUseId": "t1", "name": name, **more}})


def ending(reason: str = "end_turn", **metadata: Any) -> bytes:
    return event("messageStop", stopReason=reason) + event("metadata", usage=USAGE, metrics={"latencyMs": 1}, **metadata)


def streamed(*frames: bytes, decoder: StreamDecoder | None = None) -> list[Chunk]:
    decoder = decoder or DIALECT.stream_decoder(TARGET)
    chunks = decoder.feed(event("messageStart", role="assistant") + b"".join(frames)) + decoder.close()
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.payload(), strict=True)
    return chunks


def deltas(chunks: list[Chunk]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk.data["choices"]]


# Buffered


def test_text_blocks_are_one_text_and_cited_ones_too() -> None:
    citation = {"source": "https://x.example/a", "title": "A", "location": {"searchResultLocation": {"start": 0}}}
    said = message({"text": "Ruby: "}, {"citationsContent": {"content": [{"text": "Matz"}, {"text": " made it"}], "citations": [citation]}})
    assert said["content"] == "Ruby: Matz made it"
    assert said["annotations"] == [
        {"type": "url_citation", "url_citation": {"start_index": 6, "end_index": 18, "url": "https://x.example/a", "title": "A"}}
    ]
    assert said["provider_specific_fields"]["citations"] == [citation]


def test_a_citation_of_a_document_has_no_address_to_annotate() -> None:
    said = message({"citationsContent": {"content": [{"text": "t"}], "citations": [{"title": "Doc", "location": {"documentPage": {}}}]}})
    assert "annotations" not in said
    assert said["provider_specific_fields"]["citations"][0]["title"] == "Doc"


def test_thoughts_keep_their_signature_and_redacted_ones_their_data() -> None:
    said = message(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "yes"},
    )
    assert (said["reasoning_content"], said["content"]) == ("hm", "yes")
    assert said["thinking_blocks"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "AAAA"},
    ]
    history = [{"role": "user", "content": "q"}, said, {"role": "user", "content": "on"}]
    sent = json.loads(DIALECT.encode({"messages": history}, TARGET).body)["messages"][1]["content"]
    assert sent[0] == {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}}
    assert sent[1] == {"reasoningContent": {"redactedContent": "AAAA"}}


def test_novas_own_tools_are_no_calls_of_the_caller_and_go_back_as_they_were() -> None:
    use = {"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "input": {"q": 1}, "type": "server_tool_use"}}
    result = {"toolResult": {"toolUseId": "s1", "content": [{"text": "[HIDDEN]"}], "type": "nova_grounding_result", "status": "success"}}
    completion = decoded(use, result, {"text": "4.0"}, stop="tool_use")
    choice = completion["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "4.0")
    assert "tool_calls" not in choice["message"]
    history = [{"role": "user", "content": "q"}, choice["message"], {"role": "user", "content": "on"}]
    sent = json.loads(DIALECT.encode({"messages": history}, TARGET).body)
    assert sent["messages"][1]["content"] == [use, result, {"text": "4.0"}]
    assert "toolConfig" not in sent


def test_the_json_tool_is_the_answers_text() -> None:
    choice = decoded({"toolUse": {"toolUseId": "j", "name": "json_tool_call", "input": {"city": "Köln"}}}, stop="tool_use")["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"city": "Köln"}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "stop"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    choice = decoded({"text": "t"}, stop=reason)["choices"][0]
    assert choice["finish_reason"] == expected
    assert [choice["finish_reason"] for chunk in streamed(delta(text="t"), stop(), ending(reason)) for choice in chunk.data["choices"]][
        -1
    ] == expected


def test_cache_writes_of_an_hour_are_told_apart() -> None:
    details = [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 30}]
    raw = {
        "inputTokens": 1,
        "outputTokens": 2,
        "totalTokens": 93,
        "cacheReadInputTokens": 50,
        "cacheWriteInputTokens": 40,
        "cacheDetails": details,
    }
    usage = usage_from_hub(decoded({"text": "t"}, usage=raw)["usage"])
    assert (usage.input, usage.output, usage.cache_read, usage.cache_creation, usage.cache_creation_1h) == (91, 2, 50, 40, 30)


def test_cache_counts_under_their_older_names() -> None:
    raw = {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokenCount": 5, "cacheWriteInputTokenCount": 4}
    usage = usage_from_hub(decoded({"text": "t"}, usage=raw)["usage"])
    assert (usage.input, usage.cache_read, usage.cache_creation) == (10, 5, 4)


def test_a_guardrails_trace_and_the_tier_are_told() -> None:
    completion = decoded({"text": "blocked"}, stop="guardrail_intervened", trace={"guardrail": {"x": 1}}, serviceTier={"type": "flex"})
    assert completion["choices"][0]["message"]["provider_specific_fields"]["trace"] == {"guardrail": {"x": 1}}
    assert completion["service_tier"] == "flex"
    chunks = streamed(delta(text="b"), stop(), ending("guardrail_intervened", trace={"guardrail": {"x": 1}}, serviceTier={"type": "flex"}))
    assert deltas(chunks)[-1]["provider_specific_fields"]["trace"] == {"guardrail": {"x": 1}}
    assert chunks[-1].data["service_tier"] == "flex"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"output":{}}', b'{"output":{"message":7}}'])
def test_what_is_no_answer_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(errors.UpstreamProtocolError):
        DIALECT.decode(body, TARGET)


def test_different_answers_have_different_ids_and_the_same_one_the_same() -> None:
    assert decoded({"text": "a"})["id"] == decoded({"text": "a"})["id"] != decoded({"text": "b"})["id"]


# Streams


def test_a_stream_of_text_with_its_finish_and_then_its_usage() -> None:
    chunks = streamed(delta(text="He"), delta(text="llo"), stop(), ending())
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "He"}, {"content": "llo"}, {}]
    assert [chunk.has_content for chunk in chunks] == [False, True, True, False, False]
    assert [chunk.data["choices"] == [] for chunk in chunks] == [False] * 4 + [True]
    assert usage_from_hub(chunks[-1].usage or {}).output == 5


def test_a_signed_thought_comes_piece_by_piece_and_then_whole() -> None:
    frames = [
        delta(reasoningContent={"text": "h"}),
        delta(reasoningContent={"text": "m"}),
        delta(reasoningContent={"signature": "sig"}),
        stop(),
    ]
    found = deltas(streamed(*frames, delta(1, reasoningContent={"redactedContent": "AA"}), stop(1), delta(2, text="y"), stop(2), ending()))
    assert "".join(piece.get("reasoning_content", "") for piece in found) == "hm"
    assert [block for piece in found for block in piece.get("thinking_blocks", ())] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "AA"},
    ]


def test_tool_input_comes_in_fragments_and_no_input_is_an_empty_object() -> None:
    found = deltas(
        streamed(
            tool_start("f"),
            delta(toolUse={"input": '{"a"'}),
            delta(toolUse={"input": ":1}"}),
            stop(),
            tool_start("g"),
            stop(),
            ending("tool_use"),
        )
    )
    calls = [call for piece in found for call in piece.get("tool_calls", ())]
    assert [(call["index"], call["function"].get("name"), call["function"]["arguments"]) for call in calls] == [
        (0, "f", ""),
        (0, None, '{"a"'),
        (0, None, ":1}"),
        (1, "g", ""),
        (1, None, "{}"),
    ]


def test_the_json_tool_streams_as_text() -> None:
    chunks = streamed(
        tool_start("json_tool_call"), delta(toolUse={"input": '{"a":'}), delta(toolUse={"input": "1}"}), stop(), ending("tool_use")
    )
    assert "".join(piece.get("content") or "" for piece in deltas(chunks)) == '{"a":1}'
    assert chunks[-2].data["choices"][0]["finish_reason"] == "stop"


def test_server_tools_of_a_stream_come_whole_and_are_no_calls() -> None:
    start = event("contentBlockStart", contentBlockIndex=1, start={"toolResult": {"toolUseId": "t1", "status": "success", "type": "r"}})
    frames = [tool_start("nova_grounding", type="server_tool_use"), delta(toolUse={"input": '{"q":1}'}), stop()]
    frames += [start, delta(1, toolResult=[{"text": "[HIDDEN]"}]), stop(1), delta(2, text="4.0"), stop(2)]
    frames += [delta(3, citation={"location": {"web": {"url": "https://ruby.example", "domain": "ruby.example"}}}), stop(3), ending()]
    chunks = streamed(*frames)
    traces = [trace for piece in deltas(chunks) for trace in piece.get("provider_specific_fields", {}).get("server_tools", ())]
    assert traces[0]["toolUse"]["input"] == {"q": 1}
    assert traces[1]["toolResult"]["content"] == [{"text": "[HIDDEN]"}]
    (annotation,) = [note for piece in deltas(chunks) for note in piece.get("annotations", ())]
    citation = annotation["url_citation"]
    assert (citation["url"], citation["start_index"], citation["end_index"]) == ("https://ruby.example", 0, 3)
    assert chunks[-2].data["choices"][0]["finish_reason"] == "stop"


def test_events_that_are_yet_to_come_are_passed_over() -> None:
    assert deltas(streamed(event("somethingNew", x=1), delta(text="a"), delta(hologram={}), stop(), ending()))[1] == {"content": "a"}


def test_a_stream_that_lost_only_its_metadata_is_finished_and_has_no_usage() -> None:
    chunks = streamed(delta(text="a"), stop(), event("messageStop", stopReason="end_turn"))
    assert chunks[-1].data["choices"][0]["finish_reason"] == "stop"
    assert not any(chunk.usage for chunk in chunks)


EXCEPTIONS = [
    ("throttlingException", errors.UpstreamRateLimited),
    ("serviceUnavailableException", errors.UpstreamFailed),
    ("internalServerException", errors.UpstreamFailed),
    ("modelStreamErrorException", errors.UpstreamFailed),
    ("modelTimeoutException", errors.UpstreamTimeout),
    ("validationException", errors.UpstreamRejected),
    ("accessDeniedException", errors.UpstreamAuthFailed),
    ("neverHeardOfException", errors.UpstreamFailed),
]


@pytest.mark.parametrize("dialect", [DIALECT, BedrockInvoke()])
@pytest.mark.parametrize(("name", "expected"), EXCEPTIONS)
def test_exception_frames(name: str, expected: type[Exception], dialect: BedrockConverse | BedrockInvoke) -> None:
    frame = encode_message({":message-type": "exception", ":exception-type": name}, b'{"message":"It went wrong."}')
    with pytest.raises(StreamFailed) as caught:
        dialect.stream_decoder(TARGET).feed(frame)
    assert type(caught.value.error) is expected
    assert "It went wrong." in caught.value.error.message
    assert caught.value.error.code == name


def test_an_unmodelled_error_frame_tells_itself_in_headers() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "Lost."}
    with pytest.raises(StreamFailed) as caught:
        DIALECT.stream_decoder(TARGET).feed(event("messageStart") + delta(text="a") + encode_message(headers, b""))
    assert (type(caught.value.error), caught.value.error.message) == (errors.UpstreamFailed, "Lost.")
    assert [chunk.has_content for chunk in caught.value.chunks] == [False, True]


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{cut"])
def test_a_frame_without_json_fails_the_stream(payload: bytes) -> None:
    with pytest.raises(StreamFailed) as caught:
        DIALECT.stream_decoder(TARGET).feed(encode_message({":event-type": "messageStart", ":message-type": "event"}, payload))
    assert isinstance(caught.value.error, errors.UpstreamProtocolError)


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes":"*"}', b'{"bytes":"' + base64.b64encode(b"[1]") + b'"}', b"{cut"])
def test_a_chunk_of_invoke_without_a_messages_event_fails_the_stream(payload: bytes) -> None:
    with pytest.raises(StreamFailed) as caught:
        BedrockInvoke().stream_decoder(TARGET).feed(encode_message({":event-type": "chunk", ":message-type": "event"}, payload))
    assert isinstance(caught.value.error, errors.UpstreamProtocolError)


@pytest.mark.parametrize("body", [b"", event("messageStart"), event("messageStart") + delta(text="a") + stop()])
def test_a_cut_stream_never_ends_falsely(body: bytes) -> None:
    for dialect in (DIALECT, BedrockInvoke()):
        decoder = dialect.stream_decoder(TARGET)
        decoder.feed(body)
        with pytest.raises(errors.UpstreamProtocolError):
            decoder.close()


# Errors


@pytest.mark.parametrize(
    ("status", "name", "message", "expected"),
    [
        (400, "ValidationException", "Input is too long for requested model.", errors.ContextWindowExceeded),
        (400, "ValidationException", "prompt is too long: 200001 tokens > 200000 maximum", errors.ContextWindowExceeded),
        (400, "ValidationException", "Output blocked by content filtering policy", errors.ContentPolicyViolation),
        (400, "ServiceQuotaExceededException", "Quota.", errors.UpstreamRateLimited),
        (403, "AccessDeniedException", "No access to the model.", errors.UpstreamAuthFailed),
        (408, "ModelTimeoutException", "Slow.", errors.UpstreamTimeout),
        (424, "ModelErrorException", "Broke.", errors.UpstreamFailed),
        (424, "", "Broke.", errors.UpstreamFailed),
        (429, "ModelNotReadyException", "Not ready.", errors.UpstreamRateLimited),
        (500, "", "Oops.", errors.UpstreamFailed),
    ],
)
def test_errors(status: int, name: str, message: str, expected: type[Exception]) -> None:
    headers = {"x-amzn-errortype": f"{name}:http://internal.example/"} if name else {}
    for key in ("message", "Message"):
        error = DIALECT.decode_error(status, headers, json.dumps({key: message}).encode(), TARGET)
        assert type(error) is expected
        assert error.upstream_status == status
        assert message in error.message


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b"null", b'{"message":null}'])
def test_any_body_becomes_an_error(body: bytes) -> None:
    error = DIALECT.decode_error(503, {}, body, TARGET)
    assert isinstance(error, errors.UpstreamFailed)
    assert error.message
