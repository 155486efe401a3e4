"""What a report reads and how much it answers stays bounded, however many keys, teams and customers there are; its sums stay right."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.bench.month_store import CountedTable
from tests.support.admin import START, Admin, HandClock, make_admin
from tests.support.entries import DAY, Company, entries, expected

from tollkeeper.admin.daily_activity import MOST_ROWS
from tollkeeper.admin.spend_reports import MOST_ROWS as MOST_REPORTED
from tollkeeper.ledger.sums import cells_of
from tollkeeper.store.items import part_pk, sum_pk, sum_sk
from tollkeeper.store.sqlite import SqliteStore

KEYS, DAYS = 600, 22
DATES = {"start_date": "2026-12-24", "end_date": "2027-01-14"}


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


class Crowd:
    def __init__(self, admin: Admin, table: CountedTable, spent: dict[str, int]) -> None:
        self.admin, self.table, self.spent = admin, table, spent

    async def get(self, path: str, **query: Any) -> tuple[Any, int]:
        """The answer, and how often the store was asked for it."""
        before = self.table.requests
        answer = await self.admin.get(path, **{**DATES, **query})
        assert answer.status_code == 200, answer.text
        return answer.json(), self.table.requests - before

    async def pages(self, path: str, **query: Any) -> list[Any]:
        found, more = [], True
        while more:
            answer, asked = await self.get(path, page=len(found) + 1, **query)
            assert asked < 80
            found.append(answer)
            more = answer["metadata"]["has_more"]
        return found


@pytest.fixture(scope="module")
def ledger() -> Iterator[tuple[SqliteStore, dict[str, int]]]:
    """A call of each of 600 keys and 60 customers at least, on 22 days, and what each kind spent in all."""
    company = Company(keys=KEYS, teams=7, users=9, customers=60)
    found = list(entries(900, seed=7, company=company, start=START - DAYS * DAY, days=float(DAYS - 1)))
    for number, item in enumerate(found[:KEYS]):
        item |= {"key_hash": f"hash-{number}", "customer_id": f"customer#{number % 60}"}
    store = SqliteStore(":memory:", clock=HandClock())

    async def fill() -> None:
        for (pk, sk), cell in cells_of(found).items():
            await store.ledger.put({"pk": pk, "sk": sk, **cell.add, **cell.labels})

    asyncio.run(fill())
    spent: dict[str, int] = {}
    for (kind, _, when), (spend, _) in expected(found).items():
        spent[kind] = spent.get(kind, 0) + spend * (len(when) == len("2026-12"))
    yield store, spent
    store.close()


@pytest.fixture
async def crowd(ledger: tuple[SqliteStore, dict[str, int]]) -> AsyncIterator[Crowd]:
    table = CountedTable(ledger[0].ledger)
    admin = make_admin(ledger=table)
    yield Crowd(admin, table, ledger[1])
    await admin.close()


@pytest.mark.parametrize("kind", ["user", "team", "key"])
async def test_daily_activity_of_everybody_comes_in_pages_of_days(crowd: Crowd, kind: str) -> None:
    found = await crowd.pages(f"/{kind}/daily/activity")
    days = [day["date"] for page in found for day in page["results"]]
    assert days == sorted(days, reverse=True)
    assert len(days) == len(set(days)) == DAYS
    assert {page["metadata"]["total_pages"] for page in found} == {len(found)} != {1}
    assert all(sum(len(day["breakdown"]["api_keys"]) for day in page["results"]) <= MOST_ROWS for page in found)
    assert sum(nano(page["metadata"]["total_spend"]) for page in found) == crowd.spent["all"]
    listed = [row for page in found for day in page["results"] for row in day["breakdown"]["api_keys"].values()]
    assert sum(nano(row["metrics"]["spend"]) for row in listed) == crowd.spent["key"]


async def test_at_once_it_tells_the_whole_and_those_that_spent_most(crowd: Crowd) -> None:
    answer, asked = await crowd.get("/user/daily/activity/aggregated")
    assert nano(answer["metadata"]["total_spend"]) == crowd.spent["all"]
    assert (answer["metadata"]["total_pages"], answer["metadata"]["has_more"]) == (1, False)
    assert len({key for day in answer["results"] for key in day["breakdown"]["api_keys"]}) == 50
    assert asked < 200


async def test_many_customers_are_told_without_their_models(crowd: Crowd) -> None:
    found = await crowd.pages("/customer/daily/activity")
    assert sum(nano(page["metadata"]["total_spend"]) for page in found) == crowd.spent["customer"]
    report, asked = await crowd.get("/global/spend/report", group_by="customer")
    rows = [customer for day in report for customer in day["customers"]]
    assert sum(nano(row["total_spend"]) for row in rows) == crowd.spent["customer"]
    assert {(part["model"], part["api_key"]) for row in rows for part in row["metadata"]} == {("", "")}
    assert asked < 60


async def test_a_report_of_all_keys_does_not_ask_for_each(crowd: Crowd) -> None:
    rows, asked = await crowd.get("/global/spend/report", group_by="api_key")
    assert sum(nano(row["total_cost"]) for row in rows) == crowd.spent["key"]
    assert len(rows) == KEYS
    assert all(detail["model"] for row in rows for detail in row["model_details"])
    assert asked < 10


async def test_what_would_be_too_much_is_told_as_one_row_of_each_day_and_group(admin: Admin) -> None:
    """More models and keys on a day than one answer takes: the sums of the day still come."""
    table = admin.services.ledger
    assert table is not None
    for number in range(MOST_REPORTED + 1):
        part = {"pk": part_pk("everything", "", "2026-12"), "sk": f"17#{number:016x}", "spend": 2, "requests": 1, "input_tokens": 1}
        await table.put({**part, "team_id": "red", "key_hash": f"key {number}", "model": "m"})
    total = {"value": "red", "spend": 2 * number + 2, "requests": number + 1, "input_tokens": number + 1}
    for sk in (sum_sk("red"), sum_sk("red", "17")):
        await table.put({"pk": sum_pk("team", "2026-12"), "sk": sk, **total})
    await table.put({"pk": sum_pk("key", "2026-12"), "sk": sum_sk("a", "17"), **total, "value": "a"})
    one_day = {"start_date": "2026-12-17", "end_date": "2026-12-17"}
    (day,) = (await admin.get("/global/spend/report", **one_day)).json()
    spend = 0.000040002
    assert day["teams"] == [
        {"team_name": "red", "total_spend": spend, "metadata": [{"model": "", "api_key": "", "spend": spend, "total_tokens": 20_001}]}
    ]
    (row,) = (await admin.get("/global/spend/report", **one_day, group_by="api_key")).json()
    assert (row["api_key"], row["total_cost"], [detail["model"] for detail in row["model_details"]]) == ("a", spend, [""])
