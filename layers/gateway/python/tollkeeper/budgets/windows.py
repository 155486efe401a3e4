"""Which period a moment belongs to: `budget_duration` → window, snapped to the calendar as LiteLLM does.

    none            total      never ends
    1d 24h          day        local midnight to local midnight
    7d 1w 168h      week       Monday 00:00
    30d 1mo 720h    month      the 1st
    other Nd        block      N whole local days, counted from the first day of the calendar
    Nh Nm Ns        block      from local midnight where a day is a multiple of it, else counted from the epoch

The window's key is part of the counter's key, so nothing is ever reset: a new period is a new item. A clock that goes back only finds the
earlier period again, with everything that was spent in it. Blocks of a day are counted in real seconds from its midnight: the day with 25
hours has one more hour and the one with 23 one less, and no two blocks share a key.
https://docs.litellm.ai/docs/proxy/users#reset-budgets
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tollkeeper.errors import BadRequest, ConfigError

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d|w|mo)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}
_DAY = 86400
_MAX_DAYS = 3660


@dataclass(frozen=True, slots=True)
class Window:
    """One period. `start` and `end` are epoch seconds (`end` None: never); the period is start ≤ t < end."""

    key: str
    start: float
    end: float | None
    duration: str | None = None
    """As it was written, for messages."""


TOTAL = Window("total", 0.0, None)


@dataclass(frozen=True, slots=True)
class _Length:
    """A parsed duration: whole months, or seconds."""

    months: int = 0
    seconds: int = 0


def window_at(duration: str | None, moment: float, zone: tzinfo = UTC, *, field: str = "budget_duration") -> Window:
    """The window of `duration` that `moment` (epoch seconds) lies in. Raises BadRequest naming `field` for what is no duration."""
    if not duration:
        return TOTAL
    length = _parse(duration, field)
    if length.months or length.seconds % _DAY == 0:
        first, after, key = _days(length, datetime.fromtimestamp(moment, zone).date())
        return Window(key, _midnight(first, zone), _midnight(after, zone), duration)
    return _block(length.seconds, moment, zone, duration)


def check_duration(duration: str | None, *, field: str = "budget_duration") -> None:
    """Raises BadRequest naming `field` unless `window_at` will take it."""
    if duration:
        _parse(duration, field)


@lru_cache(maxsize=32)
def zone_named(name: str) -> tzinfo:
    """An IANA time zone. Raises ConfigError for one this machine does not know."""
    if name.upper() in {"", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone {name!r} is not an IANA time zone this machine knows, such as Europe/Berlin") from None


@lru_cache(maxsize=256)
def _parse(duration: str, field: str) -> _Length:
    match = _DURATION.fullmatch(duration.strip().lower())
    count = int(match[1]) if match else 0
    if match is None or count == 0:
        raise BadRequest(
            f"{field}={duration!r} is not a duration: write a number and s, m, h, d, w or mo, such as 24h, 7d or 1mo", param=field
        )
    if match[2] == "mo":
        if count > 1:
            raise BadRequest(f"{field}={duration!r}: the only duration in months is 1mo; write days instead", param=field)
        return _Length(months=1)
    seconds = count * _SECONDS[match[2]]
    if seconds > _MAX_DAYS * _DAY:
        raise BadRequest(f"{field}={duration!r} is longer than {_MAX_DAYS} days; leave it out for a budget that never resets", param=field)
    return _Length(months=1) if seconds == 30 * _DAY else _Length(seconds=seconds)


def _days(length: _Length, today: date) -> tuple[date, date, str]:
    """The first day of the window, the first day after it, and its key."""
    if length.months:
        first = today.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1), f"month#{first:%Y-%m}"
    count = length.seconds // _DAY
    # Ordinal 1 is a Monday, so weeks are blocks of seven counted from it.
    first = today - timedelta(days=(today.toordinal() - 1) % count)
    after = first + timedelta(days=count)
    if count == 1:
        return first, after, f"day#{first}"
    return first, after, f"week#{first:%G-W%V}" if count == 7 else f"{count}d#{first}"


def _block(seconds: int, moment: float, zone: tzinfo, duration: str) -> Window:
    origin, limit = 0.0, float("inf")
    if _DAY % seconds == 0:
        today = datetime.fromtimestamp(moment, zone).date()
        origin, limit = _midnight(today, zone), _midnight(today + timedelta(days=1), zone)
    start = origin + (moment - origin) // seconds * seconds
    key = f"{seconds}s#{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M:%S}"
    return Window(key, start, min(start + seconds, limit), duration)


def _midnight(day: date, zone: tzinfo) -> float:
    """The first instant of a local day: where clocks skip midnight, the offset before the skip gives exactly the skip."""
    return datetime.combine(day, time.min, zone).timestamp()
