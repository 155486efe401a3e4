"""Coroutines without tasks: the same results, errors and endings as asyncio's own, for stores that wait and stores that do not."""

import asyncio
from typing import Any

import pytest

from tollkeeper.store.together import is_immediate, started, together


async def plain(value: int, log: list[int]) -> int:
    log.append(value)
    return value


async def waits(value: int, log: list[int], gate: asyncio.Event) -> int:
    await gate.wait()
    await asyncio.sleep(0)
    log.append(value)
    return value


@pytest.mark.parametrize("immediate", [True, False])
async def test_results_come_in_order_and_the_first_error_is_raised(*, immediate: bool) -> None:
    log: list[int] = []

    async def breaks() -> int:
        raise ValueError("broken")

    assert await together((plain(number, log) for number in range(4)), immediate=immediate) == [0, 1, 2, 3]
    assert await together((), immediate=immediate) == []
    with pytest.raises(ValueError, match="broken"):
        await together([plain(7, log), breaks(), plain(8, log)], immediate=immediate)


async def test_a_work_that_never_waits_is_done_at_once_and_one_that_waits_goes_on_in_a_task() -> None:
    log: list[int] = []
    gate = asyncio.Event()
    quick, slow = started(plain(1, log), immediate=True), started(waits(2, log, gate), immediate=True)
    assert (quick.done(), slow.done(), log) == (True, False, [1])
    gate.set()
    assert (await quick, await slow, log) == (1, 2, [1, 2])


async def test_a_started_work_outlives_whoever_waits_for_it() -> None:
    log: list[int] = []
    gate = asyncio.Event()
    work = started(waits(3, log, gate), immediate=True)
    waiting = asyncio.create_task(asyncio.wait_for(asyncio.shield(work), 60))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    gate.set()
    assert await work == 3


@pytest.mark.parametrize("immediate", [True, False])
async def test_errors_and_cancellations_reach_the_work_and_its_waiter(*, immediate: bool) -> None:
    seen: list[Any] = []

    async def fails(gate: asyncio.Event | None) -> None:
        try:
            if gate is not None:
                await gate.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        raise KeyError("gone")

    with pytest.raises(KeyError):
        await started(fails(None), immediate=immediate)
    work = started(fails(asyncio.Event()), immediate=immediate)
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert seen == ["cancelled"]


async def test_a_work_may_catch_what_is_thrown_and_wait_again() -> None:
    async def stubborn() -> str:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "all the same"

    work = started(stubborn(), immediate=True)
    work.cancel()
    assert await work == "all the same"


def test_only_a_table_that_says_so_is_immediate() -> None:
    class Embedded:
        immediate = True

    assert is_immediate(Embedded())
    assert not is_immediate(object())
