"""Hundreds of streams at once against one small team budget: never a nano-dollar over it, and the books agree to the nano-dollar."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bench.storm import INPUT_NANO, OUTPUT_NANO, Provider, Report, orders, short_calls, storm
from tests.support.gateway import GatewayProcess, config_of, model

CALLS = 300
PRICES = {"input_cost_per_token": INPUT_NANO / 10**9, "output_cost_per_token": OUTPUT_NANO / 10**9}


class Counters:
    """The counters table, read from outside while the gateway runs."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._path = gateway.state / "tollkeeper.db"

    def of(self, scope: str) -> dict[str, int]:
        """Summed over slices; what is handed to a slice is committed there."""
        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10) as connection:
            rows = connection.execute("SELECT pk, body FROM counters WHERE pk = ? OR pk LIKE ?", (scope, f"{scope}#~%"))
            items = [json.loads(body) for _, body in rows if json.loads(body)["sk"] == "total"]
        connection.close()
        handed = sum(value for item in items for name, value in item.items() if name[0] == "g" and name[1:].isdigit())
        total = {name: sum(item.get(name, 0) for item in items) for name in ("committed", "spent", "in_flight")}
        return {**total, "committed": total["committed"] - handed}


async def watch(counters: Counters, scopes: dict[str, int], highest: dict[str, int], done: asyncio.Event) -> int:
    samples = 0
    while not done.is_set():
        for scope in scopes:
            highest[scope] = max(highest[scope], counters.of(scope)["committed"])
        samples += 1
        await asyncio.sleep(0.02)
    return samples


@pytest.mark.parametrize("seed", [1])
async def test_a_storm_never_passes_the_budget_and_the_books_agree(tmp_path: Path, seed: int, record_property: Any) -> None:
    provider = Provider()
    base = await provider.start()
    config = config_of(
        model("fast", "openai/gpt-4o-mini", base, model_info=PRICES),
        router_settings={"num_retries": 0},
        tollkeeper={"budgets": {"wait_seconds": 4}},
    )
    gateway = await asyncio.to_thread(GatewayProcess(tmp_path, config).start)
    made = orders(CALLS, seed)
    # What all of it would cost: the budget is a third of that.
    budget = sum(40 * INPUT_NANO + order["tokens"] * OUTPUT_NANO for order in made) // 3
    async with httpx.AsyncClient(base_url=gateway.url, headers={"authorization": "Bearer sk-master-0123456789abcdef"}, timeout=60) as admin:
        team = (await admin.post("/team/new", json={"max_budget": budget / 10**9})).json()["team_id"]
        key = (await admin.post("/key/generate", json={"team_id": team, "max_budget": 10 * budget / 10**9})).json()
    scopes = {f"team#{team}": budget, f"key#{key['token']}": 10 * budget}
    highest = dict.fromkeys(scopes, 0)
    counters, done, report = Counters(gateway), asyncio.Event(), Report(budget)
    watching = asyncio.create_task(watch(counters, scopes, highest, done))
    await storm(gateway.url, key["key"], made, report)
    short = await short_calls(gateway.url, key["key"], report)
    done.set()
    samples = await watching
    report.billed = provider.billed_nano
    assert await asyncio.to_thread(gateway.stop) == 0
    await provider.stop()

    booked = sum(entry["cost"] for entry in gateway.ledger() if entry.get("team_id") == team)
    print(f"\n{samples} samples, {short} short calls at the end")
    print("\n".join(report.lines()))
    for scope, cap in scopes.items():
        books = counters.of(scope)
        assert highest[scope] <= cap
        assert books == {"committed": booked, "spent": booked, "in_flight": 0}
    assert provider.billed_nano <= booked <= budget, "what the provider bills is never more than what was booked"
    assert report.outcomes["answered"] >= CALLS // 10
    assert budget - booked < budget * 0.05, "a short call was refused while more than 5 % of the budget was left"
