import pytest
from tests.support.admin import START, make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.admin.parts import Spend
from tollkeeper.money import NanoUSD
from tollkeeper.store.sqlite import SqliteStore


async def test_every_answer_has_a_request_id(admin):
    for answer in (await admin.get("/key/list"), await admin.get("/nowhere"), await admin.get("/key/list", caller=None)):
        assert answer.headers["x-request-id"] == answer.headers["x-litellm-call-id"] != ""


@pytest.mark.parametrize(("given", "kept"), [("trace-42", True), ("two words", False), ("x" * 129, False), ("", False)])
async def test_a_plain_request_id_is_kept(admin, given, kept):
    answer = await admin.call("GET", "/key/list", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]


async def test_an_unknown_route_and_a_wrong_method(admin):
    nowhere = await admin.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "unknown_url")
    wrong = await admin.get("/key/generate")
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.headers["allow"]) == (405, "405", "POST")


async def test_the_api_describes_itself(admin):
    assert "/openapi.json" in (await admin.get("/docs", caller=None)).text
    schemas = (await admin.get("/openapi.json", caller=None)).json()["components"]["schemas"]
    assert {"max_budget", "budget_duration", "key_alias", "duration", "key"} <= set(schemas["GenerateKey"]["properties"])


class Broken(FaultyTable):
    async def put_new(self, item):
        raise RuntimeError("sk-internal-detail")


@pytest.fixture
def store():
    store = SqliteStore(":memory:")
    yield store
    store.close()


async def test_a_mistake_of_ours_is_logged_and_not_told(store, caplog):
    admin = make_admin(Broken(store.directory))
    answer = await admin.post("/key/generate", {"key_alias": "ci"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "Internal server error.")
    assert "internal-detail" not in answer.text
    assert "/key/generate" in caplog.text
    await admin.close()


async def test_a_store_that_is_away_is_503(store):
    table = FaultyTable(store.directory)
    admin = make_admin(table)
    table.down = True
    answer = await admin.post("/key/generate", {"key_alias": "ci", "team_id": "t"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "service_unavailable")
    await admin.close()


class Counters:
    """Two dollars spent by every key, three by every team, five by every user."""

    async def spend(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend:
        dollars = {"key": 2, "team": 3, "user": 5}[scope]
        return Spend(NanoUSD(dollars * 10**9), START if budget_duration else None)


async def test_rows_show_what_the_counters_say():
    admin = make_admin(spend=Counters())
    key = await admin.generate(max_budget=10, budget_duration="1d")
    info = await admin.info(key["key"])
    assert (info["spend"], info["budget_reset_at"]) == (2, "2027-01-15T08:00:00.000Z")
    team = (await admin.post("/team/new", {})).json()
    user = (await admin.post("/user/new", {})).json()
    assert (team["spend"], team["budget_reset_at"], user["spend"]) == (3, None, 5)
    await admin.close()
