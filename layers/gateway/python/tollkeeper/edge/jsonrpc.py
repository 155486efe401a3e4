"""JSON-RPC 2.0 over HTTP, as MCP and A2A use it: reading a message, answering, and errors in its own shape.

https://www.jsonrpc.org/specification
"""

from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import BadRequest

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
REFUSED = -32000
"""The server's own range: whatever HTTP has a status for; `data` says more."""


class RpcFault(Exception):
    """An answer that is an error. `data` is for programs."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass(frozen=True, slots=True)
class RpcCall:
    """`id` None: a notification, which wants no answer."""

    id: str | int | None
    method: str
    params: Json


def call_of(message: Any) -> RpcCall | None:
    """None: it is an answer to something we asked, or never did. Raises RpcFault."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcFault(INVALID_REQUEST, "Not a JSON-RPC 2.0 message.")
    if "method" not in message and ("result" in message or "error" in message):
        return None
    method, params, given = message.get("method"), message.get("params"), message.get("id")
    if not isinstance(method, str) or not method:
        raise RpcFault(INVALID_REQUEST, "'method' must be a string.")
    if not isinstance(params, dict | None):
        raise RpcFault(INVALID_PARAMS, "'params' must be an object.")
    if isinstance(given, bool) or not isinstance(given, str | int | None):
        raise RpcFault(INVALID_REQUEST, "'id' must be a string or a whole number.")
    return RpcCall(given, method, params or {})


def id_in(message: Any) -> str | int | None:
    """Of a message that may be broken."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def result_of(call: RpcCall, result: Any) -> Json:
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def fault_of(fault: RpcFault, rpc_id: str | int | None = None) -> Json:
    error = {"code": fault.code, "message": fault.message, **({"data": fault.data} if fault.data is not None else {})}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": error}


def fault_from(error: BaseException, call_id: str) -> RpcFault:
    """Any failure of the gateway as JSON-RPC has it: what OpenAI's envelope would say is in `data`."""
    if isinstance(error, RpcFault):
        return error
    status, _, body = openai_error(error, call_id)
    code = PARSE_ERROR if isinstance(error, BadRequest) and error.param == "request_body" else REFUSED if status < 500 else INTERNAL_ERROR
    return RpcFault(code, body["error"]["message"], {"status": status, **body["error"]})


def rpc_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], Json]:
    """See serving.ErrorShape: for what has a status of its own, and no id yet."""
    if isinstance(error, RpcFault):
        return 400, {}, fault_of(error)
    status, headers, _ = openai_error(error, call_id)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return status, headers, fault_of(fault_from(error, call_id))


def event(message: Json) -> bytes:
    """One server-sent event."""
    return b"event: message\ndata: " + orjson.dumps(message) + b"\n\n"
