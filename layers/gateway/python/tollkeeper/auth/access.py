"""What a good key may do: which models it may ask for, and which routes it may call.

Lists are LiteLLM's (https://docs.litellm.ai/docs/proxy/model_access): empty is everything; an entry is a model name, a wildcard
(`openai/*`), an access group, or one of three words. A team's list restricts its keys too, a user's only keys without a team.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from tollkeeper.auth.principal import Principal
from tollkeeper.errors import Forbidden

ALL_TEAM_MODELS = "all-team-models"
ALL_PROXY_MODELS = "all-proxy-models"
NO_DEFAULT_MODELS = "no-default-models"
"""In a user's list: none of its own, only what its teams give. It names no model, so alone it refuses everything."""

LLM_ROUTES, MANAGEMENT_ROUTES, INFO_ROUTES = "llm_api_routes", "management_routes", "info_routes"
ROUTES_OF_KEY_TYPE = {"default": (), "llm_api": (LLM_ROUTES,), "management": (MANAGEMENT_ROUTES,), "read_only": (INFO_ROUTES,)}
_LONGEST_NAME = 512
"""A wildcard is not tried on more: several `*` on a megabyte of model name would take minutes."""
_ADMIN_ROLES, _VIEWER_ROLES = ("proxy_admin",), ("proxy_admin", "proxy_admin_viewer")


def may_use_model(principal: Principal, model: str, access_groups: Collection[str] = ()) -> None:
    """Raises Forbidden. `model` is the name asked for; `access_groups` those of the model group it resolves to."""
    names = {model, principal.aliases.get(model, model), *access_groups}
    for owner, allowed in _lists(principal):
        if not _allows(allowed, names):
            raise Forbidden(
                f"The requested model '{model}' is not available for this API key, or the model name is invalid. "
                "Call `/v1/models` to view available models for your key.",
                type=f"{owner}_model_access_denied",
                param="model",
            )


def visible_models(principal: Principal, models: Mapping[str, Collection[str]]) -> list[str]:
    """The names among `models` (name → its access groups) that this caller may ask for, in their order."""
    lists = [allowed for _, allowed in _lists(principal)]
    return [name for name, groups in models.items() if all(_allows(allowed, {name, *groups}) for allowed in lists)]


def may_use_route(principal: Principal, route: str, groups: Collection[str] = (LLM_ROUTES,)) -> None:
    """Raises Forbidden unless `allowed_routes` is empty or holds the route, a `/prefix/*` of it, or one of its groups."""
    allowed = principal.key.allowed_routes
    if allowed and not _allows(allowed, {route, *groups}):
        raise Forbidden(
            f"Virtual key is not allowed to call this route. Only allowed to call routes: {list(allowed)}. Tried to call route: {route}",
            type="auth_error",
        )


def may_administer(principal: Principal, route: str, *, write: bool) -> None:
    """Raises Forbidden unless the caller is the master key, a management key, or an administrator's key that may call the route."""
    if principal.is_master:
        return
    roles = _ADMIN_ROLES if write else _VIEWER_ROLES
    if principal.key.key_type != "management" and principal.role not in roles:
        raise Forbidden(f"Only a proxy admin may call this route. Route={route}. Your role={principal.role}", type="auth_error")
    may_use_route(principal, route, (MANAGEMENT_ROUTES,) if write else (MANAGEMENT_ROUTES, INFO_ROUTES))


def _lists(principal: Principal) -> Iterable[tuple[str, tuple[str, ...]]]:
    if principal.models:
        yield "key", principal.models
    if principal.team is not None and principal.team.models:
        yield "team", principal.team.models
    elif principal.team is None and principal.user is not None and principal.user.models:
        yield "user", principal.user.models


def _allows(allowed: tuple[str, ...], names: Collection[str]) -> bool:
    if any(entry in names or entry in (ALL_TEAM_MODELS, ALL_PROXY_MODELS, "*") for entry in allowed):
        return True
    wildcards = [_pattern(entry) for entry in allowed if "*" in entry]
    return any(wildcard.fullmatch(name) for wildcard in wildcards for name in names if len(name) <= _LONGEST_NAME)


@lru_cache(maxsize=4096)
def _pattern(wildcard: str) -> re.Pattern[str]:
    return re.compile(re.escape(wildcard).replace(r"\*", ".*"), re.DOTALL)
