"""How a request body is read: bounded, and strict JSON (no NaN, no lone surrogate, no 200-digit number), whatever its Content-Type says."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

LARGEST_BODY_BYTES = 256 * 1024


class StrictRequest(Request):
    async def body(self) -> bytes:
        """Raises HTTPException 413, the one kind of error FastAPI lets through from here."""
        if not hasattr(self, "_body"):
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > LARGEST_BODY_BYTES:
                    raise HTTPException(413)
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """Raises JSONDecodeError, which FastAPI reports as a finding about the body."""
        return orjson.loads(await self.body())


class StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly
