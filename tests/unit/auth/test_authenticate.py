import asyncio

import pytest
from tests.support.admin import MASTER, PEPPER, HandClock
from tests.support.faulty_table import FaultyTable

from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.keys import hash_key, key_name
from tollkeeper.auth.records import BudgetRecord, KeyPointer, KeyRecord, Member, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import CustomerRecord, OrganizationRecord, ProjectRecord, TagRecord, TeamMembership
from tollkeeper.errors import StoreUnavailable, Unauthenticated
from tollkeeper.money import NanoUSD
from tollkeeper.store.sqlite import SqliteStore

KEY = "sk-0123456789abcdefghij"


class Desk:
    """An authenticator over a table that counts reads and can fail."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.table = FaultyTable(self.store.directory)
        self.authenticator = self.make()

    def make(self, **options) -> Authenticator:
        return Authenticator(self.table, PEPPER, clock=self.clock, cache_seconds=5, **{"master_key": MASTER, **options})

    async def save(self, *records) -> None:
        for record in records:
            await self.table.put(record.to_item())

    async def ask(self, key: str = KEY):
        return await self.authenticator.authenticate({"authorization": f"Bearer {key}"})

    async def refusal(self, key: str = KEY) -> Unauthenticated:
        with pytest.raises(Unauthenticated) as refusal:
            await self.ask(key)
        assert refusal.value.status == 401
        assert key not in f"{refusal.value.message} {refusal.value.param}"
        return refusal.value


def record(key: str = KEY, **fields) -> KeyRecord:
    return KeyRecord(key_hash=hash_key(PEPPER, key), key_name=key_name(key), created_at="2027", **fields)


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.store.close()


async def test_no_key(desk):
    with pytest.raises(Unauthenticated) as refusal:
        await desk.authenticator.authenticate([(b"host", b"gateway")])
    assert (refusal.value.message, refusal.value.type) == ("Authentication Error, No api key passed in.", "auth_error")
    assert refusal.value.param is None


@pytest.mark.parametrize("key", [KEY, "a-jwt.or.so", "sk-short", "sk-" + "x" * 2000, MASTER + "x", MASTER[:-1], "sk-ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ"])
async def test_an_unknown_key(desk, key):
    refusal = await desk.refusal(key)
    assert refusal.message == "Authentication Error, Invalid API key provided."
    assert (refusal.type, refusal.param) == ("token_not_found_in_db", "key")


async def test_what_cannot_be_a_key_costs_no_read(desk):
    await desk.refusal("not-a-key-of-ours")
    assert desk.table.reads == 0


async def test_the_master_key_from_a_text_or_a_getter(desk):
    assert (await desk.ask(MASTER)).is_master

    async def fetch() -> str:
        return "sk-fetched-0123456789"

    desk.authenticator = desk.make(master_key=fetch)
    principal = await desk.ask("sk-fetched-0123456789")
    assert (principal.is_master, principal.user_id, principal.role) == (True, "default_user_id", "proxy_admin")
    assert "fetched" not in repr(principal)
    await desk.refusal(MASTER)


async def test_without_a_master_key_nothing_empty_passes(desk):
    desk.authenticator = desk.make(master_key=None)
    await desk.refusal("None")
    await desk.save(record())
    assert (await desk.ask()).key_name == "sk-...ghij"


async def test_a_principal_has_its_key_team_user_and_budget(desk):
    await desk.save(
        record(team_id="t", user_id="u", budget_id="b", models=("gpt-4o",), aliases={"fast": "gpt-4o"}, tags=("x", "y"), metadata={"m": 1}),
        TeamRecord(team_id="t", organization_id="org", model_aliases={"fast": "o3", "slow": "o1"}, tags=("y", "z")),
        UserRecord(user_id="u", user_role="internal_user"),
        BudgetRecord(budget_id="b", max_budget=NanoUSD(7), rpm_limit=3),
        OrganizationRecord(organization_id="org", max_budget=NanoUSD(9)),
    )
    principal = await desk.ask()
    assert principal.organization is not None
    assert (principal.organization.max_budget, principal.membership) == (9, None)
    assert (principal.user_id, principal.team_id, principal.organization_id) == ("u", "t", "org")
    assert principal.aliases == {"fast": "gpt-4o", "slow": "o1"}
    assert principal.tags == ("x", "y", "z")
    assert (principal.key.max_budget, principal.key.rpm_limit) == (7, 3)
    assert (principal.models, principal.metadata, principal.role) == (("gpt-4o",), {"m": 1}, "internal_user")
    assert not principal.is_master


async def test_a_user_without_a_record_is_no_obstacle(desk):
    await desk.save(record(user_id="somebody"))
    assert (await desk.ask()).user is None


async def test_an_expired_key_also_when_it_expires_in_the_cache(desk):
    await desk.save(record(expires=int(desk.clock.now()) + 2))
    await desk.ask()
    desk.clock.advance(1.9)
    await desk.ask()
    desk.clock.advance(0.1)
    refusal = await desk.refusal()
    expected = "Expired Key. Key Expiry time 2027-01-15T08:00:02.000Z and current time 2027-01-15T08:00:02.000Z"
    assert refusal.message == f"Authentication Error - {expected}"
    assert (refusal.type, refusal.param) == ("expired_key", "sk-...ghij")


async def test_a_blocked_key(desk):
    await desk.save(record(blocked=True))
    refusal = await desk.refusal()
    assert refusal.message == "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."
    assert refusal.type == "auth_error"


async def test_a_blocked_or_missing_team(desk):
    await desk.save(record(team_id="t"))
    assert (await desk.refusal()).message == "Authentication Error, Team=t does not exist."
    await desk.save(TeamRecord(team_id="t", blocked=True))
    desk.clock.advance(5)
    assert (await desk.refusal()).message.startswith("Authentication Error, Team=t is blocked.")


async def test_a_known_key_is_read_once_in_a_while(desk):
    await desk.save(record(team_id="t", user_id="u"), TeamRecord(team_id="t"), UserRecord(user_id="u"))
    for _ in range(100):
        await desk.ask()
    assert desk.table.reads == 3


async def test_concurrent_first_calls_of_one_key_share_a_read(desk):
    await desk.save(record())
    desk.table.before_read = lambda: asyncio.sleep(0)
    await asyncio.gather(*(desk.ask() for _ in range(40)))
    assert desk.table.reads == 1


async def test_unknown_keys_are_remembered_too_but_not_for_ever(desk):
    for _ in range(10):
        await desk.refusal()
    assert desk.table.reads == 1
    await desk.save(record())
    await desk.refusal()
    desk.clock.advance(5)
    assert (await desk.ask()).key_name == "sk-...ghij"


@pytest.mark.parametrize("change", ["delete", "block", "block team"])
async def test_a_revocation_counts_within_the_cache_time(desk, change):
    await desk.save(record(team_id="t"), TeamRecord(team_id="t"))
    await desk.ask()
    match change:
        case "delete":
            await desk.table.delete(record().to_item()["pk"], "key")
        case "block":
            await desk.save(record(team_id="t", blocked=True))
        case _:
            await desk.save(TeamRecord(team_id="t", blocked=True))
    desk.clock.advance(5)
    await desk.refusal()


async def test_a_key_read_late_does_not_prolong_its_teams_time(desk):
    other = "sk-another-key-of-the-team"
    await desk.save(record(team_id="t"), record(other, team_id="t"), TeamRecord(team_id="t"))
    await desk.ask()
    await desk.save(TeamRecord(team_id="t", blocked=True))
    desk.clock.advance(4.9)
    await desk.ask(other)
    desk.clock.advance(0.1)
    await desk.refusal(other)


async def test_a_change_made_here_counts_at_once(desk):
    await desk.save(record())
    await desk.ask()
    await desk.save(record(blocked=True))
    desk.authenticator.forget()
    await desk.refusal()


async def test_a_store_that_is_away_is_not_an_unknown_key(desk):
    await desk.save(record())
    desk.table.down = True
    with pytest.raises(StoreUnavailable):
        await desk.ask()
    desk.table.down = False
    assert (await desk.ask()).key_name == "sk-...ghij"


async def test_the_configured_header_is_read(desk):
    await desk.save(record())
    desk.authenticator = desk.make(key_header="X-Company-Key")
    assert (await desk.authenticator.authenticate({"x-company-key": KEY, "authorization": "Bearer theirs"})).key_name == "sk-...ghij"


async def test_the_query_parameter_is_read(desk):
    await desk.save(record())
    assert (await desk.authenticator.authenticate([], {"key": KEY})).key_name == "sk-...ghij"


async def test_a_member_of_the_team_costs_one_read_more(desk):
    team = TeamRecord(team_id="t", members_with_roles=(Member(user_id="u"),), team_member_budget=NanoUSD(3), team_member_rpm_limit=5)
    own = TeamMembership(team_id="t", user_id="u", max_budget=NanoUSD(9), allowed_models=("gpt-4o",))
    await desk.save(record(team_id="t", user_id="u"), team, own)
    membership = (await desk.ask()).membership
    assert (membership.max_budget, membership.rpm_limit, membership.allowed_models) == (9, 5, ("gpt-4o",))
    await desk.ask()
    assert desk.table.reads == 4


async def test_the_text_of_a_rotated_key_leads_to_its_record(desk):
    old, new = KEY, "sk-the-new-text-of-the-key"
    new_hash, now = hash_key(PEPPER, new), int(desk.clock.now())
    rotated = record(active_hash=new_hash, retiring={hash_key(PEPPER, old): now + 60})
    await desk.save(rotated, KeyPointer(new_hash, rotated.key_hash))
    assert (await desk.ask(new)).key_hash == (await desk.ask(old)).key_hash == rotated.key_hash
    desk.clock.advance(60)
    assert (await desk.refusal(old)).type == "token_not_found_in_db"
    await desk.ask(new)


async def test_a_pointer_to_a_key_that_is_gone_opens_nothing(desk):
    await desk.save(KeyPointer(hash_key(PEPPER, KEY), "0" * 64))
    assert (await desk.refusal()).type == "token_not_found_in_db"


@pytest.mark.parametrize(
    ("fields", "saved", "message"),
    [
        ({"organization_id": "o"}, [], "Organization=o does not exist."),
        ({"organization_id": "o"}, [OrganizationRecord(organization_id="o", blocked=True)], "Organization=o is blocked."),
        ({"project_id": "p"}, [], "Project=p does not exist."),
        ({"project_id": "p"}, [ProjectRecord(project_id="p", team_id="t", blocked=True)], "Project=p is blocked."),
    ],
)
async def test_what_a_key_belongs_to_has_to_be_there_and_open(desk, fields, saved, message):
    await desk.save(record(**fields), *saved)
    assert (await desk.refusal()).message.startswith(f"Authentication Error, {message}")


async def test_customers_and_tags_are_read_once_in_a_while_with_their_budgets(desk):
    await desk.save(CustomerRecord(customer_id="c", budget_id="b"), TagRecord(name="x"), BudgetRecord(budget_id="b", max_budget=NanoUSD(7)))
    for _ in range(5):
        assert (await desk.authenticator.customer("c")).max_budget == 7
        assert (await desk.authenticator.tag("x")).max_budget is None
        assert await desk.authenticator.customer("nobody") is None
    assert desk.table.reads == 4
    await desk.save(BudgetRecord(budget_id="b", max_budget=NanoUSD(8)))
    desk.clock.advance(5)
    assert (await desk.authenticator.customer("c")).max_budget == 8
