"""Where an invocation's answer goes: streamed chunk by chunk, or posted whole.

A streamed answer is one chunked POST: metadata, delimiter, then the body as it comes, each ASGI chunk in one socket send.
Until its first body message nothing has left and the invocation can still fail as a whole (`/error`); from then on a failure
travels in the trailers, and Lambda books the invocation as a success.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import asyncio
import json
from base64 import b64encode
from typing import Protocol

from tollkeeper.awslambda import events, faults
from tollkeeper.awslambda.runtime_api import ERROR_BODY, ERROR_TYPE, Invocation, RuntimeApi, hang_up, head, read_answer

_STREAM_HEADERS = {
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
    "Connection": "close",
}
_END = b"0\r\n\r\n"


class Reply(Protocol):
    """`gone` is set as soon as nobody reads the answer any more: it is complete, refused, or its connection broke."""

    gone: asyncio.Event

    @property
    def complete(self) -> bool: ...

    async def write(self, status: int, headers: events.Headers, data: bytes, more: bool) -> None: ...

    async def fail(self, error_type: str, error: BaseException | None) -> None:
        """Only before it is complete."""
        ...

    async def close(self) -> None:
        """Returns when the Runtime API has said what became of it."""
        ...


class StreamedReply:
    """Survives its connection: when that is gone, writes go nowhere, so that the application runs to its end and settles."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, log: faults.Log) -> None:
        self.gone = asyncio.Event()
        self._begun = False
        self.complete = False
        self._api = api
        self._invocation = invocation
        self._log = log
        self._writer: asyncio.StreamWriter | None = None
        self._answer: asyncio.Task[int] | None = None

    async def write(self, status: int, headers: events.Headers, data: bytes, more: bool) -> None:
        message = chunk(data) if more else chunk(data) + _END
        if not self._begun:
            message = self._opening(status, headers) + message
            self._begun = True
            await self._open()
        self.complete = not more
        await self._send(message)
        if self.complete:
            self.gone.set()

    async def fail(self, error_type: str, error: BaseException | None) -> None:
        body = faults.payload(error_type, error)
        if not self._begun:
            self.gone.set()
            await _report(self._api, self._invocation, self._log, error_type, error)
            return
        self.complete = True
        trailers = f"{ERROR_TYPE}: {error_type}\r\n{ERROR_BODY}: {b64encode(body).decode('ascii')}\r\n"
        await self._send(b"0\r\n" + trailers.encode("ascii", "replace") + b"\r\n")
        self.gone.set()

    async def close(self) -> None:
        if self._answer is None or self._writer is None:
            return
        try:
            _note(self._log, self._invocation, await self._answer)
        except OSError as error:
            _broken(self._log, self._invocation, error)
        finally:
            await hang_up(self._writer)

    def _opening(self, status: int, headers: events.Headers) -> bytes:
        prelude, dropped = events.prelude(status, headers)
        if dropped:
            self._log("runtime.headers_dropped", level="WARNING", request_id=self._invocation.aws_request_id, headers=dropped)
        fields = {"Host": self._api.address, **_STREAM_HEADERS, **self._invocation.echo}
        return head("POST", f"{self._invocation.path}/response", fields) + chunk(prelude)

    async def _open(self) -> None:
        try:
            reader, self._writer = await self._api.connect()
        except OSError as error:
            self.gone.set()
            _broken(self._log, self._invocation, error)
            return
        # Read from the start: an early answer (410: this invocation is over) or the end of the connection shows at once.
        self._answer = asyncio.create_task(_status(reader))
        self._answer.add_done_callback(lambda _: self.gone.set())

    async def _send(self, message: bytes) -> None:
        if not message or self.gone.is_set() or self._writer is None or self._writer.transport.is_closing():
            return
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError:
            # `close` reports it, once, from the reading side.
            self.gone.set()


class BufferedReply:
    """API Gateway's proxy JSON, for triggers that take no stream."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, log: faults.Log) -> None:
        self.gone = asyncio.Event()
        self.complete = False
        self._api = api
        self._invocation = invocation
        self._log = log
        self._chunks: list[bytes] = []

    async def write(self, status: int, headers: events.Headers, data: bytes, more: bool) -> None:
        self._chunks.append(data)
        if more:
            return
        self.complete = True
        body = json.dumps(events.to_response(status, headers, b"".join(self._chunks))).encode("ascii")
        try:
            _note(self._log, self._invocation, await self._api.respond(self._invocation, body))
        except OSError as error:
            _broken(self._log, self._invocation, error)
        self.gone.set()

    async def fail(self, error_type: str, error: BaseException | None) -> None:
        self.gone.set()
        await _report(self._api, self._invocation, self._log, error_type, error)

    async def close(self) -> None:
        return


def chunk(data: bytes) -> bytes:
    """One HTTP chunk; nothing for no data, because an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


async def _status(reader: asyncio.StreamReader) -> int:
    return (await read_answer(reader)).status


async def _report(api: RuntimeApi, invocation: Invocation, log: faults.Log, error_type: str, error: BaseException | None) -> None:
    try:
        _note(log, invocation, await api.report(invocation.path, error_type, error, invocation.echo))
    except OSError as broken:
        _broken(log, invocation, broken)


def _broken(log: faults.Log, invocation: Invocation, error: OSError) -> None:
    log("runtime.connection_broken", request_id=invocation.aws_request_id, error=type(error).__name__)


def _note(log: faults.Log, invocation: Invocation, status: int) -> None:
    """410: the invocation timed out and its answer came too late. Other refusals are Lambda's trouble; /next tells if it is fatal."""
    if status == 410:
        log("runtime.stale", level="WARNING", request_id=invocation.aws_request_id)
    elif status >= 300:
        log("runtime.refused", request_id=invocation.aws_request_id, status=status)
