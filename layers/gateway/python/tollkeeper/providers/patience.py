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


def usable(seconds_left: float | None) -> float | None:
    """Of what the platform leaves, the seconds that may be spent on waiting for providers. None: as many as wanted."""
    return None if seconds_left is None else max(seconds_left - CLOSING_SECONDS, 0.001)


def patience_for(
    body: Mapping[str, Any], headers: Mapping[str, str], deployment: Deployment, left: float | None, *, at_most: Patience | None = None
) -> Patience:
    """`timeout` and `stream_timeout`: the body's, LiteLLM's headers', or the deployment's; `left` are the seconds of the whole call's
    deadline, `at_most` what a try may take that has an alternative. Raises BadRequest for one that is no number.
    """
    asked = _seconds("timeout", body.get("timeout", headers.get("x-litellm-timeout")))
    first = _seconds("stream_timeout", body.get("stream_timeout", headers.get("x-litellm-stream-timeout")))
    most = at_most.whole if at_most is not None and not body.get("stream") else None
    whole = min(value for value in (asked, deployment.timeout, left, most) if value is not None)
    soonest = at_most.first_byte if at_most is not None else whole
    return Patience(min(first or deployment.stream_timeout or whole, whole, soonest), whole)


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
