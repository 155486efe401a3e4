"""Every route of /spend, /global, /reports and daily activity, found in the OpenAPI document, with what no caller should send."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.reports.conftest import Books

DATES = {"start_date": "2027-01-14", "end_date": "2027-01-14"}
_REPORTS = (
    "/spend",
    "/global",
    "/reports",
    "/user/daily",
    "/key/daily",
    "/team/daily",
    "/organization/daily",
    "/customer/daily",
    "/tag/daily",
)
NONSENSE = (
    "",
    " ",
    "\x00",
    "\ud7ff",
    "%",
    "'; DROP TABLE ledger;--",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "A" * 600,
    "-1",
    "1e400",
    "null",
)
NO_DATES = ("31.12.2026", "2026-13-01", "2026-02-30", "0000-00-00", "tomorrow", "2026-12-20T25:00:00Z", "1e9", "２０２６-12-20")


def routes(books: Books) -> list[tuple[str, list[str]]]:
    """(path, names of its query) of every report that is read."""
    found = []
    for path, item in books.admin.app.openapi()["paths"].items():
        if "get" in item and (path.startswith(_REPORTS) or path.endswith("/spend/report")):
            names = [row["name"] for row in item["get"].get("parameters", ()) if row["in"] == "query"]
            found.append((path, names))
    assert len(found) > 35
    return found


def filled(path: str) -> str:
    return path.replace("{request_id}", "nothing")


def given(names: list[str]) -> dict[str, str]:
    """What makes a good question."""
    usual = {**DATES, "month": "2026-12", "team_id": "team-1", "model_group": "fast"}
    return {name: value for name, value in usual.items() if name in names}


async def test_dates_upside_down_or_no_dates_name_the_field(books: Books) -> None:
    walked = 0
    for path, names in routes(books):
        if not {"start_date", "end_date"} <= set(names):
            continue
        walked += 1
        upside = {**given(names), "start_date": "2027-01-10", "end_date": "2027-01-01"}
        answer = await books.admin.get(filled(path), **upside)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "end_date"), (path, answer.text)
        for text in NO_DATES:
            answer = await books.admin.get(filled(path), **{**given(names), "start_date": text})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "start_date"), (path, text, answer.text)
    assert walked > 20


@pytest.mark.slow
async def test_no_value_of_any_field_is_our_fault(books: Books) -> None:
    for path, names in routes(books):
        for name in names:
            for text in NONSENSE:
                answer = await books.admin.get(filled(path), **{**given(names), name: text})
                assert answer.status_code < 500, (path, name, text, answer.text)
                if answer.status_code >= 400:
                    error: dict[str, Any] = answer.json()["error"]
                    assert error["message"], (path, name)
                    assert "Traceback" not in answer.text


@pytest.mark.slow
async def test_bytes_that_are_no_text_are_refused_or_find_nothing(books: Books) -> None:
    for path, names in routes(books):
        for name in names:
            query = "&".join([*(f"{key}={quote(value)}" for key, value in given(names).items() if key != name), f"{name}=%ff%fe%80"])
            answer = await books.admin.call("GET", f"{filled(path)}?{query}")
            assert answer.status_code < 500, (path, name, answer.text)


async def test_pages_and_limits_beyond_reason_are_refused_or_empty(books: Books) -> None:
    for path, names in routes(books):
        for name in {"page", "page_size", "limit"} & set(names):
            for text in ("0", "-1", "1000001", "99999999999999999999", "1.5", "two"):
                answer = await books.admin.get(filled(path), **{**given(names), name: text})
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), (path, text, answer.text)


@pytest.mark.parametrize("month", ["2026-13", "2026", "26-12", "2026-00", "12-2026", "2026-12-01", "x", "9999-99"])
async def test_a_month_that_is_none_names_the_field(books: Books, month: str) -> None:
    answer = await books.admin.get("/reports/statement", team_id="team-1", month=month)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "month"), answer.text
