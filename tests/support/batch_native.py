"""A provider that runs batches, as a worker sees it that may die at any step: what outlives the worker is the provider's."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.batch_world import Life, Script

from tollkeeper.batches.lines import Line
from tollkeeper.batches.native.base import Handed, Intake, NativeAnswer, Request
from tollkeeper.batches.owner import Owner
from tollkeeper.batches.runner import NativeRun
from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import BadRequest

HERE = Deployment("d", "m", "openai", "openai_chat", "m", "http://provider")
RESULTS = (Request(HERE, "GET", "results"), Request(HERE, "GET", "errors"))


@dataclass
class NativeProvider:
    """Implements NativeRun, but for the life of the process. `results` makes a line's rows; `before` is called before each step."""

    repeatable: bool = False
    listed: bool = True
    ended: bool = True
    expired: bool = False
    by_number: bool = True
    deployment_id: str = "d"
    failure: str | None = None
    staged: list[str] = field(default_factory=list)
    jobs: dict[str, list[Line]] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    booked: Counter[str] = field(default_factory=Counter)
    results: Callable[[Line], list[dict[str, Any]]] = lambda line: [{"n": str(line.number), "said": line.custom_id}]
    before: Callable[[str], None] = lambda step: None
    faults: dict[str, str] = field(default_factory=dict)

    def row_of(self, line: Line) -> bytes:
        if line.custom_id in self.faults:
            raise BadRequest("no such thing", code=self.faults[line.custom_id])
        return f"{line.number} {line.custom_id}".encode()

    async def stage(self, jsonl: bytes, tag: str) -> str:
        self.before("stage")
        self.staged.append(tag)
        return f"staged-{tag}"

    async def create(self, staged: str, jsonl: bytes, tag: str) -> str:
        self.before("create")
        assert staged == f"staged-{tag}"
        if not (self.repeatable and tag in self.jobs):
            self.created[tag] += 1
        self.jobs[tag] = [Line(int(number), name, {}, 0) for number, _, name in (row.decode().partition(" ") for row in jsonl.splitlines())]
        return f"job-{tag}"

    async def find(self, tag: str) -> str | None:
        self.before("find")
        return f"job-{tag}" if self.listed and tag in self.jobs else None

    async def look(self, native_id: str, tag: str) -> Handed:
        self.before("look")
        assert native_id == f"job-{tag}"
        over = self.ended or tag in self.cancelled or native_id in self.cancelled
        return Handed(over, 0, 0, RESULTS if over else (), self.failure, self.expired)

    async def cancel(self, native_id: str) -> None:
        self.before("cancel")
        self.cancelled[native_id] += 1

    async def rows(self, file: Request) -> AsyncIterator[dict[str, Any]]:
        self.before("rows")
        for line in [line for lines in self.jobs.values() for line in lines]:
            for row in self.results(line):
                if row.get("file", "results") == file.url:
                    yield row

    def answer(self, row: dict[str, Any]) -> NativeAnswer:
        if "error" in row:
            return NativeAnswer(row["n"], 0, None, row["error"], None)
        return NativeAnswer(row["n"], 200, {"said": row["said"]}, None, {"prompt_tokens": 1})

    async def book(self, answer: NativeAnswer, *, call_id: str, shown_id: str, at: float) -> None:
        """As the ledger: a call id is booked once."""
        self.booked[call_id] = 1


class Dying:
    """The provider, as a process sees it that has so much life left; its rows are read whole or not at all."""

    def __init__(self, provider: NativeProvider, life: Life) -> None:
        self._provider, self._life = provider, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._provider, name)
        if name in {"stage", "create", "find", "look", "cancel", "book"}:
            return lambda *args, **kwargs: self._life.step(found, *args, **kwargs)
        return found


@dataclass
class NativeScript(Script):
    """Implements LineRunner for a model that `provider` runs."""

    provider: NativeProvider = field(default_factory=NativeProvider)

    async def native(self, owner: Owner, intake: Intake, model: str, deployment_id: str | None = None) -> NativeRun | None:
        run: Any = Dying(self.provider, self.life)
        return run
