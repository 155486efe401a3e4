"""Fills a store with the month of tests/bench/month.py, and counts what is asked of it afterwards."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from tests.support.admin import HandClock
from tests.support.entries import Company, entries, expected
from tests.support.stores import dynamo_tables

from tollkeeper.clock import from_iso
from tollkeeper.ledger.roller import Roller
from tollkeeper.ledger.sums import Address, Cell, cells_of
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

COLUMNS = ("gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk", "gsi3pk", "gsi3sk")
NEXT_DAY = from_iso("2026-12-01T00:00:00Z")
ROLLED_AT_ONCE = 4000
_AT_ONCE = 16
Sums = dict[tuple[str, str, str], tuple[int, int]]


class CountedTable(Table):
    """Counts the requests that DynamoDB would get; `units` are those that a DynamoDB engine says it has consumed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.requests = 0
        self.units = 0.0

    def __getattribute__(self, name: str) -> Any:
        if name not in {"get", "query", "put_new", "put", "delete", "apply"}:
            return super().__getattribute__(name)
        self.requests += 1
        return getattr(self._table, name)

    def consumed(self, operation: str, units: float) -> None:
        self.units += units


def days(calls: int, company: Company) -> Iterator[list[dict[str, Any]]]:
    made = entries(calls, seed=2026, company=company)
    for _, found in groupby(made, key=lambda item: item["started_at"][:10]):
        yield list(found)


def add(sums: Sums, found: list[dict[str, Any]]) -> None:
    """What they must add up to, by day and month."""
    for name, (spend, count) in expected(found).items():
        if len(name[2]) <= len("2026-11-30"):
            before = sums.get(name, (0, 0))
            sums[name] = before[0] + spend, before[1] + count


@asynccontextmanager
async def embedded(folder: Path, calls: int, company: Company) -> AsyncIterator[tuple[CountedTable, Sums]]:
    """The sums are made by the roller's own `cells_of`, a day at a time. A store that is there already is taken as it is."""
    known = (folder / "tollkeeper.db").exists()
    store, sums = SqliteStore(folder, clock=HandClock(NEXT_DAY)), Sums()
    of_month: dict[Address, Cell] = {}
    started = time.monotonic()
    for found in days(calls, company):
        add(sums, found)
        if known:
            continue
        write(folder, found)
        cells = cells_of(found)
        for address in [address for address in cells if address[1].startswith("month#")]:
            cell = cells.pop(address)
            of_month.setdefault(address, Cell()).take(cell.add, cell.labels)
        write(folder, items(cells))
        print(f"{found[0]['started_at'][:10]} booked and added up after {time.monotonic() - started:.0f} s", flush=True)
    write(folder, items(of_month))
    yield CountedTable(store.ledger), sums
    store.close()


@asynccontextmanager
async def on_dynamodb(endpoint: str, calls: int, company: Company) -> AsyncIterator[tuple[CountedTable, Sums]]:
    """Written and rolled up by the program itself, item by item."""
    async with dynamo_tables(endpoint, clock=HandClock(NEXT_DAY)) as tables:
        counted, sums, started = CountedTable(tables.ledger), Sums(), time.monotonic()
        tables.ledger.on_request = counted.consumed  # type: ignore[attr-defined]
        roller, waiting = Roller(counted, HandClock(NEXT_DAY), batch=ROLLED_AT_ONCE), list[dict[str, Any]]()
        for found in days(calls, company):
            for few in (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)):
                await asyncio.gather(*map(counted.put_new, few))
            add(sums, found)
            waiting += found
        print(f"booked after {time.monotonic() - started:.0f} s", flush=True)
        await roller.roll(waiting)
        print(
            f"{counted.requests} requests, {counted.units:.0f} units, {time.monotonic() - started:.0f} s to book {calls} and add them up",
            flush=True,
        )
        yield counted, sums


def write(folder: Path, found: Iterable[dict[str, Any]]) -> None:
    """Straight into the file, for a transaction per item would take an hour; that those come to the same is proved elsewhere."""
    rows = ((item["pk"], item["sk"], orjson.dumps(item), None, *map(item.get, COLUMNS)) for item in found)
    with sqlite3.connect(folder / "tollkeeper.db") as connection:
        connection.execute("DROP TRIGGER IF EXISTS ledger_to_stream")
        connection.executemany(f"INSERT INTO ledger VALUES ({', '.join('?' * (4 + len(COLUMNS)))})", rows)
    connection.close()


def items(cells: dict[Address, Cell]) -> Iterator[dict[str, Any]]:
    return ({"pk": pk, "sk": sk, **cell.add, **cell.labels} for (pk, sk), cell in cells.items())
