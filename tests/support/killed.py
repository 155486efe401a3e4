"""The gateway in a process of its own that ends by SIGKILL before its n-th step: a write to the store, or a provider's bytes on their way.

The wiring is the program's; its store is the real file, so that what a kill leaves is what the next process finds.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tollkeeper.bootstrap import Installation, Running, Store, local_app
from tollkeeper.clock import Clock
from tollkeeper.config.compile import compile_config
from tollkeeper.providers.transport import OutboundRequest, Response
from tollkeeper.settings import Settings
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

WRITES = frozenset({"apply", "put", "put_new", "delete"})


@dataclass
class Steps:
    """`fatal` is the number of the step before which this process dies; 0: none. `log` names the steps gone through, in a file."""

    fatal: int = 0
    log: Path | None = None
    seen: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.seen.append(name)
        if len(self.seen) == self.fatal:
            if self.log is not None:
                self.log.write_text(json.dumps(self.seen))
            os.kill(os.getpid(), signal.SIGKILL)


class SteppedTable(Table):
    def __init__(self, name: str, table: Table, steps: Steps) -> None:
        self._name, self._table, self._steps = name, table, steps
        self.immediate = getattr(table, "immediate", False)

    def __getattribute__(self, name: str) -> Any:
        if name in WRITES:
            table, steps, called = (object.__getattribute__(self, each) for each in ("_table", "_steps", "_name"))
            verb = getattr(table, name)

            async def stepped(*args: Any, **kwargs: Any) -> Any:
                where = (args[0]["pk"], args[0]["sk"]) if isinstance(args[0], dict) else args[:2]
                steps.step(f"{called}.{name} {where[0]} {where[1]}")
                return await verb(*args, **kwargs)

            return stepped
        if name in {"get", "query"}:
            return getattr(object.__getattribute__(self, "_table"), name)
        return object.__getattribute__(self, name)


@dataclass
class SteppedAnswer:
    """A provider's answer in pieces, each of them a step."""

    pieces: list[bytes]
    steps: Steps
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def chunks(self) -> AsyncIterator[bytes]:
        for number, piece in enumerate(self.pieces):
            self.steps.step(f"provider sends piece {number + 1} of {len(self.pieces)}")
            yield piece
        self.steps.step("provider is done")

    async def aclose(self) -> None:
        return None


class SteppedTransport:
    def __init__(self, pieces: Callable[[dict[str, Any]], list[bytes]], steps: Steps) -> None:
        self._pieces, self._steps = pieces, steps

    async def send(self, request: OutboundRequest) -> Response:
        self._steps.step("provider is asked")
        return SteppedAnswer(self._pieces(json.loads(request.body)), self._steps)

    async def aclose(self) -> None:
        return None


@dataclass
class Machine:
    """What a process has: its folder, its configuration, a clock, and what the provider would say."""

    folder: Path
    config: str
    clock: Clock
    pieces: Callable[[dict[str, Any]], list[bytes]]

    async def start(self, steps: Steps) -> Running:
        embedded = SqliteStore(self.folder, clock=self.clock)
        tables = [SteppedTable(name, getattr(embedded, name), steps) for name in ("directory", "counters", "ledger")]
        installation = Installation(
            Settings(state=str(self.folder)),
            snapshot=compile_config(self.config, env=lambda _: None),
            transport=SteppedTransport(self.pieces, steps),
            store=Store(*tables, embedded.close, embedded.stream),
            clock=self.clock,
            env=lambda _: None,
        )
        return await installation.start()

    def run(self, work: Callable[[Running, httpx.AsyncClient], Awaitable[Any]], steps: Steps) -> Any:
        async def all_of_it() -> Any:
            running = await self.start(steps)
            transport = httpx.ASGITransport(app=local_app(running))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                done = await work(running, client)
            running.installation.store.close()
            return done

        return asyncio.run(all_of_it())

    def killed(self, work: Callable[[Running, httpx.AsyncClient], Awaitable[Any]], at: int) -> list[str] | None:
        """Runs it in a child; the steps up to the one it was killed before, or None when it came to its end."""
        log = self.folder / "steps.json"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.run(work, Steps(at, log))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return list(json.loads(log.read_text()))
        assert os.WEXITSTATUS(status) == 0
        return None
