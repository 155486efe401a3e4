import pytest
from tests.support.admin import MASTER, PEPPER, HandClock

from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.iam import PRINCIPAL_HEADER, callers_of, identity_of
from tollkeeper.auth.records import TeamRecord
from tollkeeper.errors import Unauthenticated
from tollkeeper.store.sqlite import SqliteStore

SESSION = "arn:aws:sts::111122223333:assumed-role/batch-jobs/nightly"
ROWS = [
    {"principal": "arn:aws:iam::111122223333:role/service/batch-*", "team_id": "batch", "models": ["gpt-4o"]},
    {"principal": "arn:aws:iam::111122223333:user/ann", "user_id": "ann"},
]
SIGNED = (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-west-1/execute-api/aws4_request, Signature=0f")


@pytest.fixture
async def desk():
    clock = HandClock()
    store = SqliteStore(":memory:", clock=clock)
    yield Authenticator(store.directory, PEPPER, master_key=MASTER, clock=clock, iam_callers=callers_of(ROWS)), store
    store.close()


async def ask(authenticator: Authenticator, arn: str, *more: tuple[bytes, bytes]):
    return await authenticator.authenticate([*more, (PRINCIPAL_HEADER, arn.encode())])


async def test_a_session_is_its_role_and_is_booked_to_the_team(desk):
    authenticator, store = desk
    await store.directory.put(TeamRecord(team_id="batch").to_item())
    principal = await ask(authenticator, SESSION, SIGNED)
    assert (principal.team_id, principal.models, principal.key_alias) == ("batch", ("gpt-4o",), identity_of(SESSION))
    assert principal.key_hash == (await ask(authenticator, SESSION.replace("nightly", "daily"), SIGNED)).key_hash


async def test_a_user_is_booked_as_a_user(desk):
    assert (await ask(desk[0], "arn:aws:iam::111122223333:user/ann", SIGNED)).user_id == "ann"


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam::111122223333:user/bob", "arn:aws:sts::999999999999:assumed-role/batch-jobs/x", "arn:", "ann"]
)
async def test_who_is_mapped_to_nobody_is_refused(desk, arn):
    with pytest.raises(Unauthenticated, match="mapped to nobody"):
        await ask(desk[0], arn, SIGNED)


async def test_a_team_that_is_gone_or_blocked_stops_its_callers(desk):
    authenticator, store = desk
    with pytest.raises(Unauthenticated, match="Team=batch does not exist"):
        await ask(authenticator, SESSION, SIGNED)
    await store.directory.put(TeamRecord(team_id="batch", blocked=True).to_item())
    authenticator.forget()
    with pytest.raises(Unauthenticated, match="is blocked"):
        await ask(authenticator, SESSION, SIGNED)


async def test_a_key_that_is_given_as_well_says_who_it_is(desk):
    principal = await ask(desk[0], SESSION, SIGNED, (b"x-litellm-api-key", MASTER.encode()))
    assert principal.is_master
