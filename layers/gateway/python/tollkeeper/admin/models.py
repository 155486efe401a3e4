"""Bodies of the management API, by LiteLLM's field names (https://litellm-api.up.railway.app).

Every field may be left out, and null means "none": on an update it clears what was set. Fields that nothing here reads yet are accepted
and kept (the record's `extra`). `metadata.tags` and its like are the fields of the same name, as in LiteLLM.
"""

from dataclasses import MISSING
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, AllowInfNan, BaseModel, ConfigDict, Field, field_validator, model_validator

from tollkeeper.admin.values import BudgetSpan, Count, Counts, Dollars, Json, KeyText, Moment, Name, Span
from tollkeeper.auth.records import BudgetLimit, Member, Record, defaults
from tollkeeper.money import NanoUSD

_IN_METADATA = ("tags", "guardrails", "model_rpm_limit", "model_tpm_limit")
# Columns of LiteLLM's answers that a client may send back with the row it read; they are ours to say, not to be told.
_ANSWERS_ONLY = frozenset(
    {
        "token",
        "token_id",
        "key_name",
        "key_hash",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "version",
        "last_active",
        "litellm_budget_table",
        "status",
        "model_spend",
        "budget_reset_at",
        "object_permission_id",
        "expires",
        "litellm_model_table",
        "user",
        "team",
        "keys",
        "key_count",
    }
)

KeyType = Literal["llm_api", "management", "read_only", "default"]
Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
KeyRef = Annotated[str, Field(min_length=1, max_length=512)]
"""A key's text, or its hash."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class ModelBudget(_Row):
    """One model's cap, in either of LiteLLM's spellings."""

    max_budget: Dollars | None = Field(None, validation_alias=AliasChoices("max_budget", "budget_limit"))
    budget_duration: BudgetSpan | None = Field(None, validation_alias=AliasChoices("budget_duration", "time_period"))
    rpm_limit: Count | None = None
    tpm_limit: Count | None = None

    def record(self) -> BudgetLimit:
        nano = None if self.max_budget is None else NanoUSD(self.max_budget)
        return BudgetLimit(max_budget=nano, budget_duration=self.budget_duration, rpm_limit=self.rpm_limit, tpm_limit=self.tpm_limit)


class PeriodBudget(_Row):
    """One of several caps that hold at the same time."""

    max_budget: Dollars
    budget_duration: BudgetSpan

    def record(self) -> BudgetLimit:
        return BudgetLimit(max_budget=NanoUSD(self.max_budget), budget_duration=self.budget_duration)


class TeamMember(_Row):
    user_id: Name | None = None
    user_email: Name | None = None
    role: Literal["admin", "user"]

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not (self.user_id or self.user_email):
            raise ValueError("a member needs user_id or user_email")
        return self

    def record(self) -> Member:
        return Member(user_id=self.user_id, user_email=self.user_email, role=self.role)


class Body(BaseModel):
    """A request that names fields of a record."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _lift_from_metadata(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
            return data
        lifted = {name: data["metadata"][name] for name in _IN_METADATA if name in data["metadata"] and name in cls.model_fields}
        rest = {name: value for name, value in data["metadata"].items() if name not in lifted}
        return {**lifted, **data, "metadata": rest}

    def changes(self, kind: type[Record]) -> dict[str, Any]:
        """Record field → stored value, None for null; only what the request names."""
        own = {name for name, default in defaults(kind).items() if default is not MISSING}
        return {name: _stored(getattr(self, name)) for name in sorted(self.model_fields_set & own)}

    def unread(self) -> dict[str, Any]:
        """The fields that are kept without being understood."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in _ANSWERS_ONLY}

    @model_validator(mode="after")
    def _storable(self) -> Self:
        Unread.model_validate({"extra": self.unread()})
        return self


class Unread(BaseModel):
    extra: Json


class LimitFields(Body):
    max_budget: Dollars | None = None
    soft_budget: Dollars | None = None
    budget_duration: BudgetSpan | None = None
    model_max_budget: dict[Name, ModelBudget] | None = None
    rpm_limit: Count | None = None
    tpm_limit: Count | None = None
    tpd_limit: Count | None = None
    max_parallel_requests: Count | None = None


class OwnerFields(LimitFields):
    """What keys, teams and users share."""

    budget_limits: list[PeriodBudget] | None = None
    model_rpm_limit: Counts | None = None
    model_tpm_limit: Counts | None = None
    models: list[Name] | None = None
    metadata: Json | None = None
    spend: Annotated[float, AllowInfNan(allow_inf_nan=False)] | None = None

    @field_validator("spend")
    @classmethod
    def _nothing_spent(cls, value: float | None) -> float | None:
        if value:
            raise ValueError("what is spent follows from the ledger and cannot be set here")
        return value


class KeyFields(OwnerFields):
    key_alias: Name | None = None
    duration: Span | None = None
    user_id: Name | None = None
    team_id: Name | None = None
    organization_id: Name | None = None
    budget_id: Name | None = None
    aliases: dict[Name, Name] | None = None
    permissions: Json | None = None
    allowed_routes: list[Name] | None = None
    tags: list[Name] | None = None
    guardrails: list[Name] | None = None
    key_type: KeyType | None = None
    blocked: bool | None = None
    temp_budget_increase: Dollars | None = None
    temp_budget_expiry: Moment | None = None


class GenerateKey(KeyFields):
    key: KeyText | None = None
    """A text of the administrator's own choice."""


