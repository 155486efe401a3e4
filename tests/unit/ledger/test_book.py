"""No entry is lost: written once, retried, and as a last resort whole in the log."""

import logging
from typing import Any

import pytest
from tests.support.stores import StillClock

from tollkeeper.errors import StoreUnavailable
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import Entry, to_item
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

ENTRY = Entry(
    request_id="01hzy3q7m4vq1x9d2n5k8r6t0w",
    call_id="call-1",
    started_at=1_800_000_000.0,
    call_type="acompletion",
    model="fast",
    key_hash="abc",
    team_id="t",
    input_tokens=9,
    output_tokens=12,
    cost=8550,
    priced=True,
)


class Flaky(Table):
    """Fails so many times, before the write or after it."""

    def __init__(self, table: Table, failures: int, *, after: bool) -> None:
        self._table = table
        self._failures = failures
        self._after = after

    async def put_new(self, item: dict[str, Any]) -> None:
        if self._failures:
            self._failures -= 1
            if self._after:
                await self._table.put_new(item)
            raise StoreUnavailable("no answer")
        await self._table.put_new(item)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_an_entry_is_written_once_however_often_the_store_stumbles(failures: int, after: bool) -> None:
    store, clock = SqliteStore(":memory:"), StillClock()
    await Ledger(Flaky(store.ledger, failures, after=after), clock).record(ENTRY)
    item = to_item(ENTRY)
    assert await store.ledger.get(item["pk"], item["sk"]) == item
    store.close()


async def test_what_cannot_be_written_is_in_the_log_whole(caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(":memory:")
    with caplog.at_level(logging.ERROR):
        await Ledger(Flaky(store.ledger, 99, after=False), StillClock()).record(ENTRY)
    assert "ledger_entry_unwritten" in caplog.text
    assert '"cost":8550' in caplog.text
    store.close()


def test_an_entry_is_found_by_day_key_and_team_in_order_of_time() -> None:
    item = to_item(ENTRY)
    assert item["pk"].startswith("day#2027-01-15#")
    assert (item["gsi1pk"], item["gsi2pk"]) == ("key#abc", "team#t")
    assert item["sk"] == item["gsi1sk"] == item["gsi2sk"] == ENTRY.request_id
    assert "gsi3pk" not in item


def test_a_cost_of_nothing_is_told_and_what_is_unknown_is_left_out() -> None:
    item = to_item(Entry(request_id="01hzy3q7m4vq1x9d2n5k8r6t0w", call_id="c", started_at=0.0, call_type="acompletion", model="m"))
    assert item["cost"] == 0
    assert not {"priced", "team_id", "first_token_ms", "unconfirmed"} & item.keys()


async def test_an_entry_goes_when_retention_says_so_and_not_before() -> None:
    clock = StillClock(ENTRY.started_at)
    store = SqliteStore(":memory:", clock=clock)
    await Ledger(store.ledger, clock, keep_until=lambda started: int(started) + 86400).record(ENTRY)
    item = to_item(ENTRY)
    clock.advance(86399)
    assert await store.ledger.get(item["pk"], item["sk"]) == {**item, "ttl": int(ENTRY.started_at) + 86400}
    clock.advance(2)
    assert await store.ledger.get(item["pk"], item["sk"]) is None
    store.close()
