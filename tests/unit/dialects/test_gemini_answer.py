"""generateContent answers and streams → hub, for what recordings do not show or show once."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollkeeper import errors
from tollkeeper.dialects.base import Chunk, StreamFailed, Target
from tollkeeper.dialects.gemini_generate import GeminiGenerate

DIALECT = GeminiGenerate()
TARGET = Target(model="gemini-3-flash", base_url="https://up.example/v1beta", alias="fast", provider="gemini", created=1_700_000_000)
ERROR = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}


def candidate(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, **({"finishReason": finish} if finish else {}), **more}


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r1", "modelVersion": "m", **more}


def decoded(tree: Any) -> dict[str, Any]:
    completion = DIALECT.decode(json.dumps(tree).encode(), TARGET)
    ChatCompletion.model_validate_json(json.dumps(completion), strict=True)
    return completion


def message(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = decoded(answer(candidate(*parts, **more)))["choices"][0]["message"]
    return said


def sse(*trees: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(tree).encode() + b"\r\n\r\n" for tree in trees)


def streamed(*pieces: bytes) -> list[Chunk]:
    decoder = DIALECT.stream_decoder(TARGET)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.payload(), strict=True)
    return chunks


# Buffered


def test_the_envelope_is_ours_and_the_time_googles_when_it_tells_one() -> None:
    completion = decoded(answer(candidate({"text": "a"}), createTime="2026-03-12T18:08:15.268467Z"))
    assert (completion["id"], completion["model"], completion["created"]) == ("chatcmpl-r1", "fast", 1_773_338_895)
    assert decoded(answer(candidate({"text": "a"}), createTime="soon"))["created"] == TARGET.created


def test_text_and_thoughts_are_kept_apart_and_whole() -> None:
    said = message(
        {"text": "think", "thought": True}, {"text": "a"}, {"text": "ing", "thought": True}, {"text": "b", "thoughtSignature": "s"}
    )
    assert (said["content"], said["reasoning_content"]) == ("ab", "thinking")
    assert said["provider_specific_fields"]["thought_signatures"] == ["s"]


def test_tool_call_ids_are_stable_within_an_answer_and_differ_between_calls_and_answers() -> None:
    parts = [{"functionCall": {"name": "add", "args": {"a": 1}}}, {"functionCall": {"name": "add", "args": {"a": 1}}}]
    first, again = message(*parts)["tool_calls"], message(*parts)["tool_calls"]
    assert first == again
    other = decoded(answer(candidate(*parts)) | {"responseId": "r2"})["choices"][0]["message"]["tool_calls"]
    assert len({call["id"] for call in [*first, *other]}) == 4


def test_googles_own_call_id_is_kept_and_the_signature_rides_in_it_too() -> None:
    call = message({"functionCall": {"name": "f", "id": "8hd01vsf"}, "thoughtSignature": "a+/b=="})["tool_calls"][0]
    assert call["id"] == "8hd01vsf__thought__a-_b"
    assert call["provider_specific_fields"] == {"thought_signature": "a+/b=="}
    assert call["function"] == {"name": "f", "arguments": "{}"}


def test_a_conversation_that_keeps_only_id_name_and_arguments_still_returns_the_signature() -> None:
    made = message({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"})["tool_calls"][0]
    bare = {"id": made["id"], "type": "function", "function": made["function"]}
    history = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [bare]},
        {"role": "tool", "tool_call_id": made["id"], "content": "1"},
    ]
    contents = json.loads(DIALECT.encode({"messages": history}, TARGET).body)["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "1"}}}]


def test_images_and_speech_in_an_answer() -> None:
    said = message({"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "s"}, {"text": "there"})
    assert said["images"] == [
        {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AA==", "detail": "auto"}, "thought_signature": "s"}
    ]
    draft = {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True}
    assert "images" not in message(draft, {"text": "done"})
    audio = message({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}})["audio"]
    assert (audio["data"], audio["mime_type"]) == ("AAAA", "audio/L16;codec=pcm;rate=24000")


def test_googles_own_tools_are_no_tool_calls_of_the_caller() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}
    choice = decoded(answer(candidate(code, result, {"text": "It is 1."})))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "It is 1.")
    assert "tool_calls" not in choice["message"]
    assert choice["message"]["provider_specific_fields"]["server_tools"] == [code, result]


@pytest.mark.parametrize(
    ("native", "called", "expected"),
    [
        ("STOP", False, "stop"),
        ("STOP", True, "tool_calls"),
        ("UNEXPECTED_TOOL_CALL", True, "tool_calls"),
        ("MALFORMED_FUNCTION_CALL", False, "stop"),
        ("MAX_TOKENS", True, "length"),
        ("SAFETY", False, "content_filter"),
        ("RECITATION", False, "content_filter"),
        ("IMAGE_SAFETY", False, "content_filter"),
        ("SOMETHING_NEW", False, "stop"),
    ],
)
def test_finish_reasons(native: str, called: bool, expected: str) -> None:
    parts = [{"functionCall": {"name": "f", "args": {}}}] if called else []
    choice = decoded(answer(candidate(*parts, finish=native)))["choices"][0]
    assert choice["finish_reason"] == expected
    native_said = choice["message"].get("provider_specific_fields", {}).get("native_finish_reason")
    assert native_said == (None if native in {"STOP", "MAX_TOKENS"} else native)
    last = [choice for chunk in streamed(sse(answer(candidate(*parts, finish=native)))) for choice in chunk.data["choices"]][-1]
    assert last["finish_reason"] == expected


def test_enums_told_as_numbers() -> None:
    metadata = {"promptTokenCount": 2, "totalTokenCount": 2, "promptTokensDetails": [{"modality": 4, "tokenCount": 2}], "trafficType": 1}
    completion = decoded(answer(candidate({"text": "a"}, finish=None, finishReason=2), usageMetadata=metadata))
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["prompt_tokens_details"]["audio_tokens"] == 2
    assert "usage" not in decoded(answer(candidate({"text": "a"}), usageMetadata={"trafficType": 1}))
    assert decoded(answer(candidate(finish=None, finishReason=99)))["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("content", [{}, {"role": "model"}, None])
def test_a_candidate_without_parts_is_an_empty_answer(content: Any) -> None:
    choice = decoded(answer({"content": content, "finishReason": "SAFETY", "finishMessage": "Not that."}))["choices"][0]
    assert choice["message"]["content"] is None
    assert choice["message"]["refusal"] == "Not that."


def test_a_blocked_prompt_is_a_filtered_answer_and_says_why() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
        "responseId": "r",
    }
    completion = decoded(blocked)
    choice = completion["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["refusal"] == "The prompt was blocked: SAFETY."
    assert choice["message"]["provider_specific_fields"]["prompt_feedback"] == {"blockReason": "SAFETY"}
    assert completion["usage"]["prompt_tokens"] == 5
    chunks = streamed(sse(blocked))
    assert chunks[0].has_content
    assert chunks[0].data["choices"][0]["delta"]["refusal"] == "The prompt was blocked: SAFETY."
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk.data["choices"]] == [None, "content_filter"]


def test_several_candidates_are_several_choices() -> None:
    tree = answer(candidate({"text": "a"}, index=0), candidate({"functionCall": {"name": "f"}}, index=1))
    found = {choice["index"]: (choice["message"]["content"], choice["finish_reason"]) for choice in decoded(tree)["choices"]}
    assert found == {0: ("a", "stop"), 1: (None, "tool_calls")}
    finishes = {choice["index"]: choice["finish_reason"] for chunk in streamed(sse(tree)) for choice in chunk.data["choices"]}
    assert finishes == {0: "stop", 1: "tool_calls"}


def test_grounding_becomes_url_citations_counted_in_characters() -> None:
    text = "Größe: Ruby 4.0 ist da."
    start, end = len("Größe: ".encode()), len("Größe: Ruby 4.0".encode())
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://ruby.example", "title": "Ruby"}}, {"retrievedContext": {"text": "no address"}}],
        "groundingSupports": [{"segment": {"startIndex": start, "endIndex": end, "text": "Ruby 4.0"}, "groundingChunkIndices": [0, 1, 9]}],
    }
    said = message({"text": text}, groundingMetadata=grounding)
    (annotation,) = said["annotations"]
    citation = annotation["url_citation"]
    assert (citation["url"], citation["title"]) == ("https://ruby.example", "Ruby")
    assert text[citation["start_index"] : citation["end_index"]] == "Ruby 4.0"
    assert said["provider_specific_fields"]["grounding_metadata"] == grounding


def test_a_segment_counted_from_the_wrong_part_is_found_by_its_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.example"}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 3, "text": "two"}, "groundingChunkIndices": [0]}],
    }
    said = message({"text": "one "}, {"text": "two"}, groundingMetadata=grounding)
    citation = said["annotations"][0]["url_citation"]
    assert (citation["start_index"], citation["end_index"]) == (4, 7)


def test_citations_of_recited_text() -> None:
    said = message(
        {"text": "abc"}, citationMetadata={"citations": [{"startIndex": 1, "endIndex": 2, "uri": "https://x.example"}, {"license": "mit"}]}
    )
    assert [note["url_citation"]["url"] for note in said["annotations"]] == ["https://x.example"]


def test_logprobs() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.1}, {"token": "b", "logProbability": -2}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.1}, {"token": "e", "logProbability": -3}]}],
    }
    first, second = decoded(answer(candidate({"text": "éb"}, logprobsResult=result)))["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("é", -0.1, [0xC3, 0xA9])
    assert [top["token"] for top in first["top_logprobs"]] == ["é", "e"]
    assert second["top_logprobs"] == []


def test_usage_adds_thoughts_and_tool_prompts_and_keeps_modalities() -> None:
    metadata = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 20,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 50,
        "totalTokenCount": 200,
        "cachedContentTokenCount": 60,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 30}],
        "serviceTier": "flex",
    }
    completion = decoded(answer(candidate({"text": "a"}), usageMetadata=metadata))
    assert completion["service_tier"] == "flex"
    assert completion["usage"] == {
        "prompt_tokens": 120,
        "completion_tokens": 80,
        "total_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10, "text_tokens": 90},
        "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 0, "image_tokens": 30},
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"candidates":[]}', b'{"candidates":{}}', b'"x"', b'{"candidates":[7]}'])
def test_what_is_no_answer_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(errors.UpstreamProtocolError):
        DIALECT.decode(body, TARGET)


def test_an_error_under_200_is_the_error() -> None:
    with pytest.raises(errors.UpstreamFailed, match="Overloaded"):
        DIALECT.decode(json.dumps(ERROR).encode(), TARGET)


# Streams


def test_a_stream_says_its_role_once_then_its_text_then_its_finish_then_its_usage() -> None:
    early = {"usageMetadata": {"trafficType": "ON_DEMAND"}}
    last = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}}
    events = [answer(candidate({"text": "He"}, finish=None), **early), answer(candidate({"text": "llo"}), **last)]
    chunks = streamed(sse(*events))
    assert [choice["delta"] for chunk in chunks for choice in chunk.data["choices"]] == [
        {"role": "assistant", "content": "He"},
        {"content": "llo"},
        {},
    ]
    assert [chunk.has_content for chunk in chunks] == [True, True, False, False]
    assert chunks[-1].data["choices"] == []
    assert (chunks[-1].usage or {})["total_tokens"] == 3


def test_a_finish_in_every_event_ends_nothing_early() -> None:
    """Older Gemini models said STOP each time."""
    chunks = streamed(sse(*(answer(candidate({"text": word})) for word in "abc")))
    assert "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.data["choices"]) == "abc"
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk.data["choices"]] == [None, None, None, "stop"]


def test_calls_of_several_events_are_numbered_through() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    chunks = streamed(sse(answer(candidate(call, call, finish=None)), answer(candidate(call))))
    calls = [call for chunk in chunks for choice in chunk.data["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 1, 2]
    assert len({call["id"] for call in calls}) == 3


def test_annotations_of_a_stream_count_in_the_whole_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.example"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 6}, "groundingChunkIndices": [0]}],
    }
    chunks = streamed(sse(answer(candidate({"text": "abc"}, finish=None)), answer(candidate({"text": "def"}, groundingMetadata=grounding))))
    citation = chunks[1].data["choices"][0]["delta"]["annotations"][0]["url_citation"]
    assert (citation["start_index"], citation["end_index"]) == (3, 6)


def test_an_array_stream_with_braces_and_quotes_in_its_strings_reads_in_every_split() -> None:
    text = 'a}{"\\ ]["é\\"'
    body = json.dumps([answer(candidate({"text": text}, finish=None)), answer(candidate({"text": text}))], indent=2).encode()
    expected = [chunk.payload() for chunk in streamed(body)]
    assert streamed(body)[0].data["choices"][0]["delta"]["content"] == text
    for cut in range(len(body)):
        assert [chunk.payload() for chunk in streamed(body[:cut], body[cut:])] == expected
    assert [chunk.payload() for chunk in streamed(*(body[at : at + 1] for at in range(len(body))))] == expected


@pytest.mark.parametrize("wrap", ["sse", "array"])
def test_an_error_in_the_stream_keeps_what_came_before_it(wrap: str) -> None:
    begun = answer(candidate({"text": "He"}, finish=None))
    body = sse(begun, ERROR) if wrap == "sse" else json.dumps([begun, ERROR]).encode()
    with pytest.raises(StreamFailed) as caught:
        DIALECT.stream_decoder(TARGET).feed(body)
    assert isinstance(caught.value.error, errors.UpstreamFailed)
    assert caught.value.error.status == 503
    assert [chunk.data["choices"][0]["delta"]["content"] for chunk in caught.value.chunks] == ["He"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: ",
        b"<html>502</html>",
        sse(answer(candidate({"text": "He"}, finish=None))),
        sse(answer(candidate({"text": "He"})))[:-20],
        sse(answer(candidate({"text": "He"}, finish=None))) + json.dumps(ERROR).encode(),
        b'[{"candidates": [',
        sse({"usageMetadata": {"promptTokenCount": 1}}),
        sse(answer(candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1, finish=None))),
    ],
)
def test_a_cut_stream_never_ends_falsely(body: bytes) -> None:
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(body)
    with pytest.raises(errors.UpstreamProtocolError):
        decoder.close()


@pytest.mark.parametrize("body", [b"data: {not json}\r\n\r\n", b"data: [1]\r\n\r\n", b"[{}}]"])
def test_what_is_no_event_fails_the_stream(body: bytes) -> None:
    with pytest.raises(StreamFailed) as caught:
        DIALECT.stream_decoder(TARGET).feed(body)
    assert isinstance(caught.value.error, errors.UpstreamProtocolError)


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert streamed(sse(answer(candidate({"text": "a"})))[:-4])[0].data["choices"][0]["delta"]["content"] == "a"


# Errors


def google_error(code: int, message: str, status: str = "X", *details: dict[str, Any]) -> errors.UpstreamError:
    body = json.dumps({"error": {"code": code, "message": message, "status": status, "details": list(details)}}).encode()
    return DIALECT.decode_error(code, {}, body, TARGET)


@pytest.mark.parametrize(
    ("code", "message", "expected", "shown"),
    [
        (401, "Request had invalid credentials.", errors.UpstreamAuthFailed, 401),
        (403, "Denied.", errors.UpstreamAuthFailed, 401),
        (403, "CachedContent not found (or permission denied)", errors.UpstreamRejected, 404),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (8).", errors.ContextWindowExceeded, 400),
        (400, "Unable: the input token count is 9 but model only supports up to 8. Reduce it.", errors.ContextWindowExceeded, 400),
        (429, "You exceeded your current quota, please check your plan and billing details.", errors.UpstreamRateLimited, 429),
        (404, "No such model.", errors.UpstreamRejected, 404),
        (504, "Deadline.", errors.UpstreamTimeout, 408),
        (500, "Internal.", errors.UpstreamFailed, 500),
        (503, "Overloaded.", errors.UpstreamFailed, 503),
    ],
)
def test_errors(code: int, message: str, expected: type[Exception], shown: int) -> None:
    error = google_error(code, message)
    assert type(error) is expected
    assert (error.status, error.upstream_status) == (shown, code)


def test_a_bad_key_is_told_by_its_reason_under_400() -> None:
    error = google_error(400, "API key expired. Renew.", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"})
    assert type(error) is errors.UpstreamAuthFailed
    assert (error.status, error.upstream_status, error.code) == (401, 400, "API_KEY_INVALID")


def test_a_rate_limit_tells_how_long_to_wait_and_an_error_its_name() -> None:
    error = google_error(429, "Slow.", "RESOURCE_EXHAUSTED", {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"})
    assert (error.retry_after, error.code) == (1.5, "RESOURCE_EXHAUSTED")
    assert google_error(404, "No.", "NOT_FOUND").code == "NOT_FOUND"


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b"[]", b"null", b'[{"error":{"code":500,"message":"m","status":"INTERNAL"}}]', b'{"error":"text"}']
)
def test_any_body_becomes_an_error(body: bytes) -> None:
    error = DIALECT.decode_error(500, {}, body, TARGET)
    assert isinstance(error, errors.UpstreamFailed)
    assert error.message
