from datetime import UTC, datetime

import pytest

from tollkeeper.auth.durations import after, parse_duration


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600), ("007d", 604_800)]
)
def test_fixed_lengths(text, seconds):
    assert after(1_000_000.9, text) == 1_000_000 + seconds


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2027-01-15T08:00:00", "1mo", "2027-02-15T08:00:00"),
        ("2027-01-31T08:00:00", "1mo", "2027-02-28T08:00:00"),
        ("2028-01-31T00:00:00", "1mo", "2028-02-29T00:00:00"),
        ("2027-12-31T23:59:59", "2mo", "2028-02-29T23:59:59"),
        ("2027-03-10T00:00:00", "12mo", "2028-03-10T00:00:00"),
    ],
)
def test_a_month_ends_on_the_same_day_or_the_last(start, text, end):
    assert after(at(start), text) == at(end)


@pytest.mark.parametrize("text", ["", "30", "d", "1y", "1.5h", "-1d", "1 d", "1d ", "٣d", "1d1h", "1MO"])
def test_what_is_no_duration_is_told_how_to_write_one(text):
    with pytest.raises(ValueError, match="number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0d", "36601d", "9999999999w", "1201mo"])
def test_nothing_and_for_ever_are_refused(text):
    with pytest.raises(ValueError, match=r"zero|hundred years"):
        parse_duration(text)
