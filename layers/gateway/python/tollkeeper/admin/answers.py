"""What the management API answers, for its OpenAPI document: every column a client may count on. More may follow.

The rows themselves are made in views.py and views_groups.py; a test holds every answer against these.
"""

from typing import Any

from pydantic import BaseModel

Dollars = float
Moment = str


def answers(model: Any) -> dict[str, Any]:
    """Arguments of a route: the document's schema of its answer, which is sent as the handler made it."""
    return {"response_model": None, "responses": {200: {"model": model, "description": "OK"}}}


class Problem(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """Every 4xx and 5xx."""

    error: Problem


class ModelCap(BaseModel):
    max_budget: Dollars | None = None
    budget_limit: Dollars | None = None
    budget_duration: str | None = None
    time_period: str | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None


class PeriodCap(BaseModel):
    budget_duration: str | None
    max_budget: Dollars | None


class LimitColumns(BaseModel):
    max_budget: Dollars | None
    soft_budget: Dollars | None
    budget_duration: str | None
    max_parallel_requests: int | None
    rpm_limit: int | None
    tpm_limit: int | None
    tpd_limit: int | None
    model_max_budget: dict[str, ModelCap]


class Stamps(BaseModel):
    created_at: Moment
    created_by: str | None
    updated_at: Moment
    updated_by: str | None


class BudgetRow(LimitColumns, Stamps):
    budget_id: str


class BudgetTable(LimitColumns):
    budget_id: str | None


class OwnerColumns(LimitColumns, Stamps):
    spend: Dollars
    budget_reset_at: Moment | None
    budget_limits: list[PeriodCap] | None
    model_rpm_limit: dict[str, int]
    model_tpm_limit: dict[str, int]
    model_spend: dict[str, Dollars]
    metadata: dict[str, Any]
    object_permission: dict[str, Any] | None


class KeyColumns(OwnerColumns):
    key_name: str
    key_alias: str | None
    key_type: str
    user_id: str | None
    team_id: str | None
    organization_id: str | None
    project_id: str | None
    agent_id: str | None
    budget_id: str | None
    litellm_budget_table: BudgetRow | None
    models: list[str]
    aliases: dict[str, str]
    permissions: dict[str, Any]
    config: dict[str, Any]
    allowed_routes: list[str]
    tags: list[str]
    guardrails: list[str]
    temp_budget_increase: Dollars | None
    temp_budget_expiry: Moment | None
    blocked: bool
    expires: Moment | None
    auto_rotate: bool
    rotation_interval: str | None
    key_rotation_at: Moment | None


class KeyRow(KeyColumns):
    token: str


class UpdatedKey(KeyRow):
    key: str


class GeneratedKey(KeyRow):
    """`key` is the text, in this answer only."""

    key: str
    token_id: str


class KeyDetails(KeyColumns):
    status: str


class KeyInfo(BaseModel):
    key: str
    info: KeyDetails


class KeyInfos(BaseModel):
    key: list[str]
    info: list[KeyDetails]


class KeyPage(BaseModel):
    keys: list[str | KeyRow]
    total_count: int
    current_page: int
    total_pages: int


class AliasPage(BaseModel):
    aliases: list[str]
    total_count: int
    current_page: int
    total_pages: int
    size: int


class DeletedKeys(BaseModel):
    deleted_keys: list[str]


class FailedKey(BaseModel):
    key: str
    failed_reason: str


class BulkKeys(BaseModel):
    total_requested: int
    successful_updates: list[UpdatedKey]
    failed_updates: list[FailedKey]


class ResetSpendAnswer(BaseModel):
    key_hash: str
    spend: Dollars
    previous_spend: Dollars
    max_budget: Dollars | None
    budget_reset_at: Moment | None


class KeyHealth(BaseModel):
    key: str
    logging_callbacks: dict[str, Any] | None


class MemberColumns(BaseModel):
    user_id: str | None
    user_email: str | None
    role: str


class TeamRow(OwnerColumns):
    team_id: str
    team_alias: str | None
    organization_id: str | None
    models: list[str]
    model_aliases: dict[str, str]
    members_with_roles: list[MemberColumns]
    team_member_permissions: list[str] | None
    team_member_budget: Dollars | None
    tags: list[str]
    guardrails: list[str]
    blocked: bool
    model_id: int | None
    litellm_model_table: dict[str, Any] | None
    object_permission_id: str | None


class MembershipRow(BaseModel):
    user_id: str
    user_role: str
    spend: Dollars
    budget_id: str | None
    allowed_models: list[str]
    litellm_budget_table: BudgetTable


class TeamUpdated(BaseModel):
    team_id: str
    data: TeamRow


class TeamInfo(BaseModel):
    team_id: str
    team_info: TeamRow
    keys: list[KeyRow]
    team_memberships: list[MembershipRow]


class TeamPage(BaseModel):
    teams: list[TeamRow]
    total: int
    page: int
    page_size: int
    total_pages: int


class MemberReset(BaseModel):
    team_id: str
    user_id: str
    spend: Dollars
    previous_spend: Dollars


class Permissions(BaseModel):
    team_id: str
    team_member_permissions: list[str]
    all_available_permissions: list[str]


class UserRow(OwnerColumns):
    user_id: str
    user_email: str | None
    user_alias: str | None
    user_role: str | None
    models: list[str]
    teams: list[str]
    sso_user_id: str | None


class MembersAdded(TeamRow):
    updated_users: list[UserRow]
    updated_team_memberships: list[MembershipRow]


class BulkMembersAdded(BaseModel):
    team_id: str
    total_additions_requested: int
    successful_additions: int
    failed_additions: int
    results: list[dict[str, Any]]
    updated_team: TeamRow


class MemberUpdated(BaseModel):
    team_id: str
    user_id: str
    user_email: str | None
    max_budget_in_team: Dollars | None
    tpm_limit: int | None
    rpm_limit: int | None
    budget_duration: str | None
    allowed_models: list[str]


class NewUserAnswer(UserRow):
    key: str | None


class UserUpdated(BaseModel):
    user_id: str
    data: UserRow


class BulkUsers(BaseModel):
    results: list[dict[str, Any]]
    total_requested: int
    successful_updates: int
    failed_updates: int


class UserInfo(BaseModel):
    user_id: str
    user_info: UserRow
    keys: list[KeyRow]
    teams: list[TeamRow]


class UserListRow(UserRow):
    key_count: int


class UserPage(BaseModel):
    users: list[UserListRow]
    total: int
    page: int
    page_size: int
    total_pages: int


class DeletedUsers(BaseModel):
    deleted_users: int


class OrganizationRow(OwnerColumns):
    organization_id: str
    organization_alias: str | None
    budget_id: str | None
    litellm_budget_table: BudgetTable
    models: list[str]
    users: list[Any]


class OrganizationDetails(OrganizationRow):
    members: list[MembershipRow]
    teams: list[TeamRow]


class OrganizationMembersAdded(BaseModel):
    organization_id: str
    updated_users: list[UserRow]
    updated_organization_memberships: list[MembershipRow]


class ProjectRow(OwnerColumns):
    project_id: str
    team_id: str
    project_alias: str | None
    description: str | None
    models: list[str]
    tags: list[str]
    guardrails: list[str]
    blocked: bool


class CustomerRow(OwnerColumns):
    user_id: str
    alias: str | None
    blocked: bool
    models: list[str]
    default_model: str | None
    allowed_model_region: str | None
    budget_id: str | None
    litellm_budget_table: BudgetTable


class DeletedCustomers(BaseModel):
    deleted_customers: int
    message: str


class BlockedCustomers(BaseModel):
    blocked_users: list[CustomerRow]


class TagRow(OwnerColumns):
    name: str
    description: str | None
    models: list[str]
    budget_id: str | None
    litellm_budget_table: BudgetTable


class TagWritten(BaseModel):
    message: str
    tag: TagRow


class Message(BaseModel):
    message: str


class AccessGroupRow(BaseModel):
    access_group: str
    model_names: list[str]
    model_count: int


class AccessGroups(BaseModel):
    access_groups: list[AccessGroupRow]


class BudgetSetting(BaseModel):
    field_name: str
    field_type: str
    field_description: str
    field_value: Any
    stored_in_db: bool


class ModelRow(BaseModel):
    """`litellm_params` shows references, never a credential."""

    model_id: str
    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any]
    blocked: bool
    created_at: Moment
    created_by: str | None
    updated_at: Moment
    updated_by: str | None


