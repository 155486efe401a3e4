"""A month of a large company: two million calls of 2,000 keys in 100 teams, added up, reported and exported.

`python -m tests.bench.month [--calls 2000000] [--folder DIR]` prints what each report asks of the store and whether its total is the one
counted independently while the calls were made up; then exports the ledger and reads the export back. Exit code 1 if something is wrong.
`--engine dynamodb-local --calls 20000` does it on a DynamoDB engine, with a company a tenth of the size, and counts capacity units, too.
"""

import argparse
import asyncio
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
from tests.bench.month_store import NEXT_DAY, CountedTable, Sums, embedded, on_dynamodb
from tests.support.admin import Admin, make_admin
from tests.support.entries import Company
from tests.support.stores import engine

from tollkeeper.ledger.rebuild import entries_of
from tollkeeper.reports.export_files import read_export
from tollkeeper.reports.export_writer import Place, write_export
from tollkeeper.store.table import Item, Table

LARGE = Company(keys=2000, teams=100, users=500, organizations=10, customers=50, tags=3)
SMALL = Company(keys=200, teams=20, users=50, organizations=4, customers=20, tags=3)
MONTH = "2026-11"
DATES = {"start_date": f"{MONTH}-01", "end_date": f"{MONTH}-30"}
ONE_DAY = {"start_date": f"{MONTH}-17", "end_date": f"{MONTH}-17"}
MOST_REQUESTS = 110
"""Of any one answer, at two million calls."""


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


class Questions:
    """Asks the management API and holds its answers against `sums`."""

    def __init__(self, admin: Admin, ledger: CountedTable, sums: Sums) -> None:
        self._admin, self._ledger, self._sums = admin, ledger, sums
        self.wrong = 0

    def of(self, kind: str, value: str | None = None, period: str = MONTH, *, calls: bool = False) -> int:
        return sum(
            cell[calls] for (each, name, when), cell in self._sums.items() if each == kind and when == period and value in {None, name}
        )

    def largest(self, kind: str, most: int) -> int:
        spends = sorted((cell[0] for (each, _, when), cell in self._sums.items() if (each, when) == (kind, MONTH)), reverse=True)
        return sum(spends[:most])

    async def ask(self, path: str, total: Callable[[Any], int], wanted: int, **query: Any) -> None:
        """All pages, where there are several."""
        found, pages, most, started, units = 0, 0, 0, time.monotonic(), self._ledger.units
        more: Any = True
        size = 0
        while more:
            pages, before = pages + 1, self._ledger.requests
            answer = await self._admin.get(path, **{**DATES, **query, **({"page": pages} if pages > 1 else {})})
            found, size, more = found + total(answer.json()), max(size, len(answer.content)), False
            if path.endswith("/daily/activity"):
                more = answer.json()["metadata"]["has_more"]
            most = max(most, self._ledger.requests - before)
        good = found == wanted and most <= MOST_REQUESTS
        self.wrong += not good
        print(
            f"{'ok   ' if good else 'WRONG'} {most:>4} requests {self._ledger.units - units:>7.1f} units "
            f"{(time.monotonic() - started) / pages * 1000:>6.0f} ms {size / 1024:>6.0f} KB x {pages:>2}  {path} {query or ''}",
            flush=True,
        )


def spent(name: str) -> Callable[[Any], int]:
    return lambda rows: sum(nano(row[name]) for row in rows)


def of_activity(answer: Any) -> int:
    return nano(answer["metadata"]["total_spend"])


def of_keys(answer: Any) -> int:
    return sum(nano(row["metrics"]["spend"]) for day in answer["results"] for row in day["breakdown"]["api_keys"].values())


def of_groups(plural: str) -> Callable[[Any], int]:
    """What models and keys add up to must be what is said of the group."""

    def total(rows: Any) -> int:
        groups = [group for row in rows for group in row[plural]]
        assert all(nano(group["total_spend"]) == sum(nano(row["spend"]) for row in group["metadata"]) for group in groups)
        return sum(nano(group["total_spend"]) for group in groups)

    return total


