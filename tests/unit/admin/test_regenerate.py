import pytest
from tests.support.admin import Admin, make_admin
from tests.support.faulty_table import FaultyTable

from tollkeeper.admin.rotation import rotate_due
from tollkeeper.auth.records import KeyRecord
from tollkeeper.errors import StoreUnavailable, Unauthenticated
from tollkeeper.store.sqlite import SqliteStore


async def works(admin: Admin, key: str) -> bool:
    admin.authenticator.forget()
    try:
        await admin.authenticator.verify(key)
    except Unauthenticated:
        return False
    return True


async def renew(admin: Admin, key: str, **fields):
    answer = await admin.post("/key/regenerate", {"key": key, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_text_for_the_same_key(admin):
    made = await admin.generate(key_alias="ci", max_budget=5, team_id=None)
    fresh = await renew(admin, made["key"], rpm_limit=3)
    assert fresh["key"] != made["key"]
    assert (fresh["token"], fresh["key_alias"], fresh["max_budget"], fresh["rpm_limit"]) == (made["token"], "ci", 5, 3)
    assert fresh["key_name"] == f"sk-...{fresh['key'][-4:]}"
    assert (await works(admin, made["key"]), await works(admin, fresh["key"])) == (False, True)


async def test_what_was_spent_stays_with_the_key(admin):
    made = await admin.generate()
    fresh = await renew(admin, made["key"])
    assert (await admin.authenticator.verify(fresh["key"])).key_hash == made["token"]


async def test_a_grace_period_ends(admin):
    made = await admin.generate()
    fresh = await renew(admin, made["key"], grace_period="1h")
    admin.clock.advance(3599)
    assert (await works(admin, made["key"]), await works(admin, fresh["key"])) == (True, True)
    await admin.authenticator.verify(made["key"])
    admin.clock.advance(1)
    with pytest.raises(Unauthenticated):
        await admin.authenticator.verify(made["key"])
    assert await works(admin, fresh["key"])


async def test_again_and_again(admin):
    texts = [(await admin.generate())["key"]]
    for _ in range(4):
        texts.append((await renew(admin, texts[-1], grace_period="1h"))["key"])
        admin.clock.advance(1800)
    assert [await works(admin, text) for text in texts] == [False, False, False, True, True]
    await admin.post("/key/delete", {"keys": [texts[-1]]})
    assert [await works(admin, text) for text in texts] == [False] * 5


async def test_a_text_of_ones_own_and_back_again(admin):
    first, second = "sk-the-first-text-1234", "sk-the-second-text-1234"
    made = await admin.generate(key=first)
    assert (await renew(admin, first, new_key=second))["key"] == second
    assert (await works(admin, first), await works(admin, second)) == (False, True)
    await renew(admin, made["token"], new_key=first)
    assert (await works(admin, first), await works(admin, second)) == (True, False)


async def test_a_text_that_is_somebody_elses(admin):
    one, two = await admin.generate(), await admin.generate()
    for new_key in (one["key"], two["key"]):
        answer = await admin.post("/key/regenerate", {"key": one["key"], "new_key": new_key})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "new_key")
    assert await works(admin, one["key"])
    fresh = await renew(admin, one["key"])
    assert (await admin.post("/key/generate", {"key": fresh["key"]})).status_code == 400


async def test_the_callers_own_key_and_the_path_form(admin):
    user = (await admin.post("/user/new", {"user_id": "u", "user_role": "internal_user"})).json()
    fresh = (await admin.post("/key/regenerate", {}, caller=user["key"])).json()
    assert not await works(admin, user["key"])
    again = await admin.post(f"/key/{fresh['key']}/regenerate", {"key_alias": "mine"}, caller=fresh["key"])
    assert again.json()["key_alias"] == "mine"
    assert (await admin.call("POST", f"/key/{again.json()['token']}/regenerate")).status_code == 200


async def test_rotated_keys_are_found_by_any_of_their_names(admin):
    made = await admin.generate()
    fresh = await renew(admin, made["key"])
    for name in (fresh["key"], made["token"]):
        assert (await admin.info(name))["key_name"] == fresh["key_name"]
    assert (await admin.get("/key/list")).json()["keys"] == [made["token"]]


async def test_a_master_key_is_not_made_here(admin):
    made = await admin.generate()
    answer = await admin.post("/key/regenerate", {"key": made["key"], "new_master_key": "sk-root-0123456789"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "new_master_key")
    assert "sk-root" not in answer.text


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("happened", [False, True])
async def test_renewing_can_be_cut_off_anywhere(nth, happened):
    """Whatever is cut off: at least one of the two texts works, never one of somebody else's, and the call can be repeated."""
    store = SqliteStore(":memory:")
    table = FaultyTable(store.directory, spared=("audit",))
    admin = make_admin(table)
    old, new = "sk-the-old-text-12345", "sk-the-new-text-12345"
    made = await admin.generate(key=old)
    table.cut(nth, happened=happened)
    await admin.post("/key/regenerate", {"key": old, "new_key": new})
    table.cut_at = None
    assert [await works(admin, old), await works(admin, new)].count(True) == 1
    await admin.post("/key/regenerate", {"key": made["token"], "new_key": new})
    assert (await works(admin, old), await works(admin, new)) == (False, True)
    await admin.close()
    store.close()


async def test_two_who_renew_at_once_do_not_both_win():
    store = SqliteStore(":memory:")
    table = FaultyTable(store.directory, spared=("audit",))
    admin = make_admin(table)
    made = await admin.generate()
    first: list[str] = []

    async def other() -> None:
        first.append((await renew(admin, made["token"]))["key"])

    table.meanwhile = other
    second = await admin.post("/key/regenerate", {"key": made["token"]})
    assert second.status_code == 409
    assert (await works(admin, first[0]), await works(admin, made["key"])) == (True, False)
    await admin.close()
    store.close()


async def test_automatic_rotation_is_planned(admin):
    made = await admin.generate(auto_rotate=True, rotation_interval="30d")
    assert made["key_rotation_at"] == "2027-02-14T08:00:00.000Z"
    row = (await admin.post("/key/update", {"key": made["key"], "auto_rotate": False})).json()
    assert (row["key_rotation_at"], row["auto_rotate"]) == (None, False)
    answer = await admin.post("/key/generate", {"auto_rotate": True})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "rotation_interval")


class Vault:
    """A secret manager that can be away."""

    def __init__(self) -> None:
        self.texts: list[tuple[str | None, str]] = []
        self.away = False

    async def __call__(self, record: KeyRecord, text: str) -> None:
        if self.away:
            raise StoreUnavailable("The vault does not answer.")
        self.texts.append((record.key_alias, text))


async def test_keys_that_are_due_are_renewed_and_delivered(admin):
    vault = Vault()
    made = await admin.generate(key_alias="ci", auto_rotate=True, rotation_interval="30d")
    await admin.generate(key_alias="later", auto_rotate=True, rotation_interval="60d")
    admin.clock.advance(30 * 86400 - 1)
    assert await rotate_due(admin.services, vault) == 0
    admin.clock.advance(1)
    assert await rotate_due(admin.services, vault) == 1
    ((alias, text),) = vault.texts
    assert alias == "ci"
    assert (await works(admin, text), await works(admin, made["key"])) == (True, True)
    admin.clock.advance(86400)
    assert not await works(admin, made["key"])
    assert (await admin.info(text))["key_rotation_at"] == "2027-03-16T08:00:00.000Z"
    assert await rotate_due(admin.services, vault) == 0


async def test_what_was_switched_off_or_deleted_is_not_renewed(admin):
    vault = Vault()
    off, gone = [await admin.generate(auto_rotate=True, rotation_interval="1d") for _ in range(2)]
    await admin.post("/key/update", {"key": off["key"], "auto_rotate": False})
    await admin.post("/key/delete", {"keys": [gone["key"]]})
    admin.clock.advance(86400)
    assert await rotate_due(admin.services, vault) == 0
    assert await works(admin, off["key"])


async def test_a_text_that_could_not_be_delivered_is_made_again(admin, caplog):
    vault = Vault()
    vault.away = True
    made = await admin.generate(auto_rotate=True, rotation_interval="1d")
    admin.clock.advance(86400)
    assert await rotate_due(admin.services, vault) == 0
    assert "key_rotation_failed" in caplog.text
    assert await works(admin, made["key"])
    vault.away = False
    admin.clock.advance(3600)
    assert await rotate_due(admin.services, vault) == 1
    assert (await works(admin, vault.texts[0][1]), await works(admin, made["key"])) == (True, True)
