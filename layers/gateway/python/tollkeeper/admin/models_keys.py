"""Bodies and queries of /key/*."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tollkeeper.admin.models import OwnerFields, Row
from tollkeeper.admin.values import Counts, Dollars, Json, KeyText, Moment, Name, Span

KeyType = Literal["llm_api", "management", "read_only", "default"]
KeyRef = Annotated[str, Field(min_length=1, max_length=512)]
"""A key's text, or its hash."""


class KeyFields(OwnerFields):
    project_id: Name | None = None
    auto_rotate: bool | None = None
    rotation_interval: Span | None = None
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
    tag_rpm_limit: Counts | None = None
    mcp_rpm_limit: Counts | None = None
    allowed_passthrough_routes: list[Name] | None = None
    denied_passthrough_routes: list[Name] | None = None
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


class KeyFilters(BaseModel):
    page: int = Field(1, ge=1, le=1_000_000)
    size: int = Field(10, ge=1, le=100)
    team_id: Name | None = None
    search: Name | None = None


class ListKeys(KeyFilters):
    """Newest first unless asked otherwise. Filters narrow each other; `key_alias` and `key_hash` are exact, but with `substring_matching`
    alias and user match in part. `search` looks into alias, name, user, team and hash. `expires`: the keys that end before then.
    """

    user_id: Name | None = None
    organization_id: Name | None = None
    key_alias: Name | None = None
    key_hash: Name | None = None
    project_id: Name | None = None
    access_group_id: Name | None = None
    agent_id: Name | None = None
    status: Literal["active", "expired", "revoked", "blocked", "deleted"] | None = None
    expires: Moment | None = None
    substring_matching: bool = False
    include_team_keys: bool = False
    include_created_by_keys: bool = False
    expand: list[Literal["user"]] | None = None
    return_full_object: bool = False
    sort_by: Literal["created_at", "updated_at", "key_alias", "key_name", "max_budget", "user_id", "team_id", "expires"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"


class DeleteKeys(Row):
    keys: list[KeyRef] | None = Field(None, max_length=1000)
    key_aliases: list[Name] | None = Field(None, max_length=1000)


class OneKey(Row):
    key: KeyRef


class BulkUpdateKeys(Row):
    keys: list[UpdateKey] = Field(min_length=1, max_length=500)


class ManyKeys(Row):
    keys: list[KeyRef] = Field(min_length=1, max_length=100)


class ServiceAccountKey(GenerateKey):
    """A key of a team and of no person."""

    team_id: Name


class RegenerateKey(KeyFields):
    """The new text is made here unless `new_key` brings it. `grace_period` (24h): how long the old one still counts."""

    key: KeyRef | None = None
    new_key: KeyText | None = None
    new_master_key: None = None
    """Refused: the master key lives in the installation's settings."""
    grace_period: Span | None = None


class ResetSpend(Row):
    reset_to: Dollars
