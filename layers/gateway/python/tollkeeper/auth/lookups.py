"""A small read-through cache: bounded, believed for a few seconds, and one read however many ask at once.

What is absent is remembered too, in a store of its own, so that a flood of invented keys never pushes out a real one.
An entry's time runs from before its read began: `seconds` is the longest a change elsewhere can stay unseen.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tollkeeper.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Known(Generic[V]):
    """What was read (None: nothing there), to be believed while `clock.monotonic()` is below `until`."""

    value: V | None
    until: float


class Lookups(Generic[K, V]):
    """`load` reads one name; an entry it returns may have a shorter life than the cache would give it."""

    def __init__(self, load: Callable[[K, float], Awaitable[Known[V]]], clock: Clock, seconds: float, size: int) -> None:
        self._load, self._clock, self._seconds, self._size = load, clock, seconds, size
        self._present: OrderedDict[K, Known[V]] = OrderedDict()
        self._absent: OrderedDict[K, Known[V]] = OrderedDict()
        self._loading: dict[K, asyncio.Task[Known[V]]] = {}

    async def get(self, name: K) -> Known[V]:
        """Raises what `load` raises; a failure is not remembered."""
        shelf = self._present if name in self._present else self._absent
        known = shelf.get(name)
        if known is not None and self._clock.monotonic() < known.until:
            shelf.move_to_end(name)
            return known
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._read(name))
            task.add_done_callback(_retrieve)
        # A caller that hangs up must not take the shared read away from the others.
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Everything is read anew; a read already under way is not kept."""
        self._present.clear()
        self._absent.clear()
        self._loading.clear()

    async def _read(self, name: K) -> Known[V]:
        me = asyncio.current_task()
        try:
            known = await self._load(name, self._clock.monotonic() + self._seconds)
            if self._loading.get(name) is me:
                self._keep(name, known)
            return known
        finally:
            if self._loading.get(name) is me:
                del self._loading[name]

    def _keep(self, name: K, known: Known[V]) -> None:
        shelf, other = (self._absent, self._present) if known.value is None else (self._present, self._absent)
        other.pop(name, None)
        shelf[name] = known
        shelf.move_to_end(name)
        if len(shelf) > self._size:
            shelf.popitem(last=False)


def _retrieve(task: asyncio.Task[Known[V]]) -> None:
    """Every waiter may have gone; an exception nobody takes would be logged as lost."""
    if not task.cancelled():
        task.exception()
