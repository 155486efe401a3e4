"""Several coroutines at once, and ones that must not be cut off, without a task where it buys nothing.

A task is 20 µs and a turn of the event loop, and one call would need fifteen. One coroutine needs none. And where the store is embedded its
verbs never wait: one after the other takes as long as all at once, and what never waits cannot be cut off.
"""

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def is_immediate(table: object) -> bool:
    """Whether this table's verbs finish without letting anything else run in between."""
    return getattr(table, "immediate", False) is True


async def together(works: Iterable[Coroutine[Any, Any, T]], *, immediate: bool = False) -> list[T]:
    """Their results, in order. `immediate`: they all work on a store that is. What one raises is raised here, as asyncio.gather does."""
    waiting = list(works)
    if len(waiting) > 1 and not immediate:
        return await asyncio.gather(*waiting)
    done: list[T] = []
    try:
        for work in waiting:
            done.append(await work)  # noqa: PERF401 - what is left has to be closed if one raises
    finally:
        for work in waiting[len(done) :]:
            work.close()
    return done


def started(work: Coroutine[Any, Any, T], *, immediate: bool) -> "asyncio.Future[T]":
    """A task, which the caller's end does not end. `immediate`: run now as far as it goes, which is mostly to its end.

    The part that runs now belongs to the caller's task, so it must not open an asyncio.timeout: no embedded store does.
    """
    if not immediate:
        return asyncio.ensure_future(work)
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        awaited = work.send(None)
    except StopIteration as done:
        future.set_result(done.value)
    except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
        future.set_exception(error)
    else:
        return asyncio.ensure_future(_Begun(work, awaited))
    return future


class _Begun(Coroutine[Any, Any, T]):
    """A coroutine that has run up to its first wait, for a task to go on with, or to cancel there."""

    def __init__(self, work: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._work = work
        self._awaited = [awaited]

    def send(self, value: Any) -> Any:
        return self._awaited.pop() if self._awaited else self._work.send(value)

    def throw(self, *error: Any) -> Any:
        self._awaited.clear()
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()
