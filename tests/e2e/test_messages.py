"""The official anthropic client against the real program: deployments that speak Messages, and deployments that do not."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion, text_stream

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 2}
WEATHER: Any = {
    "name": "get_weather",
    "description": "Of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ASK: list[Any] = [{"role": "user", "content": "Say hello"}]


def message(**changes: Any) -> dict[str, Any]:
    body = {"id": "msg_up1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "stop_sequence": None}
    return {**body, "content": [{"type": "text", "text": "Hello there!"}], "stop_reason": "end_turn", "usage": USAGE, **changes}


def events(*items: Any) -> bytes:
    return b"".join(b"event: " + item["type"].encode() + b"\ndata: " + json.dumps(item).encode() + b"\n\n" for item in items)


START = {"type": "message_start", "message": message(content=[], stop_reason=None, usage={**USAGE, "output_tokens": 1})}
OPEN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
HELLO = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello there!"}}
CLOSE = {"type": "content_block_stop", "index": 0}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 5}}
STOP = {"type": "message_stop"}
TEXT_EVENTS = events(START, OPEN, {"type": "ping"}, HELLO, CLOSE, END, STOP)


def provider(request: Received) -> Reply:
    """Both makes behind one address: a well-behaved OpenAI and a well-behaved Anthropic."""
    streamed = request.json.get("stream")
    if request.path.endswith("/count_tokens"):
        return as_json({"input_tokens": 42})
    if request.path.endswith("/messages"):
        return Reply(200, {"content-type": "text/event-stream"}, [TEXT_EVENTS]) if streamed else as_json(message())
    return as_sse(*text_stream("Hello", " there", "!")) if streamed else as_json(completion("Hello there!"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("claude", "anthropic/claude-sonnet-4-5", upstream.url),
        model("gpt", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("o3", "openai/o3", f"{upstream.url}/v1"),
        model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response={"demo": True}),
        model("thinker", "openai/demo", "http://127.0.0.1:9/v1", mock_response=[{"reasoning": "Let me see."}, "It is four."]),
        model("breaks", "openai/demo", "http://127.0.0.1:9/v1", mock_response=["Half a ", {"error": {"status": 500, "message": "broke"}}]),
        model("safe", "anthropic/claude-sonnet-4-5", "http://127.0.0.1:9"),
        model("embedder", "openai/text-embedding-3-small", f"{upstream.url}/v1"),
        router_settings={"fallbacks": [{"safe": ["gpt"]}], "num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[anthropic.Anthropic]:
    upstream.handler = provider
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.new_key(), max_retries=0) as made:
        yield made


@pytest.mark.parametrize("name", ["claude", "gpt"])
def test_a_message_from_either_make(client: anthropic.Anthropic, gateway: GatewayProcess, name: str) -> None:
    raw = client.messages.with_raw_response.create(model=name, max_tokens=100, messages=ASK)
    answer = raw.parse()
    assert [block.text for block in answer.content if block.type == "text"] == ["Hello there!"]
    assert (answer.model, answer.role, answer.type, answer.stop_reason) == (name, "assistant", "message", "end_turn")
    expected = (10, 5) if name == "claude" else (9, 12)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == expected
    entry = gateway.ledger()[-1]
    assert entry["call_id"] == raw.headers["x-litellm-call-id"]
    assert (entry["call_type"], entry["model"], entry["status"]) == ("anthropic_messages", name, "success")
    assert entry["input_tokens"] == (15 if name == "claude" else 9), "the ledger counts what was cached as input"
    assert entry["cost"] > 0


@pytest.mark.parametrize("name", ["claude", "gpt"])
def test_a_stream_from_either_make(client: anthropic.Anthropic, gateway: GatewayProcess, name: str) -> None:
    with client.messages.stream(model=name, max_tokens=100, messages=ASK) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert [kind for kind in kinds if kind.startswith(("content_block_", "message_"))][-3:] == [
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert [block.text for block in answer.content if block.type == "text"] == ["Hello there!"]
    assert (answer.model, answer.stop_reason) == (name, "end_turn")
    assert answer.usage.output_tokens == (5 if name == "claude" else 12)
    entry = gateway.ledger()[-1]
    assert (entry["stream"], entry["status"], entry["output_tokens"]) == (True, "success", 5 if name == "claude" else 12)


async def test_the_async_client_streams_too(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.new_key(), max_retries=0) as client:
        async with client.messages.stream(model="gpt", max_tokens=10, messages=ASK) as stream:
            words = [text async for text in stream.text_stream]
        answer = await client.messages.create(model="claude", max_tokens=10, messages=ASK)
    assert "".join(words) == "Hello there!"
    assert answer.content[0].type == "text"


# Pass-through


def test_what_only_anthropic_knows_arrives_as_sent(client: anthropic.Anthropic, upstream: Upstream) -> None:
    sent: dict[str, Any] = {
        "model": "claude",
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": "What is 2+2?"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "Easy.", "signature": "c2ln"}, {"type": "text", "text": "4"}],
            },
            {"role": "user", "content": [{"type": "made_up_block", "x": 1.50}, {"type": "text", "text": "And 3+3?  "}]},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u-1"},
        "made_up_field": {"deep": [None, True, "ä"]},
    }
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14,made-up-2030-01-01"}
    client.post("/v1/messages", body={**sent, "num_retries": 0, "tags": ["a"]}, cast_to=object, options={"headers": headers})
    received = upstream.received[-1]
    assert received.json == {**sent, "model": "claude-sonnet-4-5"}
    assert received.headers["anthropic-beta"] == headers["anthropic-beta"]
    assert received.headers["x-api-key"] == "sk-upstream"
    assert received.headers["anthropic-version"] == "2023-06-01"


def test_events_leave_byte_for_byte_but_for_the_model(client: anthropic.Anthropic, gateway: GatewayProcess, upstream: Upstream) -> None:
    odd = b'event: made_up\ndata: {"type": "made_up",  "n": 1.50}\n\n'
    padded = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}       }\n\n'
    )
    body = events(START, OPEN) + odd + padded + events(CLOSE, END, STOP)
    upstream.handler = lambda _: Reply(200, {"content-type": "text/event-stream"}, [body])
    answer = httpx.post(
        f"{gateway.url}/v1/messages",
        json={"model": "claude", "max_tokens": 9, "messages": ASK, "stream": True},
        headers={"x-api-key": MASTER_KEY},
        trust_env=False,
    )
    first, rest = answer.content.split(b"\n\n", 1)
    assert rest == body.split(b"\n\n", 1)[1]
    assert json.loads(first.partition(b"data: ")[2]) == {**START, "message": {**START["message"], "model": "claude"}}


def test_a_stream_that_fails_before_content_falls_back_to_another_make(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="safe", max_tokens=100, messages=ASK) as stream:
        answer = stream.get_final_message()
    assert answer.model == "safe"
    assert answer.content[0].type == "text"


def test_tokens_are_counted_by_the_provider_where_it_counts(client: anthropic.Anthropic, upstream: Upstream) -> None:
    assert client.messages.count_tokens(model="claude", messages=ASK).input_tokens == 42
    assert upstream.received[-1].json == {"model": "claude-sonnet-4-5", "messages": ASK}
    before = len(upstream.received)
    short, long = (client.messages.count_tokens(model="gpt", messages=[{"role": "user", "content": "word " * n}]) for n in (10, 1000))
    assert len(upstream.received) == before
    assert 10 < short.input_tokens < 50
    assert 1000 < long.input_tokens < 2000


# Translation


def test_tools_images_and_system_reach_another_make_in_its_words(client: anthropic.Anthropic, upstream: Upstream) -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    client.messages.create(
        model="gpt",
        max_tokens=100,
        system="Be short.",
        stop_sequences=["END"],
        extra_body={"temperature": 0.5},
        tools=[WEATHER],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Where?", "cache_control": {"type": "ephemeral"}}, image]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Bern"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Sun"}, {"type": "text", "text": "And?"}]},
        ],
    )
    assert upstream.received[-1].json == {
        "model": "gpt-4o-mini",
        "max_tokens": 100,
        "temperature": 0.5,
        "stop": ["END"],
        "parallel_tool_calls": False,
        "tool_choice": "required",
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "Of a city", "parameters": WEATHER["input_schema"]},
            }
        ],
        "messages": [
            {"role": "system", "content": "Be short."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'}}],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "Sun"},
            {"role": "user", "content": "And?"},
        ],
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_the_demo_model(client: anthropic.Anthropic, streamed: bool) -> None:
    ask: Any = {"model": "demo", "max_tokens": 100, "tools": [WEATHER], "messages": ASK}
    if streamed:
        with client.messages.stream(**ask) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**ask)
    call = next(block for block in answer.content if block.type == "tool_use")
    assert (call.name, answer.stop_reason) == ("get_weather", "tool_use")
    assert isinstance(call.input, dict)
    assert "city" in call.input
    results: Any = [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny"}]
    following = [*ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    last = client.messages.create(**{**ask, "messages": following})
    assert last.stop_reason == "end_turn"


def test_parallel_tool_calls_are_blocks_of_their_own(client: anthropic.Anthropic, upstream: Upstream) -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **fields}]})

    pieces = [
        chunk({"role": "assistant", "content": "Looking."}),
        call(0, id="a", type="function", function={"name": "get_weather", "arguments": ""}),
        call(0, function={"arguments": '{"city": "Be'}),
        call(0, function={"arguments": 'rn"}'}),
        call(1, id="b", type="function", function={"name": "get_weather", "arguments": '{"city": "Chur"}'}),
        chunk({}, "tool_calls"),
        {**chunk({}), "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}},
    ]
    upstream.handler = lambda _: as_sse(*pieces)
    with client.messages.stream(model="gpt", max_tokens=100, tools=[WEATHER], messages=ASK) as stream:
        answer = stream.get_final_message()
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in answer.content if block.type == "tool_use"] == [{"city": "Bern"}, {"city": "Chur"}]
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize("streamed", [False, True])
def test_another_makes_reasoning_is_a_thinking_block(client: anthropic.Anthropic, streamed: bool) -> None:
    if streamed:
        with client.messages.stream(model="thinker", max_tokens=100, messages=ASK) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(model="thinker", max_tokens=100, messages=ASK)
    thinking, text = answer.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Let me see."
    assert text.type == "text"
    assert text.text == "It is four."


def test_how_much_to_think_is_told_only_to_models_that_do(client: anthropic.Anthropic, upstream: Upstream) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 4096}
    for name, sent in (("gpt", None), ("o3", "medium")):
        client.messages.create(model=name, max_tokens=5000, messages=ASK, thinking=thinking)
        assert upstream.received[-1].json.get("reasoning_effort") == sent
        assert "thinking" not in upstream.received[-1].json


# Errors


def test_errors_have_anthropics_shape(client: anthropic.Anthropic, gateway: GatewayProcess) -> None:
    stranger = anthropic.Anthropic(base_url=gateway.url, api_key="sk-unknown", max_retries=0)
    with stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.create(model="claude", max_tokens=1, messages=ASK)
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    with pytest.raises(anthropic.BadRequestError, match="Invalid model name"):
        client.messages.create(model="nope", max_tokens=1, messages=ASK)
    with pytest.raises(anthropic.BadRequestError, match="/v1/embeddings"):
        client.messages.create(model="embedder", max_tokens=1, messages=ASK)
    with pytest.raises(anthropic.BadRequestError, match="computer_20250124"):
        tool: Any = {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1}
        client.messages.create(model="gpt", max_tokens=1, messages=ASK, tools=[tool])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [1]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"model": ""}, "model"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_bad_input_is_named(gateway: GatewayProcess, change: dict[str, Any], named: str) -> None:
    body = {"model": "gpt", "max_tokens": 10, "messages": ASK, **change}
    answer = httpx.post(f"{gateway.url}/v1/messages", json=body, headers={"x-api-key": MASTER_KEY}, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert named in answer.json()["error"]["message"]
    assert answer.headers["request-id"]


def test_a_providers_refusal_keeps_its_status_and_words(client: anthropic.Anthropic, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as refused:
        client.messages.create(model="claude", max_tokens=1, messages=ASK)
    body: Any = refused.value.body
    assert (refused.value.status_code, body["error"]["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize("name", ["claude", "breaks"])
def test_an_error_inside_a_stream_is_an_error_event(
    client: anthropic.Anthropic, gateway: GatewayProcess, upstream: Upstream, name: str
) -> None:
    broken = events(START, OPEN, HELLO, {"type": "error", "error": {"type": "overloaded_error", "message": "broke"}})
    upstream.handler = lambda _: Reply(200, {"content-type": "text/event-stream"}, [broken])
    with pytest.raises(anthropic.APIStatusError, match="broke"), client.messages.stream(model=name, max_tokens=9, messages=ASK) as stream:
        list(stream)
    entry = gateway.ledger()[-1]
    assert (entry["status"], entry["usage_at_least"]) == ("cut", True)


# Money


def test_a_hard_budgets_limit_goes_upstream_and_is_settled(gateway: GatewayProcess, upstream: Upstream) -> None:
    # claude-sonnet-4-5: $3 in, $15 out a million; two cents do not pay for 20,000 tokens of answer.
    key = gateway.new_key(max_budget=0.02)
    upstream.handler = provider
    with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(model="claude", max_tokens=20_000, messages=ASK)
        clamped = upstream.received[-1].json["max_tokens"]
        assert 64 <= clamped < 20_000
        assert int(raw.headers["x-tollkeeper-max-tokens"]) == clamped
        with client.messages.stream(model="claude", max_tokens=20_000, messages=ASK) as stream:
            stream.get_final_message()
        assert 64 <= upstream.received[-1].json["max_tokens"] < 20_000
    spent = gateway.admin("GET", "/key/info", key=key).json()["info"]["spend"]
    booked = sum(entry["cost"] for entry in gateway.ledger()[-2:])
    assert spent == pytest.approx(booked / 1e9)
    assert 0 < spent < 0.02


def test_a_used_up_budget_is_refused_in_anthropics_shape(gateway: GatewayProcess) -> None:
    key = gateway.new_key(max_budget=0.0000001)
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as refused,
    ):
        client.messages.create(model="claude", max_tokens=10, messages=ASK)
    body: Any = refused.value.body
    assert (body["type"], body["error"]["code"]) == ("error", "budget_exceeded")
    assert refused.value.response.headers["x-should-retry"] == "false"


# Models


def test_models_in_anthropics_shape(client: anthropic.Anthropic) -> None:
    page = client.models.list(limit=3)
    listed = list(client.models.list(limit=3))
    assert len(page.data) == 3
    assert page.has_more
    names = [row.id for row in listed]
    assert {"claude", "gpt", "demo"} <= set(names)
    assert len(names) == len(set(names))
    assert client.models.retrieve("claude").display_name == "claude"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nope")
