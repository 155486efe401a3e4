"""One SQLite file: opened, locked, written in transactions, and its errors put into words.

WAL with synchronous=NORMAL (https://sqlite.org/wal.html): a finished write survives the end of the process, SIGKILL included. After a
power cut the last moments may be missing, but the file is whole and never half a write. The file must be on a local disk.

A writer waits for another process's lock up to `BUSY_SECONDS`, and its event loop with it: writes take microseconds, so that a real wait
means a stuck process, and then StoreUnavailable is the answer.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tollkeeper.errors import StoreUnavailable

FILE_NAME = "tollkeeper.db"
BUSY_SECONDS = 5.0
LAYOUT = 1

Row = tuple[Any, ...]
_PRAGMAS = ("synchronous=NORMAL", "foreign_keys=OFF", "journal_size_limit=67108864")
_WAL_TRIES, _WAL_PAUSE = 100, 0.02
_MEANING = {
    "SQLITE_BUSY": "it stayed locked by another process",
    "SQLITE_LOCKED": "it stayed locked",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it cannot be written",
    "SQLITE_CANTOPEN": "it cannot be opened",
    "SQLITE_IOERR": "the disk failed a read or write",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_NOTADB": "the file is not a database",
    "SQLITE_PERM": "access is denied",
}


class Database:
    """One connection, one lock. Every sqlite3 error leaves here as StoreUnavailable."""

    def __init__(self, path: str, busy_seconds: float) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated():
            self._connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            try:
                self._configure()
            except BaseException:
                self._connection.close()
                raise

    def _configure(self) -> None:
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        if self._path != ":memory:":
            self._enter_wal()
        layout = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, LAYOUT):
            raise StoreUnavailable(f"{self._path} has layout {layout}; this version reads {LAYOUT}")

    def _enter_wal(self) -> None:
        # SQLite does not wait its busy timeout while it changes the journal mode, and several processes may open a new file at once.
        for attempt in range(_WAL_TRIES):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if attempt == _WAL_TRIES - 1 or not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                    raise
                time.sleep(_WAL_PAUSE)
            else:
                return

    def create(self, schema: Iterable[str]) -> None:
        with self.write() as connection:
            for statement in schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={LAYOUT}")

    def one(self, text: str, values: Sequence[Any]) -> Row | None:
        with self._lock, self._translated():
            row: Row | None = self._connection.execute(text, values).fetchone()
            return row

    def all(self, text: str, values: Sequence[Any]) -> list[Row]:
        with self._lock, self._translated():
            return self._connection.execute(text, values).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; anything raised inside undoes it."""
        with self._lock, self._translated():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock, self._translated(), closing(self._connection):
            pass

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            reason = _MEANING.get("_".join(name.split("_")[:2]), str(error))
            raise StoreUnavailable(f"the embedded store {self._path} is not available: {reason}") from error


def file_in(folder: str | Path) -> str:
    if str(folder) == ":memory:":
        return ":memory:"
    try:
        # Only the owner may look: the file holds spend and the digests of keys.
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"the embedded store cannot use the folder {folder}: {error.strerror}") from error
    return str(Path(folder) / FILE_NAME)
