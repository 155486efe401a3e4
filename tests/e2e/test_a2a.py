"""The agent gateway through the real program: the protocol's own package as the client and as an agent behind it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, create_client
from a2a.helpers.proto_helpers import get_stream_response_text, new_text_message
from a2a.types import Role, SendMessageRequest, StreamResponse, TaskState
from tests.support.agents import echo_agent
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.served import served
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

SEEN: list[dict[str, str]] = []
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


def provider(request: Received) -> Reply:
    if request.json.get("stream"):
        return as_sse(*text_stream("Hel", "lo"))
    return as_json(completion(f"model says {request.json['messages'][-1]['content'][0]['text']}"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with served(echo_agent("http://echo.invalid/", SEEN)) as echo, served(echo_agent("http://other.invalid/", [])) as other:
        skill = {"id": "s", "name": "S", "description": "d", "tags": ["t"]}
        model_params = {"model": "fast", "system_prompt": "Be brief."}
        agents = [
            {
                "agent_name": "echo",
                "agent_card_params": {"name": "Echo here", "description": "Says it back", "protocolVersion": "1.0", "url": f"{echo}/"},
                "static_headers": {"authorization": "Bearer os.environ/ECHO_KEY"},
                "litellm_params": {"cost_per_query": 0.02},
            },
            {
                "agent_name": "old",
                "agent_card_params": {"protocolVersion": "0.3.0", "description": "d", "skills": [skill], "url": f"{other}/"},
            },
            {"agent_name": "found", "agent_card_params": {"url": f"{other}/"}},
            {
                "agent_name": "model",
                "agent_card_params": {"name": "A model"},
                "litellm_params": model_params,
            },
            {"agent_name": "down", "agent_card_params": {"description": "d", "url": "http://127.0.0.1:9/"}},
        ]
        config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES), agent_list=agents)
        process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, {"ECHO_KEY": "echo-secret"}).start()
        yield process
        process.stop()


def ask(gateway: GatewayProcess, agent: str, said: str, *, stream: bool, key: str | None = None) -> list[StreamResponse]:
    """With the official client, from the agent's card on."""

    async def work() -> list[StreamResponse]:
        headers = {"authorization": f"Bearer {key or gateway.new_key()}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as http:
            card = await A2ACardResolver(http, f"{gateway.url}/a2a/{agent}").get_agent_card()
            client = await create_client(card, ClientConfig(streaming=stream, httpx_client=http))
            message = new_text_message(said, role=Role.ROLE_USER)
            return [each async for each in client.send_message(SendMessageRequest(message=message))]

    return asyncio.run(work())


def card(gateway: GatewayProcess, agent: str, path: str = "agent-card.json", key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key or gateway.new_key()}"}
    return httpx.get(f"{gateway.url}/a2a/{agent}/.well-known/{path}", headers=headers, trust_env=False)


@pytest.mark.parametrize("agent", ["echo", "old"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_message_and_its_answer(gateway: GatewayProcess, agent: str, stream: bool) -> None:
    (answer,) = ask(gateway, agent, "hello", stream=stream)
    assert get_stream_response_text(answer) == "echo hello"


@pytest.mark.parametrize("agent", ["echo", "old"])
def test_a_task_streams_through(gateway: GatewayProcess, agent: str) -> None:
    answers = ask(gateway, agent, "count please", stream=True)
    assert [get_stream_response_text(each) for each in answers if each.HasField("artifact_update")] == ["0", "1", "2"]
    assert answers[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


def test_a_call_has_our_credential_and_is_booked(gateway: GatewayProcess) -> None:
    SEEN.clear()
    ask(gateway, "echo", "hi", stream=False)
    assert {seen["authorization"] for seen in SEEN} == {"Bearer echo-secret"}
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["model"], entry["cost"]) == ("asend_message", "a2a_agent/echo", 20_000_000)


def test_cards_lead_here(gateway: GatewayProcess) -> None:
    here = f"{gateway.url}/a2a/echo"
    shown = card(gateway, "echo").json()
    assert (shown["name"], shown["url"], shown["protocolVersion"]) == ("Echo here", here, "1.0")
    assert shown["supportedInterfaces"] == [{"url": here, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    assert card(gateway, "echo", "agent.json").json() == shown
    old = card(gateway, "old").json()
    assert (old["protocolVersion"], old["supportedInterfaces"][0]["protocolVersion"]) == ("0.3.0", "0.3")
    found = card(gateway, "found").json()
    assert (found["name"], found["description"], [skill["id"] for skill in found["skills"]]) == ("Echo", "Says it back", ["echo"])
    assert [row["url"] for row in found["supportedInterfaces"]] == [f"{gateway.url}/a2a/found"]
    assert "invalid" not in json.dumps(found)
    listed = httpx.get(f"{gateway.url}/v1/agents", headers={"authorization": f"Bearer {gateway.new_key()}"}, trust_env=False).json()
    assert [row["agent_name"] for row in listed] == ["echo", "old", "found", "model", "down"]


def test_an_agent_that_is_a_model(gateway: GatewayProcess, upstream: Upstream) -> None:
    (answer,) = ask(gateway, "model", "hello", stream=False)
    assert get_stream_response_text(answer) == "model says hello"
    assert upstream.received[-1].json["messages"][0] == {"role": "system", "content": "Be brief."}
    entry = gateway.ledger()[-1]
    assert (entry["model"], entry["cost"], entry["status"]) == ("fast", 129_000, "success")
    answers = ask(gateway, "model", "hello", stream=True)
    assert "".join(get_stream_response_text(each) for each in answers if each.HasField("artifact_update")) == "Hello"
    assert answers[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


def rpc(gateway: GatewayProcess, agent: str, body: Any, path: str = "", key: str | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key or gateway.new_key()}", "content-type": "application/json"}
    return httpx.post(f"{gateway.url}/a2a/{agent}{path}", content=content, headers=headers, trust_env=False, timeout=20)


def old_message(text: str, method: str = "message/send") -> dict[str, Any]:
    message = {"role": "user", "messageId": "m1", "contextId": "c1", "kind": "message", "parts": [{"kind": "text", "text": text}]}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"message": message}}


def test_the_older_revision_by_hand(gateway: GatewayProcess) -> None:
    answer = rpc(gateway, "model", old_message("hi"), "/message/send").json()
    assert answer["id"] == 7
    result = answer["result"]
    assert (result["kind"], result["role"], result["contextId"]) == ("message", "agent", "c1")
    assert result["parts"] == [{"kind": "text", "text": "model says hi"}]
    streamed = rpc(gateway, "model", old_message("hi", "message/stream"))
    rows = [json.loads(line[6:])["result"] for line in streamed.text.splitlines() if line.startswith("data: ")]
    pieces = rows[1:-1]
    assert [rows[0]["kind"], rows[-1]["kind"], *{piece["kind"] for piece in pieces}] == ["task", "status-update", "artifact-update"]
    assert [piece["append"] for piece in pieces] == [number > 0 for number in range(len(pieces))]
    assert "".join(piece["artifact"]["parts"][0]["text"] for piece in pieces) == "Hello"
    assert (rows[-1]["status"]["state"], rows[-1]["final"]) == ("completed", True)


@pytest.mark.parametrize(
    ("agent", "body", "code"),
    [
        ("model", b"{", -32700),
        ("echo", b"{", -32700),
        ("echo", {"id": 1, "method": "x"}, -32600),
        ("model", {"jsonrpc": "2.0", "id": 1, "method": "nothing"}, -32601),
        ("echo", {"jsonrpc": "2.0", "id": 1, "method": "nothing"}, -32601),
        ("model", {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {}}, -32602),
        ("model", {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"parts": [{"raw": "x"}]}}}, -32602),
        ("model", {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": "t"}}, -32001),
        ("down", {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {}}, -32603),
    ],
)
def test_bad_input_is_answered_in_json_rpc(gateway: GatewayProcess, agent: str, body: Any, code: int) -> None:
    answer = rpc(gateway, agent, body).json()
    assert (answer["jsonrpc"], answer["error"]["code"]) == ("2.0", code)


def test_a_key_has_its_agents_budget_and_models(gateway: GatewayProcess) -> None:
    key = gateway.new_key(object_permission={"agents": ["model"]})
    refused = rpc(gateway, "echo", old_message("hi"), key=key)
    assert (refused.status_code, refused.json()["error"]["data"]["type"]) == (403, "agent_access_denied")
    assert card(gateway, "echo", key=key).status_code == 403
    assert rpc(gateway, "model", old_message("hi"), key=key).status_code == 200
    poor = gateway.new_key(max_budget=0.03)
    assert "result" in rpc(gateway, "echo", old_message("hi"), key=poor).json()
    assert rpc(gateway, "echo", old_message("hi"), key=poor).json()["error"]["data"]["type"] == "budget_exceeded"
    other = gateway.new_key(models=["else"])
    refusal = rpc(gateway, "model", old_message("hi"), key=other)
    assert (refusal.status_code, refusal.json()["error"]["data"]["type"]) == (403, "key_model_access_denied")
    assert rpc(gateway, "nobody", old_message("hi")).status_code == 404
    assert httpx.get(f"{gateway.url}/a2a/echo/.well-known/agent-card.json", trust_env=False).status_code == 401


def test_a_models_failure_ends_its_stream_as_failed(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(*text_stream("Hel", "lo")[:2], done=False, cut=True)
    streamed = rpc(gateway, "model", old_message("hi", "message/stream"))
    upstream.handler = provider
    rows = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert rows[-2]["result"]["status"]["state"] == "failed"
    assert rows[-1]["error"]["code"] in {-32000, -32603}
