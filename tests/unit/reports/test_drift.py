"""Counters are held against the ledger while calls are made: what is off shows, what is only under way does not."""

from collections import Counter
from typing import Any

import pytest
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire
from tests.unit.reports.test_metrics import total

from tollkeeper.reports.counters import Counters
from tollkeeper.reports.drift import REQUESTS_A_RUN, DriftWatch, Standing, drifts, mend, standing
from tollkeeper.store.items import LIFETIME_SK, scope_pk
from tollkeeper.store.table import Table

USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
PROVIDERS = {"openai": {"budget_limit": 100, "time_period": "1d"}}


class Company:
    """A gateway in which every kind of scope has a budget, and one key that has called with all of them."""

    def __init__(self, wired: Wired) -> None:
        self.wired = wired
        self.key = ""

    @classmethod
    async def make(cls) -> "Company":
        row = model("fast", "openai/gpt-4o-mini", "http://x.test/v1", max_budget=50, budget_duration="7d")
        wired = await wire(
            lambda _: Said(body={**completion(), "usage": USAGE}),
            row,
            router_settings={"provider_budget_config": PROVIDERS},
            litellm_settings={"max_budget": 1000, "budget_duration": "30d"},
        )
        self = cls(wired)
        for path, fields in (
            ("/organization/new", {"organization_id": "org", "organization_alias": "org", "max_budget": 9, "budget_duration": "1mo"}),
            ("/user/new", {"user_id": "ann", "max_budget": 7, "model_max_budget": {"fast": {"budget_limit": 2, "time_period": "1d"}}}),
            ("/team/new", {"team_id": "red", "organization_id": "org", "max_budget": 8, "budget_duration": "1d"}),
            ("/team/member_add", {"team_id": "red", "member": {"role": "user", "user_id": "ann"}, "max_budget_in_team": 3}),
            ("/tag/new", {"name": "a#tag|x", "max_budget": 5, "budget_duration": "1w"}),
            ("/customer/new", {"user_id": "c 1", "max_budget": 5, "budget_duration": "2h"}),
        ):
            answer = await wired.admin("POST", path, fields)
            assert answer.status_code == 200, answer.text
        limits = [{"budget_duration": "1h", "max_budget": 2}, {"budget_duration": "90d", "max_budget": 9}]
        models = {"fast": {"budget_limit": 1, "time_period": "1mo"}}
        self.key = await wired.new_key(team_id="red", user_id="ann", max_budget=4, budget_limits=limits, model_max_budget=models)
        await self.call(3)
        return self

    async def call(self, times: int = 1) -> None:
        for _ in range(times):
            answer = await self.wired.chat(self.key, user="c 1", metadata={"tags": ["a#tag|x"]}, max_tokens=20)
            assert answer.status_code == 200, answer.text
        await self.wired.running.drain()

    @property
    def counters(self) -> Table:
        return self.wired.running.installation.store.counters

    @property
    def watch(self) -> DriftWatch:
        store = self.wired.running.installation.store
        return DriftWatch(self.wired.running.reader, store.ledger, store.counters, self.wired.clock)

    async def later(self, runs: int = 1) -> Standing:
        """As the janitor finds it after so many runs, a minute apart."""
        found = Standing()
        for _ in range(runs):
            self.wired.clock.advance(60)
            found = await self.watch.run()
        return found

    async def command(self) -> list[Any]:
        store = self.wired.running.installation.store
        return await drifts(self.wired.running.reader, store.ledger, store.counters, self.wired.clock)


COMPARED = {
    ("key", "total"), ("key", "lifetime"), ("key", "3600s"), ("key", "90d"), ("key_model", "month"),
    ("user", "total"), ("user", "lifetime"), ("user_model", "day"), ("team", "day"), ("team", "lifetime"),
    ("team_member", "total"), ("team_member", "lifetime"),
    ("organization", "month"), ("tag", "week"), ("customer", "7200s"), ("customer", "lifetime"), ("provider", "day"),
    ("deployment", "week"), ("gateway", "month"),
}  # fmt: skip


async def looks(company: Company) -> dict[tuple[str, str], Any]:
    store = company.wired.running.installation.store
    await company.wired.running.reader.fresh()
    months = await company.wired.running.reader.months()
    looking = Counters(store.ledger, store.counters, company.wired.clock)
    key = str((await company.wired.ledger())[-1]["key_hash"])
    deployment = company.wired.running.installation.snapshot.deployments[0].id
    owners = [("key", key), ("user", "ann"), ("team", "red"), ("organization", "org"), ("tag", "a#tag|x"), ("customer", "c 1")]
    owners += [("provider", "openai"), ("deployment", deployment), ("all", "")]
    return {(look.kind, look.cell.sk.partition("#")[0]): look for owner in owners for look in await looking.of(owner, months)}


