"""Liveness and readiness, as LiteLLM answers them. Neither needs a key and neither calls a provider."""

from collections.abc import Awaitable, Callable

from tollkeeper.edge.http import Receive, Scope, Send, send_json


class HealthEdge:
    def __init__(self, ready: Callable[[], Awaitable[bool]]) -> None:
        self._ready = ready

    async def liveliness(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {}, "I'm alive!")

    async def readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        """503 while the store cannot be reached: a load balancer should look elsewhere."""
        if await self._ready():
            await send_json(send, 200, {}, {"status": "healthy", "db": "connected"})
        else:
            await send_json(send, 503, {}, {"status": "unhealthy", "db": "Not connected"})
