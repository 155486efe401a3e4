"""What the embedded ledger remembers of when its entries changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.entries import entries

from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.sqlite_changes import KEPT_SECONDS
from tollkeeper.store.sqlite_file import FILE_NAME

ITEMS = list(entries(5, seed=2))
KEYS = [(item["pk"], item["sk"]) for item in ITEMS]


def age(folder: Path, seconds: float) -> None:
    """Puts all notes of changes so far into the past."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as other, other:
        other.execute("UPDATE ledger_changes SET at = at - ? WHERE pk != ''", (seconds,))


async def test_a_window_has_what_was_written_or_removed_in_it_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for item in ITEMS[:3]:
        await store.ledger.put_new(item)
    age(tmp_path, 100)
    middle = store.changes.now() - 50
    await store.ledger.delete(*KEYS[0])
    await store.ledger.put_new(ITEMS[3])
    await store.ledger.put({"pk": "sum#all", "sk": "day#2026-11-01", "spend": 1})
    end = store.changes.now() + 1
    assert store.changes.between(middle - 100, middle) == sorted(KEYS[:3])
    assert store.changes.between(middle, end) == sorted([KEYS[0], KEYS[3]])
    assert dict(store.changes.found([KEYS[0], KEYS[3]])) == {KEYS[0]: None, KEYS[3]: ITEMS[3]}
    store.close()


async def test_a_ledger_that_begins_with_its_notes_knows_all_and_an_older_one_since_then(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    now = store.changes.now()
    assert now - KEPT_SECONDS - 5 < store.changes.since() < now - KEPT_SECONDS + 5
    await store.ledger.put_new(ITEMS[0])
    store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as old, old:
        for statement in ("DROP TABLE ledger_changes", "DROP TRIGGER ledger_written", "DROP TRIGGER ledger_removed"):
            old.execute(statement)
    store = SqliteStore(tmp_path)
    assert now - 5 < store.changes.since() <= store.changes.now()
    store.close()


async def test_notes_are_forgotten_when_nobody_may_ask_for_them_any_more(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.ledger.put_new(ITEMS[0])
    age(tmp_path, KEPT_SECONDS + 10)
    await store.ledger.put_new(ITEMS[1])
    store.changes.prune()
    assert store.changes.between(0, store.changes.now() + 1) == [KEYS[1]]
    store.close()


async def test_what_has_expired_counts_as_gone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.ledger.put_new({**ITEMS[0], "ttl": 5})
    await store.ledger.put_new(ITEMS[1])
    assert store.changes.entries(0) == ([ITEMS[1]], 0)
    assert store.changes.found([KEYS[0]]) == [(KEYS[0], None)]
    store.close()
