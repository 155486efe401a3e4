"""The counter item: every move of money is one conditional write on it, and the same write again changes nothing.

    pk scope   sk window   ttl window's end + grace
    committed  nano-USD spent, held, and handed to slices       spent  nano-USD settled       in_flight  open holds
    h<id>      nano-USD, one attribute per open hold (23 bytes: see hold_attribute)
    label      the cap under which this scope has slices (see slices.py); g<n> nano-USD handed to slice n; o<n> slice n is open
    adjusted   nano-USD by which an administrator has set `spent` down
    closed     this item is a slice that takes no more holds

Whoever calls these after StoreUnavailable repeats the very same call: the hold's own attribute tells whether the first try arrived.
A late duplicate can at worst open a hold again after its end: money stays set aside until the janitor books it, and the cap holds.
A missing attribute counts as 0, so an item somebody damaged refuses or admits by what it still says, and never raises.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Item, Missing, Table

HOLD = "h"
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_TICKS = 8
_FAMILY = slice(8, 16)
_HOLD_NAME = re.compile(HOLD + f"[{_BASE32}]{{16}}")


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one counter item is. `ttl` is epoch seconds, None for a window that never ends."""

    pk: str
    sk: str
    ttl: int | None = None


class Refused(Exception):
    """The conditions did not hold and nothing was written; `item` is the counter as it stands ({}: there is none yet)."""

    def __init__(self, item: Item) -> None:
        super().__init__("refused")
        self.item = item


