"""Kept responses, by the official openai client against the real program: read again, continued anywhere, deleted, nobody else's."""

import itertools
import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.clients.provider import provider
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion

WEATHER: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
}


NUMBERS = itertools.count()


def native(request: Received) -> Reply:
    """OpenAI's own Responses API; anything else as ever."""
    if not request.path.startswith("/v1/responses"):
        return provider(request)
    if request.method == "DELETE":
        return as_json({"id": request.path.rpartition("/")[2], "object": "response", "deleted": True})
    if request.path.endswith("/input_tokens"):
        return as_json({"object": "response.input_tokens", "input_tokens": 42})
    part = {"type": "output_text", "text": "Native hello", "annotations": [], "logprobs": []}
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]},
    ]
    kind = "response.compaction" if request.path.endswith("/compact") else "response"
    body = {
        "id": f"resp_native{next(NUMBERS)}",
        "object": kind,
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5",
        "output": output,
        "usage": {**USAGE, "total_tokens": 14},
    }
    body |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None, "store": True}
    if not request.json.get("stream"):
        return as_json(body)
    begun = {"type": "response.created", "sequence_number": 0, "response": {**body, "status": "in_progress", "output": []}}
    return as_sse(begun, {"type": "response.completed", "sequence_number": 1, "response": body}, done=False)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(native) as server:
        yield server


@pytest.fixture(scope="module")
def config(upstream: Upstream) -> dict[str, Any]:
    return config_of(
        model("gpt", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("claude", "anthropic/claude-sonnet-4-5", upstream.url),
        model("native", "openai/gpt-5", f"{upstream.url}/v1", model_info={"mode": "responses"}),
        router_settings={"num_retries": 0},
    )


@pytest.fixture(scope="module")
def gateway(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


def client_of(gateway: GatewayProcess, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.new_key(), max_retries=0)


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = native
    with client_of(gateway) as made:
        yield made


def sent_texts(upstream: Upstream) -> str:
    return upstream.received[-1].body.decode()


@pytest.mark.parametrize("name", ["gpt", "claude", "native"])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_answered_can_be_read_again(client: openai.OpenAI, name: str, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model=name, input="Say hello") as stream:
            for _ in stream:
                pass
            answer: Any = stream.get_final_response()
    else:
        answer = client.responses.create(model=name, input="Say hello")
    again = client.responses.retrieve(answer.id)
    assert (again.id, again.output_text, again.status, again.model) == (answer.id, answer.output_text, "completed", name)
    assert again.store is True
    items = client.responses.input_items.list(answer.id)
    assert [item.content[0].text for item in items.data] == ["Say hello"]  # type: ignore[union-attr]


def test_a_conversation_goes_on_with_everything_before_it(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="gpt", input="My name is Ada", instructions="Be brief.")
    second = client.responses.create(model="gpt", input="And my age?", previous_response_id=first.id)
    messages = upstream.received[-1].json["messages"]
    assert [(each["role"], each["content"]) for each in messages] == [
        ("user", "My name is Ada"), ("assistant", "Hello there!"), ("user", "And my age?"),
    ]  # fmt: skip
    assert second.previous_response_id == first.id
    client.responses.create(model="claude", input="Third", previous_response_id=second.id)
    turns = upstream.received[-1].json["messages"]
    assert len(turns) == 5, "three turns at another make"


def test_tools_across_kept_turns(client: openai.OpenAI, upstream: Upstream) -> None:
    with client.responses.stream(model="gpt", input="Weather in Paris?", tools=[WEATHER]) as stream:
        first = stream.get_final_response()
    call: Any = first.output[0]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny-in-paris"}
    second = client.responses.create(model="gpt", input=[result], previous_response_id=first.id, tools=[WEATHER])
    assert second.output_text == "It is sunny."
    assert [each["role"] for each in upstream.received[-1].json["messages"]] == ["user", "assistant", "tool"]


def test_a_provider_that_keeps_it_goes_on_by_its_id(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="native", input="One")
    client.responses.create(model="native", input="Two", previous_response_id=first.id)
    assert upstream.received[-1].json["previous_response_id"] == first.id
    assert upstream.received[-1].json["input"] == "Two"
    client.responses.create(model="gpt", input="Two", previous_response_id=first.id)
    assert [each["content"] for each in upstream.received[-1].json["messages"]] == ["One", "Native hello", "Two"]
    bridged = client.responses.create(model="gpt", input="One")
    client.responses.create(model="native", input="Two", previous_response_id=bridged.id)
    sent = upstream.received[-1].json
    assert "previous_response_id" not in sent
    assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]
    assert not any("id" in item for item in sent["input"])


def test_a_response_nobody_kept_is_its_providers_to_find(client: openai.OpenAI, upstream: Upstream) -> None:
    client.responses.create(model="native", input="Two", previous_response_id="resp_elsewhere")
    assert upstream.received[-1].json["previous_response_id"] == "resp_elsewhere"
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="gpt", input="Two", previous_response_id="resp_elsewhere")


