"""Everybody a call's money and rates belong to: key, user, team, member, organization, project, customer, tags, the whole gateway."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.auth.access import customer_may_use_model
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.auth.records import BudgetLimit
from tollkeeper.auth.records import Limits as RecordLimits
from tollkeeper.auth.records_groups import CustomerRecord, TagRecord
from tollkeeper.budgets.scopes import Enforcement, Mode, OnStoreError, Owner, ScopeKind, Terms
from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.limits.rate import RateLimit
from tollkeeper.money import NanoUSD, usd_to_nano

CUSTOMER_HEADERS = ("x-litellm-customer-id", "x-litellm-end-user-id")
MAX_TAGS = 32
CUSTOMER_ROLE = "customer"
"""Of user_header_mappings; the other, `internal_user`, names the holder of a key, whom a header must not change."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What gateway.yaml says of budgets and limits for everybody."""

    enforcement: Enforcement = "hard"
    mode: Mode = "enforce"
    on_store_error: OnStoreError = "deny"
    user_pays_for_team_keys: bool = True
    customer_headers: tuple[str, ...] = ()
    """Beside LiteLLM's own, in the order in which they count."""
    customer_terms: Terms | None = None
    gateway_terms: Terms | None = None
    provider_terms: Mapping[str, Terms] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Policy":
        litellm, router, general, own = (
            snapshot.settings.get(name, {}) for name in ("litellm_settings", "router_settings", "general_settings", "tollkeeper")
        )
        budgets = {name: value for name, value in (own.get("budgets") or {}).items() if value is not None}
        manner = {name: budgets[name] for name in ("enforcement", "mode", "on_store_error") if name in budgets}
        whole = Terms(
            max_budget=_nano(litellm.get("max_budget")),
            budget_duration=litellm.get("budget_duration"),
            max_parallel_requests=general.get("global_max_parallel_requests"),
            **manner,
        )
        customer = Terms(
            max_budget=_nano(litellm.get("max_end_user_budget")), budget_duration=litellm.get("max_end_user_budget_duration"), **manner
        )
        providers = {
            name: Terms(max_budget=_nano(row["budget_limit"]), budget_duration=row["time_period"], **manner)
            for name, row in (router.get("provider_budget_config") or {}).items()
        }
        return cls(
            **manner,
            # LiteLLM leaves a user's budget out for team keys, which surprises (https://github.com/BerriAI/litellm/issues/11962).
            user_pays_for_team_keys=general.get("apply_user_budget_to_team_keys") is not False,
            customer_headers=_customer_headers(general),
            customer_terms=customer if customer.max_budget is not None else None,
            gateway_terms=whole if whole.max_budget is not None or whole.max_parallel_requests is not None else None,
            provider_terms=providers,
        )


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for one call. `model` is the group it asks for."""

    principal: Principal
    model: str
    customer_id: str | None = None
    customer: CustomerRecord | None = None
    tags: tuple[str, ...] = ()
    tag_records: tuple[TagRecord, ...] = ()
    server: str | None = None
    """The MCP server whose tool it calls."""

    def spenders(self) -> list[tuple[str, tuple[str, ...]]]:
        """(kind, ids) of everybody whose lifetime spend a call adds to."""
        principal = self.principal
        member = (principal.team_id, principal.user_id) if principal.team_id and principal.user_id else None
        named = (("key", principal.key_hash), ("team", principal.team_id), ("user", principal.user_id), ("customer", self.customer_id))
        found: list[tuple[str, tuple[str, ...]]] = [(kind, (name,)) for kind, name in named if name]
        return [*found, ("team_member", member)] if member else found


async def payer_of(
    principal: Principal,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    authenticator: Authenticator,
    policy: Policy,
    access_groups: Collection[str] = (),
) -> Payer:
    """Reads the customer and the tags the request names. Raises Forbidden for a customer who is blocked or may not use the model."""
    customer_id = _customer_id(body, headers, policy)
    customer = await authenticator.customer(customer_id) if customer_id else None
    if customer is not None:
        customer_may_use_model(customer, body["model"], access_groups)
    tags = tuple(dict.fromkeys((*principal.tags, *_tags(body, headers))))[:MAX_TAGS]
    records = [await authenticator.tag(name) for name in tags]
    return Payer(principal, body["model"], customer_id, customer, tags, tuple(record for record in records if record is not None))


def money_owners(payer: Payer, policy: Policy) -> list[Owner]:
    """Every scope with its terms; scopes without budget and parallel limit fall out in `scope_caps`."""
    owners = [Owner(kind, ids, terms_of(record, policy), name) for kind, ids, name, record in _scopes(payer, policy)]
    owners += [
        Owner(kind, (*ids, payer.model), _model_terms(limit, policy), f"{name} for model={payer.model}")
        for kind, ids, name, record in _scopes(payer, policy)
        if kind in _PER_MODEL and (limit := record.model_max_budget.get(payer.model)) is not None
        for kind in (_PER_MODEL[kind],)
    ]
    if payer.customer_id and payer.customer is None and policy.customer_terms is not None:
        owners.append(Owner("customer", (payer.customer_id,), policy.customer_terms))
    if policy.gateway_terms is not None:
        owners.append(Owner("gateway", (), policy.gateway_terms, "gateway"))
    return owners


def deployment_owners(deployment: Deployment, policy: Policy) -> list[Owner]:
    """The budgets of the place a try goes to."""
    owners = []
    if (terms := policy.provider_terms.get(deployment.provider)) is not None:
        owners.append(Owner("provider", (deployment.provider,), terms))
    if deployment.max_budget is not None or deployment.max_parallel_requests is not None:
        terms = Terms(
            max_budget=NanoUSD(deployment.max_budget) if deployment.max_budget is not None else None,
            budget_duration=deployment.budget_duration,
            max_parallel_requests=deployment.max_parallel_requests,
            enforcement=policy.enforcement,
            mode=policy.mode,
            on_store_error=policy.on_store_error,
        )
        owners.append(Owner("deployment", (deployment.id,), terms, deployment.group))
    return owners


def rate_limits(payer: Payer, policy: Policy) -> list[RateLimit]:
    limits = []
    for kind, ids, name, record in _scopes(payer, policy):
        if record.rpm_limit is not None or record.tpm_limit is not None or record.tpd_limit is not None:
            limits.append(RateLimit(kind, ids, name, record.rpm_limit, record.tpm_limit, record.tpd_limit))
        rpm, tpm = record.model_rpm_limit.get(payer.model), record.model_tpm_limit.get(payer.model)
        if (budget := record.model_max_budget.get(payer.model)) is not None:
            rpm, tpm = rpm if rpm is not None else budget.rpm_limit, tpm if tpm is not None else budget.tpm_limit
        if rpm is not None or tpm is not None:
            limits.append(RateLimit(f"{kind}_model", (*ids, payer.model), name, rpm, tpm))
    return [*limits, *_particular(payer)]


def _particular(payer: Payer) -> Iterator[RateLimit]:
    """Limits that a key has on some of its calls: those with a tag, those of an MCP server's tools (its team may have one, too)."""
    key, team, server = payer.principal.key, payer.principal.team, payer.server
    name = payer.principal.key_alias or payer.principal.key_name
    for tag in payer.tags:
        if (rpm := key.tag_rpm_limit.get(tag)) is not None:
            yield RateLimit("key_tag", (key.key_hash, tag), f"{name} with Tag={tag}", rpm)
    if server is not None and (rpm := key.mcp_rpm_limit.get(server)) is not None:
        yield RateLimit("key_mcp", (key.key_hash, server), f"{name} at MCP server={server}", rpm)
    if server is not None and team is not None and (rpm := team.mcp_rpm_limit.get(server)) is not None:
        yield RateLimit("team_mcp", (team.team_id, server), f"{team.team_id} at MCP server={server}", rpm)


