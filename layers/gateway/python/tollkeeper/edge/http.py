"""Raw ASGI helpers of the hot path: read a JSON body within bounds, answer with bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tollkeeper.dialects.multipart import FORM
from tollkeeper.edge.inflate import inflated
from tollkeeper.edge.json_body import object_of
from tollkeeper.edge.multipart import fields_of
from tollkeeper.errors import PayloadTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_HEADERS = {"content-type": "application/json"}


class ClientGone(Exception):
    """The caller hung up before the request was complete; there is nobody to answer."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Lower-case names; of a repeated header the last one counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def query_of(scope: Scope) -> dict[str, str]:
    raw = scope.get("query_string") or b""
    return dict(parse_qsl(raw.decode("latin-1"))) if raw else {}


async def read_json(receive: Receive, headers: Mapping[str, str], limit: int) -> tuple[dict[str, Any], bytes]:
    """The body as a JSON object, and as it came. Raises PayloadTooLarge, BadRequest."""
    raw = await read_body(receive, headers, limit)
    return object_of(raw), raw


async def read_form(receive: Receive, headers: Mapping[str, str], limit: int) -> tuple[dict[str, Any], bytes]:
    """A multipart form: its text fields by name, the whole of it under `form`; and the text fields as JSON, which is what is counted.

    Raises PayloadTooLarge, BadRequest.
    """
    fields = fields_of(await read_body(receive, headers, limit), headers.get("content-type", ""))
    body: dict[str, Any] = {name: value for name, value in fields if isinstance(value, str)}
    raw = orjson.dumps(body)
    if body.get("stream") in {"true", "True", "1", "false", "False", "0"}:
        body["stream"] = body["stream"].lower() in {"true", "1"}
    return {**body, FORM: fields}, raw


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """Unpacked. Raises PayloadTooLarge, ClientGone, BadRequest."""
    _check_size(int(length) if (length := headers.get("content-length", "")).isdigit() else 0, limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        _check_size(size, limit)
        if not message.get("more_body"):
            break
    body = b"".join(parts) if len(parts) > 1 else parts[0]
    if codings := headers.get("content-encoding"):
        body = inflated(body, codings, limit)
        _check_size(len(body), limit)
    return body


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise PayloadTooLarge(
            f"The request body is larger than {limit} bytes, the most this gateway takes (AWS Lambda's payload limit). "
            "Send images and files by URL, or in smaller parts.",
            param="request_body",
        )


async def while_caller_stays(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end, or cancels it when the caller hangs up, after its request has been read, and raises ClientGone."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            raise ClientGone
        await working
    finally:
        gone.cancel()
        working.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, headers: Mapping[str, str], body: Any) -> None:
    await send_bytes(send, status, {**JSON_HEADERS, **headers}, orjson.dumps(body))


async def send_bytes(send: Send, status: int, headers: Mapping[str, str], payload: bytes) -> None:
    shown = raw_headers({"content-length": str(len(payload)), **headers})
    await send({"type": "http.response.start", "status": status, "headers": shown})
    await send({"type": "http.response.body", "body": payload})


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
