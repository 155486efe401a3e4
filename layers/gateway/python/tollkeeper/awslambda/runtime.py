"""The Runtime API loop: a Lambda runtime that serves an ASGI application, streams its answer, and settles before it sleeps.

    start ─ lifespan ─ [SnapStart: hooks, restore/next, hooks] ─┐
    ┌───────────────────────────────────────────────────────────┘
    └▶ next ─ event → scope ─ application ─▶ reply ─ drain ─┐        https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
       ▲───────────────────────────────────────────────────┘

Python's managed runtime answers only whole responses and freezes the process at their end. Here the process is frozen when it
asks for the next invocation and not before, so `drain` (unfinished settlements) runs after the caller has its last byte.
One event loop lives as long as the process, and one invocation is served at a time: that is Lambda's contract.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from tollkeeper import settings
from tollkeeper.awslambda import events, faults
from tollkeeper.awslambda.lifespan import ASGIApp, Lifespan, Message
from tollkeeper.awslambda.reply import BufferedReply, Reply, StreamedReply
from tollkeeper.awslambda.runtime_api import PREFIX, Invocation, RuntimeApi, RuntimeApiFailed
from tollkeeper.errors import BadRequest

Hook = Callable[[], Awaitable[None]]

# What AWS's own client exits with (https://github.com/aws/aws-lambda-python-runtime-interface-client).
EXIT_BEFORE_SNAPSHOT, EXIT_AFTER_RESTORE = 64, 65


async def nothing() -> None:
    """The hook that does nothing."""


def run(
    app: ASGIApp,
    *,
    api: str,
    drain: Hook = nothing,
    snap_start: bool = False,
    before_snapshot: Hook = nothing,
    after_restore: Hook = nothing,
    buffered: bool = False,
    log: faults.Log = faults.log_line,
) -> int:
    """Serves until SIGTERM (0) or until the Runtime API fails; the process's exit status.

    `api` is host:port. `drain` is awaited after every answer and before the next invocation is asked for.
    """
    serving = serve(app, RuntimeApi(api), drain, snap_start=snap_start, hooks=(before_snapshot, after_restore), buffered=buffered, log=log)
    return asyncio.run(serving)


async def serve(
    app: ASGIApp, api: RuntimeApi, drain: Hook, *, snap_start: bool, hooks: tuple[Hook, Hook], buffered: bool, log: faults.Log
) -> int:
    lifespan = Lifespan(app)
    try:
        if not await _attempt(lifespan.startup, api, "/init", "Runtime.StartupFailed", log):
            return 1
        if snap_start and (status := await _snapshot(api, hooks, log)):
            return status
        status = await Loop(app, api, drain, lifespan.state, buffered=buffered, log=log).run()
        await _shut_down(lifespan, log)
        return status
    finally:
        await api.close()


async def _shut_down(lifespan: Lifespan, log: faults.Log) -> None:
    try:
        await lifespan.shutdown()
    except Exception as error:  # noqa: BLE001 - the process ends either way; the log says how
        log("runtime.shutdown_failed", error=type(error).__name__, at=faults.frames(error))


async def _snapshot(api: RuntimeApi, hooks: tuple[Hook, Hook], log: faults.Log) -> int:
    """0, or the status to exit with. https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks.html"""
    before, after = hooks

    async def freeze() -> None:
        await before()
        await api.restore_next()

    if not await _attempt(freeze, api, "/init", "Runtime.BeforeSnapshotError", log):
        return EXIT_BEFORE_SNAPSHOT
    return 0 if await _attempt(after, api, "/restore", "Runtime.AfterRestoreError", log) else EXIT_AFTER_RESTORE


async def _attempt(step: Hook, api: RuntimeApi, where: str, error_type: str, log: faults.Log) -> bool:
    """Whether it went well; if not, Lambda and the log know."""
    try:
        await step()
    except Exception as error:  # noqa: BLE001 - whatever the application raises ends this sandbox, with a report
        await report_failure(api, where, error_type, error, log)
        return False
    return True


async def report_failure(api: RuntimeApi, where: str, error_type: str, error: Exception, log: faults.Log) -> None:
    """Tells Lambda that the sandbox cannot start. `where` is `/init` or `/restore`."""
    log("runtime.failed", type=error_type, error=type(error).__name__, reason=faults.sentence(error), at=faults.frames(error))
    try:
        await api.report(PREFIX + where, error_type, error)
    except OSError as broken:
        log("runtime.connection_broken", error=type(broken).__name__)


class Loop:
    """next → serve → drain, until SIGTERM. An invocation in progress is finished first; waiting for one ends at once."""

    def __init__(self, app: ASGIApp, api: RuntimeApi, drain: Hook, state: dict[str, Any], *, buffered: bool, log: faults.Log) -> None:
        self._app = app
        self._api = api
        self._drain = drain
        self._state = state
        self._reply = BufferedReply if buffered else StreamedReply
        self._log = log
        self._stopping = False
        self._waiting: asyncio.Task[tuple[Invocation, bytes]] | None = None

    async def run(self) -> int:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        try:
            while not self._stopping:
                await self._serve(*await self._next())
        except RuntimeApiFailed as error:
            self._log("runtime.failed", type="Runtime.ApiFailed", error=str(error))
            return 1
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        return 0

    def stop(self) -> None:
        self._stopping = True
        if self._waiting:
            self._waiting.cancel()

    async def _next(self) -> tuple[Invocation, bytes]:
        self._waiting = asyncio.create_task(self._api.next())
        try:
            return await self._waiting
        finally:
            self._waiting = None

    async def _serve(self, invocation: Invocation, event: bytes) -> None:
        settings.set_trace_id(invocation.trace_id)
        reply = self._reply(self._api, invocation, self._log)
        try:
            scope, body = events.to_request(json.loads(event))
        except BadRequest as error:
            await _refuse(reply, error)
        except ValueError:
            await reply.fail("Runtime.UnmarshalError", None)
        else:
            scope.update(_invocation_scope(invocation), state=self._state.copy())
            await self._run_app(invocation, scope, Exchange(reply, body))
        await self._settle(invocation, reply)

    async def _run_app(self, invocation: Invocation, scope: dict[str, Any], exchange: "Exchange") -> None:
        """A task of its own: context variables and cancellation of one invocation must not reach the next."""
        failure: BaseException | None = None
        try:
            await asyncio.ensure_future(self._app(scope, exchange.receive, exchange.send))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it raises is this invocation's failure alone
            failure = error
            self._log("runtime.app_failed", request_id=invocation.aws_request_id, error=type(error).__name__, at=faults.frames(error))
        if not exchange.reply.complete:
            await exchange.reply.fail(faults.name(failure) if failure else "Runtime.IncompleteResponse", failure)

    async def _settle(self, invocation: Invocation, reply: Reply) -> None:
        """The answer's last byte has been written; Lambda's receipt for it is awaited alongside, since settling must not depend on it."""
        closing = asyncio.create_task(reply.close())
        try:
            await self._drain()
        except Exception as error:  # noqa: BLE001 - the next caller is not to suffer; holds that were not settled expire
            self._log("runtime.drain_failed", request_id=invocation.aws_request_id, error=type(error).__name__, at=faults.frames(error))
        await closing


async def _refuse(reply: Reply, error: BadRequest) -> None:
    body = json.dumps({"error": {"message": error.message, "type": error.type, "param": None, "code": None}}).encode()
    await reply.write(error.status, [(b"content-type", b"application/json")], body, more=False)


def _invocation_scope(invocation: Invocation) -> dict[str, Any]:
    extensions = {} if invocation.deadline is None else {"tollkeeper.deadline": invocation.deadline}
    return {"aws.context": invocation, "extensions": extensions}


class Exchange:
    """One request's `receive` and `send`."""

    def __init__(self, reply: Reply, body: bytes) -> None:
        self.reply = reply
        self._body: bytes | None = body
        self._start: tuple[int, events.Headers] | None = None

    async def receive(self) -> Message:
        """The body, then nothing until nobody reads the answer any more."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.reply.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The head is kept until the first body message, as ASGI asks: until then a failure can still become an error."""
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = (message["status"], list(message.get("headers", ())))
        elif kind == "http.response.body" and self._start is not None and not self.reply.complete:
            await self.reply.write(*self._start, message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"ASGI message {kind!r} is out of order")