def terms_of(record: RecordLimits, policy: Policy) -> Terms:
    """A record may say `enforcement`, `mode` and `on_store_error` itself (kept in its `extra`, or its metadata)."""
    own = {**_manner(getattr(record, "metadata", None)), **_manner(getattr(record, "extra", None))}
    return Terms(
        max_budget=record.max_budget,
        budget_duration=record.budget_duration,
        budget_limits=tuple((row.budget_duration or "", row.max_budget) for row in record.budget_limits if row.max_budget is not None),
        soft_budget=record.soft_budget,
        max_parallel_requests=record.max_parallel_requests,
        temp_budget_increase=getattr(record, "temp_budget_increase", None),
        temp_budget_expiry=getattr(record, "temp_budget_expiry", None),
        enforcement=own.get("enforcement", policy.enforcement),
        mode=own.get("mode", policy.mode),
        on_store_error=own.get("on_store_error", policy.on_store_error),
    )


_PER_MODEL: Mapping[str, ScopeKind] = {"key": "key_model", "team": "team_model", "user": "user_model"}
_MANNERS = {"enforcement": ("hard", "soft"), "mode": ("enforce", "shadow"), "on_store_error": ("deny", "allow")}


def _scopes(payer: Payer, policy: Policy) -> Iterator[tuple[ScopeKind, tuple[str, ...], str, RecordLimits]]:
    """(kind, ids, name in messages, record) of everybody concerned who has a record."""
    principal = payer.principal
    yield "key", (principal.key_hash,), principal.key_alias or principal.key_name, principal.key
    if principal.user is not None and (principal.team_id is None or policy.user_pays_for_team_keys):
        yield "user", (principal.user.user_id,), principal.user.user_id, principal.user
    if principal.team is not None:
        yield "team", (principal.team.team_id,), principal.team.team_id, principal.team
    if principal.membership is not None:
        user, team = principal.membership.user_id, principal.membership.team_id
        yield "team_member", (team, user), f"{user} in Team={team}", principal.membership
    if principal.organization is not None:
        yield "organization", (principal.organization.organization_id,), principal.organization.organization_id, principal.organization
    if principal.project is not None:
        yield "project", (principal.project.project_id,), principal.project.project_id, principal.project
    if payer.customer is not None:
        yield "customer", (payer.customer.customer_id,), payer.customer.customer_id, payer.customer
    for tag in payer.tag_records:
        yield "tag", (tag.name,), tag.name, tag


