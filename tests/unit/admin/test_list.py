import pytest

from tollkeeper.admin.listing import LOOK_AHEAD
from tollkeeper.auth.records import KeyRecord


async def make(admin, *keys: dict[str, object]) -> list[str]:
    tokens = []
    for fields in keys:
        admin.clock.advance(1)
        tokens.append((await admin.generate(**fields))["token"])
    return tokens


async def listed(admin, **query) -> list[str]:
    answer = await admin.get("/key/list", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["keys"]


async def test_hashes_newest_first_in_pages(admin):
    tokens = await make(admin, *({} for _ in range(5)))
    first = (await admin.get("/key/list", size=2)).json()
    assert first == {"keys": tokens[:2:-1], "total_count": 5, "current_page": 1, "total_pages": 3}
    assert await listed(admin, size=2, page=3) == tokens[:1]
    assert await listed(admin, size=2, page=4) == []


async def test_no_keys(admin):
    assert (await admin.get("/key/list")).json() == {"keys": [], "total_count": 0, "current_page": 1, "total_pages": 0}


async def test_filters_narrow_each_other(admin):
    await admin.post("/team/new", {"team_id": "t"})
    await admin.post("/organization/new", {"organization_id": "o", "organization_alias": "O"})
    a, b, c = await make(
        admin, {"user_id": "u", "team_id": "t"}, {"user_id": "u", "organization_id": "o"}, {"team_id": "t", "key_alias": "ci"}
    )
    assert await listed(admin, user_id="u") == [b, a]
    assert await listed(admin, team_id="t") == [c, a]
    assert await listed(admin, user_id="u", team_id="t") == [a]
    assert await listed(admin, organization_id="o") == [b]
    assert await listed(admin, key_alias="ci") == [c]
    assert await listed(admin, key_alias="ci", user_id="u") == []
    assert await listed(admin, key_hash=a) == [a]
    assert await listed(admin, key_hash="0" * 64) == []
    assert await listed(admin, user_id="nobody") == []


async def test_full_objects_hold_no_text(admin):
    made = await admin.generate(key_alias="ci", max_budget=2)
    (row,) = await listed(admin, return_full_object="true")
    assert (row["token"], row["key_alias"], row["max_budget"]) == (made["token"], "ci", 2)
    assert "key" not in row


async def test_sorting_puts_what_has_no_value_last(admin):
    none, low, high = await make(admin, {}, {"max_budget": 1}, {"max_budget": 2})
    assert await listed(admin, sort_by="max_budget", sort_order="desc") == [high, low, none]
    assert await listed(admin, sort_by="max_budget", sort_order="asc") == [low, high, none]
    assert await listed(admin, sort_order="asc") == [none, low, high]


@pytest.mark.parametrize("query", [{"key_alias": ""}, {"user_id": "x" * 257}])
async def test_a_filter_that_names_nothing(admin, query):
    assert (await admin.get("/key/list", **query)).status_code == 400


async def test_a_list_without_end_says_that_its_total_is_a_minimum(admin):
    for number in range(LOOK_AHEAD + 1):
        await admin.store.directory.put_new(KeyRecord(key_hash=f"{number:064x}", created_at="2027").to_item())
    answer = (await admin.get("/key/list")).json()
    assert (answer["total_count"], answer["total_count_is_minimum"]) == (LOOK_AHEAD, True)
