"""Records as LiteLLM's JSON rows: dollars, ISO 8601, every column present. The only place here where money becomes a float."""

from collections.abc import Iterable, Mapping
from typing import Any

from tollkeeper.admin.parts import Spend
from tollkeeper.auth.records import BudgetLimit, BudgetRecord, KeyRecord, Limits, Record, TeamRecord, UserRecord
from tollkeeper.clock import iso
from tollkeeper.money import nano_to_usd

# LiteLLM's fields that are kept and shown but that nothing here reads yet, with the value an untouched row has.
_KEY_EXTRAS: Mapping[str, Any] = {
    "agent_id": None,
    "config": {},
    "allowed_cache_controls": [],
    "object_permission": None,
    "end_user_budget_id": None,
    "budget_fallbacks": None,
    "policies": None,
    "prompts": None,
    "default_estimated_output_tokens": None,
    "default_estimated_output_tokens_per_model": None,
    "disable_global_guardrails": None,
    "enable_prompt_caching": None,
    "throttle_on_budget_exceeded": None,
    "enforced_params": None,
    "allowed_vector_store_indexes": None,
    "rpm_limit_type": None,
    "tpm_limit_type": None,
    "router_settings": None,
    "access_group_ids": None,
}
_TEAM_EXTRAS: Mapping[str, Any] = {
    "admins": [],
    "members": [],
    "router_settings": None,
    "access_group_ids": None,
    "object_permission": None,
    "policies": None,
    "prompts": None,
    "team_member_key_duration": None,
    "secret_manager_settings": None,
}
_USER_EXTRAS: Mapping[str, Any] = {"organizations": None, "object_permission": None}


def key_row(key: KeyRecord, spend: Spend, budget: BudgetRecord | None = None) -> dict[str, Any]:
    """A key without its text; `token` is its hash."""
    return {
        **extras(key, _KEY_EXTRAS),
        **limits_row(key),
        **owner_row(key, spend),
        **stamps(key),
        "token": key.key_hash,
        "key_name": key.key_name,
        "key_alias": key.key_alias,
        "key_type": key.key_type,
        "user_id": key.user_id,
        "team_id": key.team_id,
        "organization_id": key.organization_id,
        "project_id": key.project_id,
        "budget_id": key.budget_id,
        "litellm_budget_table": budget and budget_row(budget),
        "models": list(key.models),
        "aliases": dict(key.aliases),
        "permissions": dict(key.permissions),
        "allowed_routes": list(key.allowed_routes),
        "tags": list(key.tags),
        "guardrails": list(key.guardrails),
        "tag_rpm_limit": dict(key.tag_rpm_limit) or None,
        **_reach(key),
        "metadata": metadata_row(key, key.tags, key.guardrails),
        "temp_budget_increase": usd(key.temp_budget_increase),
        "temp_budget_expiry": moment(key.temp_budget_expiry),
        "blocked": key.blocked,
        "expires": moment(key.expires),
        "auto_rotate": key.auto_rotate,
        "rotation_interval": key.rotation_interval,
        "key_rotation_at": moment(key.rotate_at),
    }


def key_info(key: KeyRecord, spend: Spend, now: float, budget: BudgetRecord | None = None) -> dict[str, Any]:
    """The row of /key/info: without `token`, with `status`."""
    row = key_row(key, spend, budget)
    del row["token"]
    return {**row, "status": key_status(key, now)}


def key_status(key: KeyRecord, now: float) -> str:
    """active, expired or revoked (blocked)."""
    expired = key.expires is not None and now >= key.expires
    return "revoked" if key.blocked else "expired" if expired else "active"


