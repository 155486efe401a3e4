"""What the bodies of the management API share, by LiteLLM's field names (https://litellm-api.up.railway.app).

Every field may be left out, and null means "none": on an update it clears what was set. Fields that nothing here reads yet are accepted
and kept (the record's `extra`). `metadata.tags` and its like are the fields of the same name, as in LiteLLM.
The bodies themselves: models_keys.py, models_people.py, models_groups.py.
"""

from dataclasses import MISSING
from typing import Annotated, Any, Self

from pydantic import AliasChoices, AllowInfNan, BaseModel, ConfigDict, Field, field_validator, model_validator

from tollkeeper.admin.values import BudgetSpan, Count, Counts, Dollars, Json, Name
from tollkeeper.auth.records import BudgetLimit, Record, defaults
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
        "total_spend",
    }
)


class Row(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Recorded(Row):
    """A part of a body that a record keeps in a form of its own."""

    def record(self) -> Any:
        raise NotImplementedError


class ModelBudget(Recorded):
    """One model's cap, in either of LiteLLM's spellings."""

    max_budget: Dollars | None = Field(None, validation_alias=AliasChoices("max_budget", "budget_limit"))
    budget_duration: BudgetSpan | None = Field(None, validation_alias=AliasChoices("budget_duration", "time_period"))
    rpm_limit: Count | None = None
    tpm_limit: Count | None = None

    def record(self) -> BudgetLimit:
        nano = None if self.max_budget is None else NanoUSD(self.max_budget)
        return BudgetLimit(max_budget=nano, budget_duration=self.budget_duration, rpm_limit=self.rpm_limit, tpm_limit=self.tpm_limit)


class PeriodBudget(Recorded):
    """One of several caps that hold at the same time."""

    max_budget: Dollars
    budget_duration: BudgetSpan

    def record(self) -> BudgetLimit:
        return BudgetLimit(max_budget=NanoUSD(self.max_budget), budget_duration=self.budget_duration)


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


def _stored(value: Any) -> Any:
    """A checked request value → the record's form of it."""
    if isinstance(value, list):
        return tuple(item.record() if isinstance(item, Recorded) else item for item in value)
    if isinstance(value, dict):
        return {name: item.record() if isinstance(item, Recorded) else item for name, item in value.items()}
    return value
