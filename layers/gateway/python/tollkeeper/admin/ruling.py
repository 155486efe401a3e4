"""What of a record's free fields decides what its calls may do: only a proxy admin says it, whoever else may change the record.

Metadata and fields that are kept as they come are their owner's own, but some names in them are read where calls are let in: how strict a
budget is, which guardrails are left out, which tools are open.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tollkeeper.auth.records import Record
from tollkeeper.errors import Forbidden

_RULES: Mapping[str, Callable[[Any], bool]] = {
    "enforcement": lambda value: value in ("hard", "soft"),
    "mode": lambda value: value in ("enforce", "shadow"),
    "on_store_error": lambda value: value in ("deny", "allow"),
    "disable_global_guardrails": lambda value: value is True,
    "object_permission": bool,
}
"""Name → whether a value is one that counts: an application's own `mode` does not."""
REQUIRED = "require"


def leave_the_rules(
    what: str, base: Record | None, extra: Mapping[str, Any], metadata: Mapping[str, Any] | None, *, requirements: bool = False
) -> None:
    """Raises Forbidden for a change of a rule; with `requirements`, also of what is required of deployments.

    `base` None: the record is new. `metadata` None: it stays as it is.
    """
    kept, noted = (base.extra, base.metadata) if base is not None else ({}, {})
    said = noted if metadata is None else metadata
    before, now = _rules_in(kept, noted), _rules_in({**kept, **extra}, said)
    changed = [name for name in _RULES if before.get(name) != now.get(name)]
    if requirements and noted.get(REQUIRED) != said.get(REQUIRED):
        changed.append(REQUIRED)
    if changed:
        raise Forbidden(f"Only a proxy admin may set {', '.join(changed)} on a {what}.", type="auth_error", param=changed[0])


def _rules_in(extra: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: source[name] for source in (metadata, extra) for name, counts in _RULES.items() if counts(source.get(name))}