class UpdateKey(KeyFields):
    """`key` (its text or its hash) says which key; without it `key_alias` does."""

    key: KeyRef | None = None


class ListKeys(BaseModel):
    """Newest first unless asked otherwise. Filters narrow each other; `key_alias` and `key_hash` are exact."""

    page: int = Field(1, ge=1)
    size: int = Field(10, ge=1, le=100)
    user_id: Name | None = None
    team_id: Name | None = None
    organization_id: Name | None = None
    key_alias: Name | None = None
    key_hash: Name | None = None
    return_full_object: bool = False
    sort_by: Literal["created_at", "updated_at", "key_alias", "key_name", "max_budget", "user_id", "team_id", "expires"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"

    def filters(self) -> dict[str, str]:
        named = self.model_dump(include={"user_id", "team_id", "organization_id", "key_alias", "key_hash"}, exclude_none=True)
        return {name: str(value) for name, value in named.items()}


class DeleteKeys(_Row):
    keys: list[KeyRef] | None = Field(None, max_length=1000)
    key_aliases: list[Name] | None = Field(None, max_length=1000)


class OneKey(_Row):
    key: KeyRef


class TeamFields(OwnerFields):
    team_id: Name | None = None
    team_alias: Name | None = None
    organization_id: Name | None = None
    members_with_roles: list[TeamMember] | None = None
    model_aliases: dict[Name, Name] | None = None
    tags: list[Name] | None = None
    guardrails: list[Name] | None = None
    blocked: bool | None = None


class UpdateTeam(TeamFields):
    team_id: Name


class OneTeam(_Row):
    team_id: Name


class DeleteTeams(_Row):
    team_ids: list[Name] = Field(min_length=1, max_length=100)


class UserFields(OwnerFields):
    user_id: Name | None = None
    user_email: Name | None = None
    user_alias: Name | None = None
    user_role: Role | None = None
    teams: list[Name] | None = None
    sso_user_id: Name | None = None
    password: None = None
    """Refused: people sign in with the master key or single sign-on, and a password kept unread would be a leak."""


class NewUser(UserFields):
    """Unless `auto_create_key` is false a key for the user is made too; these fields are that key's."""

    auto_create_key: bool = True
    key_alias: Name | None = None
    duration: Span | None = None
    team_id: Name | None = None
    aliases: dict[Name, Name] | None = None
    permissions: Json | None = None


class BudgetFields(LimitFields):
    budget_id: Name | None = None


class UpdateBudget(LimitFields):
    budget_id: Name


class ReadBudgets(_Row):
    budgets: list[Name] = Field(max_length=100)


class DeleteBudget(_Row):
    id: Name


def _stored(value: Any) -> Any:
    """A checked request value → the record's form of it."""
    if isinstance(value, list):
        return tuple(item.record() if isinstance(item, PeriodBudget | TeamMember) else item for item in value)
    if isinstance(value, dict):
        return {name: item.record() if isinstance(item, ModelBudget) else item for name, item in value.items()}
    return value
