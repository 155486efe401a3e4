import pytest

from tollkeeper.auth.records import BudgetLimit, BudgetRecord, KeyRecord, Member, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import (
    AccessGroupRecord,
    CustomerRecord,
    OrganizationMembership,
    OrganizationRecord,
    ProjectRecord,
    TagRecord,
    TeamMembership,
)
from tollkeeper.money import NanoUSD
from tollkeeper.store.sqlite import SqliteStore

CREATED = "2027-01-15T08:00:00.000Z"
FULL_KEY = KeyRecord(
    key_hash="ab12",
    key_name="sk-...1234",
    key_alias="ci",
    models=("gpt-4o", "openai/*"),
    aliases={"fast": "gpt-4o-mini"},
    tags=("a",),
    max_budget=NanoUSD(9_000_000_000_000_000_001),
    budget_limits=(BudgetLimit(max_budget=NanoUSD(5), budget_duration="1d"),),
    model_max_budget={"gpt-4o": BudgetLimit(max_budget=NanoUSD(7), budget_duration="1mo", rpm_limit=3)},
    rpm_limit=0,
    user_id="u",
    team_id="t",
    metadata={"nested": {"list": [1, None, "x"]}},
    extra={"policies": ["p"]},
    blocked=True,
    expires=1_800_000_000,
    version=4,
    created_at=CREATED,
)
RECORDS = [
    FULL_KEY,
    KeyRecord(key_hash="ab13", created_at=CREATED),
    TeamRecord(team_id="t", members_with_roles=(Member(user_id="u", role="admin"), Member(user_email="a@b")), created_at=CREATED),
    UserRecord(user_id="u", user_role="proxy_admin", teams=("t",), created_at=CREATED),
    BudgetRecord(budget_id="b", soft_budget=NanoUSD(3), created_at=CREATED),
    OrganizationRecord(organization_id="o", models=("m",), budget_id="b", created_at=CREATED),
    ProjectRecord(project_id="p", team_id="t", tags=("x",), created_at=CREATED),
    CustomerRecord(customer_id="c", blocked=True, max_budget=NanoUSD(1), created_at=CREATED),
    TagRecord(name="x", model_info={"a": 1}, created_at=CREATED),
    AccessGroupRecord(access_group="beta", model_names=("a", "b"), created_at=CREATED),
    TeamMembership(team_id="t", user_id="u", allowed_models=("a",), max_budget=NanoUSD(2), created_at=CREATED),
    OrganizationMembership(organization_id="o", user_id="u", role="org_admin", created_at=CREATED),
]


@pytest.fixture
def table():
    store = SqliteStore(":memory:")
    yield store.directory
    store.close()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
async def test_a_record_comes_back_from_the_store_as_it_was(table, record):
    item = record.to_item()
    await table.put_new(item)
    stored = await table.get(item["pk"], item["sk"])
    assert type(record).from_item(stored) == record


def test_an_item_holds_only_what_was_set():
    item = KeyRecord(key_hash="ab13", created_at=CREATED).to_item()
    assert set(item) == {"pk", "sk", "gsi1pk", "gsi1sk", "key_hash", "version", "created_at"}


def test_an_attribute_of_a_newer_version_is_passed_over():
    assert KeyRecord.from_item({**FULL_KEY.to_item(), "from_the_future": {"x": 1}}) == FULL_KEY


async def test_a_key_is_listed_with_its_team_and_its_user(table):
    await table.put_new(FULL_KEY.to_item())
    for index, partition in (("gsi1", "keys"), ("gsi2", "team#t/keys"), ("gsi3", "user#u/keys")):
        assert [item["key_hash"] for item in (await table.query(partition, index=index)).items] == ["ab12"]


def test_a_temporary_increase_ends():
    key = KeyRecord(key_hash="k", max_budget=NanoUSD(10), temp_budget_increase=NanoUSD(5), temp_budget_expiry=100)
    assert (key.max_budget_at(99.9), key.max_budget_at(100)) == (15, 10)
    assert KeyRecord(key_hash="k", temp_budget_increase=NanoUSD(5), temp_budget_expiry=100).max_budget_at(0) is None


def test_a_shared_budget_fills_only_what_the_key_leaves_open():
    budget = BudgetRecord(budget_id="b", max_budget=NanoUSD(10), rpm_limit=60, model_max_budget={"m": BudgetLimit(max_budget=NanoUSD(1))})
    key = KeyRecord(key_hash="k", rpm_limit=0, key_alias="mine", metadata={"a": 1}).under(budget)
    assert (key.max_budget, key.rpm_limit, key.key_alias, key.metadata) == (10, 0, "mine", {"a": 1})
    assert key.model_max_budget == budget.model_max_budget


def test_a_members_own_budget_does_not_take_the_teams_period():
    team = TeamRecord(team_id="t", team_member_budget=NanoUSD(3), team_member_budget_duration="1d", team_member_tpm_limit=7)
    own = TeamMembership(team_id="t", user_id="u", max_budget=NanoUSD(9)).within(team)
    assert (own.max_budget, own.budget_duration, own.tpm_limit) == (9, None, 7)
    common = TeamMembership(team_id="t", user_id="u").within(team)
    assert (common.max_budget, common.budget_duration) == (3, "1d")