def _model_terms(limit: BudgetLimit, policy: Policy) -> Terms:
    return Terms(
        max_budget=limit.max_budget,
        budget_duration=limit.budget_duration,
        enforcement=policy.enforcement,
        mode=policy.mode,
        on_store_error=policy.on_store_error,
    )


def _customer_headers(general: Mapping[str, Any]) -> tuple[str, ...]:
    """https://docs.litellm.ai/docs/proxy/customers#using-the-user-header-mappings"""
    mapped = general.get("user_header_mappings") or ()
    names = [general.get("user_header_name"), *(row["header_name"] for row in mapped if row["litellm_user_role"] == CUSTOMER_ROLE)]
    return tuple(name.lower() for name in names if name)


def _customer_id(body: Mapping[str, Any], headers: Mapping[str, str], policy: Policy) -> str | None:
    """LiteLLM's precedence: header, configured header, `user`, litellm_metadata.user, metadata.user_id."""
    named = [headers.get(name) for name in (*CUSTOMER_HEADERS, *policy.customer_headers)]
    inside = [(body.get("litellm_metadata"), "user"), (body.get("metadata"), "user_id")]
    named += [body.get("user"), *(part.get(name) for part, name in inside if isinstance(part, dict))]
    return next((text for text in named if isinstance(text, str) and text), None)


def _tags(body: Mapping[str, Any], headers: Mapping[str, str]) -> list[str]:
    """The request's own tags: header, body, metadata. https://docs.litellm.ai/docs/proxy/tag_budgets"""
    metadata = body.get("metadata")
    listed = [*_texts(body.get("tags")), *_texts(metadata.get("tags") if isinstance(metadata, dict) else None)]
    return [*(tag.strip() for tag in headers.get("x-litellm-tags", "").split(",") if tag.strip()), *listed]


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _manner(fields: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: fields[name] for name, known in _MANNERS.items() if fields and fields.get(name) in known}


def _nano(usd: float | None) -> NanoUSD | None:
    return None if usd is None else usd_to_nano(usd)
