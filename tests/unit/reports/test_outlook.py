"""Forecasts, anomalies and what a cap would have done: by hand-made days, and through the API against the ledger's own hours."""

from datetime import date, timedelta

import pytest
from tests.unit.reports.conftest import Books

from tollkeeper.reports.outlook import anomalies, capped, month_end, run_out

DOLLAR = 10**9
TODAY = date(2026, 11, 21)


def history(days: int, amount: int = 5 * DOLLAR, weekend: int | None = None) -> dict[str, int]:
    found = {}
    for back in range(1, days + 1):
        day = TODAY - timedelta(days=back)
        found[day.isoformat()] = weekend if weekend is not None and day.weekday() >= 5 else amount
    return found


def test_even_days_go_on_evenly_and_without_doubt() -> None:
    found = month_end(history(20), TODAY, date(2026, 11, 30), 100 * DOLLAR)
    assert (found.estimate, found.low, found.high, found.days) == (150 * DOLLAR, 150 * DOLLAR, 150 * DOLLAR, 20)


def test_weekends_count_as_weekends() -> None:
    found = month_end(history(56, 10 * DOLLAR, weekend=0), TODAY, date(2026, 11, 30), 150 * DOLLAR)
    assert (found.estimate, found.high) == (210 * DOLLAR, 210 * DOLLAR)
    """The 21st is a Saturday: until the 30th there are six working days."""


def test_the_interval_grows_with_the_scatter_and_never_lies_below_what_is_spent() -> None:
    days = {day: amount * (1 + 2 * (number % 2)) for number, (day, amount) in enumerate(history(20).items())}
    found = month_end(days, TODAY, date(2026, 11, 30), 190 * DOLLAR)
    assert 190 * DOLLAR <= found.low < found.estimate < found.high
    assert month_end({}, TODAY, date(2026, 11, 30), 7).estimate == 7


def test_what_today_has_had_already_is_not_expected_again() -> None:
    days = {**history(20), TODAY.isoformat(): 3 * DOLLAR}
    assert month_end(days, TODAY, TODAY, 103 * DOLLAR).estimate == 105 * DOLLAR
    days[TODAY.isoformat()] = 30 * DOLLAR
    assert month_end(days, TODAY, TODAY, 130 * DOLLAR).estimate == 130 * DOLLAR


@pytest.mark.parametrize(
    ("spent", "cap", "resets", "day"),
    [
        (0, 12, None, date(2026, 11, 23)),
        (12, 12, None, TODAY),
        (0, 12, date(2026, 11, 22), None),
        (0, 12, date(2026, 12, 1), date(2026, 11, 23)),
        (0, 10**6, None, None),
    ],
)
def test_the_day_a_budget_runs_out(spent: int, cap: int, resets: date | None, day: date | None) -> None:
    assert run_out(history(20), TODAY, spent * DOLLAR, cap * DOLLAR, resets) == day


def test_a_day_far_above_its_weekday_is_told_and_a_busy_monday_is_not() -> None:
    days = history(56, 2 * DOLLAR, weekend=DOLLAR // 10)
    mondays = [day for day in days if date.fromisoformat(day).weekday() == 0]
    days |= dict.fromkeys(mondays, 20 * DOLLAR)
    days[(TODAY - timedelta(days=2)).isoformat()] = 9 * DOLLAR
    found = anomalies(days, TODAY - timedelta(days=7), TODAY)
    assert [(each.day, each.spent, each.baseline) for each in found] == [("2026-11-19", 9 * DOLLAR, 2 * DOLLAR)]
    assert anomalies({TODAY.isoformat(): 99 * DOLLAR}, TODAY, TODAY) == []


def test_a_cap_refuses_what_lies_above_it_in_each_window() -> None:
    found = capped([("a", "1", 6, 3), ("a", "2", 6, 3), ("a", "3", 4, 1), ("b", "4", 9, 9), ("b", "5", 0, 1)], 10)
    assert (found.windows, found.spend, found.calls) == ({"a": "2"}, 6, 2)
    assert capped([("a", "1", 6, 3)], 0).calls == 3


async def test_a_cap_on_last_month_by_the_api(books: Books) -> None:
    spent = {day: spend for (kind, value, day), (spend, _) in books.sums.items() if (kind, value) == ("team", "team-1") and len(day) == 10}
    december = {day: spend for day, spend in spent.items() if day.startswith("2026-12")}
    cap = sorted(december.values())[len(december) // 2]
    body = {"kind": "team", "id": "team-1", "max_budget": cap / DOLLAR, "budget_duration": "1d", "month": "2026-12"}
    answer = (await books.admin.post("/reports/simulate", body)).json()
    assert round(answer["spend"] * DOLLAR) == sum(december.values())
    assert round(answer["refused_spend"] * DOLLAR) == sum(max(0, spend - cap) for spend in december.values())
    assert len(answer["windows_that_reached_it"]) == sum(spend > cap for spend in december.values())
    for change, field in (
        ({"month": "x"}, "month"),
        ({"max_budget": -1}, "max_budget"),
        ({"kind": "planet"}, "kind"),
        ({"budget_duration": "1y"}, "budget_duration"),
    ):
        refused = await books.admin.post("/reports/simulate", {**body, **change})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)


async def test_a_forecast_by_the_api(books: Books) -> None:
    await books.admin.post("/team/new", {"team_id": "team-1", "max_budget": 0.000001})
    answer = await books.get("/reports/forecast", kind="team", id="team-1")
    spent = sum(books.of("team", "2027-01-01", "2027-01-15")[name] for name in ("team-1",))
    assert round(answer["spend"] * DOLLAR) == spent
    assert answer["low"] <= answer["estimate"] <= answer["high"]
    assert answer["budget"]["max_budget"] == 0.000001
    assert answer["budget"]["runs_out_on"] == "2027-01-15"
    assert (await books.get("/reports/forecast", kind="key", id="hash-3"))["budget"] is None
    assert (await books.get("/reports/anomalies"))["judged"] > 5