async def test_every_counter_of_every_scope_is_compared_and_right() -> None:
    company = await Company.make()
    found = await looks(company)
    assert set(found) == COMPARED
    assert {look.counter for look in found.values()} == {look.ledger for look in found.values()} == {found["key", "total"].counter}
    assert found["key", "total"].counter > 0
    assert await company.command() == []
    assert await company.later(3) == Standing({}, 0, 0, 3, float(int(company.wired.clock.now())))


@pytest.mark.parametrize("change", [5, -5])
async def test_counters_that_were_changed_show_and_nothing_else_does(change: int) -> None:
    company = await Company.make()
    wanted: Counter[str] = Counter()
    for (kind, _), look in (await looks(company)).items():
        cell, lifetime = look.cell, look.cell.sk == LIFETIME_SK
        await company.counters.apply(cell.pk, cell.sk, add={"spent": change, **({} if lifetime else {"committed": change})})
        assert [(look.cell, look.amount) for look in await company.command() if look.cell == cell] == [(cell, change)]
        wanted[kind] += 5
    assert (await company.later(1)).amount == 0
    found = await company.later(2)
    assert (found.by_kind, found.counters) == (wanted, len(COMPARED))
    text = (await company.wired.admin("GET", "/metrics")).text
    for kind in wanted:
        assert total(text, "tollkeeper_ledger_drift_usd", scope=kind) == wanted[kind] / 10**9
    assert found.mended == (0 if change > 0 else sum(window == LIFETIME_SK for _, window in COMPARED))
    await mend(company.counters, await company.command())
    assert await company.command() == []
    assert await company.later(1) == Standing({}, 0, 0, 4, float(int(company.wired.clock.now())))


async def test_what_is_held_in_the_air_is_no_drift_and_what_was_lost_of_it_is() -> None:
    company = await Company.make()
    cell = (await looks(company))["key", "total"].cell
    await company.counters.apply(cell.pk, cell.sk, add={"committed": 70}, set={"h0000000000000000": 70})
    assert (await company.later(4)).amount == 0
    assert await company.command() == []
    await company.counters.apply(cell.pk, cell.sk, remove=["h0000000000000000"])
    assert (await company.later(1)).by_kind == {"key": 70}


async def test_a_busy_counter_is_never_said_to_be_off_by_what_is_on_its_way() -> None:
    """An entry is in the sums before it is in a counter, at every look."""
    company = await Company.make()
    lifetime = scope_pk("team", "red"), LIFETIME_SK
    cost = int((await company.counters.get(*lifetime) or {})["spent"]) // 3
    late = 0
    for _ in range(6):
        await company.call(2)
        await company.counters.apply(*lifetime, add={"spent": late - cost})  # the last call's share arrives after the look
        late = cost
        assert (await company.later(1)).amount == 0
    await company.counters.apply(*lifetime, add={"spent": late})
    assert (await company.later(2)).amount == 0


async def test_what_an_admin_sets_is_no_drift() -> None:
    company = await Company.make()
    assert (await company.wired.admin("POST", f"/key/{company.key}/reset_spend", {"reset_to": 0.0})).status_code == 200
    await company.call()
    assert await company.command() == []
    assert (await company.later(3)).amount == 0


async def test_windows_that_have_ended_are_forgotten() -> None:
    company = await Company.make()
    cell = (await looks(company))["customer", "7200s"].cell
    await company.counters.apply(cell.pk, cell.sk, add={"spent": 9, "committed": 9})
    assert (await company.later(2)).amount == 9
    company.wired.clock.advance(9 * 86400)
    assert (await company.later(1)).amount == 0
    assert await company.command() == []


async def test_a_run_asks_a_bounded_number_of_questions_and_the_rounds_meet_everybody() -> None:
    company = await Company.make()
    for number in range(30):
        key = await company.wired.new_key(key_alias=f"key {number}")
        assert (await company.wired.chat(key)).status_code == 200
    await company.wired.running.drain()
    store = company.wired.running.installation.store
    watch = DriftWatch(company.wired.running.reader, store.ledger, store.counters, company.wired.clock, requests_a_run=10)
    # Keys are met in the order of their hashes: the last of them is met by a later run.
    pk = scope_pk("key", max(str(entry["key_hash"]) for entry in await company.wired.ledger()))
    await company.counters.apply(pk, LIFETIME_SK, add={"spent": 3})
    runs = 0
    while not (await standing(company.counters)).by_kind:
        company.wired.clock.advance(60)
        await watch.run()
        runs += 1
        assert runs < 60
    assert runs > 3
    company.wired.clock.advance(60)
    assert (await watch.run()).by_kind == {"key": 3}
    assert REQUESTS_A_RUN == 200
