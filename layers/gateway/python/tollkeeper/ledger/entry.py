"""The ledger entry: one billed call, append-only. What finance books, support reads and the rollups add up.

No prompt and no answer is in it. Times are epoch seconds as text (ISO 8601), durations whole milliseconds, money whole nano-dollars.
"""

from dataclasses import dataclass, fields
from typing import Any

from tollkeeper.clock import iso
from tollkeeper.store.items import ledger_pk

STATUS_SUCCESS = "success"
STATUS_FAILURE = "failure"
STATUS_CANCELLED = "cancelled"
"""The caller left before the answer was complete."""
STATUS_CUT = "cut"
"""The provider's stream ended or failed after the answer had begun."""


@dataclass(slots=True)
class Entry:
    """`usage_at_least`: the true usage is unknown and not below this (cut, cancelled, or a provider that sends none)."""

    request_id: str
    call_id: str
    started_at: float
    call_type: str
    model: str
    """The alias the caller asked for."""
    status: str = STATUS_SUCCESS
    http_status: int = 200
    error_type: str | None = None
    key_hash: str | None = None
    key_alias: str | None = None
    key_name: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    customer_id: str | None = None
    tags: tuple[str, ...] = ()
    deployment_id: str | None = None
    upstream_model: str | None = None
    provider: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    reasoning_tokens: int = 0
    usage_at_least: bool = False
    service_tier: str | None = None
    """Where it is not the standard one."""
    cost: int = 0
    """Nano-dollars."""
    priced: bool = False
    """False: nobody knows the price of this deployment, and `cost` is 0 for that reason only."""
    price_version: str | None = None
    cost_parts: dict[str, int] | None = None
    stream: bool = False
    attempts: int = 0
    fallbacks: int = 0
    latency_ms: int = 0
    first_token_ms: int | None = None
    routing: dict[str, Any] | None = None
    """Why it went where it went (routing/record.py)."""
    guardrails: tuple[str, ...] = ()
    """Those it had to pass."""
    traceparent: str | None = None
    """The caller's trace, as it came. https://www.w3.org/TR/trace-context/"""
    hold_ids: tuple[str, ...] = ()
    """The budget holds this call was paid from (budgets/)."""
    counters: tuple[str, ...] = ()
    """The budget counters those holds were in, by names of ledger/counted.py: what each has to say is added up from these."""
    counted: dict[str, int] | None = None
    """What was counted in those of these counters in which it was not `cost`."""
    unconfirmed: bool = False
    """Booked by the janitor at the full hold: nothing was heard of the call."""


_FIELDS = tuple(field.name for field in fields(Entry))


def to_item(entry: Entry) -> dict[str, Any]:
    """The table item. The id is time-ordered, so that every index reads in order of time. Absent attributes are None or empty."""
    # Not dataclasses.asdict: its deep copies cost more than the rest of the write.
    values = ((name, getattr(entry, name)) for name in _FIELDS)
    known = {name: value for name, value in values if value is not None and value is not False and value != ()}
    started = iso(entry.started_at)
    item = {
        **known,
        "pk": ledger_pk(started[:10], entry.request_id),
        "sk": entry.request_id,
        "started_at": started,
        "tags": list(entry.tags),
    }
    owners = (("gsi1", "key", entry.key_hash), ("gsi2", "team", entry.team_id), ("gsi3", "user", entry.user_id))
    for index, kind, owner in owners:
        if owner:
            item |= {f"{index}pk": f"{kind}#{owner}", f"{index}sk": entry.request_id}
    return item
