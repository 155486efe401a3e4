"""SIGKILL before every single step of a call, from its holds to its sums, and of the janitor after it. Then the books balance.

A step is a write to the store or a piece of the provider's answer. Killing before each in turn is killing after each, too, so that between
reserve, provider call, first and last byte, ledger entry, settlement, counters and rollup no moment is left out.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.support.gateway import MASTER_KEY, config_of, model
from tests.support.killed import Machine, Steps
from tests.support.stores import StillClock
from tests.support.upstream import completion

from tollkeeper.bootstrap import Running
from tollkeeper.clock import iso
from tollkeeper.ledger.rebuild import Rebuild, pages
from tollkeeper.reports.drift import DriftWatch, drifts
from tollkeeper.store.items import LEDGER_SHARDS

NOW = 1_790_000_000.0
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
CONFIG = config_of(
    model("fast", "openai/gpt-4o-mini", "http://x.test/v1", max_budget=50, budget_duration="7d"),
    router_settings={"provider_budget_config": {"openai": {"budget_limit": 100, "time_period": "1d"}}},
    litellm_settings={"max_budget": 1000, "budget_duration": "30d"},
)


def pieces(asked: dict[str, Any]) -> list[bytes]:
    if not asked.get("stream"):
        whole = json.dumps({**completion(), "usage": USAGE}).encode()
        return [whole[:40], whole[40:]]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]} for text in "abc"
    ]
    chunks += [{**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {**base, "choices": [], "usage": USAGE}]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


class Books:
    """A folder with a key under every kind of budget, as it is before the call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ""

    def machine(self, folder: Path, later: float = 0.0) -> Machine:
        return Machine(folder, yaml.safe_dump(CONFIG), StillClock(NOW + later), pieces)

    def make(self) -> "Books":
        async def fill(_: Running, client: httpx.AsyncClient) -> None:
            for path, fields in (
                ("/user/new", {"user_id": "ann", "max_budget": 7}),
                ("/team/new", {"team_id": "red", "max_budget": 8, "budget_duration": "1d"}),
                ("/team/member_add", {"team_id": "red", "member": {"role": "user", "user_id": "ann"}, "max_budget_in_team": 3}),
                ("/tag/new", {"name": "t", "max_budget": 5, "budget_duration": "1w"}),
                ("/key/generate", {"team_id": "red", "user_id": "ann", "max_budget": 4, "metadata": {"tags": ["t"]}}),
            ):
                answer = await client.post(path, json=fields, headers={"authorization": f"Bearer {MASTER_KEY}"})
                assert answer.status_code == 200, answer.text
            self.key = answer.json()["key"]

        self.machine(self.folder).run(fill, Steps())
        return self

    def call(self, *, stream: bool) -> Any:
        async def work(running: Running, client: httpx.AsyncClient) -> None:
            body = {"model": "fast", "stream": stream, "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
            answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.key}"})
            assert answer.status_code == 200, answer.text
            await running.drain()
            await running.reader.fresh()

        return work


async def sweep(running: Running, client: httpx.AsyncClient) -> None:
    del client
    await running.housekeeping.sweep()
    await running.reader.fresh()


async def balanced(running: Running, client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The ledger, once it agrees with every counter and every sum, and nothing is held any more."""
    await sweep(running, client)
    store, clock = running.installation.store, running.installation.clock
    watch = DriftWatch(running.reader, store.ledger, store.counters, clock)
    for _ in range(4):
        await clock.sleep(60)
        await watch.run()
    assert await drifts(running.reader, store.ledger, store.counters, clock) == []
    day = iso(NOW)[:10]
    entries = [item for shard in range(LEDGER_SHARDS) async for page in pages(store.ledger, f"day#{day}#{shard}") for item in page]
    assert (await Rebuild(store.ledger, clock).month(day[:7])).wrong == 0
    for row in running.installation.store.stream.read(10) if running.installation.store.stream else []:
        raise AssertionError(f"the stream still brings {row}")
    return entries


def counters_of(folder: Path) -> Iterator[dict[str, Any]]:
    import sqlite3

    with sqlite3.connect(folder / "tollkeeper.db") as connection:
        for (body,) in connection.execute("SELECT body FROM counters"):
            item = json.loads(body)
            if "committed" in item:
                yield item
    connection.close()


def check(books: Books, folder: Path, steps: list[str]) -> None:
    entries = books.machine(folder, later=1500).run(balanced, Steps())
    counters = list(counters_of(folder))
    for item in counters:
        assert item["committed"] == item.get("spent", 0) >= 0, (steps, item)
        assert item.get("in_flight", 0) == 0, (steps, item)
        assert not [name for name in item if name[0] == "h" and len(name) == 17], (steps, item)
    assert len(entries) <= 1, (steps, entries)
    asked, done = "provider is asked" in steps[:-1], any(step.startswith("ledger.put_new day#") for step in steps[:-1])
    if done:
        assert not entries[0].get("unconfirmed")
        assert entries[0]["cost"] == 20 * 150 + 10 * 600
    elif asked:
        # Nobody knows what the provider did: all that was held is spent, and the entry says why.
        assert entries[0]["unconfirmed"] is True
        assert (entries[0]["provider"], entries[0]["team_id"], entries[0]["tags"]) == ("openai", "red", ["t"])
        assert entries[0]["cost"] >= 20 * 150 + 10 * 600
    else:
        assert all(entry["unconfirmed"] for entry in entries)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("books")).make()


def copy_of(books: Books, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    shutil.copytree(books.folder, folder)
    return folder


def kill_at(books: Books, folder: Path, step: int, *, stream: bool) -> bool:
    """False: the call has fewer steps."""
    steps = books.machine(folder).killed(books.call(stream=stream), step)
    if steps is not None:
        check(books, folder, steps)
    return steps is not None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("step", [10, 24])
def test_a_call_that_is_killed_balances(books: Books, tmp_path: Path, step: int, *, stream: bool) -> None:
    assert kill_at(books, copy_of(books, tmp_path, "state"), step, stream=stream)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_killed_before_any_of_its_steps_balances(books: Books, tmp_path: Path, *, stream: bool) -> None:
    step = 1
    while kill_at(books, copy_of(books, tmp_path, str(step)), step, stream=stream):
        shutil.rmtree(tmp_path / str(step))
        step += 1
    assert step > 50


@pytest.mark.slow
def test_a_janitor_that_is_killed_before_any_of_its_steps_is_followed_by_one_that_balances(books: Books, tmp_path: Path) -> None:
    folder = copy_of(books, tmp_path, "dead")
    steps: list[str] | None = ["start"]
    at = 1
    while steps is not None and "provider is done" not in steps:
        shutil.rmtree(folder)
        steps = books.machine(copy_of(books, tmp_path, "dead")).killed(books.call(stream=True), at)
        at += 1
    assert steps is not None
    asked = [*steps[: steps.index("provider is asked") + 1], "killed"]
    janitor = 1
    while True:
        state = tmp_path / str(janitor)
        shutil.copytree(folder, state)
        if books.machine(state, later=1500).killed(sweep, janitor) is None:
            break
        check(books, state, asked)
        shutil.rmtree(state)
        janitor += 1
    assert janitor > 10
