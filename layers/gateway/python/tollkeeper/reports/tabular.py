"""Ledger entries as rows of a table: CSV that no spreadsheet takes for formulas, and Parquet with exact money.

`cost_nano_usd` is the whole number that the ledger holds; `cost_usd` the same with nine decimals.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tollkeeper.errors import OurError
from tollkeeper.store.table import Item

TEXTS = (
    "request_id", "call_id", "started_at", "call_type", "status", "model", "upstream_model", "provider", "deployment_id", "key_hash",
    "key_alias", "team_id", "user_id", "organization_id", "customer_id", "price_version", "error_type",
)  # fmt: skip
NUMBERS = (
    "http_status", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens", "latency_ms",
    "attempts", "fallbacks",
)  # fmt: skip
FLAGS = ("stream", "priced", "usage_at_least", "unconfirmed")
MONEY = ("cost_nano_usd", "cost_usd")
COLUMNS = (*TEXTS, "tags", *NUMBERS, *FLAGS, *MONEY)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ROW_GROUP = 50_000
Row = dict[str, Any]


def row_of(entry: Item) -> Row:
    """By COLUMNS; what an entry does not say is None."""
    return {
        **{name: entry.get(name) for name in TEXTS},
        "tags": ",".join(entry.get("tags", ())),
        **{name: entry.get(name, 0) for name in NUMBERS},
        **{name: bool(entry.get(name)) for name in FLAGS},
        "cost_nano_usd": entry["cost"],
        "cost_usd": usd(entry["cost"]),
    }


def usd(nano: int) -> str:
    """Nano-dollars as dollars with nine decimals, exactly."""
    return f"{Decimal(nano).scaleb(-9):.9f}"


def safe(value: Any) -> Any:
    """A text that a spreadsheet would run is shown instead (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """The header and one line a row (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    yield text.getvalue()
    for row in rows:
        text.seek(0)
        text.truncate()
        writer.writerow([safe(row.get(name)) for name in columns])
        yield text.getvalue()


def write_parquet(rows: Iterable[Row], path: Path, columns: Sequence[str] = COLUMNS) -> int:
    """Returns how many rows they were. Raises OurError where pyarrow is not installed: it is no part of the gateway."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - 100 MB that only this needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise OurError("Parquet needs the pyarrow package: pip install pyarrow") from None
    kinds: dict[str, Any] = {
        **dict.fromkeys(NUMBERS, pa.int64()),
        **dict.fromkeys(FLAGS, pa.bool_()),
        "cost_nano_usd": pa.int64(),
        "cost_usd": pa.decimal128(29, 9),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    written = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows, _ROW_GROUP):
            exact = [{**row, "cost_usd": Decimal(row["cost_usd"])} if "cost_usd" in row else row for row in group]
            writer.write_table(pa.Table.from_pylist(exact, schema=schema))
            written += len(group)
    return written


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
