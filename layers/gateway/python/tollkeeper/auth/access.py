"""What a good key may do: which models it may ask for, and which routes it may call.

Lists are LiteLLM's (https://docs.litellm.ai/docs/proxy/model_access): empty is everything; an entry is a model name, a wildcard
(`openai/*`), an access group, or one of three words. A team's list restricts its keys too;
so do its organization's, its project's and what the team allows the member; a user's own only keys without a team.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from tollkeeper.auth.principal import Principal
from tollkeeper.auth.records_groups import CustomerRecord
from tollkeeper.errors import Forbidden

ALL_TEAM_MODELS = "all-team-models"
ALL_PROXY_MODELS = "all-proxy-models"
NO_DEFAULT_MODELS = "no-default-models"
"""In a user's list: none of its own, only what its teams give. It names no model, so alone it refuses everything."""

TEAM_MODEL = "team-only:"
"""What begins the access group, closed to all others, of a model that belongs to one team (`model_info.team_id`)."""

LLM_ROUTES, MANAGEMENT_ROUTES, INFO_ROUTES = "llm_api_routes", "management_routes", "info_routes"
MANAGEMENT, READING = (MANAGEMENT_ROUTES,), (MANAGEMENT_ROUTES, INFO_ROUTES)
"""Groups that open a management route, and those that open one which only reads."""
ROUTES_OF_KEY_TYPE = {"default": (), "llm_api": (LLM_ROUTES,), "management": (MANAGEMENT_ROUTES,), "read_only": (INFO_ROUTES,)}
_LONGEST_NAME = 512
"""A wildcard is not tried on more: several `*` on a megabyte of model name would take minutes."""


def may_use_model(principal: Principal, model: str, access_groups: Collection[str] = ()) -> None:
    """Raises Forbidden. `model` is the name asked for; `access_groups` those of the model group it resolves to."""
    if not _of_own_team(principal, access_groups):
        raise _refused(model, "team")
    for owner, allowed in _lists(principal):
        if not _allows(allowed, {*_names(principal, owner, model), *access_groups}):
            raise _refused(model, owner)


def customer_may_use_model(customer: CustomerRecord, model: str, access_groups: Collection[str] = ()) -> None:
    """Raises Forbidden: the end user is blocked, or has a list without this model."""
    if customer.blocked:
        raise Forbidden(f"User={customer.customer_id} is blocked. Update via `/customer/unblock` if you're an admin.", type="auth_error")
    if customer.models and not _allows(customer.models, {model, *access_groups}):
        raise Forbidden(
            f"The requested model '{model}' is not available for this end user.", type="customer_model_access_denied", param="model"
        )


def visible_models(principal: Principal, models: Mapping[str, Collection[str]]) -> list[str]:
    """The names among `models` (name → its access groups) that this caller may ask for, in their order."""
    lists = [allowed for _, allowed in _lists(principal)]
    return [
        name
        for name, groups in models.items()
        if _of_own_team(principal, groups) and all(_allows(allowed, {name, *groups}) for allowed in lists)
    ]


def may_use_route(principal: Principal, route: str, groups: Collection[str] = (LLM_ROUTES,)) -> None:
    """Raises Forbidden unless `allowed_routes` is empty or holds the route, a `/prefix/*` of it, or one of its groups."""
    allowed = principal.key.allowed_routes
    if allowed and not _allows(allowed, {route, *groups}):
        raise Forbidden(
            f"Virtual key is not allowed to call this route. Only allowed to call routes: {list(allowed)}. Tried to call route: {route}",
            type="auth_error",
        )


def may_pass_through(principal: Principal, path: str) -> None:
    """Raises Forbidden where the key or its team is denied this raw route, or is allowed others only. A route stands for all below it."""
    for owner, record in (("key", principal.key), ("team", principal.team)):
        if record is None:
            continue
        allowed, denied = record.allowed_passthrough_routes, record.denied_passthrough_routes
        if _leads_to(denied, path) or (allowed and not _leads_to(allowed, path)):
            raise Forbidden(f"This {owner} may not use the pass-through route {path[:200]}.", type="auth_error")


def _leads_to(routes: Collection[str], path: str) -> bool:
    roots = [route.rstrip("*").rstrip("/") for route in routes]
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _of_own_team(principal: Principal, access_groups: Collection[str]) -> bool:
    """Whether the model is everybody's, or its team is the caller's."""
    owners = [group for group in access_groups if group.startswith(TEAM_MODEL)]
    return not owners or principal.is_master or f"{TEAM_MODEL}{principal.team_id}" in owners


def _refused(model: str, owner: str) -> Forbidden:
    return Forbidden(
        f"The requested model '{model}' is not available for this API key, or the model name is invalid. "
        "Call `/v1/models` to view available models for your key.",
        type=f"{owner}_model_access_denied",
        param="model",
    )


def _names(principal: Principal, owner: str, model: str) -> set[str]:
    """What an owner's list may call the model. An alias the key's holder can choose must not open what a team's list closes."""
    target = principal.aliases.get(model, model)
    chosen_by_key = model in principal.key.aliases
    return {model, target} if owner == "key" or not chosen_by_key else {target}


def _lists(principal: Principal) -> Iterable[tuple[str, tuple[str, ...]]]:
    in_team = principal.team is not None
    user_models = principal.user.models if principal.user is not None and not in_team else ()
    lists = (
        ("key", principal.models),
        ("team", principal.team.models if principal.team is not None else ()),
        ("team_member", principal.membership.allowed_models if principal.membership is not None else ()),
        ("user", user_models),
        ("org", principal.organization.models if principal.organization is not None else ()),
        ("project", principal.project.models if principal.project is not None else ()),
    )
    return ((owner, allowed) for owner, allowed in lists if allowed)


def _allows(allowed: tuple[str, ...], names: Collection[str]) -> bool:
    if any(entry in names or entry in (ALL_TEAM_MODELS, ALL_PROXY_MODELS, "*") for entry in allowed):
        return True
    wildcards = [_pattern(entry) for entry in allowed if "*" in entry]
    return any(wildcard.fullmatch(name) for wildcard in wildcards for name in names if len(name) <= _LONGEST_NAME)


@lru_cache(maxsize=4096)
def _pattern(wildcard: str) -> re.Pattern[str]:
    return re.compile(re.escape(wildcard).replace(r"\*", ".*"), re.DOTALL)
