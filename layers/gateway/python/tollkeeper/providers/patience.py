"""How long one attempt may take: the tightest of what the caller asked, the deployment allows and the platform has left."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import BadRequest

CLOSING_SECONDS = 10.0
"""Kept back from the sandbox's deadline, to settle and answer."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to the first content of a stream; for a buffered answer, or between a stream's chunks."""

    first_byte: float
    whole: float


def patience_for(body: Mapping[str, Any], headers: Mapping[str, str], deployment: Deployment, seconds_left: float | None) -> Patience:
    """`timeout` and `stream_timeout`: the body's, LiteLLM's headers', or the deployment's. Raises BadRequest for one that is no number."""
    asked = _seconds("timeout", body.get("timeout", headers.get("x-litellm-timeout")))
    first = _seconds("stream_timeout", body.get("stream_timeout", headers.get("x-litellm-stream-timeout")))
    left = max(seconds_left - CLOSING_SECONDS, 0.001) if seconds_left is not None else None
    whole = min(value for value in (asked, deployment.timeout, left) if value is not None)
    return Patience(min(first or deployment.stream_timeout or whole, whole), whole)


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not isfinite(seconds) or seconds <= 0:
        raise BadRequest(f"'{name}' must be a positive number of seconds.", param=name)
    return seconds
