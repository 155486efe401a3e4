"""A provider's invoice against the ledger, by day and model: where they differ, and by how much.

Invoices are read from the CSV that each provider lets one download. Headers differ between accounts and over the years, so a column is
found under any of its known names; what cannot be found is an error that names the columns there are.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tollkeeper.errors import BadRequest
from tollkeeper.money import NANO_PER_USD
from tollkeeper.store.table import Item


@dataclass(frozen=True, slots=True)
class Layout:
    """How one provider's CSV calls the day, the model and the dollars; `providers` are ours that it bills for."""

    day: tuple[str, ...]
    model: tuple[str, ...]
    amount: tuple[str, ...]
    providers: tuple[str, ...]
    only: tuple[str, str] | None = None
    """A column and a text that it must contain for a row to count."""


LAYOUTS: Mapping[str, Layout] = {
    "openai": Layout(
        ("date", "day", "start_time_iso", "start_time", "timestamp"),
        ("model", "line_item", "snapshot_id"),
        ("cost", "amount_value", "amount", "cost_usd"),
        ("openai",),
    ),
    "anthropic": Layout(
        ("usage_date_utc", "date", "usage_date"),
        ("model", "model_version"),
        ("cost_usd", "cost", "amount", "total_cost"),
        ("anthropic",),
    ),
    "aws": Layout(
        ("lineitem/usagestartdate", "line_item_usage_start_date", "usagestartdate"),
        ("product/model", "product_model", "lineitem/usagetype", "line_item_usage_type"),
        ("lineitem/unblendedcost", "line_item_unblended_cost", "unblendedcost"),
        ("bedrock", "sagemaker", "sagemaker_chat"),
        ("line_item_product_code|lineitem/productcode", "bedrock"),
    ),
}  # fmt: skip


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
    """(day, model) → nano-dollars. Raises BadRequest naming the line or column at fault."""
    layout = _layout(provider)
    with path.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.DictReader(text)
        names = {name.strip().lower(): name for name in reader.fieldnames or () if name}
        day, model, amount = (
            _column(names, wanted, what) for wanted, what in ((layout.day, "day"), (layout.model, "model"), (layout.amount, "amount"))
        )
        only = next((names[name] for name in layout.only[0].split("|") if name in names), None) if layout.only else None
        found: dict[tuple[str, str], int] = {}
        for number, row in enumerate(reader, 2):
            if only and layout.only and layout.only[1] not in (row[only] or "").lower():
                continue
            where = _day(row[day], number), (row[model] or "").strip()
            found[where] = found.get(where, 0) + _nano(row[amount], number)
    return found


def reconcile(invoice: Mapping[tuple[str, str], int], entries: Iterable[Item], provider: str) -> list[Line]:
    """Every (day, model) of either side. A model of ours counts for the invoice's longest name that it begins with, or that is in it."""
    layout = _layout(provider)
    names = sorted({model for _, model in invoice}, key=len, reverse=True)
    days = {day for day, _ in invoice}
    booked: dict[tuple[str, str], int] = {}
    for entry in entries:
        day = str(entry["started_at"])[:10]
        if entry.get("provider") in layout.providers and day in days:
            where = day, _name_in(names, str(entry.get("upstream_model") or entry["model"]))
            booked[where] = booked.get(where, 0) + entry["cost"]
    return [Line(*where, invoice.get(where, 0), booked.get(where, 0)) for where in sorted({*invoice, *booked})]


def _name_in(names: list[str], model: str) -> str:
    plain = model.lower()
    for name in names:
        other = name.lower()
        if other and (plain == other or plain.startswith(other) or other.startswith(plain) or plain in other):
            return name
    return model


def _layout(provider: str) -> Layout:
    if provider not in LAYOUTS:
        raise BadRequest(f"{provider!r} is none of {', '.join(LAYOUTS)}", param="provider")
    return LAYOUTS[provider]


def _column(names: Mapping[str, str], wanted: tuple[str, ...], what: str) -> str:
    for name in wanted:
        if name in names:
            return names[name]
    raise BadRequest(f"the invoice has no column for the {what} ({', '.join(wanted)}); it has {', '.join(names) or 'none'}", param=what)


def _day(text: str | None, number: int) -> str:
    day = (text or "").strip()[:10].replace("/", "-")
    if len(day) == 10 and day[4] == day[7] == "-" and day.replace("-", "").isdecimal():
        return day
    raise BadRequest(f"line {number}: {text!r} is no date", param="day")


def _nano(text: str | None, number: int) -> int:
    try:
        dollars = Decimal((text or "0").strip().lstrip("$").replace(",", "") or "0")
        if not dollars.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise BadRequest(f"line {number}: {text!r} is no amount", param="amount") from None
    return int((dollars * NANO_PER_USD).to_integral_value())