class ModelInfoRow(BaseModel):
    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any]


class ModelInfos(BaseModel):
    data: list[ModelInfoRow]


class ModelInfoPage(ModelInfos):
    total_count: int
    current_page: int
    total_pages: int
    size: int


class ModelGroupRow(BaseModel):
    model_group: str
    providers: list[str]
    max_input_tokens: int | None
    max_output_tokens: int | None
    input_cost_per_token: Dollars | None
    output_cost_per_token: Dollars | None
    mode: str | None
    tpm: int | None
    rpm: int | None


class ModelGroups(BaseModel):
    data: list[ModelGroupRow]


class Done(BaseModel):
    success: bool
    message: str


class CredentialRow(BaseModel):
    """Secrets are masked."""

    credential_name: str
    credential_values: dict[str, Any]
    credential_info: dict[str, Any]
    display_name: str | None


class Credentials(BaseModel):
    success: bool
    credentials: list[CredentialRow]


class Fallback(BaseModel):
    model: str
    fallback_models: list[str]
    fallback_type: str


class FallbackDone(Fallback):
    message: str


class FallbackGone(BaseModel):
    model: str
    fallback_type: str
    message: str


class AuditRow(BaseModel):
    id: str
    number: int
    updated_at: Moment
    changed_by: str
    changed_by_api_key: str
    action: str
    table_name: str
    object_id: str
    before_value: dict[str, Any] | None
    updated_values: dict[str, Any] | None
    request_id: str
    seal: str


class AuditPage(BaseModel):
    audit_logs: list[AuditRow]
    total: int
    page: int
    page_size: int
    total_pages: int


class AuditProblem(BaseModel):
    number: int
    problem: str


class AuditVerdict(BaseModel):
    """`next`: ask again with it as `after`; null when the chain was read to its end."""

    ok: bool
    checked: int
    last: int
    seal: str
    next: int | None
    problems: list[AuditProblem]
