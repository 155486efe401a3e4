"""The HTTP client against servers that answer as they please."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tollkeeper.awslambda.runtime_api import RuntimeApi, RuntimeApiFailed

NEXT = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r1\r\n"
WHOLE = NEXT + b"Content-Length: 2\r\n\r\n{}"


class Script:
    """Answers request after request with these bytes; what ends with CLOSE closes the connection."""

    def __init__(self, *answers: bytes, close_after: int | None = None) -> None:
        self.answers = list(answers)
        self.close_after = close_after
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        served = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while self.answers and served != self.close_after:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answers.pop(0))
                served += 1
        writer.close()


@contextlib.asynccontextmanager
async def client(script: Script) -> AsyncIterator[RuntimeApi]:
    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        api = RuntimeApi("127.0.0.1:" + str(server.sockets[0].getsockname()[1]))
        try:
            yield api
        finally:
            await api.close()


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        NEXT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n",
        NEXT + b"\r\n{}",
        NEXT.replace(b"Lambda-Runtime-Aws", b"lambda-runtime-AWS") + b"CONTENT-LENGTH:2\r\nConnection: close\r\n\r\n{}",
    ],
)
async def test_every_framing_of_an_event_is_read(answer):
    async with client(Script(answer)) as api:
        invocation, event = await api.next()
        assert (invocation.aws_request_id, event) == ("r1", b"{}")


async def test_calls_share_a_connection():
    script = Script(WHOLE, WHOLE, WHOLE)
    async with client(script) as api:
        for _ in range(3):
            await api.next()
        assert script.connections == 1


@pytest.mark.parametrize("answer", [WHOLE, WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
async def test_a_connection_that_was_closed_between_calls_is_replaced(answer):
    script = Script(answer, answer, close_after=1)
    async with client(script) as api:
        await api.next()
        assert (await api.next())[0].aws_request_id == "r1"
        assert script.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 500 Container error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        NEXT + b"Content-Length: 20\r\n\r\n{}",
        NEXT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"garbage\r\n\r\n",
    ],
)
async def test_next_without_an_invocation_is_fatal(answer):
    async with client(Script(answer)) as api:
        with pytest.raises(RuntimeApiFailed):
            await api.next()


async def test_nobody_listening_is_fatal():
    async with await asyncio.start_server(Script(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(RuntimeApiFailed):
        await RuntimeApi(f"127.0.0.1:{port}").next()


async def test_an_unreadable_deadline_is_none():
    async with client(Script(NEXT + b"Lambda-Runtime-Deadline-Ms: soon\r\nContent-Length: 2\r\n\r\n{}")) as api:
        assert (await api.next())[0].deadline is None
