"""The embedded ledger's stream: what DynamoDB Streams is to the table on AWS. At least once, in the order of the writes, until forgotten.

A new entry and its place in the stream are one transaction (a trigger), so that a killed process loses neither.
"""

from collections.abc import Sequence

from tollkeeper.store.sqlite_file import Database

_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'ledger_stream'"
_CREATE = (
    "CREATE TABLE IF NOT EXISTS ledger_stream (number INTEGER PRIMARY KEY AUTOINCREMENT, pk TEXT NOT NULL, sk TEXT NOT NULL)",
    """CREATE TRIGGER IF NOT EXISTS ledger_to_stream AFTER INSERT ON ledger WHEN NEW.pk GLOB 'day#*'
    BEGIN INSERT INTO ledger_stream (pk, sk) VALUES (NEW.pk, NEW.sk); END""",
)
_FILL = "INSERT INTO ledger_stream (pk, sk) SELECT pk, sk FROM ledger WHERE pk GLOB 'day#*' ORDER BY sk"


class SqliteStream:
    """Made by SqliteStore. A ledger that is older than its stream is streamed from its beginning."""

    def __init__(self, database: Database) -> None:
        self._database = database
        is_new = database.one(_EXISTS, ()) is None
        database.create((*_CREATE, _FILL) if is_new else _CREATE)

    def read(self, limit: int) -> list[tuple[int, str, str]]:
        """The oldest of what is waiting: (number, pk, sk)."""
        rows = self._database.all("SELECT number, pk, sk FROM ledger_stream ORDER BY number LIMIT ?", (limit,))
        return [(int(number), str(pk), str(sk)) for number, pk, sk in rows]

    def forget(self, numbers: Sequence[int]) -> None:
        with self._database.write() as connection:
            connection.executemany("DELETE FROM ledger_stream WHERE number = ?", [(number,) for number in numbers])
