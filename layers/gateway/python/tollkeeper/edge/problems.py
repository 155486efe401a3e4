"""The only place where an error becomes HTTP, in the shape of the API the caller speaks.

OpenAI's envelope (https://platform.openai.com/docs/guides/error-codes), with LiteLLM's `code`: the status as text, where nobody gave a
better one. Anthropic's envelope (https://docs.claude.com/en/api/errors) and Google's, where the type follows from the status.
"""

import logging
from math import ceil
from typing import Any

import orjson

from tollkeeper.errors import OurError, TollkeeperError, UpstreamAuthFailed, UpstreamError, UpstreamFailed

log = logging.getLogger("tollkeeper.edge")

_OVERLOADED = 529
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}


def openai_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body. Anything that is not ours to show becomes a bare 500 and one log line without the request in it."""
    error = _shown(error, call_id)
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


def anthropic_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The same for callers of the Messages API. A provider's 529 stays one: their clients know it."""
    error = _shown(error, call_id)
    overloaded = isinstance(error, UpstreamFailed) and error.upstream_status == _OVERLOADED
    status = _OVERLOADED if overloaded else error.status
    kind = _ANTHROPIC_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    body = {"type": kind, "message": error.message, "code": error.code or error.type, **_extra(error)}
    headers = {**_headers(error), "x-litellm-call-id": call_id, "request-id": call_id}
    return status, headers, {"type": "error", "error": body, "request_id": call_id}


def anthropic_error_event(error: BaseException, call_id: str) -> bytes:
    """https://docs.claude.com/en/docs/build-with-claude/streaming#error-events"""
    return b"event: error\ndata: " + orjson.dumps(anthropic_error(error, call_id)[2]) + b"\n\n"


def cohere_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Cohere's `message` beside OpenAI's envelope, for rerank, which callers of both ask for. https://docs.cohere.com/reference/errors"""
    status, headers, body = openai_error(error, call_id)
    return status, headers, {"message": body["error"]["message"], **body}


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def gemini_error(error: BaseException, call_id: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The same for callers of the Gemini API: Google's error model. https://google.aip.dev/193"""
    error = _shown(error, call_id)
    status = _GOOGLE_STATUSES.get(error.status) or ("INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT")
    metadata = {name: str(value) for name, value in {"field": error.param, **_extra(error)}.items() if value is not None}
    reason = {"@type": _ERROR_INFO, "reason": (error.code or error.type).upper(), "domain": "tollkeeper", "metadata": metadata}
    details: list[dict[str, Any]] = [reason]
    if error.retry_after is not None:
        details.append({"@type": _RETRY_INFO, "retryDelay": f"{max(1, ceil(error.retry_after))}s"})
    body = {"code": error.status, "message": error.message, "status": status, "details": details}
    return error.status, {**_headers(error), "x-litellm-call-id": call_id}, {"error": body}


_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def _shown(error: BaseException, call_id: str) -> TollkeeperError:
    if isinstance(error, TollkeeperError):
        return error
    log.error("unexpected %s in call %s", type(error).__name__, call_id, exc_info=error)
    return OurError("Internal server error. The call id is in x-litellm-call-id.")


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
