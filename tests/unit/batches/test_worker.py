"""A worker that may die at any write: every line ends exactly once, and none is sent twice."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.stores import StillClock

from tollkeeper.batches.files import Files
from tollkeeper.batches.journal import Journal
from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.owner import Owner
from tollkeeper.batches.records import Batch
from tollkeeper.batches.register import Register
from tollkeeper.batches.runner import LineAnswer, NativeRun
from tollkeeper.batches.worker import Worker
from tollkeeper.store.objects import MemoryObjects, Objects
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

OWNER = Owner("hash", None, None)
ENDPOINT = "/v1/chat/completions"
DAY = 86_400


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Life:
    """How many more writes and reads this process does; the last one may still be carried out."""

    left: float = float("inf")
    last_is_done: bool = False

    async def step(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left < 0 or (self.left == 0 and not self.last_is_done):
            raise Killed
        answer = await verb(*args, **kwargs)
        if self.left == 0:
            raise Killed
        return answer


class Mortal:
    """A table or an object store, as a process sees it that has so much life left."""

    def __init__(self, below: Any, life: Life) -> None:
        self._below, self._life = below, life

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._below, name)
        return lambda *args, **kwargs: self._life.step(verb, *args, **kwargs)


@dataclass
class Script:
    """Implements LineRunner: says what a line says, and counts what was sent."""

    sent: Counter[str] = field(default_factory=Counter)
    lost_calls: list[str] = field(default_factory=list)
    answers: dict[str, list[LineAnswer]] = field(default_factory=dict)
    life: Life = field(default_factory=Life)
    gate: asyncio.Event | None = None

    async def fault(self, owner: Owner, endpoint: str, line: Line) -> LineFault | None:
        return None

    async def run(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, deadline: float | None) -> LineAnswer:
        if self.life.left <= 0:
            raise Killed
        self.sent[line.custom_id] += 1
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        script = self.answers.get(line.custom_id)
        return script.pop(0) if script else LineAnswer(200, {"said": line.custom_id}, call_id)

    async def lost(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, at: float) -> str:
        self.lost_calls.append(call_id)
        return "Nobody knows."

    async def native(self, owner: Owner, endpoint: str, model: str, deployment_id: str | None = None) -> NativeRun | None:
        return None


class World:
    """What outlives a process: the store, the objects, the provider."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.table: Table = SqliteStore(":memory:", clock=self.clock).counters
        self.objects: Objects = MemoryObjects()
        self.script = Script()
        self.files = Files(self.table, self.objects, self.clock)
        self.register = Register(self.table, self.clock)

    async def batch(self, lines: int) -> Batch:
        rows = [
            json.dumps({"custom_id": f"r{number}", "method": "POST", "url": ENDPOINT, "body": {"model": "m", "messages": []}})
            for number in range(lines)
        ]
        file_id = self.files.new_id()
        writer = self.files.writer(file_id)
        await writer.write("\n".join(rows).encode())
        await writer.close()
        await self.files.add(file_id, "in.jsonl", "batch", OWNER, writer.parts)
        return await self.register.create(ENDPOINT, file_id, OWNER)

    def worker(self, life: Life | None = None, **options: Any) -> Worker:
        alive = life or Life()
        table: Any = Mortal(self.table, alive)
        objects: Any = Mortal(self.objects, alive)
        self.script.life = alive
        files, register = Files(table, objects, self.clock), Register(table, self.clock)
        return Worker(register, files, Journal(table, objects, self.clock), self.script, self.clock, **options)

    async def finish(self, batch: Batch, **options: Any) -> Batch:
        """New processes, one after another, until the batch has ended."""
        for _ in range(10):
            self.clock.advance(60)
            await self.worker(**options).work()
            batch = await self.register.get(batch.id, OWNER)
            if batch.shown()["status"] in {"completed", "expired", "cancelled", "failed"}:
                return batch
        raise AssertionError(batch)

    async def rows(self, file_id: str | None) -> list[Any]:
        if file_id is None:
            return []
        file = await self.files.get(file_id, OWNER)
        data = b"".join([block async for block in self.files.content(file)])
        return [json.loads(line) for line in data.splitlines()]

    async def results(self, batch: Batch) -> tuple[list[Any], list[Any]]:
        return await self.rows(batch.output_file_id), await self.rows(batch.error_file_id)


