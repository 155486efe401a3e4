"""A Runtime API on loopback, as strict as Lambda's where it matters, and a stage on which the function under test waits and reports.

Everything that happens goes into one list, in order: what the runtime asked for, each HTTP chunk as it arrives, what the application
says on the stage. Tests assert on that order and never on the clock.
"""

import asyncio
import contextlib
import json
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds until a test that waits for something that does not happen gives up."""

VERBS = ("waits", "drained")
"""What a function says on the stage with an object; anything else is one word or a phrase."""

ROOT = Path(__file__).parents[2]
WRAPPER = ROOT / "layers/runtime/tollkeeper-runtime"

Headers = dict[str, str]


@dataclass
class Scripted:
    """One invocation, how the Runtime API treats its answer, and what came back."""

    request_id: str
    event: bytes
    headers: Headers
    status: int = 202
    early: bool = False
    """Answer `status` before the body is read."""
    break_after: int | None = None
    """Reset the connection after this many chunks."""
    held: str = ""
    """Do not read the body before the test releases this name."""
    chunks: list[bytes] = field(default_factory=list)
    response_headers: Headers = field(default_factory=dict)
    trailers: Headers = field(default_factory=dict)
    error: dict[str, Any] | None = None

    @property
    def streamed(self) -> tuple[dict[str, Any], bytes]:
        """The metadata and the body of a streamed answer."""
        prelude, _, body = b"".join(self.chunks).partition(bytes(8))
        return json.loads(prelude), body

    @property
    def trailer_error(self) -> dict[str, Any]:
        return json.loads(b64decode(self.trailers["lambda-runtime-function-error-body"]))


class FakeRuntimeApi:
    """`address` for AWS_LAMBDA_RUNTIME_API, `stage` for the function's own connection back."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.address = self.stage = ""
        self._changed = asyncio.Condition()
        self._queue: asyncio.Queue[Scripted] = asyncio.Queue()
        self._all: dict[str, Scripted] = {}
        self._released: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def invoke(self, event: object, *, headers: Headers | None = None, **script: Any) -> Scripted:
        number = len(self._all) + 1
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        scripted = Scripted(f"request-{number}", raw, headers or {}, **script)
        self._all[scripted.request_id] = scripted
        self._queue.put_nowait(scripted)
        return scripted

    async def until(self, what: str, detail: str = "", *, times: int = 1) -> None:
        """Waits until this has happened so many times. Raises AssertionError with everything that did when it does not."""

        def happened() -> bool:
            return sum(entry == (what, detail) if detail else entry[0] == what for entry in self.log) >= times

        await self._wait(happened, f"{what} {detail} x{times}")

    def at(self, what: str, detail: str = "", *, nth: int = 1) -> int:
        """Where in the log the nth such entry is."""
        found = [i for i, entry in enumerate(self.log) if entry == (what, detail) or (not detail and entry[0] == what)]
        return found[nth - 1]

    async def release(self, name: str) -> None:
        """Lets the application go on that waits for `name` on the stage."""
        async with self._changed:
            self._released.add(name)
            self._changed.notify_all()

    async def _held(self, name: str) -> None:
        await self._wait(lambda: name in self._released, f"release of {name}")

    async def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; log: {self.log}") from None

    async def _note(self, what: str, detail: str = "") -> None:
        async with self._changed:
            self.log.append((what, detail))
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeRuntimeApi"]:
        async with await self._listen(self._runtime) as runtime, await self._listen(self._on_stage) as stage:
            self.address, self.stage = (f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (runtime, stage))
            try:
                yield self
            finally:
                for task in tuple(self._tasks):
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> asyncio.Server:
        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await handle(reader, writer)
            writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Not asyncio's own task for a coroutine callback: it complains aloud when the test ends before the connection.
            task = asyncio.get_running_loop().create_task(connection(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: writer.transport.abort())

        return await asyncio.start_server(accept, "127.0.0.1", 0)

    async def _on_stage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().strip():
            what, _, detail = line.rpartition(" ") if line.split(" ")[0] in VERBS else (line, "", "")
            await self._note(what, detail)
            if what == "waits":
                await self._held(detail)
            writer.write(b"go on\n")
            await writer.drain()

    async def _runtime(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request_line, *lines = head.strip().split("\r\n")
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            method, path, _ = request_line.split(" ")
            await self._route(method, path.removeprefix("/2018-06-01/runtime"), headers, reader, writer)
            if headers.get("connection") == "close":
                return

    async def _route(self, method: str, path: str, headers: Headers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (method, path) == ("GET", "/invocation/next"):
            await self._next(writer)
        elif (method, path) == ("GET", "/restore/next"):
            await self._note("restore/next")
            answer(writer, 200)
        elif method == "POST" and path.endswith("/response"):
            await self._response(self._all[path.split("/")[2]], headers, reader, writer)
        elif method == "POST" and path.endswith("/error"):
            await self._error(path, headers, await reader.readexactly(int(headers["content-length"])))
            answer(writer, 202)
        else:
            answer(writer, 404)

    async def _next(self, writer: asyncio.StreamWriter) -> None:
        await self._note("next")
        scripted = await self._queue.get()
        fields = {"Lambda-Runtime-Aws-Request-Id": scripted.request_id, **scripted.headers}
        # Lambda frames larger events in chunks.
        half = len(scripted.event) // 2
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
        for part in filter(None, (scripted.event[:half], scripted.event[half:])):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        writer.write(b"0\r\n\r\n")

    async def _error(self, path: str, headers: Headers, body: bytes) -> None:
        record = {"headers": headers, **json.loads(body)}
        if path.startswith("/invocation/"):
            self._all[path.split("/")[2]].error = record
        await self._note(path.removeprefix("/"), headers["lambda-runtime-function-error-type"])

    async def _response(self, scripted: Scripted, headers: Headers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripted.response_headers = headers
        await self._note("response", scripted.request_id)
        if scripted.early:
            answer(writer, scripted.status, close=True)
            await writer.drain()
            return
        if scripted.held:
            await self._held(scripted.held)
        if length := headers.get("content-length"):
            scripted.chunks.append(await reader.readexactly(int(length)))
        else:
            await self._chunks(scripted, reader, writer)
        await self._note("end", scripted.request_id)
        answer(writer, scripted.status)

    async def _chunks(self, scripted: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            scripted.chunks.append(await reader.readexactly(size))
            assert await reader.readexactly(2) == b"\r\n"
            await self._note("chunk", scripted.chunks[-1][:200].decode("latin-1"))
            if len(scripted.chunks) == scripted.break_after:
                await self._note("broken", scripted.request_id)
                writer.transport.abort()
                raise ConnectionAbortedError
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            scripted.trailers[name.lower()] = value.strip()


def answer(writer: asyncio.StreamWriter, status: int, *, close: bool = False) -> None:
    end = "Connection: close\r\n" if close else ""
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n{end}\r\n{{}}".encode())


@dataclass
class Sandbox:
    """A function as Lambda runs it: a process of its own, started by the exec wrapper."""

    api: FakeRuntimeApi
    process: asyncio.subprocess.Process

    async def end(self) -> tuple[int | None, str]:
        """Waits for the end of a process that is ending; exit status and everything it printed."""
        async with asyncio.timeout(PATIENCE):
            output, _ = await self.process.communicate()
        return self.process.returncode, output.decode()

    async def stop(self) -> tuple[int | None, str]:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        return await self.end()

    async def until(self, what: str, *, times: int) -> None:
        """As the API's, but a process that ends before is told with everything it printed."""
        waiting = asyncio.ensure_future(self.api.until(what, times=times))
        ending = asyncio.ensure_future(self.process.wait())
        await asyncio.wait((waiting, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not waiting.done():
            waiting.cancel()
            raise AssertionError(f"ended with {await self.end()}; log: {self.api.log}")
        await waiting


@contextlib.asynccontextmanager
async def start_sandbox(folder: Path, handler: str, task_root: Path, **env: str) -> AsyncIterator[Sandbox]:
    """`folder` is where it runs; there is nothing in its environment but what Lambda sets and `env`."""
    async with FakeRuntimeApi().serving() as api:
        variables = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "layers/gateway/python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "LAMBDA_TASK_ROOT": str(task_root),
            "_HANDLER": handler,
            "STAGE": api.stage,
            **env,
        }
        # The managed runtime's command line, of which the wrapper keeps the interpreter.
        command = (str(WRAPPER), sys.executable, "/var/runtime/bootstrap.py")
        process = await asyncio.create_subprocess_exec(
            *command, env=variables, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            yield Sandbox(api, process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
