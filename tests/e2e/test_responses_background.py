"""Responses in the background, by the official openai client against the real program: polled, cancelled, followed, killed on their way.

The provider answers when a test lets it, so nothing here depends on how long anything takes.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.clients.provider import provider
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, text_stream

USAGE = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5, "total_tokens": 14}
USAGE |= {"output_tokens_details": {"reasoning_tokens": 0}}
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


class Provider:
    """Says "One two" through chat or Responses, the second word once `gate` is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, request: Received) -> Reply:
        if request.method == "DELETE":
            return as_json({"id": request.path.rpartition("/")[2], "deleted": True})
        if request.path.startswith("/v1/responses"):
            return self.native(request)
        if not request.json.get("stream"):
            return provider(request)
        first, *rest = text_stream("One", " two")
        return as_sse(first, rest[0], self.gate, *rest[1:])

    def native(self, request: Received) -> Reply:
        part = {"type": "output_text", "text": "One two", "annotations": [], "logprobs": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        body = {"id": "resp_theirs", "object": "response", "created_at": 1, "status": "in_progress", "model": "gpt-5", "output": []}
        body |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "background": False, "store": True}
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        events: list[Any] = [
            {"type": "response.created", "response": body},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
            {"type": "response.output_text.delta", **where, "delta": "One"},
            {"type": "response.output_text.delta", **where, "delta": " two"},
            {"type": "response.completed", "response": {**body, "status": "completed", "output": [item], "usage": USAGE}},
        ]
        numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
        return as_sse(*numbered[:3], self.gate, *numbered[3:], done=False)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


def gateway_at(folder: Path, upstream: Upstream) -> GatewayProcess:
    config = config_of(
        model("gpt", "openai/gpt-4o-mini", f"{upstream.url}/v1", **PRICES),
        model("native", "openai/gpt-5", f"{upstream.url}/v1", model_info={"mode": "responses"}, **PRICES),
        router_settings={"num_retries": 0},
    )
    return GatewayProcess(folder, config).start()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = gateway_at(tmp_path_factory.mktemp("gateway"), upstream)
    yield process
    process.stop()


@pytest.fixture
def script(upstream: Upstream) -> Iterator[Provider]:
    script = Provider()
    upstream.handler = script
    yield script
    script.gate.set()


def client_of(gateway: GatewayProcess, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.new_key(max_budget=5), max_retries=0)


@pytest.fixture
def client(gateway: GatewayProcess, script: Provider) -> Iterator[openai.OpenAI]:
    with client_of(gateway) as made:
        yield made


def once(client: openai.OpenAI, identifier: str, *statuses: str, pause: float = 0.02) -> Any:
    """The response once it has one of these statuses."""
    for _ in range(1200):
        found = client.responses.retrieve(identifier)
        if found.status in statuses:
            return found
        time.sleep(pause)
    raise AssertionError(found)


def booked(gateway: GatewayProcess, identifier: str) -> list[dict[str, Any]]:
    """What the ledger has of a response, once it has something."""
    for _ in range(400):
        if entries := [entry for entry in gateway.ledger() if entry["request_id"] == identifier.removeprefix("resp_")]:
            return entries
        time.sleep(0.05)
    return []


@pytest.mark.parametrize("name", ["gpt", "native"])
def test_it_is_queued_then_in_progress_then_there(client: openai.OpenAI, gateway: GatewayProcess, script: Provider, name: str) -> None:
    begun = client.responses.create(model=name, input="Count", background=True, metadata={"job": "7"})
    assert (begun.status, begun.background, begun.output, begun.model) == ("queued", True, [], name)
    once(client, begun.id, "in_progress")
    script.gate.set()
    ended = once(client, begun.id, "completed", "failed")
    assert (ended.id, ended.output_text, ended.background, ended.status) == (begun.id, "One two", True, "completed")
    items: Any = client.responses.input_items.list(begun.id).data
    assert [item.content[0].text for item in items] == ["Count"]
    entry = booked(gateway, begun.id)[0]
    assert entry["cost"] == entry["input_tokens"] * 1_000 + entry["output_tokens"] * 2_000 > 0


@pytest.mark.parametrize("name", ["gpt", "native"])
def test_a_conversation_goes_on_from_it(client: openai.OpenAI, upstream: Upstream, script: Provider, name: str) -> None:
    first = client.responses.create(model=name, input="Count", background=True)
    with pytest.raises(openai.BadRequestError, match="has not ended"):
        client.responses.create(model=name, input="Go on", previous_response_id=first.id)
    script.gate.set()
    once(client, first.id, "completed")
    second = client.responses.create(model=name, input="Go on", previous_response_id=first.id, background=True)
    assert once(client, second.id, "completed").previous_response_id == first.id or name == "native"
    sent = upstream.received[-1].json
    if name == "native":
        assert (sent["previous_response_id"], sent["input"]) == ("resp_theirs", "Go on"), "its provider knows it by its own id"
    else:
        assert [message["content"] for message in sent["messages"]] == ["Count", "One two", "Go on"]
    client.responses.delete(second.id)
    assert name == "gpt" or upstream.received[-1].path == "/v1/responses/resp_theirs"


