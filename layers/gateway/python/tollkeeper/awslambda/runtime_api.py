"""The Runtime API as a client sees it: HTTP/1.1 on loopback, spoken over asyncio streams.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

Short calls share one kept connection: a fresh one costs about 0.15 ms of CPU. A streamed response has its own, which ends with
it, as https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming asks for.
`/restore/*` is what AWS's own runtime client does (https://github.com/aws/aws-lambda-python-runtime-interface-client).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from tollkeeper.awslambda import faults

PREFIX = "/2018-06-01/runtime"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"

# The head of /next may carry a client context of some size.
_READ_LIMIT = 1 << 20


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class RuntimeApiFailed(Exception):
    """The Runtime API failed a call without which there is nothing left to do; its page says to exit then."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation's metadata. The attribute names are those of Lambda's Python context object."""

    aws_request_id: str
    invoked_function_arn: str = ""
    tenant_id: str | None = None
    trace_id: str | None = None
    deadline: float | None = None
    """Epoch seconds at which Lambda ends the process."""
    nonce: str | None = None
    """`Lambda-Runtime-Invocation-Id`: echoed, so that a late answer cannot reach the wrong caller
    (https://github.com/aws/aws-lambda-rust-runtime/issues/1155)."""

    @property
    def path(self) -> str:
        return f"{PREFIX}/invocation/{self.aws_request_id}"

    @property
    def echo(self) -> dict[str, str]:
        return {"Lambda-Runtime-Invocation-Id": self.nonce} if self.nonce else {}


class RuntimeApi:
    """`address` is host:port. One caller at a time, except for streams."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._kept: Connection | None = None

    async def next(self) -> tuple[Invocation, bytes]:
        """Waits, without a limit, for the next invocation and its event. Raises RuntimeApiFailed."""
        answer = await self._must("GET", f"{PREFIX}/invocation/next")
        request_id = answer.headers.get("lambda-runtime-aws-request-id")
        if not request_id:
            raise RuntimeApiFailed("invocation/next has no Lambda-Runtime-Aws-Request-Id")
        return _invocation(request_id, answer.headers), answer.body

    async def restore_next(self) -> None:
        """Returns in the restored sandbox: the snapshot is taken while this waits. Raises RuntimeApiFailed."""
        await self._must("GET", f"{PREFIX}/restore/next")
        # The connection's other end may not be in the snapshot.
        await self.close()

    async def report(self, path: str, error_type: str, error: BaseException | None = None, headers: Mapping[str, str] | None = None) -> int:
        """POST an error to `<path>/error`; the status. Raises OSError."""
        fields = {"Content-Type": "application/json", ERROR_TYPE: error_type, **(headers or {})}
        return (await self._call("POST", f"{path}/error", fields, faults.payload(error_type, error))).status

    async def respond(self, invocation: Invocation, body: bytes) -> int:
        """POST a whole response; the status. Raises OSError."""
        fields = {"Content-Type": "application/json", **invocation.echo}
        return (await self._call("POST", f"{invocation.path}/response", fields, body)).status

    async def connect(self) -> Connection:
        """A new connection. asyncio sets TCP_NODELAY on it. Raises OSError."""
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port), limit=_READ_LIMIT)

    async def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept:
            await hang_up(kept[1])

    async def _must(self, method: str, path: str) -> Answer:
        try:
            answer = await self._call(method, path, {}, b"")
        except OSError as error:
            raise RuntimeApiFailed(f"{path}: {error}") from error
        if answer.status != 200:
            raise RuntimeApiFailed(f"{path} answered {answer.status}")
        return answer

    async def _call(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        message = head(method, path, {"Host": self.address, **headers, "Content-Length": str(len(body))}) + body
        kept, self._kept = self._kept, None
        if kept:
            # The other side may have closed it while it was idle, which says nothing about this call.
            with contextlib.suppress(OSError):
                return await self._exchange(kept, message)
        return await self._exchange(await self.connect(), message)

    async def _exchange(self, connection: Connection, message: bytes) -> Answer:
        reader, writer = connection
        try:
            writer.write(message)
            await writer.drain()
            answer = await read_answer(reader)
        except BaseException:
            await hang_up(writer)
            raise
        if answer.headers.get("connection", "").lower() == "close" or reader.at_eof():
            await hang_up(writer)
        else:
            self._kept = connection
        return answer


def _invocation(request_id: str, headers: Mapping[str, str]) -> Invocation:
    milliseconds = headers.get("lambda-runtime-deadline-ms", "")
    return Invocation(
        aws_request_id=request_id,
        invoked_function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
        tenant_id=headers.get("lambda-runtime-aws-tenant-id") or None,
        trace_id=headers.get("lambda-runtime-trace-id") or None,
        deadline=int(milliseconds) / 1000 if milliseconds.isdecimal() else None,
        nonce=headers.get("lambda-runtime-invocation-id") or None,
    )


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
    return "\r\n".join(lines).encode("latin-1")


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Raises ConnectionError when it ends early or is not HTTP."""
    try:
        raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = raw[:-4].split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(status_line.split(" ", 2)[1])
        return Answer(status, headers, await _read_body(reader, status, headers))
    except (EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise ConnectionError(f"no whole answer from the Runtime API ({type(error).__name__})") from error


async def _read_body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> bytes:
    if status in {204, 304}:
        return b""
    if (length := headers.get("content-length")) is not None:
        return await reader.readexactly(int(length))
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.read()
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(chunks)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closes; that the other side closed first, or badly, changes nothing any more."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
