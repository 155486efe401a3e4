"""The audit log: every write leaves an entry, and no entry can be altered, removed or slipped in unseen."""

import asyncio

import pytest
from tests.support.admin import PEPPER, make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.admin.audit import AuditLog, Change
from tollkeeper.store import items
from tollkeeper.store.sqlite import SqliteStore


async def log(admin, **query):
    return (await admin.get("/audit", **query)).json()


async def test_who_what_before_after_when(admin):
    await admin.post("/team/new", {"team_id": "t", "max_budget": 1})
    admin.clock.advance(60)
    headers = {"litellm-changed-by": "terraform", "x-request-id": "req-7"}
    await admin.call("POST", "/team/update", json={"team_id": "t", "max_budget": 2, "models": ["a"]}, headers=headers)
    page = await log(admin)
    newest, oldest = page["audit_logs"]
    assert (newest["action"], newest["table_name"], newest["object_id"]) == ("updated", "team", "t")
    assert (newest["before_value"], newest["updated_values"]) == ({"max_budget": 10**9}, {"max_budget": 2 * 10**9, "models": ["a"]})
    assert (newest["changed_by"], newest["on_behalf_of"], newest["request_id"]) == ("default_user_id", "terraform", "req-7")
    assert newest["updated_at"] == "2027-01-15T08:01:00.000Z"
    assert (oldest["action"], oldest["before_value"]) == ("created", None)
    assert (page["total"], page["page"], page["total_pages"]) == (2, 1, 1)
    assert (await admin.get("/audit/1")).json() == oldest
    assert (await admin.get("/audit/3")).status_code == 404


async def test_no_secret_is_in_it(admin):
    made = await admin.generate(key_alias="ci")
    fresh = (await admin.post("/key/regenerate", {"key": made["key"]})).json()
    await admin.post("/key/delete", {"keys": [fresh["key"]]})
    text = (await admin.get("/audit")).text
    assert made["key"] not in text
    assert fresh["key"] not in text
    assert [entry["action"] for entry in (await log(admin))["audit_logs"]] == ["deleted", "rotated", "created"]


async def test_a_refused_write_leaves_no_entry(admin):
    await admin.post("/key/generate", {"team_id": "nobody"})
    await admin.post("/team/update", {"team_id": "nobody"})
    assert (await log(admin))["total"] == 0


async def test_pages_and_filters(admin):
    for number in range(5):
        admin.clock.advance(3600)
        await admin.post("/budget/new", {"budget_id": f"b{number}"})
    await admin.post("/budget/delete", {"id": "b0"})
    second = await log(admin, page=2, page_size=2)
    assert ([entry["object_id"] for entry in second["audit_logs"]], second["total"], second["total_pages"]) == (["b3", "b2"], 6, 3)
    about = await log(admin, table_name="budget", object_id="b0")
    assert [entry["action"] for entry in about["audit_logs"]] == ["deleted", "created"]
    assert (await log(admin, action="deleted"))["total"] == 1
    assert (await log(admin, changed_by="default_user_id"))["total"] == 6
    assert (await log(admin, changed_by="nobody"))["total"] == 0
    span = await log(admin, start_date="2027-01-15T10:00:00Z", end_date="2027-01-15T11:00:00Z")
    assert [entry["object_id"] for entry in span["audit_logs"]] == ["b2", "b1"]


async def chained(admin, count: int = 5):
    for number in range(count):
        await admin.post("/budget/new", {"budget_id": f"b{number}"})
    assert (await verified(admin)) == []


async def verified(admin) -> list[tuple[int, str]]:
    verdict = (await admin.get("/audit/verify")).json()
    assert verdict["ok"] is (verdict["problems"] == [])
    return [(row["number"], row["problem"]) for row in verdict["problems"]]


async def test_an_altered_entry(admin):
    await chained(admin)
    await admin.store.ledger.apply(items.AUDIT_PK, items.audit_sk(3), set={"by": "somebody-else"})
    assert await verified(admin) == [(3, "altered")]


async def test_a_removed_entry(admin):
    await chained(admin)
    await admin.store.ledger.delete(items.AUDIT_PK, items.audit_sk(3))
    assert await verified(admin) == [(3, "missing")]


async def test_a_tail_that_was_cut_off(admin):
    await chained(admin)
    for number in (4, 5):
        await admin.store.ledger.delete(items.AUDIT_PK, items.audit_sk(number))
    assert await verified(admin) == [(5, "missing: the chain ends before it")]


async def test_a_forged_entry_without_the_pepper(admin):
    await chained(admin, 3)
    forger = AuditLog(admin.store.ledger, admin.store.directory, admin.clock, b"another pepper")
    await forger.append(Change("created", "key", "k", "boss", "0" * 64, None, "r"))
    assert (4, "altered") in await verified(admin)


async def test_a_removed_entry_with_the_rest_renumbered(admin):
    await chained(admin)
    table = admin.store.ledger
    for number in range(3, 5):
        later = await table.get(items.AUDIT_PK, items.audit_sk(number + 1))
        await table.put({**later, "sk": items.audit_sk(number), "number": number})
    await table.delete(items.AUDIT_PK, items.audit_sk(5))
    assert {number for number, _ in await verified(admin)} == {3, 4, 5}


async def test_a_long_chain_is_verified_in_parts(admin):
    await chained(admin, 5)
    first = (await admin.get("/audit/verify", limit=2)).json()
    assert (first["checked"], first["last"], first["next"], first["ok"]) == (2, 2, 2, True)
    rest = (await admin.get("/audit/verify", after=2)).json()
    assert (rest["checked"], rest["last"], rest["next"], rest["ok"]) == (3, 5, None, True)


async def test_many_processes_make_one_chain():
    store = SqliteStore(":memory:")
    admin = make_admin(store.directory, ledger=store.ledger)
    logs = [AuditLog(store.ledger, store.directory, admin.clock, PEPPER) for _ in range(4)]

    async def write(number: int) -> None:
        for turn in range(10):
            await logs[number].append(Change("created", "key", f"{number}-{turn}", "boss", "0" * 64, None, "r"))
            await asyncio.sleep(0)

    await asyncio.gather(*(write(number) for number in range(4)))
    verdict = await logs[0].verify()
    assert (verdict.checked, verdict.problems) == (40, [])
    await admin.close()
    store.close()


async def test_a_log_that_cannot_be_written_says_so_with_all_it_held(caplog):
    store = SqliteStore(":memory:")
    ledger = FaultyTable(store.ledger)
    admin = make_admin(store.directory, ledger=ledger)
    ledger.query = refuse
    answer = await admin.post("/budget/new", {"budget_id": "b7"})
    assert answer.status_code == 200
    line = next(record.getMessage() for record in caplog.records if "audit_entry_unwritten" in record.getMessage())
    assert '"object_id":"b7"' in line
    await admin.close()
    store.close()


async def refuse(*_args, **_options):
    from tollkeeper.errors import StoreUnavailable

    raise StoreUnavailable("away")


@pytest.mark.parametrize("size", [30_000, 250_000])
async def test_a_large_field_stands_there_by_its_size(admin, size):
    await admin.post("/team/new", {"team_id": "t", "metadata": {"a": "x" * 10}})
    assert (await admin.post("/team/update", {"team_id": "t", "metadata": {"a": "x" * size}})).status_code == 200
    newest = (await log(admin))["audit_logs"][0]
    assert newest["updated_values"]["metadata"] == {"bytes": size + 8}
    assert await verified(admin) == []
