"""The official openai client against the real program, as an application would use it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream


def provider(request: Received) -> Reply:
    """A well-behaved OpenAI."""
    body = request.json
    if body.get("stream"):
        return as_sse(*text_stream("Hello", " there", "!"))
    return as_json(completion("Hello there!"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response={"demo": True}),
        model("broken", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1"),
        model("safe", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1"),
        router_settings={"fallbacks": [{"safe": ["fast"]}], "num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


ASK: list[Any] = [{"role": "user", "content": "Say hello"}]


def test_a_buffered_answer_carries_the_alias_the_cost_and_the_call_id(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=ASK)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there!"
    assert answer.model == "fast"
    # gpt-4o-mini: 9 input at 150 and 12 output at 600 nano-dollars
    assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(8.55e-06)
    entry = gateway.ledger()[-1]
    assert entry["call_id"] == raw.headers["x-litellm-call-id"]
    assert (entry["input_tokens"], entry["output_tokens"], entry["cost"]) == (9, 12, 8550)
    assert (entry["model"], entry["upstream_model"], entry["provider"], entry["status"]) == ("fast", "gpt-4o-mini", "openai", "success")


def test_a_stream_arrives_in_order_without_usage_unless_asked(client: openai.OpenAI, upstream: Upstream) -> None:
    chunks = list(client.chat.completions.create(model="fast", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there!"
    assert {chunk.model for chunk in chunks} == {"fast"}
    assert all(chunk.usage is None for chunk in chunks)
    assert upstream.received[-1].json["stream_options"] == {"include_usage": True}


def test_usage_and_cost_come_in_the_last_chunk_when_asked(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="fast", messages=ASK, stream=True, stream_options={"include_usage": True})
    *_, last = list(stream)
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (9, 12)
    assert last.usage.model_extra is not None
    assert last.usage.model_extra["cost"] == pytest.approx(8.55e-06)


async def test_the_async_client_streams_too(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as client:
        stream = await client.chat.completions.create(model="fast", messages=ASK, stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
        answer = await client.chat.completions.create(model="fast", messages=ASK)
    assert "".join(words) == "Hello there!"
    assert answer.choices[0].message.content == "Hello there!"


def test_unknown_fields_reach_the_provider_and_the_gateways_own_do_not(client: openai.OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(
        model="fast", messages=ASK, extra_body={"made_up_field": {"x": 1}, "num_retries": 0, "tags": ["a"]}, temperature=0.25
    )
    sent = upstream.received[-1].json
    assert sent["made_up_field"] == {"x": 1}
    assert sent["temperature"] == 0.25
    assert sent["model"] == "gpt-4o-mini"
    assert "num_retries" not in sent
    assert "tags" not in sent
    assert upstream.received[-1].headers["authorization"] == "Bearer sk-upstream"


def test_the_alias_is_the_model_also_after_a_fallback(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="safe", messages=ASK)
    assert raw.parse().model == "safe"
    assert raw.headers["x-litellm-attempted-fallbacks"] == "1"
    stream = client.chat.completions.create(model="safe", messages=ASK, stream=True)
    assert {chunk.model for chunk in stream} == {"safe"}


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_the_demo_model_calls_tools_and_reads_their_results(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="demo", messages=ASK, tools=[WEATHER])
    (call,) = first.choices[0].message.tool_calls or []
    assert first.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert set(json.loads(call.function.arguments)) == {"city"}
    turn: Any = [*ASK, first.choices[0].message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client.chat.completions.create(model="demo", messages=turn, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(model="demo", messages=ASK, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    assert (final.choices[0].message.tool_calls or [])[0].function.name == "get_weather"


class Answer(BaseModel):
    title: str
    count: int


def test_the_demo_model_answers_in_structure(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="demo", messages=ASK, response_format=Answer)
    assert isinstance(parsed.choices[0].message.parsed, Answer)


def test_each_bad_key_raises_the_right_exception(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider

    def ask(key: str, name: str = "fast") -> Any:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
            return client.chat.completions.create(model=name, messages=ASK)

    with pytest.raises(openai.AuthenticationError) as wrong:
        ask("sk-not-a-key-at-all-000000")
    assert wrong.value.type == "token_not_found_in_db"
    expired = gateway.new_key(duration="1s")
    blocked = gateway.new_key()
    assert gateway.admin("POST", "/key/block", {"key": blocked}).status_code == 200
    with pytest.raises(openai.AuthenticationError, match="blocked"):
        ask(blocked)
    narrow = gateway.new_key(models=["other"])
    with pytest.raises(openai.PermissionDeniedError) as denied:
        ask(narrow)
    assert denied.value.type == "key_model_access_denied"
    for _ in range(100):
        try:
            ask(expired)
        except openai.AuthenticationError as error:
            assert error.type == "expired_key"
            assert expired not in str(error)
            break
    else:
        pytest.fail("the key never expired")


def test_errors_have_types_and_never_a_secret(client: openai.OpenAI, upstream: Upstream) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid model name"):
        client.chat.completions.create(model="nope", messages=ASK)
    with pytest.raises(openai.InternalServerError) as down:
        client.chat.completions.create(model="broken", messages=ASK)
    assert "sk-upstream" not in str(down.value.body)
    upstream.handler = lambda _: as_json(
        {"error": {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}, 400
    )
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="fast", messages=ASK)
    assert long.value.code == "context_length_exceeded"
    upstream.handler = lambda _: as_json({"error": {"message": "slow down", "type": "tokens"}}, 429, **{"retry-after": "7"})
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="fast", messages=ASK)
    assert limited.value.response.headers["retry-after"] == "7"


def test_models_lists_what_the_key_may_use(gateway: GatewayProcess) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(models=["fast", "demo"])) as client:
        assert [row.id for row in client.models.list()] == ["fast", "demo"]
        assert client.models.retrieve("fast").id == "fast"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("broken")


def test_state_survives_a_restart(tmp_path: Path, upstream: Upstream) -> None:
    upstream.handler = provider
    gateway = GatewayProcess(tmp_path, config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"))).start()
    key = gateway.new_key(key_alias="survivor")
    assert gateway.stop() == 0
    gateway.start()
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        client.chat.completions.create(model="fast", messages=ASK)
    gateway.kill()
    assert [entry["key_alias"] for entry in gateway.ledger()] == ["survivor"]
    gateway.start()
    assert gateway.admin("GET", "/key/info", key=key).json()["info"]["key_alias"] == "survivor"
    gateway.stop()
