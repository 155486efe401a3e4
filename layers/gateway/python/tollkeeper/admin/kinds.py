"""The kinds of record there are, a row each: where they are kept, what they are called, which field names one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from tollkeeper.auth.records import BudgetRecord, KeyRecord, Record, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import (
    AccessGroupRecord,
    CustomerRecord,
    Membership,
    OrganizationMembership,
    OrganizationRecord,
    ProjectRecord,
    TagRecord,
    TeamMembership,
)
from tollkeeper.auth.records_models import CredentialRecord, FallbackRecord, ModelRecord
from tollkeeper.store import items

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """`id_field` is the record's; `listing` the gsi1 partition of all of them. Memberships have two ids and no listing."""

    record: type[R]
    word: str
    id_field: str
    pk: Callable[[str], str]
    sk: str = ""
    listing: str = ""

    def id_of(self, record: Record) -> str:
        """What an audit entry calls it."""
        own, user_id = str(getattr(record, self.id_field)), getattr(record, "user_id", None)
        return f"{own}/{user_id}" if isinstance(record, Membership) else own


KEY = Kind(KeyRecord, "key", "key_hash", items.key_pk, items.KEY_SK, "keys")
TEAM = Kind(TeamRecord, "team", "team_id", items.team_pk, items.TEAM_SK, "teams")
USER = Kind(UserRecord, "user", "user_id", items.user_pk, items.USER_SK, "users")
BUDGET = Kind(BudgetRecord, "budget", "budget_id", items.budget_pk, items.BUDGET_SK, "budgets")
ORGANIZATION = Kind(OrganizationRecord, "organization", "organization_id", items.organization_pk, items.ORGANIZATION_SK, "organizations")
PROJECT = Kind(ProjectRecord, "project", "project_id", items.project_pk, items.PROJECT_SK, "projects")
CUSTOMER = Kind(CustomerRecord, "customer", "customer_id", items.customer_pk, items.CUSTOMER_SK, "customers")
TAG = Kind(TagRecord, "tag", "name", items.tag_pk, items.TAG_SK, "tags")
ACCESS_GROUP = Kind(AccessGroupRecord, "access_group", "access_group", items.access_group_pk, items.ACCESS_GROUP_SK, "accessgroups")
TEAM_MEMBER = Kind(TeamMembership, "team_member", "team_id", items.team_pk)
ORGANIZATION_MEMBER = Kind(OrganizationMembership, "organization_member", "organization_id", items.organization_pk)

MODEL = Kind(ModelRecord, "model", "model_id", lambda _: items.MODELS_PK)
CREDENTIAL = Kind(CredentialRecord, "credential", "credential_name", lambda _: items.ROUTES_PK)
FALLBACK = Kind(FallbackRecord, "fallback", "fallback_id", lambda _: items.ROUTES_PK)

_ALL: tuple[Kind[Record], ...] = (  # type: ignore[assignment]  # a Kind only reads its record type
    KEY,
    TEAM,
    USER,
    BUDGET,
    ORGANIZATION,
    PROJECT,
    CUSTOMER,
    TAG,
    ACCESS_GROUP,
    TEAM_MEMBER,
    ORGANIZATION_MEMBER,
    MODEL,
    CREDENTIAL,
    FALLBACK,
)
KIND_OF: Mapping[type[Record], Kind[Record]] = {kind.record: kind for kind in _ALL}
