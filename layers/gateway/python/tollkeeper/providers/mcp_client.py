"""An MCP client, as small as a gateway needs: streamable HTTP, tools, and sessions where a server wants one.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
A session is a caller's own: what a server remembers of one caller must not answer another. A server that has forgotten a session (404) is
greeted anew, once.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.config.snapshot import Upstream
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.framing import SseParser
from tollkeeper.errors import UpstreamAuthFailed, UpstreamFailed, UpstreamProtocolError, UpstreamRejected
from tollkeeper.providers.transport import Response, read_all
from tollkeeper.providers.upstreams import Upstreams

PROTOCOL_VERSION = "2025-11-25"
MAX_SESSIONS, MAX_PAGES = 1000, 20
MAX_ANSWER_BYTES = 16 * 2**20
_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
Notified = Callable[[Json], Awaitable[None]]
"""Hears of a server's notifications while it works (progress, log messages)."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One caller at one server: `who` keeps sessions apart, `headers` are the caller's own that the configuration lets through."""

    server: Upstream
    who: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Hashable:
        """Of its session."""
        return self.server.name, self.who, self.headers


@dataclass(frozen=True, slots=True)
class _Session:
    id: str | None
    version: str


class McpRefused(Exception):
    """The server answered with a JSON-RPC error; it is the caller's to see."""

    def __init__(self, error: Json) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


class McpClient:
    """Shared by all requests. Raises McpRefused, UpstreamError, StoreUnavailable."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._sessions: OrderedDict[Hashable, _Session] = OrderedDict()
        self._asked = 0

    async def tools(self, visit: Visit) -> list[Json]:
        """Every tool the server has, as it describes them."""
        found: list[Json] = []
        params: Json = {}
        for _ in range(MAX_PAGES):
            result = await self.ask(visit, "tools/list", params)
            listed = result.get("tools")
            found += (
                [tool for tool in listed if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
                if isinstance(listed, list)
                else []
            )
            if not isinstance(cursor := result.get("nextCursor"), str) or not cursor:
                break
            params = {"cursor": cursor}
        return found

    async def ask(self, visit: Visit, method: str, params: Json, notified: Notified | None = None) -> Json:
        session = self._sessions.get(visit.key) or await self._greet(visit)
        response = await self._post(visit, session, self._message(method, params))
        if response.status == 404 and session.id is not None:
            await response.aclose()
            session = await self._greet(visit)
            response = await self._post(visit, session, self._message(method, params))
        return _result(await _answer(visit, response, notified))

    async def _greet(self, visit: Visit) -> _Session:
        """https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle"""
        hello = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": {"name": "tollkeeper", "version": "1"}}
        response = await self._post(visit, None, self._message("initialize", hello))
        session_id = response.headers.get("mcp-session-id")
        result = _result(await _answer(visit, response, None))
        session = _Session(session_id, str(result.get("protocolVersion") or PROTOCOL_VERSION))
        noted = await self._post(visit, session, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        await noted.aclose()
        self._sessions[visit.key] = session
        self._sessions.move_to_end(visit.key)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    async def _post(self, visit: Visit, session: _Session | None, message: Json) -> Response:
        headers = {**dict(visit.headers), **_ACCEPT}
        if session is not None:
            headers["mcp-protocol-version"] = session.version
            if session.id is not None:
                headers["mcp-session-id"] = session.id
        return await self._upstreams.send(visit.server, "POST", visit.server.url, orjson.dumps(message), headers)

    def _message(self, method: str, params: Json) -> Json:
        self._asked += 1
        return {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}


async def _answer(visit: Visit, response: Response, notified: Notified | None) -> Json:
    name = visit.server.name
    content_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if response.status < 300 and content_type == "text/event-stream":
        return await _from_events(name, response, notified)
    data = await read_all(response, MAX_ANSWER_BYTES)
    if response.status in {401, 403}:
        raise UpstreamAuthFailed(f"The MCP server {name} refused our credential.", upstream_status=response.status)
    if response.status >= 500:
        raise UpstreamFailed(f"The MCP server {name} failed: HTTP {response.status}.", upstream_status=response.status)
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        message = None
    if isinstance(message, dict) and ("result" in message or "error" in message):
        return message
    if response.status >= 400:
        raise UpstreamRejected(f"The MCP server {name} refused the request: HTTP {response.status}.", upstream_status=response.status)
    raise UpstreamProtocolError(f"The MCP server {name} did not answer in JSON-RPC.")


async def _from_events(name: str, response: Response, notified: Notified | None) -> Json:
    parser = SseParser(MAX_ANSWER_BYTES)
    try:
        async for block in response.chunks():
            for _, data in parser.feed(block):
                message = _object(data)
                if "method" in message:
                    if notified is not None and "id" not in message:
                        await notified(message)
                elif "result" in message or "error" in message:
                    return message
    finally:
        await response.aclose()
    raise UpstreamProtocolError(f"The MCP server {name} ended its stream without an answer.")


def _object(data: bytes) -> Json:
    try:
        found: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _result(message: Mapping[str, Any]) -> Json:
    if isinstance(error := message.get("error"), dict):
        raise McpRefused(error)
    result = message.get("result")
    return result if isinstance(result, dict) else {}
