"""When the embedded ledger's entries were written and removed: what point-in-time recovery is to the table on AWS, for as many days.

A change and its note are one transaction (triggers), stamped by SQLite's own clock. `now` is taken under the write lock, so that whatever
was written before it carries an earlier stamp, and whatever comes after it does not: windows that meet there miss nothing.
"""

from collections.abc import Callable, Sequence

from tollkeeper.store.sqlite_file import Database
from tollkeeper.store.table import Item
from tollkeeper.store.values import unless_expired

KEPT_SECONDS = 35 * 86400
_PAGE = 500
_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_NOTE = "BEGIN INSERT OR IGNORE INTO ledger_changes (at, pk, sk) VALUES ({now}, {row}.pk, {row}.sk); END"
_CREATE = (
    """CREATE TABLE IF NOT EXISTS ledger_changes
    (at REAL NOT NULL, pk TEXT NOT NULL, sk TEXT NOT NULL, PRIMARY KEY (at, pk, sk)) WITHOUT ROWID""",
    # Of a ledger that begins with its notes, every change is known.
    f"""INSERT INTO ledger_changes (at, pk, sk)
    SELECT CASE WHEN EXISTS (SELECT 1 FROM ledger WHERE pk GLOB 'day#*') THEN {_NOW} ELSE 0.0 END, '', ''
    WHERE NOT EXISTS (SELECT 1 FROM ledger_changes)""",  # noqa: S608 - constants
    "CREATE TRIGGER IF NOT EXISTS ledger_written AFTER INSERT ON ledger WHEN NEW.pk GLOB 'day#*' " + _NOTE.format(now=_NOW, row="NEW"),
    "CREATE TRIGGER IF NOT EXISTS ledger_removed AFTER DELETE ON ledger WHEN OLD.pk GLOB 'day#*' " + _NOTE.format(now=_NOW, row="OLD"),
)
_EVERYTHING = "SELECT rowid, body FROM ledger WHERE rowid > ? AND pk GLOB 'day#*' ORDER BY rowid LIMIT ?"
_BETWEEN = "SELECT DISTINCT pk, sk FROM ledger_changes WHERE at >= ? AND at < ? AND pk != '' ORDER BY pk, sk"
_PRUNE = "DELETE FROM ledger_changes WHERE at < ? AND pk != ''"


class SqliteChanges:
    """Made by SqliteStore, which knows how a row's body is read. What has expired counts as gone. Raises StoreUnavailable, all of it."""

    def __init__(self, database: Database, load: Callable[[bytes], Item]) -> None:
        self._database = database
        self._load = load
        database.create(_CREATE)

    def now(self) -> float:
        """Epoch seconds."""
        with self._database.write() as connection:
            return float(connection.execute(f"SELECT {_NOW}").fetchone()[0])

    def since(self) -> float:
        """The earliest moment a window may begin at: before it, changes are no longer known, or were never noted."""
        row = self._database.one("SELECT at FROM ledger_changes WHERE pk = ''", ())
        return max(float(row[0]) if row else 0.0, self.now() - KEPT_SECONDS)

    def entries(self, after: int) -> tuple[list[Item], int]:
        """A page of all entries from `after` (0 at first), and what the next one comes after; 0: that was all."""
        rows, now = self._database.all(_EVERYTHING, (after, _PAGE)), self.now()
        items = (unless_expired(self._load(body), now) for _, body in rows)
        return [item for item in items if item is not None], int(rows[-1][0]) if len(rows) == _PAGE else 0

    def between(self, start: float, end: float) -> list[tuple[str, str]]:
        """The keys of the entries that were written or removed from `start` until before `end`, each once."""
        return [(str(pk), str(sk)) for pk, sk in self._database.all(_BETWEEN, (start, end))]

    def found(self, keys: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, str], Item | None]]:
        """As they are by now; None: gone."""
        now = self.now()
        rows = ((key, self._database.one("SELECT body FROM ledger WHERE pk = ? AND sk = ?", key)) for key in keys)
        return [(key, unless_expired(self._load(row[0]), now) if row else None) for key, row in rows]

    def prune(self) -> None:
        """Forgets what is older than KEPT_SECONDS."""
        with self._database.write() as connection:
            connection.execute(_PRUNE, (float(connection.execute(f"SELECT {_NOW}").fetchone()[0]) - KEPT_SECONDS,))
