"""What clients ask for that cannot be served here, with what to use instead; and what agents send home, which nobody wants."""

from tollkeeper.clock import Clock
from tollkeeper.edge.http import Receive, Scope, Send, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import CallerError

_REALTIME = (
    "Realtime sessions are WebSockets or WebRTC, which a REST API in front of functions cannot carry. Use /v1/chat/completions with "
    "modalities ['text', 'audio'], or /v1/audio/transcriptions and /v1/audio/speech, both streamed; for realtime itself connect to the "
    "provider."
)


class Realtime:
    """Any method of `/v1/realtime`. A client that asks for an upgrade gets this answer in place of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = CallerError(_REALTIME, status=501, code="realtime_not_supported")
        await send_json(send, *openai_error(error, self._clock.new_id()))


async def telemetry(scope: Scope, receive: Receive, send: Send) -> None:
    """`/api/event_logging/batch`: coding agents report their use to whoever serves Messages, and log failures where nobody listens."""
    await send_json(send, 200, {}, {"status": "ok"})
