"""Counters against the ledger: what is shown as a key's, team's … spend is what its entries add up to, or by how much it is not.

The lifetime counters (admission/spending.py) are compared, which every call adds to. `adjusted` on one is what an administrator has set
it down by; what the janitor booked as `unconfirmed` was in no counter. A process killed between the entry and the counter leaves the
counter short: `mend` puts that right, for the ledger is the truth. Only while no calls are under way is every difference a real one.
"""

from dataclasses import dataclass

from tollkeeper.reports.ranges import month_of
from tollkeeper.reports.reader import Reader, Tally
from tollkeeper.store.items import LIFETIME_SK, scope_pk
from tollkeeper.store.table import Table

COUNTED = ("key", "team", "user", "customer")
"""Who has a lifetime counter (admission/payer.py)."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Nano-dollars: `counter` − `ledger` should be nothing."""

    kind: str
    value: str
    counter: int
    ledger: int

    @property
    def amount(self) -> int:
        return self.counter - self.ledger


async def drifts(reader: Reader, counters: Table) -> list[Drift]:
    """Those that differ; one read for each key, team … that ever spent anything. Raises StoreUnavailable."""
    await reader.fresh()
    months = await reader.months()
    found = []
    for kind in COUNTED:
        totals: dict[str, Tally] = {}
        for month in months:
            for value, tally in (await reader.by_value(kind, month_of(month))).items():
                totals.setdefault(value, Tally()).merge(tally)
        for value, tally in totals.items():
            if value:
                item = await counters.get(scope_pk(kind, value), LIFETIME_SK, consistent=True) or {}
                counter = int(item.get("spent", 0)) + int(item.get("adjusted", 0))
                found.append(Drift(kind, value, counter, tally["spend"] - tally["unconfirmed"]))
    return [each for each in found if each.amount]


async def mend(counters: Table, found: list[Drift]) -> None:
    """Only while no calls are under way. Raises StoreUnavailable."""
    for each in found:
        await counters.apply(scope_pk(each.kind, each.value), LIFETIME_SK, add={"spent": -each.amount})
