"""Bedrock's errors, as HTTP answers and as exception frames of a stream → one typed UpstreamError.

The class is in the header `x-amzn-errortype: Name[:url]` or, in a stream, in `:exception-type`; the body is `{"message"}` or `{"Message"}`.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.error_bodies import ErrorBody, classify, read_error
from tollkeeper.dialects.eventstream import Message
from tollkeeper.errors import UpstreamError

_STATUS = {
    "validationexception": 400,
    "badrequestexception": 400,
    "accessdeniedexception": 403,
    "unrecognizedclientexception": 403,
    "invalidsignatureexception": 403,
    "expiredtokenexception": 403,
    "incompletesignatureexception": 403,
    "missingauthenticationtokenexception": 403,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "modelerrorexception": 500,
    "modelstreamerrorexception": 500,
    "throttlingexception": 429,
    "toomanyrequestsexception": 429,
    "servicequotaexceededexception": 429,
    "modelnotreadyexception": 429,
    "internalserverexception": 500,
    "internalfailure": 500,
    "serviceunavailableexception": 503,
}
"""The status that says whose fault it is. AWS sends 424 for model errors and 400 for a quota, which would read as the request's fault."""

_TOO_LONG = re.compile(
    r"input is too long|too many (?:input )?tokens in|input tokens exceed|exceeds? (?:the )?maximum (?:input|context|length|number of)"
    r"|expected maxlength: \d{5,}|too large for (?:this |the )?model|context length",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"blocked by (?:our |the )?content filter|content filtering policy|responsible ai|guardrail intervened", re.IGNORECASE
)


def error_from_bedrock(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
    """A non-2xx answer. Never raises."""
    name = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    return _classified(status, headers, name, body, target)


def good(messages: Iterable[Message], target: Target) -> Iterator[Message]:
    """A stream's messages until one says that it failed. Raises the typed error then."""
    for message in messages:
        if message.text(":message-type") in {"exception", "error"}:
            raise error_from_frame(message, target)
        yield message


def error_from_frame(message: Message, target: Target) -> UpstreamError:
    """A frame whose `:message-type` is `exception` (modelled, JSON payload) or `error` (unmodelled, told in headers)."""
    name = message.text(":exception-type") or message.text(":error-code")
    payload = message.payload or orjson.dumps({"message": message.text(":error-message")})
    return _classified(500, {}, name, payload, target)


def _classified(status: int, headers: Mapping[str, str], name: str, body: bytes, target: Target) -> UpstreamError:
    meaning = _STATUS.get(name.lower(), 500 if status == 424 else status)
    text = _message(body, status)
    code = name
    if meaning == 400 and _TOO_LONG.search(text):
        code = "context_length_exceeded"
    elif meaning == 400 and _FILTERED.search(text):
        code = "content_filter"
    error = classify(meaning, headers, ErrorBody(message=text, code=code), target)
    error.code = name or error.code
    error.upstream_status = status
    return error


def _message(body: bytes, status: int) -> str:
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    text = next((tree[key] for key in ("message", "Message") if isinstance(tree.get(key), str)), "") if isinstance(tree, dict) else ""
    return text or read_error(body, status).message