def team_row(team: TeamRecord, spend: Spend) -> dict[str, Any]:
    return {
        **extras(team, _TEAM_EXTRAS),
        **limits_row(team),
        **owner_row(team, spend),
        **stamps(team),
        "team_id": team.team_id,
        "team_alias": team.team_alias,
        "organization_id": team.organization_id,
        "models": list(team.models),
        "model_aliases": dict(team.model_aliases),
        "members_with_roles": [{"user_id": m.user_id, "user_email": m.user_email, "role": m.role} for m in team.members_with_roles],
        "tags": list(team.tags),
        "guardrails": list(team.guardrails),
        **_reach(team),
        "metadata": metadata_row(team, team.tags, team.guardrails),
        "blocked": team.blocked,
        "team_member_permissions": list(team.team_member_permissions) or None,
        "default_team_member_models": list(team.default_team_member_models),
        "team_member_budget": usd(team.team_member_budget),
        "team_member_budget_duration": team.team_member_budget_duration,
        "team_member_rpm_limit": team.team_member_rpm_limit,
        "team_member_tpm_limit": team.team_member_tpm_limit,
        "model_id": None,
        "litellm_model_table": None,
        "object_permission_id": None,
    }


def user_row(user: UserRecord, spend: Spend) -> dict[str, Any]:
    return {
        **extras(user, _USER_EXTRAS),
        **limits_row(user),
        **owner_row(user, spend),
        **stamps(user),
        "user_id": user.user_id,
        "user_email": user.user_email,
        "user_alias": user.user_alias,
        "user_role": user.user_role,
        "models": list(user.models),
        "teams": list(user.teams),
        "sso_user_id": user.sso_user_id,
        "metadata": metadata_row(user),
    }


def budget_row(budget: BudgetRecord) -> dict[str, Any]:
    return {"budget_id": budget.budget_id, **limits_row(budget), **stamps(budget)}


def limits_row(limits: Limits) -> dict[str, Any]:
    return {
        "max_budget": usd(limits.max_budget),
        "soft_budget": usd(limits.soft_budget),
        "budget_duration": limits.budget_duration,
        "max_parallel_requests": limits.max_parallel_requests,
        "rpm_limit": limits.rpm_limit,
        "tpm_limit": limits.tpm_limit,
        "tpd_limit": limits.tpd_limit,
        "model_max_budget": {model: _model_budget(row) for model, row in limits.model_max_budget.items()},
    }


def owner_row(record: Record, spend: Spend) -> dict[str, Any]:
    rows = [{"budget_duration": row.budget_duration, "max_budget": usd(row.max_budget)} for row in record.budget_limits]
    return {
        "spend": usd(spend.spent),
        "budget_reset_at": moment(spend.resets_at),
        "budget_limits": rows or None,
        "model_rpm_limit": dict(record.model_rpm_limit),
        "model_tpm_limit": dict(record.model_tpm_limit),
        "model_spend": {},
    }


def _model_budget(row: BudgetLimit) -> dict[str, Any]:
    """Both of LiteLLM's spellings: clients read the one they wrote."""
    dollars = usd(row.max_budget)
    both = {"max_budget": dollars, "budget_limit": dollars, "budget_duration": row.budget_duration, "time_period": row.budget_duration}
    return {name: value for name, value in {**both, "rpm_limit": row.rpm_limit, "tpm_limit": row.tpm_limit}.items() if value is not None}


def metadata_row(record: Record, tags: Iterable[str] = (), guardrails: Iterable[str] = ()) -> dict[str, Any]:
    """LiteLLM keeps these four in `metadata`, and its clients read them there."""
    listed = {"tags": list(tags), "guardrails": list(guardrails)}
    mapped = {"model_rpm_limit": dict(record.model_rpm_limit), "model_tpm_limit": dict(record.model_tpm_limit)}
    return {**record.metadata, **{name: value for name, value in {**listed, **mapped}.items() if value}}


def stamps(record: Record) -> dict[str, Any]:
    return {
        "created_at": record.created_at,
        "created_by": record.created_by,
        "updated_at": record.updated_at,
        "updated_by": record.updated_by,
    }


def _reach(record: KeyRecord | TeamRecord) -> dict[str, Any]:
    """What it may use besides models."""
    return {
        "mcp_rpm_limit": dict(record.mcp_rpm_limit) or None,
        "allowed_passthrough_routes": list(record.allowed_passthrough_routes) or None,
        "denied_passthrough_routes": list(record.denied_passthrough_routes) or None,
    }


def extras(record: Record, known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record.extra.get(name, untouched) for name, untouched in known.items()}


def usd(nano: int | None) -> float | None:
    return None if nano is None else nano_to_usd(nano)


def moment(epoch: float | None) -> str | None:
    return None if epoch is None else iso(epoch)
