"""Many requests at once against small budgets on a real store, and what the store says of it at every moment."""

import asyncio
import random
from dataclasses import dataclass

from tests.support.counters import scope, usd
from tests.support.stores import sqlite_tables

from tollkeeper.budgets.counter import number_of, open_holds
from tollkeeper.budgets.hold import Options
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.scopes import ScopeCap
from tollkeeper.budgets.slices import Slices
from tollkeeper.clock import system
from tollkeeper.errors import BudgetExceeded, RateLimited
from tollkeeper.money import NanoUSD
from tollkeeper.store.table import Table

TEAM_USD, USER_USD = 0.9, 3.0


@dataclass
class Tally:
    """What the requests themselves know: how they ended, and what they were told they cost."""

    answered: int = 0
    refused: int = 0
    spent: int = 0

    def add(self, other: "Tally") -> "Tally":
        return Tally(self.answered + other.answered, self.refused + other.refused, self.spent + other.spent)


def race_scopes(name: str) -> list[ScopeCap]:
    """A team that is sliced early, a user that is not, a key that counts parallel calls."""
    return [
        scope("team", name, max_budget=TEAM_USD, spread=3, max_slices=4),
        scope("user", name, max_budget=USER_USD, max_slices=1),
        scope("key", name, max_parallel_requests=500),
    ]


async def storm(table: Table, name: str, *, workers: int, calls: int, seed: int) -> Tally:
    """`workers` callers, each making `calls` requests of random size that settle, are released, grow, or cost their whole hold."""
    budgets = Budgets(table, system, Options(wait_seconds=0.0))
    scopes = race_scopes(name)

    async def caller(number: int) -> Tally:
        luck, tally = random.Random(seed * 1_000 + number), Tally()
        for _ in range(calls):
            tally = tally.add(await _request(budgets, scopes, luck))
        return tally

    total = Tally()
    for tally in await asyncio.gather(*(caller(number) for number in range(workers))):
        total = total.add(tally)
    return total


async def _request(budgets: Budgets, scopes: list[ScopeCap], luck: random.Random) -> Tally:
    amount = usd(luck.uniform(0.002, 0.05))
    try:
        hold = await budgets.reserve(scopes, amount, minimum=NanoUSD(amount // 3))
    except (BudgetExceeded, RateLimited):
        return Tally(refused=1)
    await asyncio.sleep(luck.uniform(0, 0.004))
    if luck.random() < 0.2:
        try:
            hold = await budgets.extend(hold, NanoUSD(hold.amount * 3 // 2))
        except (BudgetExceeded, RateLimited):
            await budgets.release(hold)
            return Tally(refused=1)
    actual = NanoUSD(luck.choice([0, hold.amount // 4, hold.amount // 2, hold.amount]))
    await budgets.settle(hold, actual)
    return Tally(answered=1, spent=actual)


async def committed(table: Table, one: ScopeCap) -> int:
    """Never more than the truth of some moment: the own item alone bounds all its slices."""
    item = await table.get(one.pk, one.window.key, consistent=True) or {}
    return number_of(item, "committed")


async def assert_settled(table: Table, name: str, spent: int) -> None:
    """All over: nothing is held, and every scope has booked exactly what the requests were told."""
    slices = Slices(table, system, Options())
    for one in race_scopes(name):
        view = await slices.look(one)
        balance = view.balance()
        assert balance.spent == balance.committed == spent, f"{one.pk}: {balance}, callers paid {spent}"
        assert balance.in_flight == 0
        assert not any(open_holds(item) for item in view.items.values())


def storm_in_process(folder: str, name: str, workers: int, calls: int, seed: int) -> Tally:
    """`storm` on a store file opened by this process: for multiprocessing, which needs an importable function."""

    async def run() -> Tally:
        async with sqlite_tables(folder) as tables:
            return await storm(tables.counters, name, workers=workers, calls=calls, seed=seed)

    return asyncio.run(run())
