"""The deployed configuration with the directory's models and fallbacks on top, as new as the directory was `seconds` ago.

Every process reads the one small partition of models that often, when a request asks for it: so long a change can stay unseen, and no
longer. A model that cannot be read is left out and logged; the others and the file's are not touched by it. When the store is away, what
was known stays.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment, Snapshot, deployment_of
from tollkeeper.errors import StoreUnavailable
from tollkeeper.routing.resolve import Groups
from tollkeeper.store import items
from tollkeeper.store.table import Item, Table

_MOST = 5_000
FALLBACK_FIELDS = {
    "general": "fallbacks",
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
}
"""LiteLLM's `fallback_type` → the snapshot's field."""
_log = logging.getLogger("tollkeeper.models")


class LiveGroups:
    """`groups` is what is known; `refresh` reads again if it is time. Access groups of the directory count as the models' own.
    `on_change` is called when something was changed: it may have been a credential.
    """

    def __init__(
        self,
        base: Snapshot,
        directory: Table,
        clock: Clock,
        seconds: float = 5.0,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._base, self._directory, self._clock, self._seconds = base, directory, clock, seconds
        self._on_change = on_change
        self._groups = Groups(base)
        self._seen: list[tuple[str, str, str, int]] | None = None
        self._next = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def groups(self) -> Groups:
        return self._groups

    async def refresh(self) -> Groups:
        """Requests that come while somebody reads share that reading."""
        if self._clock.monotonic() >= self._next:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return self._groups

    async def _read(self) -> None:
        began = self._clock.monotonic()
        try:
            models, routes, access = await asyncio.gather(
                _all(self._directory, items.MODELS_PK, None),
                _all(self._directory, items.ROUTES_PK, None),
                _all(self._directory, items.listing("accessgroups"), "gsi1"),
            )
        except StoreUnavailable as error:
            _log.warning("models_unread %s", error.message)
            self._next = began + self._seconds
            return
        seen = sorted(
            (item["pk"], item["sk"], str(item.get("updated_at")), int(item.get("version", 1))) for item in (*models, *routes, *access)
        )
        if seen != self._seen:
            if self._seen is not None:
                self._on_change()
            self._groups, self._seen = Groups(_with_fallbacks(_merged(self._base, models, access), routes)), seen
        self._next = began + self._seconds


def _merged(base: Snapshot, models: list[Item], access: list[Item]) -> Snapshot:
    rows = [*base.deployments, *(row for item in models if not item.get("blocked") and (row := _deployment(item)) is not None)]
    members = {str(item["access_group"]): frozenset(item.get("model_names", ())) for item in access}
    return replace(base, deployments=tuple(_with_groups(row, members) for row in rows))


def _with_fallbacks(snapshot: Snapshot, routes: list[Item]) -> Snapshot:
    """A fallback of the directory stands in place of the file's for the same model."""
    more: dict[str, dict[str, tuple[str, ...]]] = {field: {} for field in FALLBACK_FIELDS.values()}
    for item in routes:
        if (field := FALLBACK_FIELDS.get(str(item.get("fallback_type", "general")))) and item["sk"].startswith(items.fallback_sk("")):
            more[field][str(item["model"])] = tuple(item.get("fallback_models", ()))
    merged: dict[str, Any] = {field: {**getattr(snapshot, field), **chains} for field, chains in more.items()}
    return replace(snapshot, **merged)


def _deployment(item: Item) -> Deployment | None:
    try:
        return deployment_of(item["compiled"])
    except (KeyError, ValueError) as error:
        _log.error("model_unusable model=%s %s", item.get("sk"), error)
        return None


def _with_groups(row: Deployment, members: dict[str, frozenset[str]]) -> Deployment:
    more = [name for name, models in members.items() if row.group in models and name not in row.access_groups]
    return replace(row, access_groups=(*row.access_groups, *more)) if more else row


async def _all(directory: Table, partition: str, index: str | None) -> list[Item]:
    found: list[Item] = []
    after = None
    while len(found) < _MOST:
        page = await directory.query(partition, index=index, after=after, limit=500)
        found += page.items
        after = page.next
        if after is None:
            break
    return found
