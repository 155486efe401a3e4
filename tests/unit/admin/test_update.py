import pytest
from tests.support.admin import Admin, make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.errors import Unauthenticated
from tollkeeper.store.sqlite import SqliteStore


async def update(admin: Admin, key: str, **fields):
    answer = await admin.post("/key/update", {"key": key, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_is_not_named_stays(admin):
    made = await admin.generate(key_alias="ci", models=["a"], max_budget=5, metadata={"x": 1, "tags": ["t"]}, policies=["p"])
    row = await update(admin, made["key"], rpm_limit=3)
    expected = {**made, "rpm_limit": 3}
    del expected["token_id"]
    assert row == expected


async def test_null_clears(admin):
    fields = {"key_alias": "ci", "models": ["a"], "max_budget": 5, "duration": "1h", "metadata": {"x": 1}, "tags": ["t"], "policies": ["p"]}
    made = await admin.generate(**fields, blocked=True)
    row = await update(admin, made["key"], **dict.fromkeys(fields), blocked=None)
    assert (row["key_alias"], row["models"], row["max_budget"], row["expires"]) == (None, [], None, None)
    assert (row["metadata"], row["tags"], row["policies"], row["blocked"]) == ({}, [], None, False)


async def test_new_metadata_leaves_the_fields_that_only_live_there_in_litellm(admin):
    made = await admin.generate(metadata={"x": 1}, guardrails=["pii"])
    assert (await update(admin, made["key"], metadata={"y": 2}))["metadata"] == {"y": 2, "guardrails": ["pii"]}
    assert (await update(admin, made["key"], metadata={"guardrails": []}))["guardrails"] == []


async def test_a_duration_counts_from_now(admin):
    made = await admin.generate(duration="1h")
    admin.clock.advance(1800)
    assert (await update(admin, made["key"], duration="1h"))["expires"] == "2027-01-15T09:30:00.000Z"
    assert (await update(admin, made["key"], duration="-1"))["expires"] is None


async def test_a_change_counts_at_once(admin):
    made = await admin.generate(models=["a"])
    await admin.authenticator.verify(made["key"])
    await update(admin, made["key"], models=["b"])
    assert (await admin.authenticator.verify(made["key"])).models == ("b",)


async def test_a_key_by_its_hash_or_its_alias(admin):
    made = await admin.generate(key_alias="ci")
    assert (await update(admin, made["token"], rpm_limit=1))["key"] == made["token"]
    answer = await admin.post("/key/update", {"key_alias": "ci", "rpm_limit": 2})
    assert (answer.json()["key"], answer.json()["rpm_limit"]) == (made["token"], 2)


@pytest.mark.parametrize(
    ("body", "param"), [({"key": "sk-unknown-0123456789"}, "key"), ({"key_alias": "nobody"}, "key_alias"), ({"key": "a" * 64}, "key")]
)
async def test_an_unknown_key(admin, body, param):
    answer = await admin.post("/key/update", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (404, "not_found_error", param)


async def test_an_update_that_names_no_key(admin):
    assert (await admin.post("/key/update", {"rpm_limit": 1})).json()["error"]["param"] == "key"


async def test_renaming_moves_the_claim_on_the_alias(admin):
    made = await admin.generate(key_alias="old")
    await update(admin, made["key"], key_alias="new")
    assert (await admin.post("/key/generate", {"key_alias": "new"})).status_code == 400
    other = await admin.generate(key_alias="old")
    taken = await admin.post("/key/update", {"key": other["key"], "key_alias": "new", "rpm_limit": 9})
    assert taken.json()["error"]["param"] == "key_alias"
    assert (await admin.info(other["key"]))["rpm_limit"] is None
    await update(admin, made["key"], key_alias=None)
    await update(admin, other["key"], key_alias="new")


async def test_moving_a_key_to_another_team_moves_it_in_the_lists(admin):
    for team_id in ("a", "b"):
        await admin.post("/team/new", {"team_id": team_id})
    made = await admin.generate(team_id="a", user_id="u")
    await update(admin, made["key"], team_id="b", user_id=None)
    lists = [(await admin.get("/key/list", **owner)).json()["keys"] for owner in ({"team_id": "a"}, {"team_id": "b"}, {"user_id": "u"})]
    assert lists == [[], [made["token"]], []]


async def test_a_temporary_increase_needs_an_end_once(admin):
    made = await admin.generate(max_budget=1)
    assert (await admin.post("/key/update", {"key": made["key"], "temp_budget_increase": 5})).status_code == 400
    row = await update(admin, made["key"], temp_budget_increase=5, temp_budget_expiry="2027-01-16")
    assert (row["temp_budget_increase"], row["temp_budget_expiry"]) == (5, "2027-01-16T00:00:00.000Z")
    await update(admin, made["key"], temp_budget_increase=6)
    assert (await admin.authenticator.verify(made["key"])).key.max_budget_at(admin.clock.now()) == 7_000_000_000


async def test_blocking_and_unblocking(admin):
    made = await admin.generate()
    assert (await admin.post("/key/block", {"key": made["key"]})).json()["blocked"] is True
    with pytest.raises(Unauthenticated):
        await admin.authenticator.verify(made["key"])
    assert (await admin.info(made["key"]))["status"] == "revoked"
    assert (await admin.post("/key/unblock", {"key": made["token"]})).json()["blocked"] is False
    assert (await admin.authenticator.verify(made["key"])).key_hash == made["token"]
    assert (await admin.post("/key/block", {"key": "sk-unknown-0123456789"})).status_code == 404


class Two:
    """Two administrators on one table: `meanwhile` is what the other does between the first one's read and write."""

    def __init__(self) -> None:
        self.store = SqliteStore(":memory:")
        self.table = FaultyTable(self.store.directory, spared=("audit",))
        self.admin = make_admin(self.table)

    def meanwhile(self, **fields) -> None:
        self.table.meanwhile = lambda: self.admin.post("/key/update", fields)

    async def close(self) -> None:
        await self.admin.close()
        self.store.close()


@pytest.fixture
async def two():
    two = Two()
    yield two
    await two.close()


async def test_changes_of_different_fields_are_both_kept(two):
    made = await two.admin.generate(policies=["p"], rotation_interval="1d")
    two.meanwhile(key=made["key"], max_budget=7, policies=["q"])
    row = await update(two.admin, made["key"], rpm_limit=3, rotation_interval="2d")
    assert (row["max_budget"], row["rpm_limit"], row["policies"], row["rotation_interval"]) == (7, 3, ["q"], "2d")


async def test_two_different_values_for_one_field_are_told_to_the_later(two):
    made = await two.admin.generate()
    two.meanwhile(key=made["key"], max_budget=7)
    answer = await two.admin.post("/key/update", {"key": made["key"], "max_budget": 8, "rpm_limit": 1})
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "max_budget")
    info = await two.admin.info(made["key"])
    assert (info["max_budget"], info["rpm_limit"]) == (7, None)


async def test_the_same_value_twice_is_no_quarrel(two):
    made = await two.admin.generate()
    two.meanwhile(key=made["key"], max_budget=7)
    assert (await update(two.admin, made["key"], max_budget=7))["max_budget"] == 7


async def test_a_key_that_is_deleted_meanwhile_does_not_come_back(two):
    made = await two.admin.generate()
    two.table.meanwhile = lambda: two.admin.post("/key/delete", {"keys": [made["key"]]})
    assert (await two.admin.post("/key/update", {"key": made["key"], "rpm_limit": 1})).status_code == 404
    assert (await two.admin.get("/key/info", key=made["key"])).status_code in (401, 404)
    assert (await two.admin.get("/key/list")).json()["total_count"] == 0
