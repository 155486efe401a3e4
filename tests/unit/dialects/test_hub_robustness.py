"""No input may end in anything but an answer or a typed error, for the dialects that make hub JSON out of another shape."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.wire import decode_stream

from tollkeeper.dialects.base import ChatDialect, Json, Target
from tollkeeper.dialects.cohere_v2 import CohereV2
from tollkeeper.dialects.ollama_chat import OllamaChat
from tollkeeper.dialects.responses_api import OpenAIResponses
from tollkeeper.errors import BadRequest, UpstreamError

TARGET = Target("up", "https://up.example", "alias", provider="acme", created=1_700_000_000, quirks=frozenset({"encrypted_reasoning"}))
DIALECTS: tuple[ChatDialect, ...] = (CohereV2(), OllamaChat(), OpenAIResponses())
LEAVES = st.none() | st.booleans() | st.integers(-2, 4) | st.floats(0, 2) | st.sampled_from(["", "x", "data:", "{}"])


def json_of(keys: str, words: str) -> st.SearchStrategy[Any]:
    names = st.sampled_from(keys.split())
    leaves = LEAVES | st.sampled_from(words.split())
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6), max_leaves=20)


EVENTS = json_of(
    "message delta content text thinking tool_plan tool_calls function name arguments citations sources url start usage tokens "
    "finish_reason error logprobs created_at done done_reason prompt_eval_count item output response id call_id input type summary "
    "annotation annotations part status incomplete_details reason code tools",
    "text message reasoning function_call custom_tool_call web_search_call url_citation output_text refusal summary_text incomplete",
)
TYPES = (
    "message-start content-start content-delta content-end tool-plan-delta tool-call-start tool-call-delta tool-call-end citation-start "
    "message-end response.created response.output_item.added response.output_item.done response.output_text.delta response.refusal.delta "
    "response.reasoning_text.delta response.reasoning_summary_text.delta response.function_call_arguments.delta "
    "response.custom_tool_call_input.delta response.output_text.annotation.added response.completed response.failed error"
)
EVENT_KEYS = "delta index output_index content_index summary_index item response message done error annotation usage"
ANSWER_KEYS = "message output usage id status error finish_reason logprobs tools done_reason"
EVENT = st.dictionaries(st.sampled_from(EVENT_KEYS.split()), EVENTS)
REQUESTS = json_of(
    "role content type text refusal image_url url file file_data file_id tool_calls function custom name arguments input id "
    "thinking_blocks reasoning_items provider_specific_fields server_tools output_order encrypted_content summary parameters json_schema "
    "schema effort format tool_call_id allowed_tools tools mode",
    "system user assistant tool text image_url file function json_schema json_object low required compaction",
)
FIELDS = (
    "messages tools tool_choice response_format stop reasoning_effort thinking max_tokens max_completion_tokens user metadata functions "
    "stream_options extra_headers include reasoning store text service_tier web_search_options parallel_tool_calls function_call options "
    "logprobs top_p verbosity think"
)


@given(st.lists(st.tuples(st.sampled_from(TYPES.split()), EVENT), max_size=8))
def test_streams(events: list[tuple[str, Json]]) -> None:
    lines = [json.dumps({**event, "type": kind}).encode() for kind, event in events]
    for dialect in DIALECTS:
        before, after = (b"", b"\n") if dialect.name == "ollama_chat" else (b"data: ", b"\n\n")
        chunks, _ = decode_stream([b"".join(before + line + after for line in lines)], dialect.stream_decoder(TARGET))
        for chunk in chunks:
            # OpenAI streams custom tools in a shape that its own package has no type for.
            if b'"custom"' not in chunk.payload():
                ChatCompletionChunk.model_validate(json.loads(chunk.payload()), strict=True)


@given(st.dictionaries(st.sampled_from(ANSWER_KEYS.split()), EVENTS))
def test_answers(answer: Json) -> None:
    for dialect in DIALECTS:
        with suppress(UpstreamError):
            ChatCompletion.model_validate(dialect.decode(json.dumps(answer).encode(), TARGET), strict=True)


@given(
    st.dictionaries(st.sampled_from(FIELDS.split()), REQUESTS),
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "reasoning_items"]), REQUESTS), max_size=4),
)
def test_requests(request: Json, messages: list[Json]) -> None:
    for dialect in DIALECTS:
        with suppress(BadRequest):
            json.loads(dialect.encode({"messages": messages, **request}, TARGET).body)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b"null", b'{"error":"no"}', b'{"message":"no"}', b"\xff\xfe"])
def test_what_is_no_answer_is_an_upstream_error(dialect: ChatDialect, body: bytes) -> None:
    with pytest.raises(UpstreamError):
        dialect.decode(body, TARGET)
    _, error = decode_stream([body], dialect.stream_decoder(TARGET))
    assert isinstance(error, UpstreamError)
    assert isinstance(dialect.decode_error(502, {}, body, TARGET), UpstreamError)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("body", [b'{"error":"model is loading"}', b'{"error":{"message":"model is loading","type":"server_error"}}'])
def test_an_error_body_in_place_of_a_stream_keeps_its_words(dialect: ChatDialect, body: bytes) -> None:
    _, error = decode_stream([body], dialect.stream_decoder(TARGET))
    assert isinstance(error, UpstreamError)
    assert error.message == "model is loading"
