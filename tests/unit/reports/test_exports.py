"""Exports of the ledger: every window once and none missing, whoever dies or fails; read back, they are the ledger."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.admin import MASTER, HandClock
from tests.support.entries import entries
from tests.support.table_exports import DAY, ExportingTable
from tests.support.upstream import Upstream

from tollkeeper.bootstrap.exports import ExportParts
from tollkeeper.bootstrap.installation import Installation, Store
from tollkeeper.bootstrap.management import reports_app
from tollkeeper.bootstrap.running import Running
from tollkeeper.clock import iso, system
from tollkeeper.config.compile import compile_file
from tollkeeper.dev.cli import main
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.export_files import ExportUnusable, read_export
from tollkeeper.reports.export_merge import merged
from tollkeeper.settings import Settings
from tollkeeper.store.items import EXPORT_PLAN
from tollkeeper.store.sqlite import SqliteStore

CREATED = datetime(2026, 11, 28, 9, 30, tzinfo=UTC).timestamp()
CONFIG = """
model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_key: os.environ/NONE}}]
general_settings: {alerting: [webhook]}
tollkeeper: {exports: daily}
"""


@dataclass
class Fleet:
    """Processes of one installation on AWS; what they share, and whom they ask for exports."""

    table: ExportingTable
    clock: HandClock
    store: SqliteStore
    upstream: Upstream
    running: list[Running]

    def parts(self, number: int = 0) -> ExportParts:
        found = self.running[number].exports
        assert found is not None
        return found

    async def pass_time(self, hours: float, step: float = 1.0) -> None:
        for _ in range(int(hours / step)):
            self.clock.advance(step * 3600)
            await asyncio.gather(*(self.parts(number).look() for number in range(len(self.running))))

    async def alerts(self) -> list[str]:
        alerting = self.running[0].alerting
        assert alerting is not None
        return [alert.message for alert, _ in await alerting.board.pending()]

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=reports_app(self.running[0]), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, headers={"authorization": f"Bearer {MASTER}"}, **request)

    def windows(self) -> list[tuple[float, float]]:
        """Of the incremental exports DynamoDB was asked for and made."""
        made = [each for each in self.table.exports.values() if each["ExportStatus"] == "COMPLETED"]
        windows = [each["IncrementalExportSpecification"] for each in made if "IncrementalExportSpecification" in each]
        return [(window["ExportFromTime"], window["ExportToTime"]) for window in windows]

    def fulls(self) -> list[float]:
        return [each["ExportTime"] for each in self.table.exports.values() if "ExportTime" in each]


@asynccontextmanager
async def fleet_of(
    folder: Path, processes: int, monkeypatch: pytest.MonkeyPatch, config: str = CONFIG, **settings: Any
) -> AsyncIterator[Fleet]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIDEXAMPLE")
    (folder / "gateway.yaml").write_text(config)
    clock = HandClock(CREATED)
    table = ExportingTable(folder / "s3", clock, CREATED)
    store = SqliteStore(":memory:", clock=clock)
    with Upstream(table.answer) as upstream:
        chosen = {"store": "dynamodb", "exports_bucket": "books", "aws_region": "eu-central-1", "aws_endpoint": upstream.url, **settings}
        running = [
            Running(
                Installation(
                    Settings(master_key=MASTER, pepper="p", ledger_table="books", **chosen),
                    snapshot=compile_file(folder / "gateway.yaml", env=lambda _: None),
                    store=Store(store.directory, store.counters, store.ledger),
                    clock=clock,
                ),
                b"p",
            )
            for _ in range(processes)
        ]
        yield Fleet(table, clock, store, upstream, running)
        for each in running:
            await each.installation.transport.aclose()
        store.close()


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    async with fleet_of(tmp_path, 3, monkeypatch) as made:
        yield made


async def test_daily_exports_miss_nothing_and_come_once_whoever_looks(fleet: Fleet) -> None:
    chance = random.Random(5)
    for item in entries(400, seed=7, start=CREATED, days=4):
        fleet.table.write(item, at := datetime.fromisoformat(item["started_at"]).timestamp())
        if chance.random() < 0.2:
            fleet.table.delete((item["pk"], item["sk"]), at + chance.random() * 2 * DAY)
        if chance.random() < 0.2:
            fleet.table.write({**item, "cost": 1}, at + chance.random() * DAY)
    await fleet.pass_time(24 * 4)
    midnights = [datetime(2026, 11, 29, tzinfo=UTC).timestamp() + DAY * day for day in range(4)]
    begun = fleet.fulls()[0]
    assert fleet.windows() == list(zip([begun, *midnights], midnights, strict=False))
    assert fleet.fulls() == [begun, datetime(2026, 12, 1, tzinfo=UTC).timestamp()]
    homes = fleet.table.homes()
    first = next(home for home in homes if "full" in str(home))
    changes = [home for home in homes if "incremental" in str(home)]
    for number in range(len(changes) + 1):
        read = {(item["pk"], item["sk"]): item for item in merged([first, *changes[:number]])}
        assert read == fleet.table.state([begun, *midnights][number])
    assert {(item["pk"], item["sk"]): item for item in merged(homes[::-1])} == fleet.table.state(midnights[-1])
    assert await fleet.alerts() == []
    listed = (await fleet.call("GET", "/reports/exports")).json()["data"]
    assert [each["status"] for each in listed] == ["completed"] * 6
    assert all(each["planned"] and each["location"].startswith("s3://books/ledger/") for each in listed)


async def test_a_failed_export_is_an_alert_and_is_tried_again(fleet: Fleet) -> None:
    await fleet.pass_time(3)
    fleet.table.failing = 2
    await fleet.pass_time(24)
    first = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
    assert fleet.windows() == [(fleet.fulls()[0], first)]
    asked = [each for each in fleet.table.exports.values() if "IncrementalExportSpecification" in each]
    assert len({each["ClientToken"] for each in asked}) == len(asked) == 3
    (alert,) = await fleet.alerts()
    assert "20261129T000000Z-incremental" in alert
    assert "S3AccessDenied: Access Denied" in alert
    assert (await fleet.call("GET", "/reports/exports/20261129T000000Z-incremental")).json()["attempt"] == 3


async def test_an_answer_that_was_lost_makes_no_second_export(fleet: Fleet) -> None:
    fleet.clock.advance(DAY)
    fleet.table.deaf = 9
    with pytest.raises(StoreUnavailable):
        await fleet.parts().exports.request("full", None, None, "ann")
    fleet.table.deaf = 0
    await fleet.pass_time(2, step=0.25)
    asked = [each["ClientToken"] for each in fleet.table.exports.values()]
    assert len(asked) == len(set(asked)) == 2
    assert {each["ExportStatus"] for each in fleet.table.exports.values()} == {"COMPLETED"}


async def test_a_plan_whose_mover_died_is_carried_out_by_the_next(fleet: Fleet) -> None:
    await fleet.pass_time(2)
    (begun,), end = fleet.fulls(), int(datetime(2026, 11, 29, tzinfo=UTC).timestamp())
    await fleet.store.counters.put({"pk": EXPORT_PLAN[0], "sk": EXPORT_PLAN[1], "start": begun, "until": end, "full": False})
    fleet.running.append(fleet.running[1])
    await fleet.pass_time(20)
    assert fleet.windows() == [(begun, end)]


async def test_what_can_no_longer_be_exported_is_told_and_begun_anew(fleet: Fleet) -> None:
    await fleet.pass_time(40)
    fleet.clock.advance(60 * DAY)
    await fleet.pass_time(3)
    lost = [text for text in await fleet.alerts() if "can no longer be exported" in text]
    assert len(lost) == 1
    assert len(fleet.fulls()) == 2
    assert fleet.fulls()[1] > fleet.clock.now() - DAY


async def test_a_window_that_is_lost_for_good_is_followed_by_a_full_export(fleet: Fleet) -> None:
    await fleet.pass_time(3)
    del fleet.running[1:]
    for item in entries(100, seed=7, start=CREATED, days=40):
        fleet.table.write(item, datetime.fromisoformat(item["started_at"]).timestamp())
    fleet.table.failing = 10**6
    await fleet.pass_time(24 * 37, step=24)
    fleet.table.failing = 0
    await fleet.pass_time(24 * 3, step=12)
    lost = (await fleet.call("GET", "/reports/exports/20261129T000000Z-incremental")).json()
    assert (lost["status"], lost["error"]) == ("failed", "what it was to hold can no longer be exported")
    homes = fleet.table.homes()
    last = max(end for _, end in fleet.windows())
    full = max((home for home in homes if "full" in str(home)), key=lambda home: home.name)
    changes = [home for home in homes if "incremental" in str(home)]
    assert {(item["pk"], item["sk"]): item for item in merged([full, *changes])} == fleet.table.state(last)


async def test_recovery_that_is_off_is_an_alert_and_a_clear_answer(fleet: Fleet) -> None:
    fleet.table.enabled = False
    await fleet.pass_time(2)
    (alert,) = await fleet.alerts()
    assert "point-in-time recovery of table books is not enabled" in alert
    answer = await fleet.call("POST", "/reports/exports", json={"type": "full"})
    assert (answer.status_code, "point-in-time recovery" in answer.text) == (409, True)
    assert (await fleet.call("GET", "/reports/exports")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"type": "incremental"}, "from"),
        ({"type": "incremental", "from": "2026-11-28T10:00:00Z", "to": "2026-11-28T09:00:00Z"}, "to"),
        ({"type": "incremental", "from": "2026-11-28T10:00:00Z", "to": "2026-11-28T10:14:59Z"}, "to"),
        ({"type": "incremental", "from": "2026-11-28T10:00:00Z", "to": "2026-11-29T10:00:01Z"}, "to"),
        ({"type": "incremental", "from": "2026-11-27T10:00:00Z"}, "from"),
        ({"type": "incremental", "from": "2026-11-30T00:00:00Z", "to": "2027-11-30T12:00:00Z"}, "to"),
        ({"type": "incremental", "from": "9999999999999"}, "from"),
        ({"type": "full", "from": "2026-11-28T10:00:00Z"}, "from"),
        ({"type": "full", "to": "2026-11-01"}, "to"),
        ({"type": "full", "to": "2026-11-28T09:00:00Z"}, "to"),
        ({"type": "half"}, "type"),
        ({"kind": "full"}, "kind"),
    ],
)
async def test_what_cannot_be_exported_is_refused_by_its_field(fleet: Fleet, body: dict[str, str], param: str) -> None:
    fleet.clock.advance(2.5 * DAY)
    answer = await fleet.call("POST", "/reports/exports", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert not fleet.table.exports
    assert (await fleet.call("GET", "/reports/exports")).json()["data"] == []


async def test_an_export_that_was_asked_for_is_followed_to_its_end(fleet: Fleet) -> None:
    fleet.clock.advance(DAY)
    body = {"type": "incremental", "from": "2026-11-28T10:00:00Z", "to": "2026-11-29T02:00:00+01:00"}
    started = await fleet.call("POST", "/reports/exports", json=body)
    assert (started.status_code, started.json()["status"], started.json()["to"]) == (202, "in_progress", "2026-11-29T01:00:00.000Z")
    done = (await fleet.call("GET", f"/reports/exports/{started.json()['id']}")).json()
    assert (done["status"], done["items"], done["planned"]) == ("completed", 0, False)
    assert done["manifest"].startswith("ledger/incremental/AWSDynamoDB/")
    fleet.table.failing = 1
    failing = (await fleet.call("POST", "/reports/exports", json={})).json()
    failed = (await fleet.call("GET", f"/reports/exports/{failing['id']}")).json()
    assert (failed["status"], failed["error"]) == ("failed", "S3AccessDenied: Access Denied")
    assert any(failing["id"] in text for text in await fleet.alerts())
    await fleet.call("POST", "/reports/exports", json={})
    page = (await fleet.call("GET", "/reports/exports", params={"limit": 2})).json()
    rest = (await fleet.call("GET", "/reports/exports", params={"limit": 2, "after": page["next"]})).json()
    assert [len(page["data"]), page["has_more"], len(rest["data"]), rest["has_more"]] == [2, True, 1, False]


async def test_without_a_bucket_there_are_no_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fleet_of(tmp_path, 1, monkeypatch, exports_bucket="") as fleet:
        answer = await fleet.call("GET", "/reports/exports")
        assert (answer.status_code, "TOLLKEEPER_EXPORTS_BUCKET" in answer.text) == (409, True)
    async with fleet_of(tmp_path, 1, monkeypatch, CONFIG.replace("daily", "off")) as fleet:
        await fleet.pass_time(48)
        assert not fleet.table.exports


async def run(*arguments: str) -> int:
    """A command has an event loop of its own."""
    return await asyncio.to_thread(main, list(arguments))


def parts_of(export: str) -> list[Path]:
    return list(Path(export).glob("data/*.json.gz"))


async def test_a_gap_between_exports_is_refused_and_a_damaged_one_gives_no_file(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for item in entries(60, seed=7, start=CREATED, days=4):
        fleet.table.write(item, datetime.fromisoformat(item["started_at"]).timestamp())
    await fleet.pass_time(24 * 4)
    homes = sorted(map(str, fleet.table.homes()))
    full, changes = next(home for home in homes if "full" in home), [home for home in homes if "incremental" in home]
    out = tmp_path / "books.csv"
    assert await run("finance", "csv", full, *changes[:2], *changes[3:], "-o", str(out)) == 1
    assert "nothing is exported between 2026-11-30T00:00:00.000Z" in capsys.readouterr().err
    assert await run("finance", "merge", full, *changes, "-o", str(tmp_path / "all")) == 0
    assert await run("finance", "merge", full, *changes, "-o", str(tmp_path / "all")) == 1
    read = {(item["pk"], item["sk"]): item for item in read_export(tmp_path / "all")}
    assert read == fleet.table.state(datetime(2026, 12, 2, tzinfo=UTC).timestamp())
    out.write_text("as it was")
    damaged = max(parts_of(full))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert await run("finance", "csv", full, *changes, "-o", str(out)) == 1
    assert f"{damaged.name}: damaged" in capsys.readouterr().err
    assert (out.read_text(), out.with_name("books.csv.half").exists()) == ("as it was", False)


async def test_an_embedded_ledger_exports_itself_in_the_same_form(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG.replace("daily", "off"))
    state = tmp_path / "state"
    store, now = SqliteStore(state), system.now()
    made = list(entries(1300, seed=3, start=now - 40 * DAY))
    for item in made[:700]:
        await store.ledger.put(item)
    snapshot = compile_file(tmp_path / "gateway.yaml", env=lambda _: None)
    tables = Store(store.directory, store.counters, store.ledger, changes=store.changes)
    running = Running(Installation(Settings(state=str(state)), snapshot=snapshot, store=tables), b"p")
    parts = running.exports
    assert parts is not None

    async def export(kind: str, start: float | None = None) -> tuple[Path, float]:
        export = await parts.exports.request(kind, start, None, "ann")
        while export is not None and export.status == "in_progress":
            await asyncio.sleep(0.01)
            export = await parts.exports.get(export.id)
        assert export is not None
        assert export.status == "completed"
        return Path(str(export.location)), export.end

    full, at = await export("full")
    for item in made[:50]:
        await store.ledger.delete(item["pk"], item["sk"])
    for item in made[700:]:
        await store.ledger.put(item)
    await store.ledger.put({"pk": "sum#all", "sk": "month#2026-11", "spend": 1})
    changes, _ = await export("incremental", at - 1000)
    assert [len(list(read_export(full))), len(list(read_export(changes)))] == [700, 1250]
    assert sorted(merged([changes, full]), key=lambda item: str(item["sk"])) == made[50:]
    sliced = tmp_path / "sliced"
    days = [iso(now - 20 * DAY)[:10], iso(now)[:10]]
    assert await run("finance", "export", *days, "--out", str(sliced), "--state", str(state)) == 0
    with pytest.raises(ExportUnusable, match="cannot be joined"):
        list(merged([full, sliced]))
    store.close()


async def test_an_embedded_export_whose_process_died_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    snapshot = compile_file(tmp_path / "gateway.yaml", env=lambda _: None)

    def process(clock: HandClock) -> tuple[ExportParts, SqliteStore]:
        store = SqliteStore(tmp_path / "state")
        tables = Store(store.directory, store.counters, store.ledger, changes=store.changes)
        installation = Installation(Settings(state=str(tmp_path / "state")), snapshot=snapshot, store=tables, clock=clock)
        parts = Running(installation, b"p").exports
        assert parts is not None
        return parts, store

    clock = HandClock(system.now())
    parts, store = process(clock)
    await store.ledger.put(next(entries(1, seed=1)))
    await parts.look()
    server = asyncio.create_task(parts.look_for_ever())
    await asyncio.sleep(0)
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    store.close()
    parts, store = process(clock)
    for _ in range(3):
        clock.advance(1000)
        await parts.look()
        await asyncio.sleep(0.05)
    ((export, *others), _) = await parts.exports.listed(10, None)
    assert (export.status, export.attempt, export.items, others) == ("completed", 2, 1, [])
    store.close()


async def test_an_embedded_export_that_cannot_be_written_says_why_and_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    snapshot = compile_file(tmp_path / "gateway.yaml", env=lambda _: None)
    clock, store = HandClock(system.now()), SqliteStore(tmp_path / "state")
    tables = Store(store.directory, store.counters, store.ledger, changes=store.changes)
    running = Running(Installation(Settings(state=str(tmp_path / "state")), snapshot=snapshot, store=tables, clock=clock), b"p")
    parts, alerting = running.exports, running.alerting
    assert parts is not None
    assert alerting is not None
    (tmp_path / "state/exports").write_text("in the way")

    async def later(seconds: float) -> str:
        clock.advance(seconds)
        await parts.look()
        await asyncio.sleep(0.05)
        await parts.look()
        ((export,), _) = await parts.exports.listed(10, None)
        return f"{export.status} {export.error or export.items}"

    assert (await later(0)).startswith("failed the object folder")
    assert [alert.kind for alert, _ in await alerting.board.pending()] == ["export_failed"]
    (tmp_path / "state/exports").unlink()
    assert (await later(100)).startswith("failed")
    assert await later(900) == "completed 0"
    store.close()