def hold_attribute(created: float, identity: str, beside: str = "") -> str:
    """17 characters that sort by age: `h`, 7 of eighths of a second since the epoch, 9 (45 bits) of `identity`'s digest; of a hold `beside`
    another of the same call, all but the last of these are the other's (`family_of`).

    A counter with n open holds costs 23 n bytes, and DynamoDB bills each write by the size of the whole item.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    noise = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=6).digest(), "big") & (2**45 - 1)
    number = (int(created * _TICKS) & (2**35 - 1)) << 45 | noise
    made = HOLD + "".join(_BASE32[(number >> shift) & 31] for shift in range(75, -1, -5))
    return f"{made[: _FAMILY.start]}{family_of(beside)}{made[_FAMILY.stop :]}" if beside else made


def family_of(attribute: str) -> str:
    """What all holds of one call have in common."""
    return attribute[_FAMILY]


def hold_created(attribute: str) -> float:
    """Epoch seconds, to the eighth. Raises ValueError for a name that `hold_attribute` did not make."""
    number = 0
    for char in attribute[1:8]:
        number = number << 5 | _BASE32.index(char)
    return number / _TICKS


def number_of(item: Mapping[str, Any], attribute: str) -> int:
    value = item.get(attribute)
    return int(value) if isinstance(value, int | float) else 0


def open_holds(item: Mapping[str, Any]) -> dict[str, int]:
    """Hold attribute → nano-USD."""
    return {name: number_of(item, name) for name in item if _HOLD_NAME.fullmatch(name)}


async def reserve(
    table: Table, cell: Cell, hold: str, amount: int, *, limit: int | None, max_in_flight: int | None, guard: Condition | None = None
) -> Item:
    """Sets `amount` aside under `hold`; returns the item after it. Raises Refused.

    Granted while committed + amount ≤ `limit` and fewer than `max_in_flight` holds are open (None: unlimited) and `guard` holds.
    """
    if amount < 0:
        raise ValueError("a hold is never negative")
    when: list[Condition] = [Missing(hold)] if guard is None else [Missing(hold), guard]
    if limit is not None:
        # The second says nothing new of a whole item; one that lost `committed` still refuses by what it has spent.
        when += [AtMost("committed", limit - amount), AtMost("spent", limit - amount)]
    if max_in_flight is not None:
        when.append(AtMost("in_flight", max_in_flight - 1))
    values = {hold: amount} if cell.ttl is None else {hold: amount, "ttl": cell.ttl}
    try:
        return await table.apply(cell.pk, cell.sk, add={"committed": amount, "in_flight": 1}, set=values, when=when)
    except ConditionFailed as failed:
        old = failed.old or {}
    if old.get(hold) == amount:
        return old
    raise Refused(old)


async def settle(table: Table, cell: Cell, hold: str, amount: int, actual: int) -> Item | None:
    """Ends `hold` with what the call really cost (0 releases it). None: it had ended before, and nothing was written."""
    for _ in range(4):
        add = {"committed": actual - amount, "spent": actual, "in_flight": -1}
        try:
            return await table.apply(cell.pk, cell.sk, add=add, remove=[hold], when=[Equals(hold, amount)])
        except ConditionFailed as failed:
            old = failed.old or {}
        if hold not in old:
            return None
        # A resize whose answer was lost: the item knows how much is really held.
        amount = number_of(old, hold)
    raise Refused(old)


async def resize(table: Table, cell: Cell, hold: str, amount: int, new: int, *, limit: int | None, guard: Condition | None = None) -> Item:
    """Changes an open hold from `amount` to `new`; growing it needs room under `limit`, and `guard`. Raises Refused."""
    when: list[Condition] = [Equals(hold, amount)]
    if new > amount:
        when += [] if limit is None else [AtMost("committed", limit - (new - amount))]
        when += [] if guard is None else [guard]
    try:
        return await table.apply(cell.pk, cell.sk, add={"committed": new - amount}, set={hold: new}, when=when)
    except ConditionFailed as failed:
        old = failed.old or {}
    if old.get(hold) == new:
        return old
    raise Refused(old)


async def hand_out(table: Table, root: Cell, number: int, amount: int, *, cap: int, guards: Sequence[Condition]) -> Item:
    """Moves `amount` from the scope's own item to slice `number`. Raises Refused.

    Repeating it hands out more, which only shifts money between slices: `committed` and `g<n>` change in one write.
    """
    values = {f"o{number}": 1, "label": cap} if root.ttl is None else {f"o{number}": 1, "label": cap, "ttl": root.ttl}
    when = [AtMost("committed", cap - amount), AtMost("spent", cap - amount), *guards]
    try:
        return await table.apply(root.pk, root.sk, add={"committed": amount, f"g{number}": amount}, set=values, when=when)
    except ConditionFailed as failed:
        raise Refused(failed.old or {}) from None


async def take_back(table: Table, root: Cell, child: Cell, number: int, granted: int) -> Item:
    """Closes a slice and takes back what it has not committed; run again, it takes back what was settled for less since.

    Nothing new is held in a closed slice, so its `committed` can only fall. Raises Refused when another process was faster.
    """
    values = {"closed": 1} if child.ttl is None else {"closed": 1, "ttl": child.ttl}
    used = number_of(await table.apply(child.pk, child.sk, set=values), "committed")
    add = {"committed": used - granted, f"g{number}": used - granted}
    try:
        return await table.apply(root.pk, root.sk, add=add, remove=[f"o{number}"], when=[Equals(f"g{number}", granted)])
    except ConditionFailed as failed:
        raise Refused(failed.old or {}) from None


async def unlabel(table: Table, root: Cell, label: int, numbers: Sequence[int]) -> Item:
    """The scope has no open slice any more, `numbers` being all it ever had. Raises Refused when that is not so."""
    newest = max(numbers, default=0)
    closed = [Missing(f"o{number}") for number in numbers]
    try:
        return await table.apply(root.pk, root.sk, remove=["label"], when=[Equals("label", label), Missing(f"g{newest + 1}"), *closed])
    except ConditionFailed as failed:
        raise Refused(failed.old or {}) from None


async def correct(table: Table, cell: Cell, spent: int, change: int, *, noted: bool = True) -> Item:
    """An operator's correction of `spent` by `change`; `spent` is what they saw. Raises Refused when it is something else by now.

    It is `noted` as `adjusted` where the ledger says something else, so that it can still be held against what is left.
    """
    when: list[Condition] = [Equals("spent", spent)] if spent else [AtMost("spent", 0)]
    add = {"committed": change, "spent": change, **({"adjusted": -change} if noted else {})}
    try:
        return await table.apply(cell.pk, cell.sk, add=add, when=when)
    except ConditionFailed as failed:
        raise Refused(failed.old or {}) from None
