import asyncio

import pytest
from tests.support.admin import HandClock

from tollkeeper.auth.lookups import Known, Lookups


class Source:
    """Counts reads; each waits until the test opens the gate."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.values: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def load(self, name: str, until: float) -> Known[str]:
        self.reads.append(name)
        value = self.values.get(name)
        await self.gate.wait()
        if self.error:
            raise self.error
        return Known(value, until)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def test_a_value_is_believed_for_so_long_and_no_longer(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.values["a"] = "old"
    assert (await lookups.get("a")).value == "old"
    source.values["a"] = "new"
    clock.advance(4.9)
    assert (await lookups.get("a")).value == "old"
    clock.advance(0.1)
    assert (await lookups.get("a")).value == "new"


async def test_absence_is_remembered_and_forgotten_alike(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    for _ in range(3):
        assert (await lookups.get("a")).value is None
    assert source.reads == ["a"]
    source.values["a"] = "now here"
    clock.advance(5)
    assert (await lookups.get("a")).value == "now here"


async def test_concurrent_callers_share_one_read(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.values["a"] = "x"
    source.gate.clear()
    callers = [asyncio.create_task(lookups.get("a")) for _ in range(50)]
    await asyncio.sleep(0)
    source.gate.set()
    assert {known.value for known in await asyncio.gather(*callers)} == {"x"}
    assert source.reads == ["a"]


async def test_a_caller_that_hangs_up_does_not_take_the_read_away(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.values["a"] = "x"
    source.gate.clear()
    first, second = asyncio.create_task(lookups.get("a")), asyncio.create_task(lookups.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()
    assert (await second).value == "x"
    assert source.reads == ["a"]


async def test_a_failure_reaches_every_waiter_and_is_not_remembered(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.error = RuntimeError("down")
    results = await asyncio.gather(lookups.get("a"), lookups.get("a"), return_exceptions=True)
    assert [str(result) for result in results] == ["down", "down"]
    source.error, source.values["a"] = None, "up"
    assert (await lookups.get("a")).value == "up"


async def test_the_least_recently_asked_for_goes_first(source, clock):
    lookups = Lookups(source.load, clock, 5, 2)
    source.values = {name: name for name in "abc"}
    for name in "abac":
        await lookups.get(name)
    source.reads.clear()
    await lookups.get("a")
    assert source.reads == []
    await lookups.get("b")
    assert source.reads == ["b"]


async def test_a_flood_of_unknown_names_pushes_out_no_known_one(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.values["a"] = "x"
    await lookups.get("a")
    for number in range(100):
        await lookups.get(f"invented-{number}")
    source.reads.clear()
    await lookups.get("a")
    assert source.reads == []


async def test_forgetting_also_drops_what_is_being_read(source, clock):
    lookups = Lookups(source.load, clock, 5, 10)
    source.values["a"] = "old"
    source.gate.clear()
    early = asyncio.create_task(lookups.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    source.values["a"] = "new"
    lookups.forget()
    source.gate.set()
    assert (await lookups.get("a")).value == "new"
    await early
    assert (await lookups.get("a")).value == "new"
