"""The kinds of value a management request may hold, each checked once where it enters.

Dollars become whole nano-dollars here and a moment becomes epoch seconds, so nothing behind this page sees a float or a local time.
"""

from decimal import Decimal, DecimalException
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tollkeeper.auth.durations import parse_duration
from tollkeeper.auth.keys import check_custom_key
from tollkeeper.budgets.windows import check_duration
from tollkeeper.clock import from_iso
from tollkeeper.errors import BadRequest
from tollkeeper.money import usd_to_nano
from tollkeeper.store.values import canonical

NEVER = "-1"
"""LiteLLM's other spelling of `duration: null`."""
_LARGEST_DOLLARS = Decimal(9_000_000_000)
"""Nano-dollars of this still fit the 64-bit integers of the embedded store."""
_LARGEST_COUNT = 2**53
_LONGEST_NAME_BYTES = 700
_ABOVE = 4


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic turns only ValueError into a finding
    return value


def _nano(value: Any) -> int:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise ValueError("must be a number of US dollars")  # noqa: TRY004 - as above
    try:
        dollars = Decimal(str(value))
        valid = 0 <= dollars <= _LARGEST_DOLLARS
    except DecimalException:
        raise ValueError("must be a number of US dollars") from None
    if not valid:
        raise ValueError(f"must be between 0 and {_LARGEST_DOLLARS:,} US dollars; leave it out, or send null, for no limit")
    return usd_to_nano(dollars)


def _moment(value: Any) -> int:
    try:
        return int(from_iso(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be a date or time in ISO 8601, such as 2027-01-15T00:00:00Z") from None


def _span(text: str) -> str:
    if text != NEVER:
        parse_duration(text)
    return text


def _budget_span(text: str) -> str:
    try:
        check_duration(text)
    except BadRequest as refusal:
        raise ValueError(refusal.message.removeprefix("budget_duration=")) from None
    return text


def _short(text: str) -> str:
    if len(text.encode()) > _LONGEST_NAME_BYTES:
        raise ValueError(f"must be {_LONGEST_NAME_BYTES} bytes at most")
    return text


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """As the store would give it back. `_ABOVE` levels of a record may lie above it."""
    stored: dict[str, Any] = canonical(value, _ABOVE)
    return stored


_NUMBER = WithJsonSchema({"type": "number", "minimum": 0})
Dollars = Annotated[int, BeforeValidator(_nano), _NUMBER]
"""JSON dollars → whole nano-dollars."""
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=_LARGEST_COUNT)]
Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""ISO 8601 → epoch seconds."""
Span = Annotated[str, AfterValidator(_span)]
BudgetSpan = Annotated[str, AfterValidator(_budget_span)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_short)]
"""A DynamoDB sort key is 1,024 bytes at most, and a name shares it with a prefix and a time."""
QueryName = Annotated[str, Query(min_length=1, max_length=256)]
PathName = Annotated[str, Path(min_length=1, max_length=256)]
KeyPath = Annotated[str, Path(min_length=1, max_length=512)]
"""A key's text, or its hash."""
KeyText = Annotated[str, AfterValidator(check_custom_key)]
Json = Annotated[dict[str, Any], AfterValidator(_storable)]
Counts = dict[Name, Count]
