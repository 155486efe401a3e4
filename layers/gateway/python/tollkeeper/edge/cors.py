"""Browsers on other sites, as LiteLLM lets them in: any origin may ask, with a key in a header; cookies are not for them.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ANY = (b"access-control-allow-origin", b"*")
_EXPOSED = (b"access-control-expose-headers", b"*")
_DAY = b"86400"


def with_cors(app: ASGIApp) -> ASGIApp:
    """Answers preflights, and lets pages read answers. A request without an Origin is none of its business."""

    async def cors(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (headers := _of_browser(scope)):
            await app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(headers, send)
        else:
            await app(scope, receive, _marked(send))

    return cors


def _of_browser(scope: Scope) -> dict[bytes, bytes] | None:
    for name, _ in scope["headers"]:
        if name == b"origin":
            return dict(scope["headers"])
    return None


def _marked(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _ANY, _EXPOSED]}
        await send(message)

    return marked


async def _preflight(headers: dict[bytes, bytes], send: Send) -> None:
    wanted = headers.get(b"access-control-request-headers")
    told = [
        _ANY,
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        *([(b"access-control-allow-headers", wanted)] if wanted else []),
        (b"access-control-max-age", _DAY),
        (b"vary", b"access-control-request-headers"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": told})
    await send({"type": "http.response.body", "body": b""})
