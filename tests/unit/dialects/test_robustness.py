"""No input may end in anything but an answer or a typed error: a crash would be a 500 with a hold that nobody releases."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollkeeper.dialects.anthropic_messages import AnthropicMessages
from tollkeeper.dialects.anthropic_stream import AnthropicStreamDecoder
from tollkeeper.dialects.base import Json, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import BadRequest, UpstreamError

QUIRKS = frozenset({"max_completion_tokens", "developer_to_system", "json_schema_by_tool"})
TARGET = Target("up", "https://up.example/v1", "alias", provider="acme", created=1_700_000_000, quirks=QUIRKS)
LEAVES = st.none() | st.booleans() | st.integers(-2, 4) | st.floats(0, 2) | st.sampled_from(["", "x", "data:", "{}"])


def json_of(keys: str, words: str = "") -> st.SearchStrategy[Any]:
    leaves = LEAVES | st.sampled_from(words.split()) if words else LEAVES
    names = st.sampled_from(keys.split())
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6), max_leaves=20)


CHUNKS = json_of(
    "choices delta content index finish_reason tool_calls function name arguments id usage logprobs x_groq error message p type"
)
EVENTS = json_of(
    "message delta content_block usage type text thinking partial_json stop_reason id name input citation citations signature",
    "text tool_use thinking server_tool_use text_delta input_json_delta end_turn thinking_delta signature_delta json_tool_call",
)
EVENT_TYPES = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"]
REQUESTS = json_of(
    "role content type text image_url url file file_data file_id tool_calls function name arguments id thinking_blocks parameters "
    "json_schema schema effort properties format tool_call_id extra_body function_call",
    "system user assistant tool text image_url file function json_schema json_object low required",
)
FIELDS = (
    "messages tools tool_choice response_format stop reasoning_effort thinking max_tokens user metadata functions stream_options "
    "extra_headers anthropic_beta output_config service_tier system web_search_options parallel_tool_calls function_call"
)


def finish(decoder: StreamDecoder, events: list[Any]) -> list[Json]:
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    chunks = []
    with suppress(StreamFailed, UpstreamError):
        chunks += decoder.feed(body)
        chunks += decoder.close()
    return [json.loads(chunk.payload()) for chunk in chunks]


@given(st.lists(CHUNKS, max_size=4), st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "id"]), CHUNKS, max_size=3), max_size=4))
def test_openai_streams(events: list[Any], objects: list[Any]) -> None:
    for chunk in finish(OpenAIStreamDecoder(TARGET), [*objects, *events]):
        ChatCompletionChunk.model_validate(chunk, strict=True)


@given(
    st.lists(
        st.tuples(st.sampled_from(EVENT_TYPES), st.dictionaries(st.sampled_from(["delta", "content_block", "message", "usage"]), EVENTS)),
        max_size=8,
    )
)
def test_anthropic_streams(events: list[tuple[str, Json]]) -> None:
    for chunk in finish(AnthropicStreamDecoder(TARGET), [{**event, "type": kind} for kind, event in events]):
        ChatCompletionChunk.model_validate(chunk, strict=True)


@given(st.dictionaries(st.sampled_from(["content", "usage", "id", "stop_reason", "error"]), EVENTS), st.lists(EVENTS, max_size=4))
def test_anthropic_answers(message: Json, blocks: list[Any]) -> None:
    with suppress(UpstreamError):
        answer = AnthropicMessages().decode(json.dumps({"content": blocks, **message}).encode(), TARGET)
        ChatCompletion.model_validate(answer, strict=True)


@given(
    st.dictionaries(st.sampled_from(FIELDS.split()), REQUESTS),
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "tool_calls"]), REQUESTS), max_size=4),
)
def test_requests(request: Json, messages: list[Json]) -> None:
    for dialect in (OpenAIChat(), AnthropicMessages()):
        with suppress(BadRequest):
            json.loads(dialect.encode({"messages": messages, "stream": True, **request}, TARGET).body)