def test_cancelled_on_its_way(client: openai.OpenAI, gateway: GatewayProcess, script: Provider) -> None:
    begun = client.responses.create(model="gpt", input="Count", background=True)
    once(client, begun.id, "in_progress")
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.cancel(begun.id).status == "cancelled", "twice is once"
    assert once(client, begun.id, "cancelled").output == []
    script.gate.set()
    assert client.responses.retrieve(begun.id).status == "cancelled"
    assert len(booked(gateway, begun.id)) == 1
    client.responses.delete(begun.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(begun.id)


def test_one_that_has_ended_is_not_cancelled_any_more(client: openai.OpenAI, script: Provider) -> None:
    script.gate.set()
    begun = client.responses.create(model="gpt", input="Count", background=True)
    once(client, begun.id, "completed")
    assert client.responses.cancel(begun.id).status == "completed"


def test_what_its_provider_refuses_is_failed(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"error": {"message": "Bad picture", "type": "invalid_request_error", "code": "bad_image"}}, 400)
    begun = client.responses.create(model="gpt", input="Count", background=True)
    failed = once(client, begun.id, "failed", "completed")
    assert failed.error is not None
    assert (failed.error.code, "Bad picture" in failed.error.message) == ("bad_image", True)


def test_what_is_cut_is_failed(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"role": "assistant", "content": "Half"}), done=False, cut=True)
    begun = client.responses.create(model="gpt", input="Count", background=True)
    assert once(client, begun.id, "failed", "completed").error is not None


def test_followed_left_and_followed_again(client: openai.OpenAI, script: Provider) -> None:
    stream = client.responses.create(model="gpt", input="Count", background=True, stream=True)
    identifier, last = "", -1
    for event in stream:
        if event.type == "response.created":
            identifier, last = event.response.id, event.sequence_number
            assert event.response.background
        if event.type == "response.output_text.delta":
            last = event.sequence_number
            break
    stream.close()
    script.gate.set()
    again = list(client.responses.retrieve(identifier, stream=True, starting_after=last))
    assert [event.sequence_number for event in again] == list(range(last + 1, last + 1 + len(again)))
    assert again[-1].type == "response.completed"
    assert again[-1].response.output_text == "One two"
    assert client.responses.retrieve(identifier).output_text == "One two"
    whole = list(client.responses.retrieve(identifier, stream=True))
    assert whole[0].type == "response.created"
    assert [event.sequence_number for event in whole[last + 1 :]] == [event.sequence_number for event in again]


def test_followers_hear_of_a_cancellation(client: openai.OpenAI, script: Provider) -> None:
    stream = client.responses.create(model="native", input="Count", background=True, stream=True)
    kinds: list[str] = []
    for event in stream:
        kinds.append(event.type)
        if event.type == "response.created":
            assert event.response.id != "resp_theirs"
            identifier = event.response.id
        if event.type == "response.output_text.delta" and len(kinds) == 3:
            client.responses.cancel(identifier)
    assert kinds[-1] == "response.cancelled"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"store": False}, "background"),
        ({"model": "nobody"}, "model"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"input": None}, "input"),
    ],
)
def test_what_cannot_be_begun_is_refused_at_once(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "gpt", "input": "x", "background": True, **fields})
    assert caught.value.param == param


def test_nobody_else_sees_or_ends_it(client: openai.OpenAI, gateway: GatewayProcess, script: Provider) -> None:
    begun = client.responses.create(model="gpt", input="Count", background=True)
    with client_of(gateway) as other:
        for ask in (other.responses.retrieve, other.responses.cancel, other.responses.delete):
            with pytest.raises(openai.NotFoundError):
                ask(begun.id)
    script.gate.set()
    once(client, begun.id, "completed")


def test_only_what_was_streamed_is_streamed_again(client: openai.OpenAI, script: Provider) -> None:
    script.gate.set()
    begun = client.responses.create(model="gpt", input="Count", background=True)
    with pytest.raises(openai.BadRequestError, match="cannot be streamed again"):
        list(client.responses.retrieve(begun.id, stream=True))


def test_a_killed_gateway_leaves_none_in_progress(upstream: Upstream, script: Provider, tmp_path: Path) -> None:
    gateway = gateway_at(tmp_path, upstream)
    try:
        key = gateway.new_key()
        with client_of(gateway, key) as client:
            stream = client.responses.create(model="gpt", input="Count", background=True, stream=True)
            for event in stream:
                if event.type == "response.created":
                    identifier = event.response.id
                if event.type == "response.output_text.delta":
                    break
            asked = len(upstream.received)
            gateway.kill()
            stream.close()
            gateway.start()
            failed = once(client, identifier, "failed", "completed", pause=0.5)
            assert failed.error is not None
            assert failed.error.code == "server_error"
            assert len(upstream.received) == asked, "what was sent is not sent again"
            assert list(client.responses.retrieve(identifier, stream=True))[-1].type == "response.failed"
            assert [entry["unconfirmed"] for entry in booked(gateway, identifier)] == [True]
    finally:
        gateway.stop()
