"""The only place where an error becomes HTTP, in the shape of the API the caller speaks.

OpenAI's envelope (https://platform.openai.com/docs/guides/error-codes), with LiteLLM's `code`: the status as text, where nobody gave a
better one.
"""

import logging
from math import ceil
from typing import Any

import orjson

from tollkeeper.errors import OurError, TollkeeperError, UpstreamAuthFailed, UpstreamError

log = logging.getLogger("tollkeeper.edge")


def openai_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body. Anything that is not ours to show becomes a bare 500 and one log line without the request in it."""
    if not isinstance(error, TollkeeperError):
        log.error("unexpected %s in call %s", type(error).__name__, call_id, exc_info=error)
        error = OurError("Internal server error. The call id is in x-litellm-call-id.")
    body = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code or str(error.status),
        **_extra(error),
    }
    return error.status, {**_headers(error), "x-litellm-call-id": call_id, "x-request-id": call_id}, {"error": body}


def openai_error_event(error: BaseException, call_id: str) -> bytes:
    """The same envelope as one SSE event, for a stream whose status line has gone out."""
    return b"data: " + orjson.dumps(openai_error(error, call_id)[2]) + b"\n\n"


def _headers(error: TollkeeperError) -> dict[str, str]:
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers.setdefault("retry-after", str(max(1, ceil(error.retry_after))))
    if isinstance(error, UpstreamAuthFailed):
        headers.setdefault("x-should-retry", "false")
    return headers


def _extra(error: TollkeeperError) -> dict[str, Any]:
    if not isinstance(error, UpstreamError):
        return error.extra
    return {"provider_specific_fields": {**error.extra, "upstream_status": error.upstream_status}}