def test_nobody_else_reads_or_continues_it(gateway: GatewayProcess, client: openai.OpenAI, upstream: Upstream) -> None:
    mine = client.responses.create(model="gpt", input="A secret")
    with client_of(gateway) as other:
        for attempt in (other.responses.retrieve, other.responses.delete, other.responses.cancel, other.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                attempt(mine.id)
        with pytest.raises(openai.BadRequestError) as caught:
            other.responses.create(model="gpt", input="Tell me", previous_response_id=mine.id)
    assert caught.value.code == "previous_response_not_found"
    assert "secret" not in str(caught.value.body)
    with client_of(gateway, MASTER_KEY) as admin:
        assert admin.responses.retrieve(mine.id).id == mine.id


def test_a_users_keys_share_what_they_keep(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = native
    gateway.admin("POST", "/user/new", {"user_id": "ada", "auto_create_key": False})
    with client_of(gateway, gateway.new_key(user_id="ada")) as one, client_of(gateway, gateway.new_key(user_id="ada")) as two:
        assert two.responses.retrieve(one.responses.create(model="gpt", input="x").id)


def test_deleted_is_gone_here_and_at_its_provider(client: openai.OpenAI, upstream: Upstream) -> None:
    for name in ("gpt", "native"):
        answer = client.responses.create(model=name, input="x")
        client.responses.delete(answer.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(answer.id)
    assert (upstream.received[-1].method, upstream.received[-1].path) == ("DELETE", f"/v1/responses/{answer.id}")


def test_what_is_not_to_be_kept_is_not(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    answer = client.responses.create(model="gpt", input="x", store=False)
    assert answer.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_a_large_conversation_is_kept_in_parts_and_has_an_end_of_life(
    client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream
) -> None:
    noise = random.Random(7).randbytes(700_000).hex()
    upstream.handler = lambda _: as_json(completion("short"))
    answer = client.responses.create(model="gpt", input=noise)
    kept: Any = client.responses.input_items.list(answer.id).data[0]
    assert kept.content[0].text == noise
    with sqlite3.connect(next(gateway.state.glob("*.db"))) as connection:
        rows = connection.execute("SELECT body FROM counters WHERE pk = ?", (f"kept#response#{answer.id}",)).fetchall()
    connection.close()
    assert len(rows) > 2
    assert all(b'"ttl"' in row[0] for row in rows)


def test_a_stream_that_breaks_keeps_nothing(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"role": "assistant", "content": "Half"}), done=False, cut=True)
    identifier = ""
    with pytest.raises(openai.APIError):
        for event in client.responses.create(model="gpt", input="x", stream=True):
            identifier = event.response.id if event.type == "response.created" else identifier
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(identifier)


def test_cancel_and_replays_say_why_not(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="gpt", input="x")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(answer.id)
    with pytest.raises(openai.BadRequestError, match="cannot be streamed again"):
        list(client.responses.retrieve(answer.id, stream=True))


def test_pages_of_input_items(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="gpt", input=[{"role": "user", "content": f"n{number}"} for number in range(5)])
    page = client.responses.input_items.list(answer.id, limit=2, order="asc")
    texts = [item.content[0].text for item in page]  # type: ignore[union-attr]
    assert texts == [f"n{number}" for number in range(5)], "the client follows every page"


def test_input_tokens_cost_nothing(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    before = len(gateway.ledger())
    assert client.responses.input_tokens.count(model="native", input="Hello").input_tokens == 42
    assert client.responses.input_tokens.count(model="gpt", input="Hello").input_tokens > 0
    assert len(gateway.ledger()) == before


def test_compaction_where_the_provider_has_it(gateway: GatewayProcess, client: openai.OpenAI) -> None:
    answer = client.responses.compact(model="native", input="Hello")
    assert answer.output
    assert gateway.ledger()[-1]["call_type"] == "acompact_responses"
    with pytest.raises(openai.BadRequestError, match="/v1/responses"):
        client.responses.compact(model="claude", input="Hello")


def test_it_outlives_a_restart(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = native
    key = gateway.new_key()
    with client_of(gateway, key) as client:
        answer = client.responses.create(model="gpt", input="Remember me")
    gateway.kill()
    gateway.start()
    with client_of(gateway, key) as client:
        assert client.responses.retrieve(answer.id).output_text == "Hello there!"


@pytest.mark.slow
def test_an_installation_may_keep_nothing(config: dict[str, Any], tmp_path: Any, upstream: Upstream) -> None:
    upstream.handler = native
    process = GatewayProcess(tmp_path, {**config, "tollkeeper": {"responses": {"store": False}}}).start()
    try:
        with client_of(process) as client:
            answer = client.responses.create(model="gpt", input="x")
            assert answer.store is False
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(answer.id)
    finally:
        process.stop()


def test_a_key_is_needed(gateway: GatewayProcess) -> None:
    assert httpx.get(f"{gateway.url}/v1/responses/resp_1", trust_env=False).status_code == 401


def test_a_hint_only_one_make_takes_hinders_no_other(client: openai.OpenAI) -> None:
    """Coding agents send a verbosity to whatever model they are given."""
    assert client.responses.create(model="claude", input="x", text={"verbosity": "medium"}).output_text == "Hello there!"
