"""A management API over a ledger of twelve hundred calls from two months, already added up."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.admin import START, Admin, HandClock, make_admin
from tests.support.entries import DAY, entries, expected

from tollkeeper.ledger.roller import Roller
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

FIRST = START - 40 * DAY
"""2026-12-06T08:00:00Z"""


@dataclass
class Books:
    """`sums` as tests/support/entries.py: expected counts them."""

    admin: Admin
    entries: list[dict[str, Any]]
    sums: dict[tuple[str, str, str], tuple[int, int]]

    def of(self, kind: str, first: str, last: str) -> dict[str, int]:
        """Value → nano-dollars from one day to another, both included."""
        found: dict[str, int] = {}
        for (each, value, period), (spend, _) in self.sums.items():
            if each == kind and len(period) == len("2026-12-06") and first <= period <= last:
                found[value] = found.get(value, 0) + spend
        return found

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.admin.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def ledger() -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Read only, so once is enough."""
    store, found = SqliteStore(":memory:", clock=HandClock()), list(entries(1200, seed=11, start=FIRST, days=40))

    async def fill() -> None:
        for item in found:
            await store.ledger.put(item)
        await Roller(store.ledger, HandClock(), batch=600).roll(found)

    asyncio.run(fill())
    yield store.ledger, found
    store.close()


@pytest.fixture
async def books(ledger: tuple[Table, list[dict[str, Any]]]) -> AsyncIterator[Books]:
    admin = make_admin(ledger=ledger[0])
    yield Books(admin, ledger[1], expected(ledger[1]))
    await admin.close()


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    made = make_admin()
    yield made
    await made.close()
