"""However many keys there are, a page, a look-up and an authentication cost the same: requests and read units are counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.admin import Admin, HandClock, make_admin
from tests.support.stores import Engine, dynamo_tables, engine

from tollkeeper.auth.records import KeyRecord, Record, TeamRecord
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Page, Table

AT_ONCE = 16
CREATED = "2027-01-15T08:00:00.000Z"


class Counted:
    """A table that counts what is asked of it: reads of one item, pages of an index, and how many items those held."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.gets = self.queries = self.items = 0

    async def get(self, pk, sk, **options):
        self.gets += 1
        return await self._table.get(pk, sk, **options)

    async def query(self, pk, **options) -> Page:
        page = await self._table.query(pk, **options)
        self.queries += 1
        self.items += len(page.items)
        return page

    def __getattr__(self, verb: str) -> Callable[..., object]:
        return getattr(self._table, verb)


async def seed(table: Table, keys: int, teams: int) -> None:
    records: list[Record] = [TeamRecord(team_id=f"t{number}", created_at=CREATED) for number in range(teams)]
    for number in range(keys):
        team, user = f"t{number % teams}", f"u{number % (teams * 3)}"
        records.append(
            KeyRecord(key_hash=f"{number:064x}", key_name="sk-...0000", team_id=team, user_id=user, created_at=f"2027-{number:08d}")
        )
    for start in range(0, len(records), AT_ONCE):
        await asyncio.gather(*(table.put(record.to_item()) for record in records[start : start + AT_ONCE]))


async def costs(admin: Admin, counted: Counted) -> dict[str, tuple[int, int, int]]:
    """What each call asked of the store: (reads, index pages, items in them)."""
    found = {}
    made = await admin.generate(team_id="t1", user_id="u1")
    for name, call in {
        "page of all": lambda: admin.get("/key/list", size=100),
        "page of full rows": lambda: admin.get("/key/list", size=10, return_full_object=True),
        "page of a team": lambda: admin.get("/key/list", team_id="t1", size=10),
        "page of a user": lambda: admin.get("/key/list", user_id="u1", size=10),
        "info": lambda: admin.get("/key/info", key=made["key"]),
        "by alias": lambda: admin.get("/key/list", key_alias="nobody"),
        "authentication": lambda: admin.authenticator.verify(made["key"]),
    }.items():
        admin.authenticator.forget()
        before = (counted.gets, counted.queries, counted.items)
        await call()
        found[name] = tuple(after - start for start, after in zip(before, (counted.gets, counted.queries, counted.items), strict=True))
    # The next to measure these tables must find what was seeded, and no more.
    assert (await admin.post("/key/delete", {"keys": [made["key"]]})).status_code == 200
    return found


async def measured(table: Table, keys: int, teams: int) -> dict[str, tuple[int, int, int]]:
    await seed(table, keys, teams)
    counted = Counted(table)
    admin = make_admin(counted)
    try:
        return await costs(admin, counted)
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def embedded() -> AsyncIterator[Table]:
    store = SqliteStore(":memory:", clock=HandClock())
    yield store.directory
    store.close()


def flat(small: dict[str, tuple[int, int, int]], large: dict[str, tuple[int, int, int]]) -> None:
    assert small == large
    assert small["info"] == (1, 0, 0)
    assert small["authentication"][1:] == (0, 0)
    assert small["page of all"][1] <= 3


async def test_calls_cost_the_same_with_ten_times_the_keys():
    async with embedded() as few, embedded() as many:
        flat(await measured(few, 1_500, 150), await measured(many, 15_000, 1_500))


@pytest.mark.slow
async def test_calls_cost_the_same_with_a_hundred_thousand_keys():
    async with embedded() as few, embedded() as many:
        flat(await measured(few, 1_500, 15), await measured(many, 100_000, 1_000))


@pytest.fixture
def dynamodb_local(tmp_path: Path) -> Iterator[Engine]:
    with engine("dynamodb-local", tmp_path) as running:
        yield running


@pytest.mark.slow
async def test_calls_cost_the_same_with_a_hundred_thousand_keys_on_dynamodb(dynamodb_local):
    async with dynamo_tables(dynamodb_local.endpoint) as tables:
        few = await measured(tables.directory, 1_500, 15)
        flat(few, await measured(tables.directory, 100_000, 1_000))


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Engine]:
    with engine("moto", tmp_path) as running:
        yield running


@pytest.mark.slow
async def test_read_units_on_a_dynamodb_engine(moto):
    """The units of every read, as the engine states them, for a directory of 1,100 keys and one of 2,200."""
    units: list[tuple[str, float]] = []
    found = []
    for keys in (1_100, 2_200):
        async with dynamo_tables(moto.endpoint, on_request=lambda name, used: units.append((name, used))) as tables:
            await seed(tables.directory, keys, keys // 10)
            admin = make_admin(tables.directory)
            made = await admin.generate(team_id="t1", user_id="u1")
            for path, query in (("/key/list", {"size": 10}), ("/key/info", {"key": made["key"]})):
                admin.authenticator.forget()
                units.clear()
                assert (await admin.get(path, **query)).status_code == 200
                found.append((keys, path, [name for name, _ in units], sum(used for _, used in units)))
            await admin.close()
    assert not any("Scan" in names for _, _, names, _ in found)
    assert [row[1:] for row in found[:2]] == [row[1:] for row in found[2:]]
