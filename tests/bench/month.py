"""A month of a large company: two million calls of 2,000 keys in 100 teams, added up and reported.

`python -m tests.bench.month [--calls 2000000] [--folder DIR]` prints what each report asks of the store and whether its total is the one
counted independently while the calls were made up. Exit code 1 if one is not.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from tests.support.admin import HandClock, make_admin
from tests.support.entries import Company, entries, expected

from tollkeeper.clock import from_iso
from tollkeeper.ledger.sums import Address, Cell, cells_of
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

COMPANY = Company(keys=2000, teams=100, users=500, organizations=10, customers=50, tags=3)
DATES = {"start_date": "2026-11-01", "end_date": "2026-11-30"}
COLUMNS = ("gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk", "gsi3pk", "gsi3sk")
Sums = dict[tuple[str, str, str], tuple[int, int]]


class CountedTable(Table):
    """Counts the requests that DynamoDB would get."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.requests = 0

    def __getattribute__(self, name: str) -> Any:
        if name not in {"get", "query", "put_new", "put", "delete", "apply"}:
            return super().__getattribute__(name)
        self.requests += 1
        return getattr(self._table, name)


def days(calls: int) -> Iterator[list[dict[str, Any]]]:
    made = entries(calls, seed=2026, company=COMPANY)
    for _, found in groupby(made, key=lambda item: item["started_at"][:10]):
        yield list(found)


def write(folder: Path, found: Iterable[dict[str, Any]]) -> None:
    """Straight into the file, for a transaction per item would take an hour; that those come to the same is proved elsewhere."""
    rows = ((item["pk"], item["sk"], orjson.dumps(item), None, *map(item.get, COLUMNS)) for item in found)
    with sqlite3.connect(folder / "tollkeeper.db") as connection:
        connection.execute("DROP TRIGGER IF EXISTS ledger_to_stream")
        connection.executemany(f"INSERT INTO ledger VALUES ({', '.join('?' * (4 + len(COLUMNS)))})", rows)
    connection.close()


def items(cells: dict[Address, Cell]) -> Iterator[dict[str, Any]]:
    return ({"pk": pk, "sk": sk, **cell.add, **cell.labels} for (pk, sk), cell in cells.items())


def fill(folder: Path, calls: int) -> tuple[SqliteStore, Sums]:
    """The sums are made by the roller's own `cells_of`, a day at a time."""
    store, sums, done, started = SqliteStore(folder, clock=HandClock(from_iso("2026-12-01T00:00:00Z"))), Sums(), 0, time.monotonic()
    of_month: dict[Address, Cell] = {}
    for found in days(calls):
        write(folder, found)
        for name, (spend, count) in expected(found).items():
            before = sums.get(name, (0, 0))
            sums[name] = before[0] + spend, before[1] + count
        cells = cells_of(found)
        for address in [address for address in cells if address[1].startswith("month#")]:
            cell = cells.pop(address)
            of_month.setdefault(address, Cell()).take(cell.add, cell.labels)
        write(folder, items(cells))
        done += len(found)
        print(f"{done:>9} calls booked and added up after {time.monotonic() - started:.0f} s", flush=True)
    write(folder, items(of_month))
    return store, sums


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


async def report(store: SqliteStore, sums: Sums) -> bool:
    ledger = CountedTable(store.ledger)
    admin = make_admin(ledger=ledger)
    admin.clock.advance(from_iso("2026-12-01T00:00:00Z") - admin.clock.now())
    whole = sums["all", "", "2026-11"]

    def largest(kind: str, most: int | None = None) -> list[int]:
        return sorted((spend for (each, _, period), (spend, _) in sums.items() if each == kind and period == "2026-11"), reverse=True)[
            :most
        ]

    def of(kind: str) -> int:
        return sum(largest(kind))

    async def ask(path: str, total: Any, wanted: int, **query: Any) -> bool:
        before, started = ledger.requests, time.monotonic()
        answer = (await admin.get(path, **{**DATES, **query})).json()
        found, took = total(answer), time.monotonic() - started
        print(
            f"{'ok   ' if found == wanted else 'WRONG'} {ledger.requests - before:>6} requests {took * 1000:>7.0f} ms  {path} {query or ''}"
        )
        return bool(found == wanted)

    def spent(name: str) -> Any:
        return lambda rows: sum(nano(row[name]) for row in rows)

    first = sums["team", "team-7", "2026-11"][0], sums["key", "hash-3", "2026-11"][0]
    good = [
        await ask("/global/activity", lambda answer: answer["sum_api_requests"], whole[1]),
        await ask("/global/activity/model", lambda rows: sum(row["sum_api_requests"] for row in rows), whole[1]),
        await ask("/global/spend/keys", spent("total_spend"), sum(largest("key", 1000)), limit=1000),
        await ask("/global/spend/models", spent("total_spend"), of("model")),
        await ask("/global/spend/provider", spent("spend"), of("provider")),
        await ask("/spend/tags", spent("total_spend"), of("tag")),
        await ask("/global/spend/report", lambda rows: sum(nano(t["total_spend"]) for r in rows for t in r["teams"]), of("team")),
        await ask("/spend/logs", spent("spend"), whole[0]),
        await ask("/spend/logs/v2", lambda answer: answer["total"], whole[1], page_size=100),
        await ask("/spend/logs/v2", lambda answer: answer["total"], sums["key", "hash-3", "2026-11"][1], api_key="hash-3"),
        await ask("/user/daily/activity", lambda answer: nano(answer["metadata"]["total_spend"]), whole[0]),
        await ask("/team/daily/activity", lambda answer: nano(answer["metadata"]["total_spend"]), first[0], team_ids="team-7"),
        await ask("/key/daily/activity", lambda answer: nano(answer["metadata"]["total_spend"]), first[1], api_key="hash-3"),
        await ask("/key/spend/report", lambda rows: nano(rows[0]["total_cost"]), first[1], api_key="hash-3"),
        await ask("/team/spend/report", lambda rows: sum(nano(row["total_cost"]) for row in rows), first[0], team_id="team-7"),
    ]
    await admin.close()
    return all(good)


async def main(calls: int, folder: Path) -> bool:
    store, sums = fill(folder, calls)
    try:
        return await report(store, sums)
    finally:
        store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        sys.exit(0 if asyncio.run(main(arguments.calls, arguments.folder or Path(made))) else 1)
