"""Routing without the rest of the gateway: deployments, plans, and a pipeline of the three lines that the real one has for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.support.counters import FakeClock, MemoryTable

from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.plan import Attempt, Plan
from tollkeeper.routing.resolve import Groups
from tollkeeper.routing.wishes import asked_of, wishes_of
from tollkeeper.store.table import Table


def deployment(group: str, name: str, **fields: Any) -> Deployment:
    return Deployment(id=name, group=group, provider="openai", dialect="openai_chat", model=name, base_url="http://x", **fields)


def snapshot(*rows: Deployment, router: dict[str, Any] | None = None, own: dict[str, Any] | None = None, **fields: Any) -> Snapshot:
    settings = {"router_settings": router or {}, "tollkeeper": {"routing": own or {}}}
    return Snapshot(version="t", deployments=rows, settings=settings, **fields)


def asking(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the request alone asks of routing, as arguments of `Plan`."""
    wishes = wishes_of(body, headers or {})
    return {"chains": wishes.chains, "num_retries": wishes.num_retries, "asked": asked_of(body, headers or {})}


Upstream = Callable[[Attempt], TollkeeperError | None]
"""How a try at a deployment ends."""


@dataclass
class Router:
    """One process of a fleet: `ask` is a request, `tried` the deployments that were sent something."""

    snapshot: Snapshot
    upstream: Upstream
    table: Table = field(default_factory=MemoryTable)
    clock: FakeClock = field(default_factory=FakeClock)
    seed: int = 1
    tried: list[str] = field(default_factory=list)
    trials: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.fleet = Fleet(self.table, self.clock, self.random)
        self.groups = Groups(self.snapshot)

    async def ask(self, model: str = "g", body: dict[str, Any] | None = None, **headers: str) -> str:
        """The deployment that answered. Raises what the caller would be told."""
        group = self.groups.find(model)
        assert group is not None
        plan = Plan(self.snapshot, group, self.groups.find, self.random, health=self.fleet, **asking(body or {}, headers))
        try:
            return await first_success(plan, self.attempt, self.clock)
        finally:
            await finish(plan, tokens=10, output_tokens=5)

    async def attempt(self, step: Attempt) -> str:
        self.tried.append(step.deployment.id)
        self.trials.append(step.trial)
        error = self.upstream(step)
        if error is not None:
            raise error
        return step.deployment.id

    def calls(self, *verbs: str) -> int:
        """Store requests so far."""
        assert isinstance(self.table, MemoryTable)
        return sum(call.verb in verbs for call in self.table.calls)


def down(names: Iterable[str], error: Callable[[], TollkeeperError]) -> Upstream:
    """Those fail, the others answer."""
    dead = set(names)
    return lambda step: error() if step.deployment.id in dead else None
