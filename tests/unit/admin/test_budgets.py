import pytest


async def test_a_budget_from_its_making_to_its_end(admin):
    made = (await admin.post("/budget/new", {"budget_id": "b", "max_budget": 10, "budget_duration": "1d", "rpm_limit": 5})).json()
    assert (made["budget_id"], made["max_budget"], made["created_by"]) == ("b", 10, "default_user_id")
    changed = (await admin.post("/budget/update", {"budget_id": "b", "max_budget": 0.5, "rpm_limit": None})).json()
    assert (changed["max_budget"], changed["budget_duration"], changed["rpm_limit"]) == (0.5, "1d", None)
    assert (await admin.post("/budget/info", {"budgets": ["b", "nobody"]})).json() == [changed]
    assert (await admin.post("/budget/delete", {"id": "b"})).json() == changed
    assert (await admin.get("/budget/list")).json() == []


async def test_a_change_reaches_the_keys_that_refer_to_it(admin):
    await admin.post("/budget/new", {"budget_id": "b", "max_budget": 10})
    key = (await admin.generate(budget_id="b"))["key"]
    assert (await admin.authenticator.verify(key)).key.max_budget == 10_000_000_000
    await admin.post("/budget/update", {"budget_id": "b", "max_budget": 1})
    assert (await admin.authenticator.verify(key)).key.max_budget == 1_000_000_000


async def test_ids_are_made_up_or_unique(admin):
    first = (await admin.post("/budget/new", {})).json()["budget_id"]
    admin.clock.advance(1)
    answer = await admin.post("/budget/new", {"budget_id": first})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "budget_id")


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/budget/new", {"max_budget": -1}, 400, "max_budget"),
        ("/budget/new", {"budget_duration": "often"}, 400, "budget_duration"),
        ("/budget/update", {"max_budget": 1}, 400, "budget_id"),
        ("/budget/update", {"budget_id": "nobody"}, 404, "budget_id"),
        ("/budget/delete", {"id": "nobody"}, 404, "id"),
        ("/budget/info", {}, 400, "budgets"),
    ],
)
async def test_wrong_values(admin, path, body, status, param):
    answer = await admin.post(path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
