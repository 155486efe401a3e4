"""Batches without the rest of the gateway: the store, the provider, and processes that may die at any step."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.stores import StillClock

from tollkeeper.batches.files import Files
from tollkeeper.batches.journal import Journal
from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.native.base import Intake
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

    async def lost(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, at: float) -> str:
        self.lost_calls.append(call_id)
        return "Nobody knows."

    async def native(self, owner: Owner, intake: Intake, model: str, deployment_id: str | None = None) -> NativeRun | None:
        return None


class World:
    """What outlives a process: the store, the objects, the provider."""

    def __init__(self, table: Table | None = None, objects: Objects | None = None, clock: StillClock | None = None) -> None:
        self.clock = clock or StillClock()
        self.table = table or SqliteStore(":memory:", clock=self.clock).counters
        self.objects = objects or MemoryObjects()
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
