"""A team's month as finance books it: total, models, keys, days. As JSON, as CSV, and as a page to print.

Money is written as exact decimals (nine places), which are texts: a statement is added up by people and programs alike.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from tollkeeper.reports.ranges import Days
from tollkeeper.reports.reader import Part, Reader, Tally, largest
from tollkeeper.reports.tabular import csv_lines, usd

COLUMNS = ("section", "name", "calls", "failed_calls", "input_tokens", "output_tokens", "spend_usd")
_SECTIONS = ("models", "keys", "days")
Statement = dict[str, Any]


async def statement(
    reader: Reader, team_id: str, month: Days, *, team_alias: str | None, names: Mapping[str, str], made_at: str
) -> Statement:
    """`names` are the aliases of keys by hash; a key without one is known by the first characters of its hash."""
    parts = await reader.parts("team", team_id, month)
    total = Tally()
    for part in parts:
        total.merge(part.tally)
    return {
        "team_id": team_id,
        "team_alias": team_alias,
        "month": month.month,
        "currency": "USD",
        "made_at": made_at,
        "total": _numbers(total),
        "unconfirmed_usd": usd(total["unconfirmed"]),
        "calls_of_unknown_price": total["unpriced"],
        "calls_of_uncertain_usage": total["at_least"],
        "models": _rows(parts, lambda part: part.label("upstream_model") or part.label("model")),
        "keys": _rows(parts, lambda part: names.get(part.label("key_hash")) or part.label("key_hash")[:12]),
        "days": sorted(_rows(parts, lambda part: part.day), key=lambda row: str(row["name"])),
    }


def statement_csv(made: Statement) -> Iterator[str]:
    """A line for each model, key and day, and the total. No cell is a formula."""
    rows = [{"section": section, **row} for section in _SECTIONS for row in made[section]]
    return csv_lines(COLUMNS, [*rows, {"section": "total", "name": made["month"], **made["total"]}])


def statement_html(made: Statement) -> str:
    """A page without scripts or anything from elsewhere; prints on A4."""
    name = escape(made["team_alias"] or made["team_id"] or "Unassigned Team")
    notes = [
        f"<p>{escape(made['unconfirmed_usd'])} USD of it are holds of calls of which nothing more is known (unconfirmed).</p>"
        if made["unconfirmed_usd"].strip("0.")
        else "",
        f"<p>{made['calls_of_uncertain_usage']} calls ended early; their usage is a lower bound.</p>"
        if made["calls_of_uncertain_usage"]
        else "",
        f"<p>{made['calls_of_unknown_price']} calls have no known price and count 0.</p>" if made["calls_of_unknown_price"] else "",
    ]
    tables = "".join(f"<h2>{section.capitalize()}</h2>{_table(made[section])}" for section in _SECTIONS)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}, {made['month']}</title><style>{_STYLE}</style>"
        f"<h1>{name}</h1><p>Statement for {made['month']}, made {escape(made['made_at'])}. "
        f"{made['total']['calls']} calls, <strong>{made['total']['spend_usd']} USD</strong>.</p>{''.join(notes)}{tables}</html>"
    )


_STYLE = (
    "body{font:11pt/1.4 system-ui,sans-serif;max-width:48rem;margin:2rem auto;color:#111}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.2rem .5rem;border-bottom:1px solid #ccc;text-align:right}"
    "th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}h2{margin-top:2rem}"
    "@media print{body{margin:0}tr{break-inside:avoid}}@page{size:A4;margin:2cm}"
)


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    head = "<tr><th>Name<th>Calls<th>Failed<th>Input tokens<th>Output tokens<th>USD"
    body = (
        f"<tr><td>{escape(str(row['name']))}<td>{row['calls']}<td>{row['failed_calls']}<td>{row['input_tokens']}"
        f"<td>{row['output_tokens']}<td>{row['spend_usd']}"
        for row in rows
    )
    return f"<table>{head}{''.join(body)}</table>"


def _rows(parts: Iterable[Part], name_of: Any) -> list[dict[str, Any]]:
    found: dict[str, Tally] = {}
    for part in parts:
        found.setdefault(name_of(part), Tally()).merge(part.tally)
    return [{"name": name, **_numbers(tally)} for name, tally in largest(found)]


def _numbers(tally: Tally) -> dict[str, Any]:
    return {
        "calls": tally["requests"],
        "failed_calls": tally["failed"],
        "input_tokens": tally["input_tokens"],
        "output_tokens": tally["output_tokens"],
        "spend_usd": usd(tally["spend"]),
    }
