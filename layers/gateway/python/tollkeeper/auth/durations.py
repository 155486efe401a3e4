"""Lengths of time as LiteLLM writes them: a whole number and one of s, m, h, d, w, mo (https://docs.litellm.ai/docs/proxy/users)."""

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_PATTERN = re.compile(r"([0-9]{1,10})(mo|s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_SECONDS = 100 * 366 * 86_400
_LONGEST_MONTHS = 1200


class Duration(NamedTuple):
    number: int
    unit: str


def parse_duration(text: str) -> Duration:
    """Raises ValueError: not of the form, zero, or longer than a hundred years."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a duration: write a whole number and a unit, one of s, m, h, d, w, mo (for example 30d)")
    duration = Duration(int(match[1]), match[2])
    if duration.number == 0:
        raise ValueError("a duration of zero is over before it begins")
    if duration.number * _SECONDS.get(duration.unit, 0) > _LONGEST_SECONDS or (duration.unit == "mo" and duration.number > _LONGEST_MONTHS):
        raise ValueError(f"{text} is longer than a hundred years; leave it out for no limit")
    return duration


def after(epoch: float, text: str) -> int:
    """Epoch seconds `text` after `epoch`. A month ends on the same day of the month, or on its last. Raises ValueError."""
    count, unit = parse_duration(text)
    if unit != "mo":
        return int(epoch) + count * _SECONDS[unit]
    start = datetime.fromtimestamp(int(epoch), UTC)
    years, month = divmod(start.month - 1 + count, 12)
    first = start.replace(year=start.year + years, month=month + 1, day=1)
    day = min(start.day, calendar.monthrange(first.year, first.month)[1])
    return int((first + timedelta(days=day - 1)).timestamp())
