"""What `litellm_jwtauth` asks of signed tokens, as values. No JWT library is needed to read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tollkeeper.errors import ConfigError

DISCOVERY = "/.well-known/openid-configuration"
"""https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig"""
_ROUTES = {"openai_routes": "llm_api_routes", "admin_only_routes": "management_routes"}
"""LiteLLM's names of groups of routes → ours, where they differ."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken: `issuer` must be the `iss` of the token (empty: any that these keys prove), one of `audience` in its `aud`
    (none: not asked). `jwks_url` shows a key set, or an OpenID configuration that says where one is.
    """

    issuer: str
    jwks_url: str
    audience: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScopeGrant:
    scope: str
    models: Sequence[str] = ()
    routes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Fields of `litellm_jwtauth`. `*_field` are names of claims, with dots into nested ones; empty: not read."""

    user_id_jwt_field: str = ""
    """Empty: `sub`, if there is such a user; a token whose team answers for it need not have one."""
    user_email_jwt_field: str = ""
    user_allowed_email_domain: str = ""
    team_id_jwt_field: str = ""
    team_ids_jwt_field: str = ""
    team_id_default: str = ""
    team_allowed_routes: Sequence[str] = ()
    org_id_jwt_field: str = ""
    user_roles_jwt_field: str = ""
    user_allowed_roles: Sequence[str] = ()
    roles_jwt_field: str = ""
    roles: Sequence[tuple[str, str]] = ()
    """(a role of the identity provider, `*` matches; a user role here), the first that fits."""
    scope_field: str = "scope"
    admin_jwt_scope: str = "litellm_proxy_admin"
    admin_allowed_routes: Sequence[str] = ()
    scopes: Sequence[ScopeGrant] = field(default_factory=tuple)
    enforce_scope_based_access: bool = False
    user_id_upsert: bool = False
    team_id_upsert: bool = False
    issuers: tuple[Issuer, ...] = ()
    public_key_ttl: float = 600.0


def rules_of(section: Mapping[str, Any], env: Callable[[str], str | None] = lambda _: None) -> TokenRules:
    """`litellm_jwtauth`, checked by config/identity.py. Raises ConfigError where nothing says whose keys prove a token."""
    known = {f.name for f in fields(TokenRules)} - {"issuers", "roles", "scopes", "team_allowed_routes", "admin_allowed_routes"}
    rows = [*(section.get("role_mappings") or ()), *(section.get("jwt_litellm_role_map") or ())]
    return TokenRules(
        **{name: value for name, value in section.items() if name in known and value is not None},
        issuers=_issuers(section, env),
        roles=tuple((row["role"], row["internal_role"]) for row in rows if row["internal_role"] != "team"),
        scopes=tuple(
            ScopeGrant(row["scope"], row.get("models") or (), _routes(row.get("routes") or ()))
            for row in section.get("scope_mappings") or ()
        ),
        team_allowed_routes=_routes(section.get("team_allowed_routes") or ()),
        admin_allowed_routes=_routes(section.get("admin_allowed_routes") or ()),
    )


def _issuers(section: Mapping[str, Any], env: Callable[[str], str | None]) -> tuple[Issuer, ...]:
    common = {"issuer": env("JWT_ISSUER"), "audience": env("JWT_AUDIENCE"), **_given(section)}
    urls = [section["jwks_url"]] if section.get("jwks_url") else _split(env("JWT_PUBLIC_KEY_URL"))
    rows = section.get("issuers") or [{"jwks_url": url} for url in urls or [None]]
    return tuple(_issuer({**common, **_given(row)}) for row in rows)


def _issuer(row: Mapping[str, Any]) -> Issuer:
    issuer, url, audience = row.get("issuer") or "", row.get("jwks_url") or "", row.get("audience") or ()
    if not url and not issuer.startswith(("https://", "http://")):
        raise ConfigError("general_settings.litellm_jwtauth: say whose keys prove a token, in jwks_url, issuer or JWT_PUBLIC_KEY_URL.")
    return Issuer(issuer, url or issuer.rstrip("/") + DISCOVERY, tuple(_split(audience)))


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("issuer", "audience", "jwks_url") if row.get(name)}


def _split(value: str | Sequence[str] | None) -> list[str]:
    """A list, or a text with commas."""
    parts = value.split(",") if isinstance(value, str) else list(value or ())
    return [part.strip() for part in parts if part.strip()]


def _routes(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_ROUTES.get(name, name) for name in names)