async def killed_at(step: int, *, last_is_done: bool) -> bool:
    """Whether the process died before the batch was through."""
    world = World()
    batch = await world.batch(3)
    life = Life(step, last_is_done)
    with suppress(Killed):
        await world.worker(life, lines_at_once=2).work()
    died = life.left <= 0
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert batch.status == "completed"
    assert sorted(row["custom_id"] for row in [*good, *bad]) == ["r0", "r1", "r2"]
    assert all(times == 1 for times in world.script.sent.values())
    assert all(row["response"]["body"] == {"said": row["custom_id"]} for row in good)
    assert all(row["error"]["code"] == "unconfirmed" for row in bad)
    assert len(bad) <= 2
    assert batch.counts == (len(good), len(bad))
    assert [row["error"]["request_id"] for row in bad] == world.script.lost_calls
    return died


@pytest.mark.parametrize("last_is_done", [False, True])
async def test_a_process_that_dies_at_any_step(last_is_done: bool) -> None:
    step = 1
    while await killed_at(step, last_is_done=last_is_done):
        step += 1
    assert step > 20  # the batch took that many reads and writes, each of which was the last one once


async def test_two_workers_share_nothing() -> None:
    world = World()
    batch = await world.batch(30)
    await asyncio.gather(world.worker().work(), world.worker().work())
    batch = await world.register.get(batch.id, OWNER)
    assert (batch.status, batch.counts) == ("completed", (30, 0))
    assert set(world.script.sent.values()) == {1}


async def test_a_line_whose_sender_may_be_alive_is_left_alone() -> None:
    world = World()
    batch = await world.batch(2)
    alive_until = int(world.clock.now()) + 900
    await Journal(world.table, world.objects, world.clock).begin(batch.id, 1, "call", alive_until=alive_until, ttl=alive_until + DAY)
    await world.worker().work()
    assert (await world.register.get(batch.id, OWNER)).status == "in_progress"
    world.clock.advance(901)
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert ([row["custom_id"] for row in good], [row["error"]["code"] for row in bad]) == (["r1"], ["unconfirmed"])
    assert world.script.lost_calls == ["call"]


async def test_what_was_refused_for_now_is_sent_again() -> None:
    world = World()
    batch = await world.batch(2)
    busy = LineAnswer(429, {}, "c", again=0.001)
    world.script.answers["r0"] = [busy, busy, LineAnswer(200, {"said": "r0"}, "c")]
    await world.worker().work()
    batch = await world.register.get(batch.id, OWNER)
    assert (batch.status, batch.counts, world.script.sent) == ("completed", (2, 0), {"r0": 3, "r1": 1})


async def test_a_slice_begins_nothing_near_its_end_and_the_next_goes_on() -> None:
    world = World()
    batch = await world.batch(5)
    await world.worker().work(until=world.clock.now() + 100)
    assert (await world.register.get(batch.id, OWNER)).status == "in_progress"
    assert not world.script.sent
    assert await world.worker().work_until(world.clock.now() + 900) > 0
    assert (await world.register.get(batch.id, OWNER)).status == "completed"


async def test_time_runs_out() -> None:
    world = World()
    batch = await world.batch(3)
    with suppress(Killed):
        await world.worker(Life(14, last_is_done=True), lines_at_once=1).work()
    world.clock.advance(DAY)
    batch = await world.finish(batch)
    _, bad = await world.results(batch)
    assert batch.status == "expired"
    assert {row["error"]["code"] for row in bad} <= {"batch_expired", "unconfirmed"}
    assert len(bad) + batch.counts[0] == 3


async def test_a_caller_who_cancels_gets_what_was_answered() -> None:
    world = World()
    batch = await world.batch(40)
    world.script.gate = asyncio.Event()
    working = asyncio.create_task(world.worker(lines_at_once=4).work())
    while sum(world.script.sent.values()) < 4:
        await asyncio.sleep(0)
    await world.register.cancel(batch.id, OWNER)
    world.script.gate.set()
    await working
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert batch.status == "cancelled"
    assert len(good) == batch.counts[0] == sum(world.script.sent.values())
    assert bad == []


async def test_a_worker_that_has_lost_its_lease_writes_nothing() -> None:
    world = World()
    batch = await world.batch(4)
    world.script.gate = asyncio.Event()
    slow = asyncio.create_task(world.worker(lines_at_once=4).work())
    while sum(world.script.sent.values()) < 4:
        await asyncio.sleep(0)
    world.clock.advance(60)
    await world.worker().work()
    taken = await world.register.get(batch.id, OWNER)
    world.script.gate.set()
    await slow
    assert (await world.register.get(batch.id, OWNER)) == taken
    assert set(world.script.sent.values()) == {1}
