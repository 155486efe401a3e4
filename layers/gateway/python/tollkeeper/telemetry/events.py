"""Where budget events go until somebody subscribes: one structured log line each."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

log = logging.getLogger("tollkeeper.events")
_QUIET = frozenset({"soft_budget", "shadow_refused"})


class Event(Protocol):
    """A budget event (budgets/hold.py): nano-dollars and names, never content."""

    @property
    def kind(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def window(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


def log_event(event: Event) -> None:
    level = logging.INFO if event.kind in _QUIET else logging.WARNING
    log.log(level, "%s %s %s %s", event.kind, event.scope, event.window, orjson.dumps(dict(event.fields), default=str).decode())
