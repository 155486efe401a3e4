"""A key sees its own spend, a user theirs, a team's admin the team's, an administrator all; nobody learns of what is not theirs."""

import random
from typing import Any

import pytest
from tests.support.admin import START, Admin
from tests.support.entries import DAY, Company, entry

from tollkeeper.ledger.roller import Roller

DATES = {"start_date": "2027-01-01", "end_date": "2027-01-15"}


@pytest.fixture
async def people(admin: Admin) -> dict[str, Any]:
    """Two teams with an admin, a member and a key each, and one call of every key."""
    found: dict[str, Any] = {}
    for team in ("red", "blue"):
        await admin.post("/team/new", {"team_id": team})
        for name, role in (("boss", "admin"), ("hand", "user")):
            user = f"{team}-{name}"
            made = (await admin.post("/user/new", {"user_id": user, "user_role": "internal_user"})).json()
            found[user] = {"key": made["key"], "hash": made["token_id"], "user_id": user}
            await admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": role}})
        made = await admin.generate(team_id=team)
        found[team] = {"key": made["key"], "hash": made["token"], "team_id": team}
    made = await admin.generate()
    found["lone"] = {"key": made["key"], "hash": made["token"]}
    calls = []
    for number, row in enumerate(found.values()):
        owner = {"key_hash": row["hash"], "user_id": row.get("user_id"), "team_id": row.get("team_id")}
        made = entry(random.Random(number), Company(), START - DAY, number, cost=10 ** (number + 3), organization_id=None, **owner)
        row["cost"], row["id"] = 10 ** (number + 3), made["sk"]
        await admin.store.ledger.put(made)
        calls.append(made)
    await Roller(admin.store.ledger, admin.clock).roll(calls)
    return found


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


@pytest.mark.parametrize("who", ["red-boss", "blue-hand", "lone"])
async def test_without_ids_one_sees_ones_own(admin: Admin, people: dict[str, Any], who: str) -> None:
    me = people[who]
    for path in ("/user/daily/activity", "/key/daily/activity"):
        answer = await admin.get(path, caller=me["key"], **DATES)
        assert nano(answer.json()["metadata"]["total_spend"]) == me["cost"]
    for path in ("/key/spend/report", "/user/spend/report"):
        assert [nano(row["total_cost"]) for row in (await admin.get(path, caller=me["key"], **DATES)).json()] == [me["cost"]]
    assert [row["request_id"] for row in (await admin.get("/spend/logs/v2", caller=me["key"], **DATES)).json()["data"]] == [me["id"]]
    assert (await admin.get("/spend/logs", caller=me["key"], request_id=me["id"])).status_code == 200


@pytest.mark.parametrize("who", ["red-boss", "red-hand", "lone", "red"])
async def test_somebody_elses_is_refused_whether_it_is_there_or_not(admin: Admin, people: dict[str, Any], who: str) -> None:
    caller = people[who]["key"]
    theirs: list[tuple[str, dict[str, str]]] = [
        (path, {name: value})
        for path, names in (
            ("/spend/logs", ("api_key", "user_id")),
            ("/spend/logs/v2", ("api_key", "user_id", "team_id")),
            ("/user/daily/activity", ("user_id", "api_key")),
            ("/key/daily/activity", ("api_key",)),
            ("/team/daily/activity", ("team_ids",)),
            ("/key/spend/report", ("api_key",)),
            ("/user/spend/report", ("user_id",)),
            ("/team/spend/report", ("team_id",)),
        )
        for name in names
        for value in {"api_key": (people["blue"]["key"], people["blue-hand"]["hash"], "f" * 64, "sk-unknown-0123456789")}.get(
            name, ("blue-hand", "nobody") if name == "user_id" else ("blue", "nothing")
        )
    ]
    for path, query in theirs:
        answer = await admin.get(path, caller=caller, **DATES, **query)
        assert answer.status_code == 403, (path, query, answer.text)
    for path in ("/global/spend", "/global/spend/teams", "/spend/keys", "/spend/tags", "/global/spend/report", "/provider/budgets"):
        assert (await admin.get(path, caller=caller, **DATES)).status_code == 403
    assert (await admin.get("/spend/logs", caller=caller, request_id=people["blue"]["id"])).status_code == 404


async def test_a_teams_admin_sees_the_team_and_its_keys(admin: Admin, people: dict[str, Any]) -> None:
    boss = people["red-boss"]["key"]
    for query in ({}, {"team_ids": "red"}):
        answer = (await admin.get("/team/daily/activity", caller=boss, **DATES, **query)).json()
        assert nano(answer["metadata"]["total_spend"]) == people["red"]["cost"]
        assert set(answer["results"][0]["breakdown"]["entities"]) == {"red"}
    logs = (await admin.get("/spend/logs/v2", caller=boss, **DATES, team_id="red")).json()
    assert [row["request_id"] for row in logs["data"]] == [people["red"]["id"]]
    report = await admin.get("/key/spend/report", caller=boss, **DATES, api_key=people["red"]["key"])
    assert nano(report.json()[0]["total_cost"]) == people["red"]["cost"]
    both = await admin.get("/team/daily/activity", caller=boss, **DATES, team_ids="red,blue")
    assert both.status_code == 403


async def test_a_user_sees_what_the_gateway_shows_only_of_themselves(admin: Admin, people: dict[str, Any]) -> None:
    hand = people["blue-hand"]
    assert (await admin.get("/global/activity", caller=hand["key"], **DATES)).json()["sum_api_requests"] == 1
    assert [nano(row["spend"]) for row in (await admin.get("/global/spend/logs", caller=hand["key"])).json()] == [hand["cost"]]
    assert [row["api_key"] for row in (await admin.get("/global/spend/keys", caller=hand["key"])).json()] == [hand["hash"]]


async def test_the_largest_spenders_come_with_their_records(admin: Admin, people: dict[str, Any]) -> None:
    rows = (await admin.get("/spend/keys", limit=3)).json()
    assert {row["token"] for row in rows} == {people[name]["hash"] for name in ("lone", "blue", "blue-hand")}
    assert {row["user_id"] for row in (await admin.get("/spend/users", limit=2)).json()} == {"blue-hand", "blue-boss"}
    assert len((await admin.get("/spend/keys")).json()) == len(people)


async def test_prices(admin: Admin) -> None:
    for body, field in (({}, "model"), ({"model": "x"}, "messages"), ({"completion_response": {}}, "completion_response")):
        answer = await admin.post("/spend/calculate", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
