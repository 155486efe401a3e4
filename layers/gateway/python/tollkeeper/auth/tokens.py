"""From the claims of a signed token to a Principal: `enable_jwt_auth` and `litellm_jwtauth` (https://docs.litellm.ai/docs/proxy/token_auth).

The directory is read and never written here: `user_id_upsert` and `team_id_upsert` mean that a user or a team which nobody has written down
is let in with the roles of the token. Budgets count by id either way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import Any

from tollkeeper.auth.jwks import Issuer, TokenVerifier
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.auth.roles import PROXY_ADMIN, USER_ROLES
from tollkeeper.auth.shelves import Shelves
from tollkeeper.errors import ConfigError, Forbidden, Unauthenticated

_LONGEST_ID = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Fields of `litellm_jwtauth`. `*_field` are names of claims, with dots into nested ones; empty: not read."""

    user_id_jwt_field: str = "sub"
    user_email_jwt_field: str = ""
    team_id_jwt_field: str = ""
    team_ids_jwt_field: str = ""
    team_id_default: str = ""
    org_id_jwt_field: str = ""
    user_roles_jwt_field: str = ""
    user_allowed_roles: Sequence[str] = ()
    role_mappings: Mapping[str, str] = field(default_factory=dict)
    """A role of the identity provider → a user role here."""
    scope_field: str = "scope"
    admin_jwt_scope: str = "litellm_proxy_admin"
    user_id_upsert: bool = False
    team_id_upsert: bool = False
    issuers: tuple[Issuer, ...] = ()
    public_key_ttl: float = 600.0


def rules_of(section: Mapping[str, Any]) -> TokenRules:
    """`litellm_jwtauth` as written. Raises ConfigError naming what is missing: without issuer and audience anybody's token would do."""
    known = {f.name for f in fields(TokenRules)} - {"issuers", "role_mappings"}
    rows = section.get("issuers") or [{name: section.get(name) for name in ("issuer", "jwks_url", "audience")}]
    issuers = tuple(Issuer(str(row.get("issuer") or ""), str(row.get("jwks_url") or ""), str(row.get("audience") or "")) for row in rows)
    for issuer in issuers:
        if not issuer.issuer or not issuer.audience or not issuer.jwks_url.startswith("https://"):
            raise ConfigError(
                "general_settings.litellm_jwtauth needs issuer, audience and an https:// jwks_url, or a list of them in issuers."
            )
    mappings = {str(row["role"]): str(row["internal_role"]) for row in section.get("role_mappings") or ()}
    if wrong := sorted(set(mappings.values()) - set(USER_ROLES)):
        raise ConfigError(
            f"general_settings.litellm_jwtauth.role_mappings: there is no role {wrong[0]}; there are {', '.join(USER_ROLES)}."
        )
    given = {name: value for name, value in section.items() if name in known and value is not None}
    return TokenRules(**given, issuers=issuers, role_mappings=mappings)


class TokenAuth:
    def __init__(self, rules: TokenRules, verifier: TokenVerifier, shelves: Shelves) -> None:
        self._rules, self._verifier, self._shelves = rules, verifier, shelves

    async def principal(self, token: str, wanted_team: str | None = None) -> Principal:
        """`wanted_team` is x-litellm-team-id, for a token with several. Raises Unauthenticated, Forbidden, StoreUnavailable."""
        claims, rules = await self._verifier.claims(token), self._rules
        user_id = _text(claims, rules.user_id_jwt_field)
        grants = self._grants(claims)
        if not user_id:
            raise Unauthenticated(f"Authentication Error, the token has no {rules.user_id_jwt_field}.", param="token")
        user = await self._user(user_id, claims, grants)
        team = await self._team(claims, wanted_team)
        own_organization = _text(claims, rules.org_id_jwt_field) or None
        organization = await self._shelves.organization(own_organization or (team.organization_id if team else None))
        membership = await self._shelves.member(team, user_id)
        key = KeyRecord(
            key_hash=sha256(f"token\n{claims['iss']}\n{user_id}".encode()).hexdigest(),
            key_name="token",
            user_id=user_id,
            team_id=team.team_id if team else None,
            organization_id=own_organization,
        )
        made = principal_of(key, team, user, organization=organization.value, membership=membership.value)
        return replace(made, grants=grants)

    def _grants(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        rules = self._rules
        scopes = _list(claims, rules.scope_field)
        if rules.admin_jwt_scope and rules.admin_jwt_scope in scopes:
            return (PROXY_ADMIN,)
        roles = _list(claims, rules.user_roles_jwt_field)
        if rules.user_allowed_roles and not set(roles) & set(rules.user_allowed_roles):
            raise Forbidden("None of the token's roles is allowed here.", type="auth_error", param="token")
        mapped = {rules.role_mappings[role] for role in roles if role in rules.role_mappings}
        return tuple(role for role in USER_ROLES if role in mapped)[:1]

    async def _user(self, user_id: str, claims: Mapping[str, Any], grants: tuple[str, ...]) -> UserRecord | None:
        known = (await self._shelves.user(user_id)).value
        if known is None and not (self._rules.user_id_upsert or grants):
            raise Unauthenticated("Authentication Error, the token's user is not known here.", param="token")
        email = _text(claims, self._rules.user_email_jwt_field) or None
        return known or UserRecord(user_id=user_id, user_email=email, user_role=next(iter(grants), None))

    async def _team(self, claims: Mapping[str, Any], wanted: str | None) -> TeamRecord | None:
        rules = self._rules
        own = _text(claims, rules.team_id_jwt_field)
        named = [*([own] if own else []), *_list(claims, rules.team_ids_jwt_field)]
        if wanted is not None and wanted not in named:
            raise Forbidden("The token is not for this team.", type="auth_error", param="x-litellm-team-id")
        candidates = [wanted] if wanted else named or ([rules.team_id_default] if rules.team_id_default else [])
        for team_id in candidates:
            known = (await self._shelves.team(team_id)).value
            if known is not None or rules.team_id_upsert:
                return known or TeamRecord(team_id=team_id)
        if candidates:
            raise Unauthenticated("Authentication Error, none of the token's teams is known here.", param="token")
        return None


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """`a.b` is the claim of that name, else `b` inside `a`."""
    if not name or name in claims:
        return claims.get(name)
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _claim(claims, name)
    return value if isinstance(value, str) and len(value) <= _LONGEST_ID else ""


def _list(claims: Mapping[str, Any], name: str) -> list[str]:
    """A list, or words with spaces as OAuth writes scopes."""
    value = _claim(claims, name)
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return [word for word in words if isinstance(word, str) and 0 < len(word) <= _LONGEST_ID][:100]
