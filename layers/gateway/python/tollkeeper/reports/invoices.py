"""A provider's invoice against the ledger, by day and model: where they differ, and by how much.

Invoices are the CSV that each provider lets one download: OpenAI's costs export, Anthropic's cost export, AWS' Cost and Usage Report (CUR,
also CUR 2.0, gzipped or not). Headers differ between accounts and over the years, so a column is found under any of its known names; what
cannot be found is an error that names the columns there are. A name of the invoice and a model of ours are the same when their words are
(invoice_names.py); whatever has no counterpart is a line of its own, never somebody else's.
"""

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

import orjson

from tollkeeper.clock import from_iso, iso
from tollkeeper.errors import BadRequest
from tollkeeper.money import NANO_PER_USD
from tollkeeper.reports.invoice_names import Naming, aws_name, plain_name
from tollkeeper.store.table import Item


@dataclass(frozen=True, slots=True)
class Layout:
    """How one provider's CSV calls the day, the model and the dollars; `providers` are ours that it bills for.

    Of the columns for the model the first counts that says anything in its row.
    """

    day: tuple[str, ...]
    model: tuple[str, ...]
    amount: tuple[str, ...]
    providers: tuple[str, ...]
    naming: Naming = plain_name
    currency: tuple[str, ...] = ("currency",)
    about: tuple[str, ...] = ()
    """Where one of these columns is there, only rows count that say `bedrock` in one."""
    kind: tuple[str, ...] = ()
    """Where it is there, only usage counts: no taxes, credits and refunds, which the ledger knows nothing of."""


LAYOUTS: Mapping[str, Layout] = {
    "openai": Layout(
        ("date", "day", "start_time_iso", "start_time", "timestamp"),
        ("line_item", "model", "snapshot_id"),
        ("amount_value", "cost", "cost_usd", "amount", "cost_in_major"),
        ("openai",),
        currency=("amount_currency", "currency"),
    ),
    "anthropic": Layout(
        ("usage_date_utc", "date", "usage_date"),
        ("model", "model_version"),
        ("cost_usd", "cost", "amount", "total_cost"),
        ("anthropic",),
    ),
    "aws": Layout(
        ("lineitem/usagestartdate", "line_item_usage_start_date", "usagestartdate"),
        (
            "product/model", "product_model", "product", "product/productname", "product_product_name", "lineitem/usagetype",
            "line_item_usage_type",
        ),
        ("lineitem/unblendedcost", "line_item_unblended_cost", "unblendedcost"),
        ("bedrock", "bedrock_mantle"),
        naming=aws_name,
        currency=("lineitem/currencycode", "line_item_currency_code"),
        about=(
            "lineitem/productcode", "line_item_product_code", "product", "product/productname", "product_product_name",
            "lineitem/usagetype", "line_item_usage_type", "lineitem/lineitemdescription", "line_item_line_item_description",
        ),
        kind=("lineitem/lineitemtype", "line_item_line_item_type"),
    ),
}  # fmt: skip
_USAGE = frozenset(("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"))
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """Nano-dollars of one day and model."""

    day: str
    model: str
    invoiced: int
    booked: int

    @property
    def difference(self) -> int:
        return self.invoiced - self.booked


def invoice_of(path: Path, provider: str) -> dict[tuple[str, str], int]:
    """(day, model) → nano-dollars; the model is "" where the invoice names none. Raises BadRequest naming the line or column at fault."""
    layout = _layout(provider)
    found: dict[tuple[str, str], int] = {}
    with _opened(path) as (names, rows):
        day, amount = _column(names, layout.day, "day"), _column(names, layout.amount, "amount")
        _column(names, layout.model, "model")
        for number, row in rows:
            if not (row[amount] or "").strip() or not _counts(row, layout):
                continue
            _check_currency(row, layout, number)
            where = _day(row[day], number), _model(row, layout)
            found[where] = found.get(where, 0) + nano_of(row[amount], f"line {number}")
    return found