async def report(ledger: CountedTable, sums: Sums) -> int:
    """How many answers were wrong."""
    admin = make_admin(ledger=ledger)
    admin.clock.advance(NEXT_DAY - admin.clock.now())
    questions = Questions(admin, ledger, sums)
    ask, of = questions.ask, questions.of
    whole, day = of("all"), f"{MONTH}-17"
    await ask("/global/activity", lambda answer: answer["sum_api_requests"], of("all", calls=True))
    await ask("/global/activity/model", lambda rows: sum(row["sum_api_requests"] for row in rows), of("all", calls=True))
    await ask("/global/spend/keys", spent("total_spend"), questions.largest("key", 1000), limit=1000)
    await ask("/global/spend/models", spent("total_spend"), of("model"))
    await ask("/global/spend/provider", spent("spend"), of("provider"))
    last_30_days = of("team") - of("team", period=f"{MONTH}-01")
    await ask("/global/spend/teams", lambda answer: spent("total_spend")(answer["total_spend_per_team"]), last_30_days)
    await ask("/spend/tags", spent("total_spend"), of("tag"))
    await ask("/global/spend/report", of_groups("teams"), of("team"))
    await ask("/global/spend/report", of_groups("teams"), of("team", period=day), **ONE_DAY)
    await ask("/global/spend/report", of_groups("customers"), of("customer"), group_by="customer")
    await ask("/global/spend/report", spent("total_cost"), of("key"), group_by="api_key")
    await ask("/global/spend/report", spent("total_cost"), of("key", period=day), group_by="api_key", **ONE_DAY)
    await ask("/spend/logs", spent("spend"), whole)
    await ask("/spend/logs/v2", lambda answer: answer["total"], of("all", calls=True), page_size=100)
    await ask("/spend/logs/v2", lambda answer: answer["total"], of("key", "hash-3", calls=True), api_key="hash-3")
    await ask("/user/daily/activity", of_activity, whole)
    await ask("/user/daily/activity", of_keys, of("key"))
    await ask("/user/daily/activity/aggregated", of_activity, whole)
    await ask("/team/daily/activity", of_activity, of("team", "team-7"), team_ids="team-7")
    await ask("/team/daily/activity", of_keys, of("key"))
    await ask("/customer/daily/activity", of_activity, of("customer"))
    await ask("/key/daily/activity", of_activity, of("key", "hash-3"), api_key="hash-3")
    await ask("/key/spend/report", spent("total_cost"), of("key", "hash-3"), api_key="hash-3")
    await ask("/team/spend/report", spent("total_cost"), of("team", "team-7"), team_id="team-7")
    await ask("/organization/spend/report", spent("total_cost"), of("organization", "org-0"), organization_id="org-0")
    await ask(
        "/reports/statement", lambda answer: nano(float(answer["total"]["spend_usd"])), of("team", "team-7"), team_id="team-7", month=MONTH
    )
    await admin.close()
    return questions.wrong


async def exported(ledger: Table, folder: Path) -> int:
    """Whether an export reads back as what is in the table, item by item."""
    started, written = time.monotonic(), Digest()

    async def found() -> AsyncIterator[list[Item]]:
        for number in range(1, 31):
            async for page in entries_of(ledger, f"{MONTH}-{number:02}"):
                written.take(page)
                yield page

    async def put(name: str, data: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    await write_export(found(), put, Place(), {"exportArn": "month", "exportTime": "2026-12-01T00:00:00Z"})
    read = Digest()
    for item in read_export(folder):
        read.take([item])
    equal = read == written and read.count > 0
    print(f"{'ok   ' if equal else 'WRONG'} {read.count} calls exported and read back after {time.monotonic() - started:.0f} s", flush=True)
    return int(not equal)


class Digest:
    """Of items in whatever order."""

    def __init__(self) -> None:
        self.count = self.sum = self.cost = 0

    def take(self, found: list[Item]) -> None:
        for item in found:
            digest = hashlib.blake2b(orjson.dumps(item, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
            self.sum = (self.sum + int.from_bytes(digest, "big")) % 2**128
            self.count += 1
            self.cost += item["cost"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.count, self.sum, self.cost) == (other.count, other.sum, other.cost)

    __hash__ = None  # type: ignore[assignment]


async def main(calls: int, folder: Path, endpoint: str) -> int:
    """How many answers were wrong. `endpoint` is empty for the embedded store."""
    async with on_dynamodb(endpoint, calls, SMALL) if endpoint else embedded(folder, calls, LARGE) as (ledger, sums):
        wrong = await report(ledger, sums) + await exported(ledger, folder / "export")
    print(f"{wrong} wrong; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--engine", choices=("embedded", "dynamodb-local", "moto", "ministack"), default="embedded")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made_up, ExitStack() as started:
        where = arguments.folder or Path(made_up)
        server = started.enter_context(engine(arguments.engine, where)).endpoint if arguments.engine != "embedded" else ""
        sys.exit(min(1, asyncio.run(main(arguments.calls, where, server))))
