"""Calls that were sent and whose answer nobody has, because the process that waited for it was stopped."""

from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import STATUS_FAILURE, Entry
from tollkeeper.money import nano_to_usd


async def what_is_known(ledger: Ledger, entry: Entry) -> str:
    """In a sentence. `entry` is written as unconfirmed unless the ledger has the call already. Raises StoreUnavailable."""
    if (cost := await ledger.cost_of(entry.request_id, entry.started_at)) is not None:
        return f"The provider had answered: the call {entry.request_id} is in the ledger with {nano_to_usd(cost):.9f} USD."
    entry.status, entry.http_status, entry.error_type = STATUS_FAILURE, 0, "unconfirmed"
    entry.usage_at_least = entry.unconfirmed = True
    await ledger.record(entry)
    return (
        f"Whether the provider billed the call {entry.request_id} is not known; the ledger lists it as unconfirmed, and where a budget "
        "holds money for it, that is booked in full."
    )
