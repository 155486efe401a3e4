"""How long a provider asks us to wait, in seconds, from whatever it says it with.

`retry-after-ms`, `retry-after` (seconds or HTTP date, https://www.rfc-editor.org/rfc/rfc9110#field.retry-after), rate-limit reset headers
(OpenAI: Go durations, https://platform.openai.com/docs/guides/rate-limits; OpenRouter: epoch milliseconds; Anthropic: RFC 3339), Google's
RetryInfo, or the sentence "try again in 4.24s". A dialect has no clock: points in time are measured against the answer's own `date`
header, else against the moment the gateway saw the request.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tollkeeper.clock import from_iso

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SENTENCE = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+|\d+(?:\.\d+)?)(?: ?(?:seconds?\b|s\b))?", re.IGNORECASE
)
_RESET_HEADERS = (
    "x-ratelimit-reset-{kind}",
    "anthropic-ratelimit-{kind}-reset",
)
_EPOCH = 1_000_000_000
"""A number above this is a point in time, not a wait: 1e9 s are 31 years."""
_LONGEST = 86_400
"""A longer wait is a misread clock, and nobody waits for it."""


def retry_after(headers: Mapping[str, str], body: Any, message: str, *, kind: str, seen_at: int) -> float | None:
    """Seconds to wait, the first positive statement wins; None if the provider says nothing.

    `kind` is what ran out where the error says so ("tokens", "requests"); `seen_at` is epoch seconds.
    """
    now = _date(headers) or float(seen_at)
    for seconds in _statements(headers, body, message, kind, now):
        if seconds is not None and 0 < seconds <= _LONGEST:
            return seconds
    return None


def _statements(headers: Mapping[str, str], body: Any, message: str, kind: str, now: float) -> Iterator[float | None]:
    milliseconds = _number(headers.get("retry-after-ms"))
    yield None if milliseconds is None else milliseconds / 1000
    yield _wait(headers.get("retry-after"), now)
    yield _retry_info(body)
    kinds = (kind,) if kind in {"tokens", "requests"} else ("requests", "tokens")
    for template in _RESET_HEADERS:
        yield max((_wait(headers.get(template.format(kind=name)), now) or 0.0 for name in kinds), default=None)
    yield _wait(headers.get("x-ratelimit-reset") or _header_in_body(body, "x-ratelimit-reset"), now)
    sentence = _SENTENCE.search(message)
    yield _wait(sentence[1], now) if sentence else None


def _wait(text: Any, now: float) -> float | None:
    """A wait or a point in time, in any of the spellings above → seconds from `now`."""
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        return None
    text = str(text).strip()
    number = _number(text)
    if number is not None:
        return _until(number, now)
    pieces = _DURATION.findall(text)
    if pieces and "".join(amount + unit for amount, unit in pieces) == text:
        return sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in pieces)
    moment = _moment(text)
    return None if moment is None or not now else moment - now


def _until(number: float, now: float) -> float | None:
    if number < _EPOCH:
        return number
    moment = number / 1000 if number > _EPOCH * 1000 else number
    return moment - now if now else None


def _moment(text: str) -> float | None:
    for parse in (from_iso, _http_date):
        try:
            return parse(text)
        except (ValueError, TypeError):
            continue
    return None


def _http_date(text: str) -> float:
    moment: datetime = parsedate_to_datetime(text)
    return moment.timestamp()


def _date(headers: Mapping[str, str]) -> float | None:
    return _moment(headers["date"]) if "date" in headers else None


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _retry_info(body: Any) -> float | None:
    """https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto (RetryInfo.retry_delay)."""
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            return _wait(detail.get("retryDelay"), 0.0)
    return None


def _header_in_body(body: Any, name: str) -> Any:
    """OpenRouter repeats an upstream's headers in error.metadata.headers (https://openrouter.ai/docs/api-reference/errors)."""
    node = body
    for key in ("error", "metadata", "headers"):
        node = node.get(key) if isinstance(node, dict) else None
    return next((value for key, value in node.items() if key.lower() == name), None) if isinstance(node, dict) else None
