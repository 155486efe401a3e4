"""What an item may hold, the same in every engine: JSON with exact whole numbers to 38 digits, nested at most 32 deep.

These are DynamoDB's own bounds (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html); the embedded store
keeps to them, so that what works on a laptop works in the cloud. Everything here raises ValueError.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeGuard

from tollkeeper.store.table import Item

DIGITS = 38
DEPTH = 32
INDEXES = ("gsi1", "gsi2", "gsi3")
KEY = frozenset(("pk", "sk"))
_LIMIT = 10**DIGITS
_SMALLEST = 1e-130
_INDEX_KEYS = tuple(name + part for name in INDEXES for part in ("pk", "sk"))


def canonical(value: Any, depth: int = 0) -> Any:
    """The value as every engine gives it back: whole floats as ints, tuples as lists, subclasses of str and int as themselves."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return whole(value)
    if isinstance(value, int):
        return whole(int(value))
    if isinstance(value, float):
        return _fraction(value)
    if isinstance(value, str):
        return str.__str__(value)
    if depth >= DEPTH:
        raise ValueError(f"a value is nested more than {DEPTH} deep")
    if isinstance(value, Mapping):
        return {attribute_name(name): canonical(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(each, depth + 1) for each in value]
    raise ValueError(f"an item holds JSON, not {kind.__name__}")


def whole(value: int) -> int:
    """The int itself, if a store can hold it."""
    if -_LIMIT < value < _LIMIT:
        return value
    raise ValueError(f"a number has more than {DIGITS} digits")


def _fraction(value: float) -> int | float:
    # Through the shortest spelling: 1e30 is ten to the thirtieth, as DynamoDB reads it, and not its binary neighbour.
    if not abs(value) < _LIMIT or 0 < abs(value) < _SMALLEST:
        raise ValueError(f"{value!r} is not a number that every store can hold")
    return whole(int(Decimal(repr(value)))) if value.is_integer() else value


def attribute_name(name: Any) -> str:
    if isinstance(name, str) and name:
        return name
    raise ValueError("an attribute name is a string that is not empty")


def check_item(item: Mapping[str, Any]) -> None:
    """`pk` and `sk` are there, and every key, an index's too, is a string that is not empty."""
    check_key(item.get("pk"), item.get("sk"))
    check_index_keys(item)


def check_key(pk: Any, sk: Any) -> None:
    if not (isinstance(pk, str) and pk and isinstance(sk, str) and sk):
        raise ValueError("pk and sk are strings that are not empty")


def check_index_keys(attributes: Mapping[str, Any]) -> None:
    for name in _INDEX_KEYS:
        if name in attributes and not (isinstance(attributes[name], str) and attributes[name]):
            raise ValueError(f"{name} is a string that is not empty; leave it out to stay out of the index")


def check_update(add: Mapping[str, int], assign: Mapping[str, Any], remove: Iterable[str]) -> None:
    """Each attribute is changed once, and the key not at all."""
    names = [*add, *assign, *remove]
    distinct = set(names)
    if len(distinct) != len(names):
        raise ValueError("apply changes an attribute twice")
    if not KEY.isdisjoint(distinct):
        raise ValueError("apply cannot change pk or sk")
    check_index_keys(assign)


def check_query(index: str | None, limit: int) -> None:
    if index is not None and index not in INDEXES:
        raise ValueError(f"there is no index {index!r}")
    if limit < 1:
        raise ValueError("limit is at least 1")


def is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_expired(item: Mapping[str, Any], now: float) -> bool:
    """Whether `ttl` (epoch seconds) has passed; an item without a number there never expires."""
    ttl = item.get("ttl")
    return is_number(ttl) and ttl <= int(now)


def unless_expired(item: Item | None, now: float) -> Item | None:
    return None if item is None or is_expired(item, now) else item
