"""The MCP gateway: one streamable HTTP endpoint before every configured server, and LiteLLM's REST form of it.

Stateless: no session of ours, any sandbox answers any request. https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
https://docs.litellm.ai/docs/mcp
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import orjson

from tollkeeper.config.snapshot import Upstream
from tollkeeper.dialects.base import Json
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.edge.http import raw_headers, read_body, send_json
from tollkeeper.edge.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcCall,
    RpcFault,
    call_of,
    event,
    fault_from,
    fault_of,
    id_in,
    result_of,
    rpc_error,
)
from tollkeeper.edge.mcp_access import full_name, parted, servers_for, tool_allowed
from tollkeeper.edge.routes import Row
from tollkeeper.edge.sse import EventStream
from tollkeeper.edge.toll import Toll
from tollkeeper.errors import BadRequest, Forbidden, NotFound, TollkeeperError
from tollkeeper.money import ZERO, NanoUSD, usd_to_nano
from tollkeeper.providers.mcp_client import McpClient, McpRefused, Notified, Visit

log = logging.getLogger("tollkeeper.mcp")

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
UNSUPPORTED_VERSION = -32022
"""Asked for a revision without the handshake: the client falls back to one with it."""
_ROUTE, _CALL_TYPE = "/mcp", "call_mcp_tool"
_MAX_MESSAGES = 100


class McpEdge:
    """One per process."""

    def __init__(self, door: Door, client: McpClient, toll: Toll, servers: Sequence[Upstream], *, heartbeat_seconds: float) -> None:
        self._door, self._client, self._toll, self._servers = door, client, toll, servers
        self._heartbeat_seconds = heartbeat_seconds

    def routes(self) -> list[Row]:
        app, rest = self._door.app(_ROUTE, self.post, rpc_error), self._door.app
        paths = ("/mcp", "/mcp/", "/mcp/{servers}", *(f"/{server.name}/mcp" for server in self._servers))
        return [
            *(("POST", path, app) for path in paths),
            *(("DELETE", path, self._door.app(_ROUTE, self.leave, rpc_error)) for path in paths),
            ("GET", "/mcp-rest/tools/list", rest(_ROUTE, self.rest_list)),
            ("POST", "/mcp-rest/tools/call", rest(_ROUTE, self.rest_call)),
        ]

    async def leave(self, visitor: Visitor) -> Json:
        """There is no session to end."""
        return {}

    async def post(self, visitor: Visitor) -> Json | None:
        data = await read_body(visitor.receive, visitor.headers, visitor.max_bytes)
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise RpcFault(PARSE_ERROR, f"The request body is not valid JSON: {error.msg}.") from None
        if isinstance(message, list):  # 2025-03-26 had batches
            if not 0 < len(message) <= _MAX_MESSAGES:
                raise RpcFault(INVALID_REQUEST, f"A batch has 1 to {_MAX_MESSAGES} messages.")
            answers = [answer for each in message if (answer := await self._answer(visitor, each, None)) is not None]
            await (send_json(visitor.send, 200, {}, answers) if answers else _accepted(visitor))
            return None
        if isinstance(message, dict) and message.get("method") == "tools/call" and "text/event-stream" in visitor.headers.get("accept", ""):
            await self._streamed(visitor, message)
            return None
        answer = await self._answer(visitor, message, None)
        if answer is None:
            await _accepted(visitor)
        else:
            await send_json(visitor.send, _status(answer), {"x-litellm-call-id": visitor.call_id}, answer)
        return None

    async def rest_list(self, visitor: Visitor) -> Json:
        asked = [visitor.query["server_id"]] if visitor.query.get("server_id") else _asked(visitor)
        found = await self._tools(visitor, servers_for(visitor.principal, self._servers, asked))
        tools = [{**tool, "name": full_name(server, tool["name"]), "mcp_info": _info(server)} for server, tool in found]
        return {"tools": tools, "error": None, "message": "Successfully retrieved tools"}

    async def rest_call(self, visitor: Visitor) -> Json:
        body = await visitor.json()
        if not isinstance(name := body.get("name"), str) or not name:
            raise BadRequest("Missing required parameter: 'name'.", param="name", code="missing_required_parameter")
        if not isinstance(body.get("arguments"), dict | None):
            raise BadRequest("'arguments' must be an object.", param="arguments", code="invalid_type")
        asked = [str(body["server_id"])] if body.get("server_id") else _asked(visitor)
        try:
            return await self._call(visitor, asked, {"name": name, "arguments": body.get("arguments") or {}}, None)
        except RpcFault as fault:
            raise NotFound(fault.message, param="name", type="invalid_request_error") from None
        except McpRefused as refused:
            raise BadRequest(str(refused)[:500], code="mcp_error", extra={"mcp_error": refused.error}) from None

    async def _streamed(self, visitor: Visitor, message: Json) -> None:
        """A tool may work for minutes: heartbeats meanwhile, its progress as it comes, then its answer."""
        events = EventStream(visitor.receive, visitor.send, self._heartbeat_seconds)

        async def told(notification: Json) -> None:
            if not events.begun:
                await events.begin({"x-litellm-call-id": visitor.call_id})
            await events.write(event(notification))

        async def produce() -> None:
            answer = await self._answer(visitor, message, told)
            if not events.begun:
                await events.begin({"x-litellm-call-id": visitor.call_id})
            await events.write(event(answer or {}))
            await events.end()

        await events.run(produce, {"x-litellm-call-id": visitor.call_id})

    async def _answer(self, visitor: Visitor, message: object, told: Notified | None) -> Json | None:
        """None: nothing is to be said."""
        try:
            call = call_of(message)
            if call is None or call.id is None:
                return None
            return result_of(call, await self._result(visitor, call, told))
        except McpRefused as refused:
            return {"jsonrpc": "2.0", "id": id_in(message), "error": refused.error}
        except RpcFault as fault:
            return fault_of(fault, id_in(message))
        except TollkeeperError as error:
            return fault_of(fault_from(error, visitor.call_id), id_in(message))

    async def _result(self, visitor: Visitor, call: RpcCall, told: Notified | None) -> Json:
        methods: dict[str, Callable[[], Awaitable[Json]]] = {
            "initialize": lambda: _hello(call.params),
            "ping": _pong,
            "tools/list": lambda: self._list(visitor),
            "tools/call": lambda: self._call(visitor, _asked(visitor), call.params, told),
        }
        if call.method == "server/discover":
            wanted = {"supported": list(VERSIONS), "requested": visitor.headers.get("mcp-protocol-version")}
            raise RpcFault(UNSUPPORTED_VERSION, "Unsupported protocol version; use initialize.", wanted)
        if call.method not in methods:
            raise RpcFault(METHOD_NOT_FOUND, f"Method not found: {call.method[:100]}. This gateway serves tools.")
        return await methods[call.method]()

    async def _list(self, visitor: Visitor) -> Json:
        asked = _asked(visitor)
        servers = servers_for(visitor.principal, self._servers, asked)
        found = await self._tools(visitor, servers)
        plain = len(asked) == 1 and len(servers) == 1  # a server of one's own needs no name before its tools
        return {"tools": [tool if plain else {**tool, "name": full_name(server, tool["name"])} for server, tool in found]}

    async def _tools(self, visitor: Visitor, servers: Sequence[Upstream]) -> list[tuple[Upstream, Json]]:
        """What the caller may use of the servers that answer. Raises UpstreamError only where none does."""
        answers = await asyncio.gather(*(self._client.tools(_visit(visitor, server)) for server in servers), return_exceptions=True)
        found: list[tuple[Upstream, Json]] = []
        failed: list[BaseException] = []
        for server, tools in zip(servers, answers, strict=True):
            if isinstance(tools, BaseException):
                failed.append(tools)
                log.warning("mcp_server_failed %s %s", server.name, tools)
            else:
                found += [(server, tool) for tool in tools if tool_allowed(visitor.principal, server, tool["name"])]
        if failed and len(failed) == len(servers):
            raise failed[0]
        return found

    async def _call(self, visitor: Visitor, asked: Sequence[str], params: Json, told: Notified | None) -> Json:
        """Raises RpcFault for a tool nobody has, Forbidden for one this caller has not."""
        if not isinstance(name := params.get("name"), str) or not name:
            raise RpcFault(INVALID_PARAMS, "'name' must be the name of a tool.")
        server, tool = await self._found(visitor, servers_for(visitor.principal, self._servers, asked), name)
        if not tool_allowed(visitor.principal, server, tool):
            raise Forbidden(f"The tool {name[:200]} is not available for this API key.", type="mcp_tool_access_denied", param="name")
        toll = await self._toll.enter(
            visitor.principal,
            visitor.headers,
            visitor.call_id,
            call_type=_CALL_TYPE,
            model=f"MCP: {full_name(server, tool)}",
            cost=_cost(server, tool),
            server=server.name,
        )
        async with toll:
            return await self._client.ask(_visit(visitor, server), "tools/call", {**params, "name": tool}, told)

    async def _found(self, visitor: Visitor, servers: Sequence[Upstream], name: str) -> tuple[Upstream, str]:
        meant = parted(name, servers, self._servers)
        if len(meant) > 1:
            listed = await self._tools(visitor, [server for server, _ in meant])
            meant = [(server, name) for server, tool in listed if tool["name"] == name]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise RpcFault(INVALID_PARAMS, f"Several servers have a tool {name[:200]}: write <server>-{name[:200]}.")
        raise RpcFault(INVALID_PARAMS, f"Unknown tool: {name[:200]}")


async def _hello(params: Json) -> Json:
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "tollkeeper", "version": "1"},
    }


async def _pong() -> Json:
    return {}


async def _accepted(visitor: Visitor) -> None:
    await visitor.send({"type": "http.response.start", "status": 202, "headers": raw_headers({"content-length": "0"})})
    await visitor.send({"type": "http.response.body", "body": b""})


def _asked(visitor: Visitor) -> list[str]:
    """The servers a request limits itself to: in its path, or LiteLLM's header."""
    path = str(visitor.scope["path"]).strip("/").split("/")
    in_path = visitor.path.get("servers", "") if path[0] == "mcp" else path[0] if path[-1] == "mcp" else ""
    named = in_path or visitor.headers.get("x-mcp-servers", "")
    return [name.strip() for name in named.split(",") if name.strip()]


def _visit(visitor: Visitor, server: Upstream) -> Visit:
    passed = tuple((name, visitor.headers[name]) for name in server.terms["extra_headers"] if name in visitor.headers)
    return Visit(server, visitor.principal.key_hash, passed)


def _cost(server: Upstream, tool: str) -> NanoUSD:
    """`mcp_info.mcp_server_cost_info`; a tool nobody has priced is free. https://docs.litellm.ai/docs/mcp_cost"""
    info = server.terms["mcp_info"].get("mcp_server_cost_info") or {}
    usd = (info.get("tool_name_to_cost_per_query") or {}).get(tool, info.get("default_cost_per_query"))
    return usd_to_nano(usd) if isinstance(usd, int | float) else ZERO


def _info(server: Upstream) -> Json:
    return {
        "server_id": server.terms["id"],
        "server_name": server.name,
        "description": server.terms["description"],
        **server.terms["mcp_info"],
    }


def _status(answer: Json) -> int:
    """Errors that belong to the protocol's own layer have a status; a method's do not."""
    code = (answer.get("error") or {}).get("code")
    return 400 if code == UNSUPPORTED_VERSION else 200
