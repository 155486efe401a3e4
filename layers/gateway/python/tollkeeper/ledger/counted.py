"""Which budget counters a call was paid in, as its entry says it: from this the sums know what each counter has to say. No I/O.

A counter is named `<kind>|<window>` (`team|month#2026-11`), and the rest of its scope where the entry does not tell it: `tag|total|red`,
`key_model|total|smart`, `team_member|total|red`. In the sums a name is an attribute of its owner's cell (a team member's: the user's):

    month cell   windows of more than a day, and `team_member|lifetime|<team>`
    day cell     windows from an hour to a day; the month cell then says so (SHORT)

Not told apart are windows under an hour, of which a day has too many for one item, and projects, which no sum is about.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tollkeeper.store.items import scope_of, scope_pk

SHORT = "counted_short"
LIFETIME = "lifetime"
_LONGEST_NAME = 256
_SHORTEST_SECONDS, _DAY = 3600, 86400
_NAMED_BY_ENTRY = {"key": "key_hash", "team": "team_id", "user": "user_id", "organization": "organization_id", "customer": "customer_id"}
_OWNER_OF = {"key_model": "key", "team_model": "team", "user_model": "user", "team_member": "user", "gateway": "all"}
_SHORT_WINDOW = re.compile(r"day#.*|([0-9]+)s#.*")


@dataclass(frozen=True, slots=True)
class CounterName:
    """`rest` is what the owner does not say of the scope: a model, a member's team, a tag."""

    kind: str
    window: str
    rest: str = ""

    @classmethod
    def parse(cls, text: str) -> "CounterName":
        kind, window, *rest = text.split("|", 2)
        return cls(kind, window, "".join(rest))

    def __str__(self) -> str:
        return "|".join((self.kind, self.window, self.rest) if self.rest else (self.kind, self.window))

    @property
    def owner(self) -> str:
        """The kind of sum it is held against."""
        return _OWNER_OF.get(self.kind, self.kind)

    def pk(self, owner: str) -> str:
        """The counter's partition, for the owner of the cell it was found in."""
        if self.kind == "gateway":
            return scope_pk("gateway")
        if self.kind == "team_member":
            return scope_pk(self.kind, self.rest, owner)
        return scope_pk(self.kind, owner, self.rest) if self.kind in _OWNER_OF else scope_pk(self.kind, owner)


def counters_of(counters: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """(scope's partition, window) → names, each once."""
    return tuple(dict.fromkeys(str(name) for pk, window in counters if (name := _name(pk, window)) is not None))


def counted(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """(kind and value of the sum, attribute, whether it belongs in the day's cell) of everything an entry was counted in."""
    for text in entry.get("counters", ()):
        name = CounterName.parse(text)
        value = "" if name.kind == "gateway" else name.rest if name.kind == "tag" else str(entry.get(_attribute(name.owner)) or "")
        if value or name.kind == "gateway":
            yield name.owner, value, text, is_short(name.window)
            if is_short(name.window):
                yield name.owner, value, SHORT, False
    user, team = entry.get("user_id"), entry.get("team_id")
    if user and team and not entry.get("unconfirmed") and len(team) <= _LONGEST_NAME:
        yield "user", user, str(CounterName("team_member", LIFETIME, team)), False


def is_short(window: str) -> bool:
    """Whether a window is a day at most."""
    found = _SHORT_WINDOW.fullmatch(window)
    return found is not None and (found[1] is None or int(found[1]) <= _DAY)


def _attribute(owner: str) -> str:
    return {**_NAMED_BY_ENTRY, "deployment": "deployment_id", "provider": "provider"}.get(owner, "")


@lru_cache(maxsize=4096)
def _name(pk: str, window: str) -> CounterName | None:
    """None for what is not told apart."""
    kind, ids = scope_of(pk)
    short = _SHORT_WINDOW.fullmatch(window)
    if kind == "project" or (short and short[1] and int(short[1]) < _SHORTEST_SECONDS) or any(len(each) > _LONGEST_NAME for each in ids):
        return None
    if kind != "gateway" and not ids:
        return None
    if kind in {"tag", "team_member"}:
        return CounterName(kind, window, ids[0])
    return CounterName(kind, window, ids[1] if kind in _OWNER_OF and len(ids) > 1 else "")
