"""The Responses API through the official openai client: native where the provider has it, bridged through chat where it does not."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion, text_stream

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 21,
}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
MADE_UP = {"type": "made_up_item", "id": "x1", "data": [1.5, None]}


def native(**changes: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "Hello there", "annotations": [], "logprobs": []}
    said = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
    body = {"id": "resp_up", "object": "response", "created_at": 1700000000, "model": "gpt-5-2025", "status": "completed", "usage": USAGE}
    shared = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**body, **shared, "output": [MADE_UP, said], **changes}


def events(*items: dict[str, Any]) -> list[bytes]:
    return [
        f"event: {item['type']}\ndata: {json.dumps({**item, 'sequence_number': place})}\n\n".encode() for place, item in enumerate(items)
    ]


CREATED = {"type": "response.created", "response": native(status="in_progress", output=[], usage=None)}
DELTA = {
    "type": "response.output_text.delta",
    "item_id": "m1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello there",
    "logprobs": [],
}
ODD = {"type": "response.made_up", "n": 1.50}
COMPLETED = {"type": "response.completed", "response": native()}


def provider(request: Received) -> Reply:
    streamed = request.json.get("stream")
    if request.path.endswith("/responses"):
        if streamed:
            return Reply(200, {"content-type": "text/event-stream"}, list(events(CREATED, DELTA, ODD, COMPLETED)))
        return as_json(native())
    return as_sse(*text_stream("Hello", " there")) if streamed else as_json(completion("Hello there"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("native", "openai/responses/gpt-5", f"{upstream.url}/v1"),
        model("chatty", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("claude", "anthropic/claude-sonnet-4-5", upstream.url),
        model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response={"demo": True}),
        model("thinker", "openai/demo", "http://127.0.0.1:9/v1", mock_response=[{"reasoning": "Let me see."}, "It is four."]),
        model("breaks", "openai/demo", "http://127.0.0.1:9/v1", mock_response=["Half a ", {"error": {"status": 500, "message": "broke"}}]),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


@pytest.mark.parametrize("name", ["native", "chatty"])
def test_a_response_either_way(client: openai.OpenAI, gateway: GatewayProcess, name: str) -> None:
    answer = client.responses.create(model=name, input="Say hello", instructions="Be short.", max_output_tokens=100)
    assert (answer.output_text, answer.model, answer.status, answer.object) == ("Hello there", name, "completed", "response")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (9, 12, 21)
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["model"], entry["input_tokens"], entry["output_tokens"]) == ("aresponses", name, 9, 12)
    assert entry["cost"] > 0


@pytest.mark.parametrize("name", ["native", "chatty"])
def test_a_stream_either_way(client: openai.OpenAI, gateway: GatewayProcess, name: str) -> None:
    got = list(client.responses.create(model=name, input="Say hello", stream=True))
    assert [event.sequence_number for event in got] == list(range(len(got)))
    assert (got[0].type, got[-1].type) == ("response.created", "response.completed")
    assert "".join(event.delta for event in got if event.type == "response.output_text.delta") == "Hello there"
    last: Any = got[-1]
    assert (last.response.model, last.response.output_text, last.response.usage.total_tokens) == (name, "Hello there", 21)
    assert gateway.ledger()[-1]["output_tokens"] == 12


def test_bridged_events_come_in_openais_order(client: openai.OpenAI) -> None:
    with client.responses.stream(model="chatty", input="Say hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.delta",
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert final.output_text == "Hello there"


# Native


def test_what_only_the_provider_knows_passes_both_ways(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    sent: dict[str, Any] = {
        "model": "native",
        "input": [{"type": "made_up_item", "x": [1.5]}, {"role": "user", "content": "Hi"}],
        "tools": [{"type": "made_up_tool", "deep": {"a": None}}],
        "max_output_tokens": 50,
        "previous_response_id": "resp_before",
        "metadata": {"purpose": "test"},
        "made_up_field": True,
    }
    answer = httpx.post(
        f"{gateway.url}/v1/responses", json={**sent, "num_retries": 0}, headers={"authorization": f"Bearer {MASTER_KEY}"}, trust_env=False
    )
    assert upstream.received[-1].json == {**sent, "model": "gpt-5"}
    assert answer.json() == native(model="native")


def test_native_events_pass_but_for_the_model(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    answer = httpx.post(
        f"{gateway.url}/v1/responses",
        json={"model": "native", "input": "x", "stream": True},
        headers={"authorization": f"Bearer {MASTER_KEY}"},
        trust_env=False,
    )
    passed = [block + b"\n\n" for block in answer.content.split(b"\n\n") if block]
    original = events(CREATED, DELTA, ODD, COMPLETED)
    assert passed[1:3] == original[1:3]
    assert json.loads(passed[3].partition(b"data: ")[2])["response"] == native(model="native")


# Bridged


def test_items_become_messages(client: openai.OpenAI, upstream: Upstream) -> None:
    picture: Any = {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"}
    said: Any = {"type": "output_text", "text": "Looking.", "annotations": []}
    client.responses.create(
        model="chatty",
        instructions="Be short.",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        temperature=0.5,
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "Where?"}, picture]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [said]},
            {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Bern"}'},
            {"type": "function_call", "call_id": "c2", "name": "get_weather", "arguments": '{"city":"Chur"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "Sun"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Rain"}]},
        ],
    )
    function = {name: value for name, value in WEATHER.items() if name != "type"}

    def called(identifier: str, city: str) -> dict[str, Any]:
        return {"id": identifier, "type": "function", "function": {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'}}

    image = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
    assert upstream.received[-1].json == {
        "model": "gpt-4o-mini",
        "temperature": 0.5,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "Where?"}, image]},
            {"role": "assistant", "content": "Looking.", "tool_calls": [called("c1", "Bern"), called("c2", "Chur")]},
            {"role": "tool", "tool_call_id": "c1", "content": "Sun"},
            {"role": "tool", "tool_call_id": "c2", "content": "Rain"},
        ],
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_the_demo_model(client: openai.OpenAI, streamed: bool) -> None:
    ask: Any = {"model": "demo", "input": [{"role": "user", "content": "Weather?"}], "tools": [WEATHER]}
    if streamed:
        with client.responses.stream(**ask) as stream:
            output: Any = stream.get_final_response().output
    else:
        output = client.responses.create(**ask).output
    call = next(item for item in output if item.type == "function_call")
    assert call.name == "get_weather"
    assert "city" in json.loads(call.arguments)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    given = [*ask["input"], *(item.model_dump(exclude={"parsed_arguments"}) for item in output), result]
    last = client.responses.create(**{**ask, "input": given})
    assert last.output_text


class City(BaseModel):
    name: str
    people: int


def test_structured_output(client: openai.OpenAI) -> None:
    answer = client.responses.parse(model="demo", input="A city", text_format=City)
    assert isinstance(answer.output_parsed, City)


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_is_an_item(client: openai.OpenAI, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model="thinker", input="2+2?") as stream:
            answer: Any = stream.get_final_response()
    else:
        answer = client.responses.create(model="thinker", input="2+2?")
    reasoning, said = answer.output
    assert (reasoning.type, reasoning.summary[0].text, said.type, answer.output_text) == (
        "reasoning",
        "Let me see.",
        "message",
        "It is four.",
    )


def test_signed_thoughts_go_back_to_the_model_they_came_from(client: openai.OpenAI, upstream: Upstream) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Bern"}}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use", "content": [thought, use]}
    upstream.handler = lambda _: as_json({**body, "usage": {"input_tokens": 1, "output_tokens": 1}})
    first: Any = client.responses.create(model="claude", input="Weather?", tools=[WEATHER], max_output_tokens=5000)
    items = [item.model_dump() for item in first.output]
    result: Any = {"type": "function_call_output", "call_id": "t1", "output": "Sun"}
    given: Any = [{"role": "user", "content": "Weather?"}, *items, result]
    client.responses.create(model="claude", input=given, tools=[WEATHER], max_output_tokens=5000)
    assert upstream.received[-1].json["messages"][1] == {"role": "assistant", "content": [thought, use]}


def test_what_was_cut_is_incomplete(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"content": "Half"}), chunk({}, "length"))
    with client.responses.stream(model="chatty", input="x") as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.incomplete"


@pytest.mark.parametrize("name", ["native", "breaks"])
def test_an_error_inside_a_stream_is_raised_by_the_client(
    client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream, name: str
) -> None:
    failed = {"type": "response.failed", "response": native(status="failed", error={"code": "server_error", "message": "broke"})}
    upstream.handler = lambda _: Reply(200, {"content-type": "text/event-stream"}, list(events(CREATED, DELTA, failed)))
    with pytest.raises(openai.APIError, match="broke"):
        list(client.responses.create(model=name, input="x", stream=True))
    assert gateway.ledger()[-1]["status"] == "cut"


def test_a_hard_budgets_limit_goes_upstream_in_the_field_that_counts(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=0.1), max_retries=0) as client:
        client.responses.create(model="native", input="x")
        sent = upstream.received[-1].json
        assert 64 <= sent["max_output_tokens"] <= 10_000
        assert "max_tokens" not in sent
        client.responses.create(model="chatty", input="x")
        sent = upstream.received[-1].json
        assert sent["max_tokens"] >= 64
        assert "max_output_tokens" not in sent


@pytest.mark.parametrize(
    ("name", "change", "param"),
    [
        ("chatty", {"input": None}, "input"),
        ("chatty", {"input": 5}, "input"),
        ("chatty", {"input": ["x"]}, "input"),
        ("chatty", {"input": [{"role": "robot", "content": "x"}]}, "input"),
        ("chatty", {"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ("chatty", {"previous_response_id": "resp_nobody"}, "previous_response_id"),
        ("chatty", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools"),
        ("native", {"background": True, "store": False}, "background"),
        ("chatty", {"model": 7}, "model"),
    ],
)
def test_bad_input_is_named(gateway: GatewayProcess, name: str, change: dict[str, Any], param: str) -> None:
    body = {"model": name, "input": "x", **change}
    answer = httpx.post(f"{gateway.url}/v1/responses", json=body, headers={"authorization": f"Bearer {MASTER_KEY}"}, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
