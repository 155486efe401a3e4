"""Every interleaving of a few processes on one table, with every fault at every write: runs them all, each from the beginning.

Processes are real `Budgets` objects on a real event loop. Each of their table calls stops at a gate; when nobody can go on, the explorer
picks one of the waiting calls and what happens to it, and a depth-first search over those picks visits every history there is. A run is cut
short where it reaches a state from which an earlier run went on: the same table, and every process with the same answers behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from tests.support.counters import Bench, Call, Fault

Move = Literal["", "down", "lost", "again", "crash", "crash_after"]
FAULTS: tuple[Move, ...] = ("lost", "again", "crash", "crash_after")

_process: ContextVar[int] = ContextVar("process", default=-1)


@dataclass
class _Waiting:
    process: int
    call: Call
    answer: asyncio.Future[Fault]


@dataclass
class History:
    """One run. `picks` are the choices made, `options` how many there were at each."""

    bench: Bench
    prefix: Sequence[int]
    max_faults: int
    moves: Sequence[Move]
    picks: list[int] = field(default_factory=list)
    options: list[int] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    faults: int = 0
    over: bool = False
    answers: dict[int, tuple[object, ...]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    cut: bool = False

    async def gate(self, call: Call) -> Fault:
        process = _process.get()
        if process < 0 or self.over:
            return "down" if process >= 0 else ""
        answer: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        self.waiting.append(_Waiting(process, call, answer))
        return await answer

    def pick(self, count: int) -> int:
        step = len(self.picks)
        chosen = self.prefix[step] if step < len(self.prefix) else 0
        self.picks.append(chosen)
        self.options.append(count)
        return chosen

    async def run(self, programs: Sequence[Callable[[], Awaitable[None]]], after_step: Callable[[], None]) -> None:
        """All programs to their end, or to their crash; `after_step` checks what must always hold."""
        self.bench.table.gate = self.gate
        tasks = [asyncio.ensure_future(_as(number, program)) for number, program in enumerate(programs)]
        await asyncio.sleep(0)
        while await self._quiet(tasks):
            if len(self.picks) >= len(self.prefix) and self._been_here():
                self.cut = True
                break
            choices = self._choices()
            index, move = choices[self.pick(len(choices))]
            self._do(index, move)
            after_step()
        self.over = True
        self.bench.table.gate = self.gate
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        for number, task in enumerate(tasks):
            if number not in self.dead and not task.cancelled() and (error := task.exception()):
                raise error

    def _been_here(self) -> bool:
        table = tuple(sorted((key, tuple(sorted(item.items()))) for key, item in self.bench.table.items.items()))
        state = hash((table, tuple(sorted(self.answers.items())), self.faults, tuple(sorted(self.dead))))
        if state in self.seen:
            return True
        self.seen.add(state)
        return False

    async def _quiet(self, tasks: Sequence[asyncio.Task[None]]) -> bool:
        """Lets everybody run until all wait. False: nobody does any more."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # the one place that knows whether anything can still run
        while ready:
            await asyncio.sleep(0)
        assert self.waiting or all(task.done() or number in self.dead for number, task in enumerate(tasks)), "a process waits for nothing"
        return bool(self.waiting or self.bench.table.repeats)

    def _choices(self) -> list[tuple[int, Move]]:
        """Waiting call × what happens to it; index -1 is a late duplicate that arrives."""
        moves = ("", *self.moves) if self.faults < self.max_faults else ("",)
        choices: list[tuple[int, Move]] = [
            (index, move) for index, waits in enumerate(self.waiting) for move in moves if not move or waits.call.writes
        ]
        return choices + ([(-1, "again")] if self.bench.table.repeats else [])

    def _do(self, index: int, move: Move) -> None:
        if index < 0:
            self.story.append("the duplicate arrives")
            self.answers[-1] = (*self.answers.get(-1, ()), len(self.bench.table.repeats))
            self.bench.table.repeat()
            return
        waits = self.waiting.pop(index)
        self.faults += bool(move)
        self.story.append(f"{waits.process}: {waits.call.verb} {waits.call.pk} {move}")
        item = tuple(sorted(self.bench.table.items.get((waits.call.pk, waits.call.sk), {}).items()))
        self.answers[waits.process] = (*self.answers.get(waits.process, ()), hash((waits.call, move, item)))
        if move in {"crash", "crash_after"}:
            self.dead.add(waits.process)
            self.waiting = [other for other in self.waiting if other.process != waits.process]
        if move != "crash":
            waits.answer.set_result("" if move == "crash_after" else move)  # type: ignore[arg-type]
        if move == "crash_after":
            # The write lands; what the process would do with the answer does not happen.
            _process_dies(self, waits.process)


def _process_dies(history: History, process: int) -> None:
    gate = history.gate

    async def closed(call: Call) -> Fault:
        if _process.get() == process:
            await asyncio.get_running_loop().create_future()
        return await gate(call)

    history.bench.table.gate = closed


async def _as(number: int, program: Callable[[], Awaitable[None]]) -> None:
    _process.set(number)
    await program()


@dataclass(frozen=True)
class Case:
    """What to explore: the programs, what holds after every step, and what holds when all is over."""

    bench: Bench
    programs: Sequence[Callable[[], Awaitable[None]]]
    after_step: Callable[[], None]
    at_end: Callable[[], Awaitable[None]]


def explore(make: Callable[[], Awaitable[Case]], *, max_faults: int, moves: Sequence[Move] = FAULTS, limit: int = 200_000) -> int:
    """Runs every history of what `make` builds, each time anew. Returns how many different states there were."""
    prefix: list[int] = []
    seen: set[int] = set()
    with asyncio.Runner() as runner:
        while True:
            case = runner.run(_made(make))
            history = History(case.bench, prefix, max_faults, moves, seen=seen)
            try:
                runner.run(history.run(case.programs, case.after_step))
                if not history.cut:
                    runner.run(case.at_end())
            except BaseException as error:
                error.add_note("history: " + "; ".join(history.story))
                raise
            assert len(seen) <= limit, "more states than this test is meant for"
            prefix = history.picks[:]
            while prefix and prefix[-1] + 1 >= history.options[len(prefix) - 1]:
                prefix.pop()
            if not prefix:
                return len(seen)
            prefix[-1] += 1


async def _made(make: Callable[[], Awaitable[Case]]) -> Case:
    return await make()
