"""What callers who are no proxy admins may set on a key, and the installation's default and upper-bound parameters.

A key acts for its user, so nobody but a proxy admin may make, change or renew a key of somebody else that could manage anything: such a key
is for models only. And what an administrator has set on a key, its holder does not loosen.
https://docs.litellm.ai/docs/proxy/virtual_keys#upperbound-key-generate-params
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.models_keys import GenerateKey
from tollkeeper.admin.ruling import leave_the_rules
from tollkeeper.auth.access import LLM_ROUTES
from tollkeeper.auth.durations import after
from tollkeeper.auth.records import KeyRecord
from tollkeeper.auth.roles import INTERNAL_USER, ORG_ADMIN, PROXY_ADMIN, TEAM_MEMBER
from tollkeeper.clock import Clock
from tollkeeper.errors import BadRequest, Forbidden, OurError

_ADMINS_ONLY = frozenset({"temp_budget_increase", "temp_budget_expiry", "budget_id"})
_HOLDERS = (INTERNAL_USER, TEAM_MEMBER)
_HARMLESS = frozenset({"key_alias", "metadata"})
_MODELS_ONLY = {"key_type": "llm_api", "allowed_routes": (LLM_ROUTES,)}
_BOUNDED = ("max_budget", "tpm_limit", "rpm_limit", "max_parallel_requests")


def own_key(fields: Mapping[str, Any], actor: Actor, role: str) -> dict[str, Any]:
    """The fields of a new key as this role may make it. Raises Forbidden."""
    if role == PROXY_ADMIN:
        return dict(fields)
    _no_more_than(role, {name: value for name, value in fields.items() if value is not None})
    if not _acts_for_another(fields.get("user_id"), actor):
        return dict(fields)
    if fields.get("key_type") in (None, "default") and not fields.get("allowed_routes"):
        return {**fields, **_MODELS_ONLY}
    _models_only(fields)
    return dict(fields)


def own_change(base: KeyRecord, changes: Mapping[str, Any], actor: Actor, role: str) -> None:
    """Raises Forbidden for a change that this role may not make."""
    if role == PROXY_ADMIN:
        return
    _no_more_than(role, changes)
    whole = {**{name: getattr(base, name) for name in ("user_id", "key_type", "allowed_routes")}, **changes}
    if _acts_for_another(whole["user_id"], actor) and (changes.keys() - _HARMLESS):
        _models_only(whole)
    if role in _HOLDERS and not _made_by(base, actor) and (refused := changes.keys() - _HARMLESS):
        raise _set_up_by_an_administrator(refused)


def own_rules(base: KeyRecord | None, extra: Mapping[str, Any], metadata: Mapping[str, Any] | None, actor: Actor, role: str) -> None:
    """Raises Forbidden for what this role may not say in a key's free fields (ruling.py has their meaning)."""
    if role == PROXY_ADMIN:
        return
    set_up = base is not None and role in _HOLDERS and not _made_by(base, actor)
    leave_the_rules("key", base, extra, metadata, requirements=set_up)
    if set_up and base is not None and (refused := [name for name, value in extra.items() if base.extra.get(name) != value]):
        raise _set_up_by_an_administrator(refused)


def _made_by(key: KeyRecord, actor: Actor) -> bool:
    return key.created_by == key.updated_by == actor.user_id


def _set_up_by_an_administrator(refused: Iterable[str]) -> Forbidden:
    return Forbidden(f"This key was set up by an administrator, who alone may change {', '.join(sorted(refused))}.", type="auth_error")


def may_renew(base: KeyRecord, actor: Actor, role: str) -> None:
    """Raises Forbidden: who renews a key learns its text, and can act as its user."""
    if role != PROXY_ADMIN and _acts_for_another(base.user_id, actor):
        _models_only({"key_type": base.key_type, "allowed_routes": base.allowed_routes})


def defaulted(fields: Mapping[str, Any], settings: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """litellm_settings.default_key_generate_params where the request says nothing."""
    params = settings.get("default_key_generate_params") or {}
    given = {name: value for name, value in fields.items() if value is not None}
    return {**_stored(params, "default_key_generate_params", clock), **given} if params else dict(fields)


def bounded(fields: Mapping[str, Any], settings: Mapping[str, Any], clock: Clock, *, new: bool) -> dict[str, Any]:
    """Within litellm_settings.upperbound_key_generate_params, which also fill what a new key leaves open. Raises BadRequest."""
    params = settings.get("upperbound_key_generate_params") or {}
    bounds = _stored(params, "upperbound_key_generate_params", clock)
    for name in (*_BOUNDED, "expires"):
        if name not in bounds or name not in fields:
            continue
        shown = "duration" if name == "expires" else name
        if fields[name] is None and not new:
            raise BadRequest(f"{shown} may not be cleared: the upper bound is {params[shown]}.", param=shown)
        if fields[name] is not None and fields[name] > bounds[name]:
            raise BadRequest(f"{shown} is over the upper bound: at most {params[shown]} is allowed.", param=shown)
    unset = {name: bound for name, bound in bounds.items() if new and fields.get(name) is None}
    return {**fields, **unset}


def _stored(params: Mapping[str, Any], name: str, clock: Clock) -> dict[str, Any]:
    try:
        body = GenerateKey.model_validate(params)
    except ValidationError:
        raise OurError(f"litellm_settings.{name} is not valid.") from None
    expires = {"expires": after(clock.now(), body.duration)} if body.duration else {}
    return {**{key: value for key, value in body.changes(KeyRecord).items() if value is not None}, **expires}


def _no_more_than(role: str, fields: Mapping[str, Any]) -> None:
    if refused := sorted(_closed(role) & fields.keys()):
        raise Forbidden(f"Your role may not set {', '.join(refused)} on a key.", type="auth_error", param=refused[0])
    if fields.get("key_type") == "management":
        raise Forbidden("Only a proxy admin may make a management key.", type="auth_error", param="key_type")


def _closed(role: str) -> frozenset[str]:
    if role == ORG_ADMIN:
        return _ADMINS_ONLY
    return _ADMINS_ONLY | {"organization_id", "blocked"} if role in _HOLDERS else _ADMINS_ONLY | {"organization_id"}


def _acts_for_another(user_id: str | None, actor: Actor) -> bool:
    return user_id is not None and user_id != actor.user_id


def _models_only(fields: Mapping[str, Any]) -> None:
    if fields.get("key_type") != "llm_api" or tuple(fields.get("allowed_routes") or ()) != (LLM_ROUTES,):
        message = "A key of another user must be of key_type llm_api; only a proxy admin may give more."
        raise Forbidden(message, type="auth_error", param="key_type")
