"""The ASGI application behind `handler(event, context)`, for where the managed Python runtime calls it: answers are whole, not streamed.

An emulator of AWS without response streaming, and any trigger that takes one JSON answer. The event loop lives as long as the process, so
connections are kept between invocations, as they are in `runtime`.
"""

import asyncio
import json
from typing import Any

from tollkeeper.awslambda import events, faults
from tollkeeper.awslambda.lifespan import ASGIApp
from tollkeeper.awslambda.runtime import Exchange, Hook
from tollkeeper.errors import BadRequest, OurError, TollkeeperError


class WholeReply:
    """A Reply that keeps everything until the application has ended."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.complete = False
        self.answer: dict[str, Any] | None = None
        self._chunks: list[bytes] = []

    async def write(self, status: int, headers: events.Headers, data: bytes, more: bool) -> None:
        self._chunks.append(data)
        if not more:
            self.complete = True
            self.answer = events.to_response(status, headers, b"".join(self._chunks))
            self.gone.set()

    async def fail(self, error_type: str, error: BaseException | None) -> None:
        self.gone.set()

    async def close(self) -> None:
        return


class Handler:
    """`handler(event, context)`. `drain` is awaited before the answer is given: the managed runtime freezes the process right after it."""

    def __init__(self, app: ASGIApp, drain: Hook) -> None:
        self._app = app
        self._drain = drain
        self._runner: asyncio.Runner | None = None

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(_serve(self._app, self._drain, event, context))

    def close(self) -> None:
        """Lambda never calls it: a process ends there without a word."""
        if self._runner is not None:
            self._runner.close()


async def _serve(app: ASGIApp, drain: Hook, event: object, context: Any) -> dict[str, Any]:
    reply = WholeReply()
    try:
        scope, body = events.to_request(event)
        scope["aws.context"] = context
        await _run(app, scope, Exchange(reply, body), str(getattr(context, "aws_request_id", "")))
    except BadRequest as error:
        return _refusal(error)
    finally:
        await drain()
    return reply.answer or _refusal(OurError("The application ended without an answer."))


async def _run(app: ASGIApp, scope: dict[str, Any], exchange: Exchange, request_id: str) -> None:
    """What the application raises is this invocation's failure alone: logged, and answered as an error of ours."""
    try:
        await asyncio.ensure_future(app(scope, exchange.receive, exchange.send))
    except Exception as error:  # noqa: BLE001 - whatever it is, the next invocation is not to suffer
        faults.log_line("runtime.app_failed", request_id=request_id, error=type(error).__name__, at=faults.frames(error))


def _refusal(error: TollkeeperError) -> dict[str, Any]:
    body = {"error": {"message": error.message, "type": error.type, "param": None, "code": None}}
    return events.to_response(error.status, [(b"content-type", b"application/json")], json.dumps(body).encode())
