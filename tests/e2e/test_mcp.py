"""The MCP gateway through the real program: the protocol's own package as the client and as the servers behind it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.served import served

SEEN: list[dict[str, str]] = []
"""Headers that reached the math server."""


def math_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("math")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ValueError("no such luck")

    @server.tool()
    async def slow(context: Context[Any], steps: int) -> str:
        """Tells how far it is."""
        for step in range(steps):
            await context.report_progress(step + 1, steps)
        return "done"

    return server


def word_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("words")

    @server.tool()
    def shout(text: str) -> str:
        return text.upper()

    @server.tool()
    def add(text: str, more: str) -> str:
        return text + more

    return server


def watched(app: ASGIApp) -> ASGIApp:
    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            SEEN.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    return watching


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with (
        served(watched(math_server().streamable_http_app())) as math,
        served(word_server().streamable_http_app(stateless_http=True, json_response=True)) as words,
    ):
        servers = {
            "math": {
                "url": f"{math}/mcp",
                "auth_type": "bearer_token",
                "auth_value": "os.environ/MATH_TOKEN",
                "extra_headers": ["x-tenant"],
                "mcp_info": {"mcp_server_cost_info": {"default_cost_per_query": 0.01, "tool_name_to_cost_per_query": {"slow": 0.5}}},
            },
            "words": {"url": f"{words}/mcp", "disallowed_tools": ["add"], "access_groups": ["writers"]},
            "private": {"url": f"{words}/mcp", "allow_all_keys": False},
            "down": {"url": "http://127.0.0.1:9/mcp"},
        }
        config = config_of(model("fast", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1"), mcp_servers=servers)
        process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, {"MATH_TOKEN": "token-of-math"}).start()
        yield process
        process.stop()


def run(gateway: GatewayProcess, work: Any, *, path: str = "/mcp", key: str | None = None, **headers: str) -> Any:
    """`work(client)` with a session of its own."""

    async def session() -> Any:
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"authorization": f"Bearer {key or gateway.new_key()}", **extra}
        async with (
            httpx2.AsyncClient(headers=given, trust_env=False, timeout=20) as http,
            Client(streamable_http_client(gateway.url + path, http_client=http)) as client,
        ):
            return await work(client)

    return asyncio.run(session())


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


def text(result: Any) -> str:
    return str(result.content[0].text)


def test_the_tools_of_every_server_under_its_name(gateway: GatewayProcess) -> None:
    assert run(gateway, names) == ["math-add", "math-fail", "math-slow", "words-shout"]
    (tool,) = (each for each in run(gateway, lambda client: client.list_tools()).tools if each.name == "math-add")
    assert tool.description == "Adds two numbers."
    assert tool.input_schema["required"] == ["a", "b"]


def test_a_server_at_its_own_path(gateway: GatewayProcess) -> None:
    assert run(gateway, names, path="/math/mcp") == ["add", "fail", "slow"]
    assert run(gateway, names, path="/mcp/words") == ["shout"]
    assert run(gateway, names, x_mcp_servers="math,words") == ["math-add", "math-fail", "math-slow", "words-shout"]
    assert text(run(gateway, lambda client: client.call_tool("add", {"a": 2, "b": 3}), path="/math/mcp")) == "5"


def test_a_call_reaches_its_server_with_our_credential_and_is_booked(gateway: GatewayProcess) -> None:
    SEEN.clear()
    result = run(gateway, lambda client: client.call_tool("math-add", {"a": 2, "b": 3}), x_tenant="blue", x_other="stays")
    assert (text(result), result.is_error, result.structured_content) == ("5", False, {"result": 5})
    assert {seen["authorization"] for seen in SEEN} == {"Bearer token-of-math"}
    assert {seen.get("x-tenant") for seen in SEEN} == {"blue"}
    assert all("x-other" not in seen for seen in SEEN)
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["model"], entry["cost"]) == ("call_mcp_tool", "MCP: math-add", 10_000_000)
    assert "token-of-math" not in gateway.log()


def test_a_name_without_its_server_works_where_it_is_one_tools(gateway: GatewayProcess) -> None:
    assert text(run(gateway, lambda client: client.call_tool("shout", {"text": "hey"}))) == "HEY"


def test_a_tools_own_failure_is_its_answer(gateway: GatewayProcess) -> None:
    result = run(gateway, lambda client: client.call_tool("math-fail", {}))
    assert result.is_error
    assert "Error executing tool fail" in text(result)


def test_progress_comes_through(gateway: GatewayProcess) -> None:
    told: list[tuple[float, float | None]] = []

    async def work(client: Client) -> Any:
        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total))

        return await client.call_tool("math-slow", {"steps": 3}, progress_callback=progress)

    assert text(run(gateway, work)) == "done"
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert gateway.ledger()[-1]["cost"] == 500_000_000


@pytest.mark.parametrize(
    ("permission", "listed"),
    [
        ({"mcp_servers": ["math"]}, ["math-add", "math-fail", "math-slow"]),
        ({"mcp_servers": ["private"]}, ["private-shout", "private-add"]),
        ({"mcp_access_groups": ["writers"]}, ["words-shout"]),
        ({"mcp_servers": ["math", "words"], "mcp_tool_permissions": {"math": ["add"]}}, ["math-add", "words-shout"]),
        ({"blocked_tools": ["math-fail", "slow"]}, ["math-add", "words-shout"]),
        ({"mcp_servers": []}, ["math-add", "math-fail", "math-slow", "words-shout"]),
    ],
)
def test_a_key_has_the_servers_and_tools_it_was_given(gateway: GatewayProcess, permission: dict[str, Any], listed: list[str]) -> None:
    key = gateway.new_key(object_permission=permission)
    assert run(gateway, names, key=key) == listed
    if "math-fail" not in listed:

        async def work(client: Client) -> Any:
            return await client.call_tool("math-fail", {})

        with pytest.raises(BaseException) as caught:
            run(gateway, work, key=key)
        assert caught.group_contains(MCPError) if isinstance(caught.value, BaseExceptionGroup) else isinstance(caught.value, MCPError)


def test_a_teams_servers_bound_its_keys(gateway: GatewayProcess) -> None:
    team = gateway.admin("POST", "/team/new", {"object_permission": {"mcp_servers": ["math"]}}).json()["team_id"]
    assert run(gateway, names, key=gateway.new_key(team_id=team)) == ["math-add", "math-fail", "math-slow"]
    key = gateway.new_key(team_id=team, object_permission={"mcp_servers": ["words"]})
    assert run(gateway, names, key=key, path="/mcp") == []


def test_a_budget_and_a_rate_hold_for_tools_too(gateway: GatewayProcess) -> None:
    poor = gateway.new_key(max_budget=0.015)

    async def twice(client: Client) -> Any:
        await client.call_tool("math-add", {"a": 1, "b": 1})
        return await client.call_tool("math-add", {"a": 1, "b": 1})

    with pytest.raises(BaseException) as caught:
        run(gateway, twice, key=poor)
    assert "budget" in _flat(caught.value).lower()


def _flat(error: BaseException) -> str:
    return " ".join(_flat(each) for each in error.exceptions) if isinstance(error, BaseExceptionGroup) else str(error)


def post(gateway: GatewayProcess, body: Any, key: str = MASTER_KEY, path: str = "/mcp") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "accept": "application/json"}
    return httpx.post(gateway.url + path, content=content, headers=headers, trust_env=False, timeout=20)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 101, -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing"}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "down-x"}}, -32603),
    ],
)
def test_bad_input_is_answered_in_json_rpc(gateway: GatewayProcess, body: Any, code: int) -> None:
    answer = post(gateway, body).json()
    assert (answer["jsonrpc"], answer["error"]["code"]) == ("2.0", code)
    assert answer["error"]["message"]


def test_the_protocol_by_hand(gateway: GatewayProcess) -> None:
    assert post(gateway, {"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    assert post(gateway, {"jsonrpc": "2.0", "id": "a", "method": "ping"}).json() == {"jsonrpc": "2.0", "id": "a", "result": {}}
    two = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in (1, 2)]
    assert [each["id"] for each in post(gateway, two).json()] == [1, 2]
    old = post(gateway, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2024-11-05"}}).json()
    assert old["result"]["protocolVersion"] == "2024-11-05"
    refused = post(gateway, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, key="sk-nobody")
    assert (refused.status_code, refused.json()["error"]["code"], refused.headers["www-authenticate"]) == (401, -32000, "Bearer")
    assert httpx.get(f"{gateway.url}/mcp", trust_env=False).status_code == 405
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert post(gateway, ping, key=gateway.new_key(allowed_routes=["mcp_routes"])).status_code == 200
    assert post(gateway, ping, key=gateway.new_key(allowed_routes=["/v1/embeddings"])).status_code == 403


def test_the_rest_form(gateway: GatewayProcess) -> None:
    http = httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.new_key()}"}, trust_env=False, timeout=20)
    with http:
        listed = http.get("/mcp-rest/tools/list").json()
        assert [tool["name"] for tool in listed["tools"]] == ["math-add", "math-fail", "math-slow", "words-shout"]
        assert (listed["error"], listed["tools"][0]["mcp_info"]["server_name"]) == (None, "math")
        assert [tool["name"] for tool in http.get("/mcp-rest/tools/list?server_id=words").json()["tools"]] == ["words-shout"]
        called = http.post("/mcp-rest/tools/call", json={"name": "math-add", "arguments": {"a": 20, "b": 3}}).json()
        assert (called["content"][0]["text"], called["isError"]) == ("23", False)
        by_id = http.post("/mcp-rest/tools/call", json={"server_id": "math", "name": "add", "arguments": {"a": 1, "b": 1}})
        assert by_id.json()["content"][0]["text"] == "2"
        for body, status, param in (
            ({}, 400, "name"),
            ({"name": "nothing"}, 404, "name"),
            ({"name": "math-add", "arguments": 1}, 400, "arguments"),
        ):
            answer = http.post("/mcp-rest/tools/call", json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_a_key_may_call_one_server_so_often_and_the_others_as_it_likes(gateway: GatewayProcess) -> None:
    key = gateway.new_key(mcp_rpm_limit={"math": 1})

    async def thrice(client: Client) -> list[str]:
        said = []
        for tool, given in (("words-shout", {"text": "a"}), ("math-add", {"a": 1, "b": 2}), ("words-shout", {"text": "b"})):
            said.append((await client.call_tool(tool, given)).content[0].text)
        with pytest.raises(MCPError, match="Rate limit exceeded"):
            await client.call_tool("math-add", {"a": 1, "b": 2})
        return said

    assert run(gateway, thrice, key=key) == ["A", "3", "B"]
