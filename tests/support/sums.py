"""The sums as a table holds them, in the form of tests/support/entries.py: expected."""

from tollkeeper.ledger.rebuild import pages
from tollkeeper.ledger.sums import KINDS
from tollkeeper.store.items import SUM_ALL_PK, sum_pk
from tollkeeper.store.table import Table

Found = dict[tuple[str, str, str], tuple[int, int]]


async def stored(table: Table, month: str) -> Found:
    found: Found = {}
    for kind in ("all", *KINDS):
        async for items in pages(table, SUM_ALL_PK if kind == "all" else sum_pk(kind, month)):
            for item in items:
                value = "" if kind == "all" else str(item["value"])
                if item["sk"].startswith("month#"):
                    found[kind, value, month] = item.get("spend", 0), item["requests"]
                    continue
                day = item["sk"][4:14] if kind == "all" else f"{month}-{item['sk'][4:6]}"
                found[kind, value, day] = item.get("spend", 0), item["requests"]
                for hour in range(24):
                    if f"h{hour:02}_requests" in item:
                        found[kind, value, f"{day}T{hour:02}"] = item.get(f"h{hour:02}_spend", 0), item[f"h{hour:02}_requests"]
    return found
