import pytest
from tests.support.admin import make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.errors import Unauthenticated
from tollkeeper.store.sqlite import SqliteStore

TEXT = "sk-chosen-by-hand-1234"


async def works(admin, key: str) -> bool:
    admin.authenticator.forget()
    try:
        await admin.authenticator.verify(key)
    except Unauthenticated:
        return False
    return True


async def test_a_deleted_key_stops_and_frees_its_alias(admin):
    made = await admin.generate(key_alias="ci")
    await admin.authenticator.verify(made["key"])
    answer = await admin.post("/key/delete", {"keys": [made["key"]]})
    assert answer.json() == {"deleted_keys": [made["key"]]}
    assert not await works(admin, made["key"])
    assert (await admin.get("/key/list")).json()["total_count"] == 0
    await admin.generate(key_alias="ci")


async def test_by_hash_and_by_alias(admin):
    made = [await admin.generate(key_alias=f"k{number}") for number in range(3)]
    answer = await admin.post("/key/delete", {"keys": [made[0]["token"]], "key_aliases": ["k1"]})
    assert answer.json() == {"deleted_keys": [made[0]["token"], "k1"]}
    assert [await works(admin, one["key"]) for one in made] == [False, False, True]


async def test_nothing_is_deleted_if_some_are_missing(admin):
    made = await admin.generate()
    answer = await admin.post("/key/delete", {"keys": [made["key"], "sk-unknown-0123456789"]})
    assert answer.status_code == 400
    assert "sk-...6789" in answer.json()["error"]["message"]
    assert "sk-unknown" not in answer.text
    assert await works(admin, made["key"])


@pytest.mark.parametrize(
    ("body", "status"), [({"keys": ["sk-unknown-0123456789"]}, 404), ({"key_aliases": ["x"]}, 404), ({}, 400), ({"keys": []}, 400)]
)
async def test_nothing_to_delete(admin, body, status):
    answer = await admin.post("/key/delete", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, str(status))


async def test_the_same_key_twice(admin):
    made = await admin.generate(key_alias="ci")
    answer = await admin.post("/key/delete", {"keys": [made["key"], made["token"]], "key_aliases": ["ci"]})
    assert answer.status_code == 200


CUTS = [(nth, happened) for nth in (1, 2, 3) for happened in (False, True)]


class Cut:
    """An administrator whose store stops answering at one write."""

    def __init__(self) -> None:
        self.store = SqliteStore(":memory:")
        self.table = FaultyTable(self.store.directory, spared=("audit",))
        self.admin = make_admin(self.table)

    async def consistent(self) -> None:
        """After any cut, and the minute a write may be under way: every listed alias is one key's, and the rest are free."""
        self.table.cut_at = None
        self.admin.clock.advance(61)
        rows = (await self.admin.get("/key/list", return_full_object=True)).json()["keys"]
        borne = [row["key_alias"] for row in rows if row["key_alias"]]
        assert len(borne) == len(set(borne))
        for alias in ("old", "new"):
            answer = await self.admin.post("/key/generate", {"key_alias": alias})
            assert answer.status_code == (400 if alias in borne else 200), (alias, answer.text)
            assert (await self.admin.get("/key/list", key_alias=alias)).json()["total_count"] == 1

    async def close(self) -> None:
        await self.admin.close()
        self.store.close()


@pytest.fixture
async def cut():
    cut = Cut()
    yield cut
    await cut.close()


@pytest.mark.parametrize(("nth", "happened"), CUTS)
async def test_making_a_key_can_be_cut_off_anywhere(cut, nth, happened):
    cut.table.cut(nth, happened=happened)
    answer = await cut.admin.post("/key/generate", {"key": TEXT, "key_alias": "new"})
    assert answer.status_code == (503 if nth <= 2 else 200)
    assert await works(cut.admin, TEXT) == (nth > 2 or (nth == 2 and happened))
    await cut.consistent()


@pytest.mark.parametrize(("nth", "happened"), CUTS)
async def test_renaming_a_key_can_be_cut_off_anywhere(cut, nth, happened):
    await cut.admin.generate(key=TEXT, key_alias="old")
    cut.table.cut(nth, happened=happened)
    answer = await cut.admin.post("/key/update", {"key": TEXT, "key_alias": "new"})
    assert answer.status_code == 503
    assert (await cut.admin.info(TEXT))["key_alias"] == ("new" if nth == 3 or (nth == 2 and happened) else "old")
    await cut.consistent()


@pytest.mark.parametrize(("nth", "happened"), CUTS)
async def test_deleting_a_key_can_be_cut_off_anywhere(cut, nth, happened):
    await cut.admin.generate(key=TEXT, key_alias="old")
    cut.table.cut(nth, happened=happened)
    answer = await cut.admin.post("/key/delete", {"keys": [TEXT]})
    assert answer.status_code == (503 if nth <= 2 else 200)
    assert await works(cut.admin, TEXT) == (nth == 1 and not happened)
    await cut.consistent()


async def test_a_claim_that_may_still_be_under_way_is_left_alone(cut):
    cut.table.cut(2, happened=False)
    await cut.admin.post("/key/generate", {"key_alias": "new"})
    assert (await cut.admin.post("/key/generate", {"key_alias": "new"})).status_code == 400
    cut.admin.clock.advance(60)
    assert (await cut.admin.post("/key/generate", {"key_alias": "new"})).status_code == 200


async def test_deleting_a_team_can_be_cut_off_and_repeated(cut):
    await cut.admin.post("/team/new", {"team_id": "t"})
    keys = [(await cut.admin.generate(team_id="t", key_alias=f"k{number}"))["key"] for number in range(3)]
    for nth in range(1, 4):
        cut.table.cut(nth, happened=True)
        assert (await cut.admin.post("/team/delete", {"team_ids": ["t"]})).status_code == 503
        assert [await works(cut.admin, key) for key in keys] == [False] * 3
    assert (await cut.admin.post("/team/delete", {"team_ids": ["t"]})).status_code == 200
    assert (await cut.admin.get("/key/list")).json()["total_count"] == 0
    assert (await cut.admin.post("/team/delete", {"team_ids": ["t"]})).status_code == 404
