"""Durations become calendar windows: the key, its ends, in any zone, over clock changes, for any clock."""

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.budgets.windows import TOTAL, check_duration, window_at, zone_named
from tollkeeper.errors import BadRequest, ConfigError

BERLIN, KOLKATA, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/Havana")


def at(text: str, zone: tzinfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("duration", "key", "start", "end"),
    [
        ("1d", "day#2026-11-18", "2026-11-18", "2026-11-19"),
        ("24h", "day#2026-11-18", "2026-11-18", "2026-11-19"),
        ("7d", "week#2026-W47", "2026-11-16", "2026-11-23"),
        ("1w", "week#2026-W47", "2026-11-16", "2026-11-23"),
        ("30d", "month#2026-11", "2026-11-01", "2026-12-01"),
        ("1mo", "month#2026-11", "2026-11-01", "2026-12-01"),
        ("1h", "3600s#2026-11-18T10:00:00", "2026-11-18T10:00", "2026-11-18T11:00"),
        ("60m", "3600s#2026-11-18T10:00:00", "2026-11-18T10:00", "2026-11-18T11:00"),
        ("6h", "21600s#2026-11-18T06:00:00", "2026-11-18T06:00", "2026-11-18T12:00"),
        ("15m", "900s#2026-11-18T10:15:00", "2026-11-18T10:15", "2026-11-18T10:30"),
        ("30s", "30s#2026-11-18T10:29:30", "2026-11-18T10:29:30", "2026-11-18T10:30"),
    ],
)
def test_litellms_durations_snap_to_the_calendar(duration: str, key: str, start: str, end: str) -> None:
    window = window_at(duration, at("2026-11-18T10:29:47"))
    assert (window.key, window.start, window.end) == (key, at(start), at(end))


def test_no_duration_never_ends() -> None:
    assert window_at(None, 5.0) == window_at("", 5.0) == TOTAL
    assert TOTAL.end is None


def test_a_day_begins_at_local_midnight() -> None:
    late = at("2026-11-18T23:30")
    assert window_at("1d", late, BERLIN).key == "day#2026-11-19"
    assert window_at("1d", late, KOLKATA).start == at("2026-11-19", KOLKATA)
    assert window_at("1mo", at("2026-11-30T23:30"), BERLIN).key == "month#2026-12"


@pytest.mark.parametrize("bad", ["2mo", "0d", "5y", "d", "1.5h", "-1d", "1 day", "99999d", "forever", "٣d"])
def test_what_is_no_duration_is_refused_by_name(bad: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_duration(bad)
    assert refused.value.param == "budget_duration"
    with pytest.raises(BadRequest) as refused:
        window_at(bad, 0.0, field="budget_limits")
    assert refused.value.param == "budget_limits"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)])
def test_each_hour_of_a_day_is_its_own_window_also_when_clocks_change(day: str, hours: int) -> None:
    start = at(day, BERLIN)
    keys = {window_at("1h", start + 900 * quarter, BERLIN).key for quarter in range(4 * hours)}
    assert len(keys) == hours
    assert window_at("1d", start, BERLIN).end == start + 3600 * hours


def test_a_day_without_midnight_begins_when_clocks_skip_it() -> None:
    window = window_at("1d", at("2026-03-08T12:00", HAVANA), HAVANA)
    assert window.end is not None
    assert window.end - window.start == 23 * 3600


@given(
    st.sampled_from(["1s", "7s", "15m", "1h", "5h", "6h", "36h", "1d", "2d", "1w", "2w", "28d", "1mo"]),
    st.sampled_from([UTC, BERLIN, KOLKATA, HAVANA]),
    st.integers(0, 2_500_000_000),
    st.integers(0, 40 * 86400),
)
def test_windows_hold_their_moment_and_never_overlap(duration: str, zone: tzinfo, moment: int, later: int) -> None:
    first, second = window_at(duration, moment, zone), window_at(duration, moment + later, zone)
    for window, when in ((first, moment), (second, moment + later)):
        assert window.end is not None
        assert window.start <= when < window.end
    assert (first.key == second.key) == (first.start == second.start)
    assert first == second or (first.end or 0) <= second.start


def test_windows_follow_one_another_without_a_gap() -> None:
    for duration in ("5h", "6h", "1d", "10d", "1w", "1mo"):
        windows, moment = [], at("2026-01-05", BERLIN)
        for _ in range(20):
            windows.append(window_at(duration, moment, BERLIN))
            moment = windows[-1].end or 0
        assert all(before.end == after.start for before, after in pairwise(windows))


def test_a_clock_that_goes_back_finds_the_earlier_window_again() -> None:
    now = at("2026-11-18T00:00:01")
    before, after = window_at("1d", now - 2), window_at("1d", now)
    assert before.key != after.key
    assert window_at("1d", now - timedelta(seconds=2).total_seconds()) == before


def test_zones_are_known_by_their_iana_names() -> None:
    assert zone_named("UTC") is zone_named("") is UTC
    assert window_at("1d", 0.0, zone_named("Europe/Berlin")).key == "day#1970-01-01"
    for bad in ("Mars/Olympus", "../etc/passwd", "/etc"):
        with pytest.raises(ConfigError):
            zone_named(bad)
