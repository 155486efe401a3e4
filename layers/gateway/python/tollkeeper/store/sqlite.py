"""The embedded store: three tables in one SQLite file, for `make dev`, small single-machine installs and tests.

The verbs are `async def` and do their work inline: a read or write takes tens of microseconds, less than a hop to a thread and back, and
with no `await` inside, a cancelled task cannot leave a write half done. One connection behind one lock serves all threads of a process;
`BEGIN IMMEDIATE` orders the writers of all processes on the file.

A row is the item's JSON plus the columns that SQLite has to search by: keys, index keys, ttl.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tollkeeper.clock import Clock, system
from tollkeeper.store import paging
from tollkeeper.store.sqlite_changes import SqliteChanges
from tollkeeper.store.sqlite_file import BUSY_SECONDS, Database, Row, file_in
from tollkeeper.store.sqlite_stream import SqliteStream
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Exists, Item, Missing, Page
from tollkeeper.store.values import (
    INDEXES,
    canonical,
    check_item,
    check_key,
    check_query,
    check_update,
    is_number,
    unless_expired,
    whole,
)

SWEEP_EVERY = 64
SWEEP_ROWS = 256

_NEVER = 2**62  # an SQLite integer has 64 bits

_CREATE = (
    "CREATE TABLE IF NOT EXISTS {table} (pk TEXT NOT NULL, sk TEXT NOT NULL, body BLOB NOT NULL, ttl INTEGER{columns}, UNIQUE (pk, sk))",
    "CREATE INDEX IF NOT EXISTS {table}_ttl ON {table} (ttl) WHERE ttl IS NOT NULL",
)
_CREATE_INDEX = "CREATE INDEX IF NOT EXISTS {table}_{index} ON {table} ({index}pk, {index}sk, pk, sk) WHERE {index}pk IS NOT NULL"
_STATEMENTS = {
    "find": "SELECT rowid, body FROM {table} WHERE pk = ? AND sk = ?",
    "insert": "INSERT INTO {table} (body, ttl{names}, pk, sk) VALUES (?, ?{marks}, ?, ?)",
    "rewrite": "UPDATE {table} SET body = ? WHERE rowid = ?",
    "replace": "UPDATE {table} SET body = ?, ttl = ?{assigns} WHERE rowid = ?",
    "delete": "DELETE FROM {table} WHERE rowid = ?",
    "sweep": "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE ttl <= ? LIMIT ?)",
    "select": "SELECT body FROM {table} WHERE ",
}


class SqliteStore:
    """The three tables in `<folder>/tollkeeper.db`, or in memory for `:memory:`. Raises StoreUnavailable if it cannot be opened."""

    def __init__(self, folder: str | Path, *, clock: Clock = system, busy_seconds: float = BUSY_SECONDS) -> None:
        self._database = Database(file_in(folder), busy_seconds)
        self.directory = SqliteTable(self._database, "directory", INDEXES, clock)
        self.counters = SqliteTable(self._database, "counters", (), clock)
        self.ledger = SqliteTable(self._database, "ledger", INDEXES, clock)
        tables = (self.directory, self.counters, self.ledger)
        self._database.create(statement for table in tables for statement in table.schema())
        self.stream = SqliteStream(self._database)
        self.changes = SqliteChanges(self._database, _load)

    def close(self) -> None:
        self._database.close()


class SqliteTable:
    """`store.table.Table` over one SQL table. Made by SqliteStore."""

    immediate = True
    """See store/together.py."""

    def __init__(self, database: Database, name: str, indexes: tuple[str, ...], clock: Clock) -> None:
        self.name = name
        self.indexes = indexes
        self._database = database
        self._clock = clock
        self._columns = tuple(index + part for index in indexes for part in ("pk", "sk"))
        self._sql = {verb: self._statement(text) for verb, text in _STATEMENTS.items()}
        self._writes = 0

    def schema(self) -> list[str]:
        """The statements that make the table; running them again changes nothing."""
        columns = "".join(f", {column} TEXT" for column in self._columns)
        return [
            *(text.format(table=self.name, columns=columns) for text in _CREATE),
            *(_CREATE_INDEX.format(table=self.name, index=index) for index in self.indexes),
        ]

    async def get(self, pk: str, sk: str, *, consistent: bool = False) -> Item | None:  # every read is
        row = self._database.one(self._sql["find"], (pk, sk))
        return None if row is None else unless_expired(_load(row[1]), self._clock.now())

    async def query(
        self,
        pk: str,
        *,
        index: str | None = None,
        prefix: str = "",
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Page:
        check_query(index, limit)
        if index is not None and index not in self.indexes:
            raise ValueError(f"table {self.name} has no index {index}")
        text, values = self._selection(pk, index, prefix, after, descending)
        rows = self._database.all(text, (*values, limit + 1))
        items = [_load(row[0]) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items, paging.encode({name: items[-1][name] for name in paging.key_names(index)}) if more else None)

    async def put_new(self, item: Item) -> None:
        new = self._checked(item)
        with self._database.write() as connection:
            row, old = self._find(connection, new["pk"], new["sk"])
            if old is not None:
                raise ConditionFailed(old)
            self._store(connection, row, None, new)

    async def put(self, item: Item) -> None:
        new = self._checked(item)
        with self._database.write() as connection:
            row, old = self._find(connection, new["pk"], new["sk"])
            self._store(connection, row, old, new)

    async def delete(self, pk: str, sk: str) -> Item | None:
        with self._database.write() as connection:
            row, old = self._find(connection, pk, sk)
            if row is not None:
                connection.execute(self._sql["delete"], (row[0],))
        return old

    async def apply(
        self,
        pk: str,
        sk: str,
        *,
        add: Mapping[str, int] | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - the verb's name in the protocol
        remove: Iterable[str] = (),
        when: Sequence[Condition] = (),
    ) -> Item:
        add, assign, remove = add or {}, set or {}, tuple(remove)
        check_key(pk, sk)
        check_update(add, assign, remove)
        with self._database.write() as connection:
            row, old = self._find(connection, pk, sk)
            if not all(_holds(condition, old) for condition in when):
                raise ConditionFailed(old)
            new = _changed(old or {"pk": pk, "sk": sk}, add, assign, remove)
            self._store(connection, row, old, new)
        return new

    def _statement(self, text: str) -> str:
        return text.format(
            table=self.name,
            names="".join(f", {column}" for column in self._columns),
            marks=", ?" * len(self._columns),
            assigns="".join(f", {column} = ?" for column in self._columns),
        )

    def _checked(self, item: Item) -> Item:
        check_item(item)
        new: Item = canonical(item)
        return new

    def _find(self, connection: sqlite3.Connection, pk: str, sk: str) -> tuple[Row | None, Item | None]:
        row: Row | None = connection.execute(self._sql["find"], (pk, sk)).fetchone()
        return row, None if row is None else unless_expired(_load(row[1]), self._clock.now())

    def _store(self, connection: sqlite3.Connection, row: Row | None, old: Item | None, new: Item) -> None:
        body, searched = _dump(new), self._searched(new)
        if row is None:
            connection.execute(self._sql["insert"], (body, *searched, new["pk"], new["sk"]))
        elif old is not None and self._searched(old) == searched:
            # Naming an indexed column in an UPDATE rewrites its index entry even when the value stays.
            connection.execute(self._sql["rewrite"], (body, row[0]))
        else:
            connection.execute(self._sql["replace"], (body, *searched, row[0]))
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            connection.execute(self._sql["sweep"], (int(self._clock.now()), SWEEP_ROWS))

    def _searched(self, item: Item) -> Row:
        ttl = item.get("ttl")
        return (min(ttl, _NEVER) if is_number(ttl) else None, *map(item.get, self._columns))

    def _selection(self, pk: str, index: str | None, prefix: str, after: str | None, descending: bool) -> tuple[str, list[Any]]:
        names = paging.key_names(index)
        partition, sort, order = names[0], names[1], names[1:]
        clauses = [f"{partition} = ?", f"{sort} IS NOT NULL", "(ttl IS NULL OR ttl > ?)"]
        values: list[Any] = [pk, int(self._clock.now())]
        if prefix:
            clauses.append(f"{sort} >= ?")
            values.append(prefix)
            if (end := _after_prefix(prefix)) is not None:
                clauses.append(f"{sort} < ?")
                values.append(end)
        if after is not None:
            keys = paging.decode(after, index, pk, prefix)
            clauses.append(f"({', '.join(order)}) {'<' if descending else '>'} ({', '.join('?' * len(order))})")
            values.extend(keys[name] for name in order)
        direction = "DESC" if descending else "ASC"
        ordering = ", ".join(f"{name} {direction}" for name in order)
        return f"{self._sql['select']}{' AND '.join(clauses)} ORDER BY {ordering} LIMIT ?", values


def _changed(old: Item, add: Mapping[str, int], assign: Mapping[str, Any], remove: Iterable[str]) -> Item:
    new = dict(old)
    for name, amount in add.items():
        before = new.get(name, 0)
        if not is_number(before):
            raise ValueError(f"apply adds to {name!r}, which is not a number")
        new[name] = canonical(before + whole(amount))
    for name, value in assign.items():
        new[name] = canonical(value)
    for name in remove:
        new.pop(name, None)
    return new


def _holds(condition: Condition, item: Item | None) -> bool:
    there = item is not None and (condition.attribute is None or condition.attribute in item)
    match condition:
        case Exists():
            return there
        case Missing():
            return not there
        case AtMost(attribute, limit):
            value = item[attribute] if item is not None and there else 0
            return is_number(value) and value <= limit
        case Equals(attribute, expected):
            value = item[attribute] if item is not None and there else None
            return type(value) is type(expected) and value == expected


def _dump(item: Item) -> bytes:
    try:
        return orjson.dumps(item)
    except TypeError:
        # orjson stops at 64 bits, and would read a longer number back as a float. The leading space tells `_load` which reader to use.
        return b" " + json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def _load(body: bytes) -> Item:
    item: Item = json.loads(body) if body[0] == 32 else orjson.loads(body)
    return item


def _after_prefix(prefix: str) -> str | None:
    """The first string after all that start with `prefix`; None if there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
        prefix = prefix[:-1]
    return None
