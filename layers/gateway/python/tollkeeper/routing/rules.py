"""`tollkeeper.routing.rules`: by who asks and what for, the labels a deployment must have, another model, or a refusal.

Every rule that fits adds its requirements; the first that fits with `use` or `refuse` decides where the call goes. A rule with `use` is
the administrator's word: the key need not be allowed the model it leads to.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from tollkeeper.config.snapshot import Snapshot
from tollkeeper.routing.asked import Requirement, required


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Of a request: `model` is its group; `who` has the names of its team, key, user, organization, customer, and its tags."""

    model: str
    who: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    metadata: Mapping[str, Any]
    tokens: Callable[[], int]
    needs: Callable[[], frozenset[str]]
    text: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` names the one that decided."""

    require: tuple[Requirement, ...] = ()
    use: str | None = None
    refuse: str | None = None
    rule: str | None = None


NOTHING = Decision()


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: Mapping[str, Any]
    require: tuple[Requirement, ...] = ()
    use: str | None = None
    refuse: str | None = None

    def fits(self, seen: Circumstances) -> bool:
        """Cheap conditions first: the text is read last."""
        return all(_TESTS[name](wanted, seen) for name, wanted in sorted(self.when.items(), key=lambda pair: _ORDER[pair[0]]))


@dataclass(frozen=True, slots=True)
class Rules:
    rows: tuple[Rule, ...] = ()
    require: tuple[Requirement, ...] = ()
    """Of every request."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Rules":
        own = snapshot.settings.get("tollkeeper", {}).get("routing") or {}
        rows = [_rule(row, f"rules[{index}]") for index, row in enumerate(own.get("rules") or ())]
        # The largest threshold that fits decides.
        for model, settings in (own.get("models") or {}).items():
            for step in reversed(settings.get("context") or ()):
                name = f"models.{model}.context over {step['over']}"
                rows.append(Rule(name, {"model": [model], "tokens_over": step["over"]}, use=step["use"]))
        return cls(tuple(rows), tuple(required(own.get("require"), "every request")))

    def __bool__(self) -> bool:
        return bool(self.rows or self.require)

    def decide(self, seen: Circumstances) -> Decision:
        if not self.rows:
            return NOTHING if not self.require else Decision(self.require)
        found, require = Decision(), list(self.require)
        for rule in self.rows:
            if rule.fits(seen):
                require += rule.require
                if found.rule is None and (rule.use or rule.refuse):
                    found = Decision(use=rule.use, refuse=rule.refuse, rule=rule.name)
        return Decision(tuple(require), found.use, found.refuse, found.rule)


def _rule(row: Mapping[str, Any], name: str) -> Rule:
    shown = row.get("name") or name
    return Rule(shown, row["when"], tuple(required(row.get("require"), f"rule {shown}")), row.get("use"), row.get("refuse"))


def _named(kind: str) -> Callable[[Any, Circumstances], bool]:
    return lambda wanted, seen: any(_like(name, pattern) for name in seen.who.get(kind, ()) for pattern in wanted)


def _pairs(wanted: Mapping[str, Sequence[str]], given: Mapping[str, Any]) -> bool:
    return all(
        given.get(name) is not None and any(_like(_word(given[name]), pattern) for pattern in patterns) for name, patterns in wanted.items()
    )


def _like(name: str, pattern: str) -> bool:
    return name == pattern or ("*" in pattern and fnmatchcase(name, pattern))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _found(pattern: str, seen: Circumstances) -> bool:
    return _compiled(pattern).search(seen.text()) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_TESTS: Mapping[str, Callable[[Any, Circumstances], bool]] = {
    "model": lambda wanted, seen: any(_like(seen.model, pattern) for pattern in wanted),
    **{kind: _named(kind) for kind in ("team", "key", "user", "organization", "customer", "tag")},
    "headers": lambda wanted, seen: _pairs({name.lower(): value for name, value in wanted.items()}, seen.headers),
    "metadata": lambda wanted, seen: _pairs(wanted, seen.metadata),
    "tokens_over": lambda wanted, seen: seen.tokens() > wanted,
    "tokens_under": lambda wanted, seen: seen.tokens() < wanted,
    "needs": lambda wanted, seen: set(wanted) <= seen.needs(),
    "text": _found,
}
_ORDER = {name: place for place, name in enumerate(_TESTS)}
