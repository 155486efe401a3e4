"""What a provider's way to run batches is made of: steps that say what to send and are told what came back, and answers in the hub's words.

    stage (the lines are there, and nothing is paid) ─▶ create ─▶ look, look, … ─▶ results, row by row
Sans I/O, as dialects are: a step is a generator that yields requests and is sent the 2xx bodies; calls.py walks it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import orjson

from tollkeeper.batches.lines import Line
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.snapshot import BatchStorage, Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Json, Target
from tollkeeper.errors import TollkeeperError, UpstreamProtocolError
from tollkeeper.providers.target import target_for

MAX_BYTES = 48 * 2**20
"""Of an input file that is handed over: it goes out in one request."""
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Intake:
    """What a batch asks of whoever runs it; `needs` are features some line uses: `tools`, `schema`, `guardrails`."""

    endpoint: str
    lines: int = 0
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom lines are translated: `alias` is the caller's name for the model, `created` the epoch second answers carry."""

    alias: str
    endpoint: str
    created: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """`through`: the deployment whose credential it carries. `wait`: seconds before it is sent."""

    through: Deployment
    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0


Made = TypeVar("Made")
Steps: TypeAlias = Generator[Request, bytes, Made]


@dataclass(frozen=True, slots=True)
class Handed:
    """How a batch stands at its provider. `results` are JSONL files to fetch, one after another."""

    ended: bool
    completed: int = 0
    failed: int = 0
    results: tuple[Request, ...] = ()
    failure: str | None = None
    expired: bool = False
    """It ended because its time was over."""


@dataclass(frozen=True, slots=True)
class NativeAnswer:
    """One finished line in the caller's words; `usage` is the hub's, where the provider charges."""

    custom_id: str
    status: int
    body: Json | None
    error: Json | None
    usage: Json | None


class BatchFormat(Protocol):
    """One provider's way, for one deployment. `tag` is our id of the batch, `jsonl` its lines as `row_of` makes them.

    Steps raise UpstreamProtocolError for an answer that is none.
    """

    by_number: bool
    """Lines go by their number there, as custom_ids may not be any text."""
    repeatable: bool
    """The provider itself sees to it that a `create` with the same tag makes one job, however often it is sent."""

    def stage(self, jsonl: bytes, tag: str) -> Steps[str]:
        """Brings the lines to where `create` finds them; what it needs to find them. May be repeated, and costs nothing."""
        ...

    def create(self, staged: str, jsonl: bytes, tag: str) -> Steps[str]:
        """Hands over; the provider's id."""
        ...

    def find(self, tag: str) -> Steps[str | None]:
        """A batch handed over by somebody who died before noting its id. None: it is not known."""
        ...

    def look(self, native_id: str, tag: str) -> Steps[Handed]: ...
    def cancel(self, native_id: str) -> Steps[None]: ...

    def row_of(self, line: Line) -> Json:
        """The line as it is sent. Raises TollkeeperError for one that the provider cannot be asked: it is left out."""
        ...

    def answer(self, row: Json) -> NativeAnswer: ...


def at_home(deployment: Deployment, provider: str) -> bool:
    """At the provider's own address; elsewhere where model_info.mode is `batch`, as anything may stand behind another one."""
    return deployment.mode == "batch" or (deployment.provider == provider and deployment.base_url == PROVIDERS[provider].base_url)


def folder_of(storage: BatchStorage, tag: str) -> str:
    """Of one batch, in its bucket."""
    return "/".join(part for part in (storage.folder, "tollkeeper", tag) if part)


def tree_of(body: bytes, deployment: Deployment) -> Json:
    """Raises UpstreamProtocolError."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return found
    raise UpstreamProtocolError(f"{deployment.provider} did not answer in JSON about a batch.")


def named(tree: Json, name: str, deployment: Deployment) -> str:
    """A field that must be there. Raises UpstreamProtocolError."""
    found = tree.get(name)
    if not isinstance(found, str) or not found:
        raise UpstreamProtocolError(f"{deployment.provider} answered about a batch without its {name}.")
    return found


def dicts(value: object) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def fields(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def count(value: object) -> int:
    """Google writes numbers as text, Azure null for none."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0


def refused(custom_id: str, code: object, message: object) -> NativeAnswer:
    """A line the provider has not answered."""
    return NativeAnswer(custom_id, 0, None, {"code": str(code), "message": str(message)[:2000]}, None)


def chat_row(dialect: str, line: Line, target: Target) -> tuple[Json, Mapping[str, str]]:
    """A chat in the words of `dialect`, and the headers that would go with it. Raises TollkeeperError."""
    wire = registry.get(dialect).encode(line.body, target)
    return orjson.loads(wire.body), wire.headers


def chat_answer(dialect: str, deployment: Deployment, asked: Asked, custom_id: str, answer: object) -> NativeAnswer:
    """What a single call would have said; an answer that is none is an error of its line alone."""
    try:
        hub = registry.get(dialect).decode(orjson.dumps(answer), target_for(deployment, asked.alias, asked.created))
    except TollkeeperError as error:
        return refused(custom_id, error.code or error.type, error.message)
    return NativeAnswer(custom_id, 200, hub, None, hub.get("usage") or {})
