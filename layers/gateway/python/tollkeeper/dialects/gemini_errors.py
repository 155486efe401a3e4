"""Google's error object → one typed UpstreamError.

`{"error": {"code": 400, "message", "status": "INVALID_ARGUMENT", "details": [ErrorInfo | RetryInfo | …]}}`, sometimes in an array, and in a
stream under HTTP 200. https://ai.google.dev/gemini-api/docs/troubleshooting · https://google.aip.dev/193
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import MAX_MESSAGE, ErrorBody, classify, read_error
from tollkeeper.dialects.retry_after import retry_after
from tollkeeper.errors import UpstreamError, UpstreamRateLimited, UpstreamRejected

_TOO_LONG = re.compile(
    r"input token count .{0,80}(?:only supports|exceeds)|exceeds the maximum number of tokens allowed", re.IGNORECASE | re.DOTALL
)
_BAD_KEY = re.compile(r"^(?:API_KEY_|ACCESS_TOKEN_|CREDENTIALS_MISSING)")
_NOT_CACHED = "CachedContent not found"


def error_from_google(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
    """A bad key is 400 here (reason API_KEY_INVALID), an expired cached content 403, and every quota, per minute or per day, 429."""
    error = _named(read_error(body, status))
    if status == 429:
        wait = retry_after(headers, error.tree, error.message, kind="", seen_at=target.created)
        return UpstreamRateLimited(error.message[:MAX_MESSAGE], upstream_status=429, code=error.code or None, retry_after=wait)
    if status == 403 and _NOT_CACHED in error.message:
        return UpstreamRejected(error.message[:MAX_MESSAGE], upstream_status=403, status=404, code=error.code, param="cachedContent")
    found = classify(401 if _BAD_KEY.match(error.code) else status, headers, error, target)
    found.upstream_status = status
    return found


def error_status(tree: Json) -> int:
    """The HTTP status that an error object inside a 200 names; 500 if it names none."""
    code = _error(tree).get("code")
    return code if isinstance(code, int) and 400 <= code <= 599 else 500


def _named(error: ErrorBody) -> ErrorBody:
    """With Google's own names: `code` is the reason (API_KEY_INVALID) or the status (NOT_FOUND), not the number again."""
    node = _error(error.tree)
    details = node.get("details")
    reasons = [detail.get("reason") for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    name = next((reason for reason in reasons if isinstance(reason, str)), None) or node.get("status")
    if _TOO_LONG.search(error.message):
        name = "context_length_exceeded"
    return replace(error, code=str(name or error.code), type="")


def _error(tree: Any) -> Json:
    if isinstance(tree, list):
        tree = tree[0] if tree else {}
    node = tree.get("error") if isinstance(tree, dict) else None
    return node if isinstance(node, dict) else {}
