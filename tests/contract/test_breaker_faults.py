"""A provider that fails in every way, on seeded schedules: what callers see of it, and how many calls are wasted on it.

Real clients and dialects over a scripted transport; three processes share the counters. Time is the test's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from tests.support.counters import FakeClock, MemoryTable
from tests.support.routing import asking, snapshot
from tests.support.wiring import Said, ScriptedTransport

from tollkeeper.config.snapshot import Deployment, Secret
from tollkeeper.errors import UpstreamTimeout, UpstreamUnreachable
from tollkeeper.ledger.metered import Opened, open_stream
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.patience import patience_for
from tollkeeper.providers.transport import NeverSent, OutboundRequest
from tollkeeper.routing.failover import finish, first_success
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.plan import Attempt, Plan
from tollkeeper.routing.resolve import Groups

NAMES = ("a", "b", "c")
REQUESTS = 2_000
BODY: dict[str, Any] = {"model": "g", "messages": [{"role": "user", "content": "Say hello"}]}
ANSWER = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "hello"}}]}


@dataclass
class Trickle(Said):
    """Bytes that take their time, one at a time."""

    clock: FakeClock = field(default_factory=FakeClock)

    async def chunks(self) -> AsyncIterator[bytes]:
        async for piece in super().chunks():
            self.clock.time += 0.1
            yield piece


def good(request: OutboundRequest) -> Said:
    if orjson.loads(request.body).get("stream"):
        return Said(pieces=[b"data: " + orjson.dumps(CHUNK) + b"\n\n", b"data: [DONE]\n\n"], headers={"content-type": "text/event-stream"})
    return Said(body=ANSWER)


Fault = Callable[[OutboundRequest, FakeClock], Said]


def _hang(seconds: float, error: Exception) -> Fault:
    def fault(request: OutboundRequest, clock: FakeClock) -> Said:
        clock.time += seconds
        raise error

    return fault


def _hang_after_headers(request: OutboundRequest, clock: FakeClock) -> Said:
    clock.time += 30
    return Said(pieces=[UpstreamTimeout("The provider stopped sending.")])


def _cut(request: OutboundRequest, clock: FakeClock) -> Said:
    if orjson.loads(request.body).get("stream"):
        role = {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
        return Said(pieces=[b"data: " + orjson.dumps(role) + b"\n\n", UpstreamUnreachable("cut")])
    return Trickle(pieces=[orjson.dumps(ANSWER)[:40], UpstreamUnreachable("cut")], clock=clock)


FAULTS: Mapping[str, Fault] = {
    "500": lambda request, clock: Said(500, {"error": {"message": "boom"}}),
    "503 with a web page": lambda request, clock: Said(503, b"<html>down</html>"),
    "429 with retry-after": lambda request, clock: Said(429, {"error": {"message": "slow down"}}, headers={"retry-after": "20"}),
    "401": lambda request, clock: Said(401, {"error": {"message": "Incorrect API key provided"}}),
    "hang before headers": _hang(30, UpstreamTimeout("The provider did not answer in time.")),
    "hang after headers": _hang_after_headers,
    "cut": _cut,
    "wrong content type": lambda request, clock: Said(200, b"<!doctype html><p>Welcome"),
    "error under 200": lambda request, clock: Said(200, {"error": {"message": "overloaded", "type": "server_error"}}),
    "no connection": _hang(0, NeverSent("The provider's name does not resolve.")),
    "TLS": _hang(0.05, NeverSent("The provider's certificate does not fit.")),
}


@dataclass
class World:
    """`dies` says during which seconds which deployment fails in which ways; `sent` and `wasted` count calls by deployment."""

    dies: Mapping[str, tuple[float, float, tuple[str, ...]]]
    seed: int = 7
    clock: FakeClock = field(default_factory=FakeClock)
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    wasted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.began = self.clock.time
        rows = [
            Deployment(id=name, group="g", provider="openai", dialect="openai_chat", model="m", base_url=f"https://{name}.test/v1",
                       api_key=Secret("literal", "k"), timeout=30.0)
            for name in NAMES
        ]  # fmt: skip
        self.snapshot = snapshot(*rows)
        self.groups = Groups(self.snapshot)
        self.table = MemoryTable()
        self.fleets = [Fleet(self.table, self.clock, Random(self.seed + number)) for number in range(3)]
        self.client = ProviderClient(ScriptedTransport(self._answer), Credentials({}.get, self.clock), self.clock)

    def _answer(self, request: OutboundRequest) -> Said:
        name = (urlsplit(request.url).hostname or "").split(".")[0]
        self.sent[name] += 1
        start, end, ways = self.dies.get(name, (0, 0, ()))
        if not start <= self.clock.time - self.began < end:
            return good(request)
        self.wasted[name] += 1
        return FAULTS[self.random.choice(ways)](request, self.clock)

    async def ask(self, number: int) -> bool:
        body = {**BODY, "stream": number % 2 == 0}
        group = self.groups.find("g")
        assert group is not None
        fleet = self.fleets[number % len(self.fleets)]
        plan = Plan(self.snapshot, group, self.groups.find, self.random, health=fleet, **asking(body))

        async def attempt(step: Attempt) -> object:
            patience = patience_for(body, {}, step.deployment, None)
            if body["stream"]:
                return await open_stream(await self.client.stream(step.deployment, "g", body, patience))
            return await self.client.complete(step.deployment, "g", body, patience)

        result = await first_success(plan, attempt, self.clock)
        if isinstance(result, Opened):
            await result.stream.aclose()
        await finish(plan, tokens=4, output_tokens=1)
        return True

    async def run(self, requests: int = REQUESTS, together: int = 4) -> int:
        """How many were answered."""
        answered = 0
        for first in range(0, requests, together):
            results = await asyncio.gather(*(self.ask(first + index) for index in range(together)), return_exceptions=True)
            answered += sum(result is True for result in results)
            self.clock.time += self.random.uniform(0.1, 1.9)
        return answered


def told(world: World, answered: int, what: str) -> None:
    wasted, sent = sum(world.wasted.values()), sum(world.sent.values())
    rate, extra = answered / REQUESTS, sent - REQUESTS
    asked = f"{len(world.table.calls)} store requests, {sum(call.writes for call in world.table.calls)} of them writes"
    print(f"{what}: {rate:.2%} of {REQUESTS} answered, {wasted} calls wasted {world.wasted}, {extra} extra, {asked}")


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_of_three_dies_and_recovers_and_nobody_notices(fault: str) -> None:
    world = World({"a": (100, 300, (fault,))})
    answered = await world.run()
    told(world, answered, fault)
    assert answered == REQUESTS
    assert 0 < world.wasted["a"] <= 40, "of some 130 it would have got"
    world.clock.time += 120
    before = world.sent["a"]
    assert await world.run(300) == 300
    assert world.sent["a"] - before > 300 / 3 * 0.7, "it is back"


async def test_two_of_three_die_in_turns_in_every_way() -> None:
    ways = tuple(FAULTS)
    world = World({"a": (50, 280, ways), "b": (200, 420, ways)}, seed=11)
    answered = await world.run()
    told(world, answered, "two of three, everything")
    assert answered == REQUESTS
    assert sum(world.wasted.values()) <= 120


async def test_while_all_is_well_a_thousand_calls_write_nothing() -> None:
    world = World({})
    assert await world.run(1000) == 1000
    assert not [call for call in world.table.calls if call.writes]