def reconcile(invoice: Mapping[tuple[str, str], int], entries: Iterable[Item], provider: str) -> list[Line]:
    """Every (day, model) of either side, on the invoice's days. An invoice that names no models is compared by day."""
    layout = _layout(provider)
    names = {layout.naming(model): model for _, model in sorted(invoice, reverse=True) if model}
    days = {day for day, _ in invoice}
    booked: dict[tuple[str, str], int] = {}
    for entry in entries:
        day = str(entry["started_at"])[:10]
        if entry.get("provider") in layout.providers and day in days:
            model = str(entry.get("upstream_model") or entry["model"])
            where = day, names.get(layout.naming(model), model) if names else ""
            booked[where] = booked.get(where, 0) + entry["cost"]
    merged: dict[tuple[str, str], int] = {}
    for (day, model), nano in invoice.items():
        where = day, names.get(layout.naming(model), model)
        merged[where] = merged.get(where, 0) + nano
    return [Line(*where, merged.get(where, 0), booked.get(where, 0)) for where in sorted({*merged, *booked})]


def nano_of(text: str, where: str) -> int:
    """Dollars as text → nano-dollars. Raises BadRequest."""
    plain = text.strip().lstrip("$")
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        dollars = Decimal(plain)
        if not dollars.is_finite():
            raise InvalidOperation
        return int((dollars * NANO_PER_USD).to_integral_value())
    except InvalidOperation:
        raise BadRequest(f"{where}: {text!r} is no amount", param="amount") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[frozenset[str], Iterator[tuple[int, Row]]]]:
    """The names of the columns, in lower case, and the rows with the numbers of their lines."""
    try:
        with path.open("rb") as head:
            start = head.read(4)
        if start == b"PAR1":
            raise BadRequest(f"{path.name} is Parquet: download the report as CSV", param="invoice")
        with _text(path, packed=start[:2] == b"\x1f\x8b") as text:
            first = text.readline()
            text.seek(0)
            reader = csv.DictReader(text, delimiter=max(",;\t", key=first.count))
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            yield frozenset(reader.fieldnames), ((reader.line_num, row) for row in reader)
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise BadRequest(f"{path.name} is no CSV: {type(error).__name__}", param="invoice") from None


def _text(path: Path, *, packed: bool) -> TextIO:
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(newline="", encoding="utf-8-sig")


def _layout(provider: str) -> Layout:
    if provider not in LAYOUTS:
        raise BadRequest(f"{provider!r} is none of {', '.join(LAYOUTS)}", param="provider")
    return LAYOUTS[provider]


def _column(names: frozenset[str], wanted: tuple[str, ...], what: str) -> str:
    for name in wanted:
        if name in names:
            return name
    hint = "; this is the usage export: download the one with costs" if what == "amount" and any("tokens" in name for name in names) else ""
    raise BadRequest(
        f"the invoice has no column for the {what} ({', '.join(wanted)}); it has {', '.join(sorted(names)) or 'none'}{hint}", param=what
    )


def _counts(row: Row, layout: Layout) -> bool:
    kinds = [row[name] for name in layout.kind if name in row]
    texts = [row[name] or "" for name in layout.about if name in row]
    return (not kinds or kinds[0] in _USAGE) and (not texts or any("bedrock" in text.lower() for text in texts))


def _check_currency(row: Row, layout: Layout, number: int) -> None:
    for name in layout.currency:
        if (code := (row.get(name) or "").strip()) and code.upper() != "USD":
            raise BadRequest(f"line {number}: the amount is in {code[:10]!r}, and the ledger in US dollars", param="currency")


def _model(row: Row, layout: Layout) -> str:
    for name in layout.model:
        if text := _named(name, (row.get(name) or "").strip()):
            # OpenAI's line items say what of a model was used: `gpt-4o-2024-08-06, cached input`.
            return text.partition(", ")[0]
    return ""


def _named(column: str, text: str) -> str:
    """CUR 2.0 has a product's properties as a map in one column. A product that is a whole service names no model."""
    if column == "product":
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            return ""
        text = str(found.get("model") or found.get("product_name") or "") if isinstance(found, dict) else ""
    return "" if text.lower() in {"amazon bedrock", "amazon bedrock service"} else text


def _day(text: str | None, number: int) -> str:
    day = (text or "").strip()
    try:
        if day.isdecimal() and len(day) == 10:
            return datetime.fromtimestamp(int(day), UTC).date().isoformat()
        return iso(from_iso(day.replace("/", "-")))[:10]
    except (ValueError, OverflowError, OSError):
        raise BadRequest(f"line {number}: {text!r} is no date", param="day") from None
