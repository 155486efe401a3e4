"""What the days so far say of the days to come, and which day was out of the ordinary. Pure; whole nano-dollars throughout.

The baseline is seasonal by weekday: with three weeks of days or more a day is compared with the same weekday of the weeks before, else
with all days before. Forecasts add up the baseline of each day that is left; the interval is 1.96 standard deviations of what days differed
from their baseline, times the root of the number of days: it says how much days scatter, not whether habits change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import isqrt

SEASONS = 21
"""Days from which on weekdays are told apart."""
LEAST_DAYS = 7
_TIMES = 3
"""A day is out of the ordinary above so many times its baseline, as LiteLLM's user_spend_anomalies has it,"""
_SCATTERS = 5
"""and above so many median deviations beyond it,"""
LEAST_SPEND = 10**9
"""and above a dollar."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Nano-dollars. `low` and `high` hold 95 of 100 months if days go on to scatter as they did; `days` is how many were looked at."""

    estimate: int
    low: int
    high: int
    days: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day's nano-dollars against what the same weekday (or any day before) had."""

    day: str
    spent: int
    baseline: int


def month_end(daily: Mapping[str, int], today: date, last: date, so_far: int) -> Forecast:
    """`daily` are whole days before today (a day that is missing between them had nothing); `so_far` is the month's spend until now.

    Today counts as a day that is left, less what it has had already, which `daily` may say under today's date.
    """
    spent_today = daily.get(today.isoformat(), 0)
    days = _history(daily, today)
    left = [today + timedelta(days=number) for number in range((last - today).days + 1)]
    ahead = sum(_expected(days, day) for day in left)
    scatter = _deviation(days) * isqrt(len(left) * 10**6) // 1000
    estimate = max(so_far, so_far - spent_today + max(ahead, spent_today))
    return Forecast(estimate, max(so_far, estimate - scatter * 196 // 100), estimate + scatter * 196 // 100, len(days))


def run_out(daily: Mapping[str, int], today: date, spent: int, cap: int, resets: date | None) -> date | None:
    """The day on which `cap` is reached if days go on as they did; None: not before the window ends (`resets`), or within two years."""
    if spent >= cap:
        return today
    return next((day for day, reached in course(daily, today, spent, resets) if reached >= cap), None)


def course(daily: Mapping[str, int], today: date, spent: int, resets: date | None) -> Iterator[tuple[date, int]]:
    """Each day from today until the window ends (`resets`), or two years are over, with what it will have spent by that day's end."""
    days = _history(daily, today)
    week = [_expected(days, today + timedelta(days=number)) for number in range(7)]
    for number in range(731):
        day = today + timedelta(days=number)
        if resets is not None and day >= resets:
            return
        spent += week[number % 7] if number else max(0, week[0] - daily.get(today.isoformat(), 0))
        yield day, spent


def anomalies(daily: Mapping[str, int], first: date, last: date) -> list[Anomaly]:
    """The days from `first` to `last` that were out of the ordinary; days with less than a week before them are not judged."""
    found = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        before = _history(daily, day)
        spent = daily.get(day.isoformat(), 0)
        if len(before) < LEAST_DAYS or spent < LEAST_SPEND:
            continue
        same = _same_weekday(before, day)
        usual = _median([amount for _, amount in same])
        scatter = _median([abs(amount - usual) for _, amount in same])
        if spent > max(_TIMES * usual, usual + _SCATTERS * scatter):
            found.append(Anomaly(day.isoformat(), spent, usual))
    return found


@dataclass(slots=True)
class Capped:
    """What a cap on each window would have done. `windows` that reached it, and nano-dollars and calls that it would have refused."""

    windows: dict[str, str]
    spend: int = 0
    calls: int = 0


def capped(hours: Sequence[tuple[str, str, int, int]], cap: int) -> Capped:
    """`hours` are (window, hour, spend, calls) in order of time.

    Of the hour in which the cap is reached, calls are refused in the proportion of its spend: a cap stops between two calls, which an
    hour's sum does not know.
    """
    spent: dict[str, int] = {}
    found = Capped({})
    for window, hour, spend, calls in hours:
        before = spent.get(window, 0)
        spent[window] = before + spend
        if over := min(spend, max(0, before + spend - cap)):
            found.windows.setdefault(window, hour)
            found.spend += over
            found.calls += -(-calls * over // spend)
    return found


def _history(daily: Mapping[str, int], before: date) -> list[tuple[date, int]]:
    """Every day from the first that had something to the one before, eight weeks at most."""
    known = [date.fromisoformat(day) for day in daily if day < before.isoformat()]
    if not known:
        return []
    first = max(min(known), before - timedelta(days=56))
    return [(day, daily.get(day.isoformat(), 0)) for day in (first + timedelta(days=n) for n in range((before - first).days))]


def _same_weekday(days: list[tuple[date, int]], day: date) -> list[tuple[date, int]]:
    return [row for row in days if row[0].weekday() == day.weekday()] if len(days) >= SEASONS else days


def _expected(days: list[tuple[date, int]], day: date) -> int:
    same = _same_weekday(days, day)
    return sum(amount for _, amount in same) // len(same) if same else 0


def _deviation(days: list[tuple[date, int]]) -> int:
    if len(days) < 2:
        return 0
    return isqrt(sum((amount - _expected(days, day)) ** 2 for day, amount in days) // (len(days) - 1))


def _median(numbers: list[int]) -> int:
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
