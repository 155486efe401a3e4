"""API Gateway's streaming Lambda integration on loopback: HTTP in, an event to the Runtime API, and what comes back as it comes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.support.runtime_api import FakeRuntimeApi, Scripted

DELIMITER = bytes(8)


@contextlib.asynccontextmanager
async def api_gateway(api: FakeRuntimeApi, stage: str = "live") -> AsyncIterator[str]:
    """The URL of the stage. Connections close after one answer, as the emulation of a proxy needs no more."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await _answer(api, stage, reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{stage}"
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(api: FakeRuntimeApi, stage: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    scripted = api.invoke(await _event(stage, reader))
    head, rest = b"", b""
    sent = 0
    while True:
        await api._wait(lambda seen=sent: len(scripted.chunks) > seen or _ended(api, scripted), "the next chunk")
        if len(scripted.chunks) == sent:
            break
        data, sent = b"".join(scripted.chunks[sent:]), len(scripted.chunks)
        if not head:
            rest += data
            head, found, data = rest.partition(DELIMITER)
            if not found:
                head = b""
                continue
            writer.write(_status_line(json.loads(head)))
        if data:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
    if not scripted.trailers:
        # With error trailers the connection ends without its last chunk: the client is to see that something is missing.
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _ended(api: FakeRuntimeApi, scripted: Scripted) -> bool:
    return ("end", scripted.request_id) in api.log or scripted.error is not None


async def _event(stage: str, reader: asyncio.StreamReader) -> dict[str, Any]:
    request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), 0)
    path = target.removeprefix(f"/{stage}")
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "requestContext": {"path": target, "stage": stage, "identity": {"sourceIp": "203.0.113.7"}, "protocol": "HTTP/1.1"},
        "body": (await reader.readexactly(length)).decode() or None,
        "isBase64Encoded": False,
    }


def _status_line(prelude: dict[str, Any]) -> bytes:
    headers = {**prelude["headers"], "transfer-encoding": "chunked", "connection": "close"}
    lines = [f"HTTP/1.1 {prelude['statusCode']} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
