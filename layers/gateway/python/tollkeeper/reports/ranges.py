"""The days a report is about, as a caller writes them. Days are UTC, as the sums are; the last day is included."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tollkeeper.clock import from_iso
from tollkeeper.errors import BadRequest

LONGEST_DAYS = 400
_EARLIEST, _LATEST = date(2000, 1, 1), date(2999, 12, 31)


@dataclass(frozen=True, slots=True)
class Days:
    first: date
    last: date

    def __iter__(self) -> Iterator[str]:
        """yyyy-mm-dd, oldest first."""
        for number in range((self.last - self.first).days + 1):
            yield (self.first + timedelta(days=number)).isoformat()

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: str) -> bool:
        return self.first.isoformat() <= day <= self.last.isoformat()

    def months(self) -> list["Days"]:
        """The same days, cut where months end."""
        cut, first = [], self.first
        while first <= self.last:
            last = min(month_of(first.isoformat()[:7]).last, self.last)
            cut.append(Days(first, last))
            first = last + timedelta(days=1)
        return cut

    @property
    def month(self) -> str:
        """Of the first day: yyyy-mm."""
        return self.first.isoformat()[:7]

    @property
    def is_month(self) -> bool:
        return self == month_of(self.month)

    def reaches(self, now: float) -> bool:
        """Whether these, the days of one month, are all it has had so far."""
        return self.first.day == 1 and datetime.fromtimestamp(now, UTC).date() <= self.last


def days_of(start: str | None, end: str | None, now: float, *, back: int | None = None) -> Days:
    """`start` and `end` as yyyy-mm-dd or a time in ISO 8601. `back`: what stands in for dates that are not given, days until today.

    Raises BadRequest naming the field at fault: missing, no date, upside down, or more than LONGEST_DAYS days.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    if back is not None:
        last = day_of(end, "end_date") if end else today
        first = day_of(start, "start_date") if start else last - timedelta(days=back - 1)
    else:
        first, last = day_of(start, "start_date"), day_of(end, "end_date")
    if last < first:
        raise BadRequest(f"end_date={last} is before start_date={first}", param="end_date")
    if (last - first).days >= LONGEST_DAYS:
        raise BadRequest(f"start_date and end_date lie more than {LONGEST_DAYS} days apart", param="start_date")
    return Days(first, last)


def day_of(text: str | None, field: str) -> date:
    if not text:
        raise BadRequest("Please provide start_date and end_date", param=field)
    return datetime.fromtimestamp(moment_of(text, field), UTC).date()


def moment_of(text: str, field: str) -> float:
    """A date or time in ISO 8601 → epoch seconds. Raises BadRequest naming the field."""
    try:
        moment = from_iso(text.strip())
        if not _EARLIEST <= datetime.fromtimestamp(moment, UTC).date() <= _LATEST:
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise BadRequest(f"{field}={text[:40]!r} is no date: write it as 2026-11-30", param=field) from None
    return moment


def month_of(text: str, field: str = "month") -> Days:
    """yyyy-mm → its days. Raises BadRequest naming the field."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise BadRequest(f"{field}={text[:40]!r} is no month: write it as 2026-11", param=field) from None
    if not _EARLIEST <= first <= _LATEST:
        raise BadRequest(f"{field}={text} is out of range", param=field)
    return Days(first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))


def month_at(moment: float) -> Days:
    return month_of(datetime.fromtimestamp(moment, UTC).strftime("%Y-%m"))
