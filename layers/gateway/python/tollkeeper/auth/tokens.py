"""From the claims of a signed token to a Principal: `enable_jwt_auth` and `litellm_jwtauth` (https://docs.litellm.ai/docs/proxy/token_auth).

`user_id_upsert` and `team_id_upsert` let in a user or a team which nobody has written down, with the roles of the token, and `register`
them where this process may write the directory. Budgets count by id either way. Import of this module brings in the JWT library.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from tollkeeper.auth.jwks import TokenVerifier
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.auth.roles import PROXY_ADMIN, USER_ROLES
from tollkeeper.auth.shelves import Shelves
from tollkeeper.auth.token_rules import TokenRules
from tollkeeper.errors import Forbidden, Unauthenticated

Register = Callable[[UserRecord | TeamRecord], Awaitable[None]]
_LONGEST_ID = 256


class TokenAuth:
    """`register` writes a user or a team down who was let in without being known; None where the directory is not ours to write."""

    def __init__(self, rules: TokenRules, verifier: TokenVerifier, shelves: Shelves, register: Register | None = None) -> None:
        self._rules, self._verifier, self._shelves, self._register = rules, verifier, shelves, register

    async def principal(self, token: str, wanted_team: str | None = None) -> Principal:
        """`wanted_team` is x-litellm-team-id, for a token with several. Raises Unauthenticated, Forbidden, StoreUnavailable."""
        claims, rules = await self._verifier.claims(token), self._rules
        grants = self._grants(claims)
        team = await self._team(claims, wanted_team)
        user_id, user = await self._user(claims, grants, anybody=team is not None)
        own_organization = _text(claims, rules.org_id_jwt_field) or None
        organization = await self._shelves.organization(own_organization or (team.organization_id if team else None))
        membership = await self._shelves.member(team, user_id)
        models, routes = self._granted(claims, grants, in_team=team is not None)
        key = KeyRecord(
            key_hash=_identity(claims, user_id, team),
            key_name="token",
            user_id=user_id,
            team_id=team.team_id if team else None,
            organization_id=own_organization,
            models=models,
            allowed_routes=routes,
        )
        made = principal_of(key, team, user, organization=organization.value, membership=membership.value)
        return replace(made, grants=grants)

    def _grants(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The token's role here, if it has one."""
        rules = self._rules
        if rules.admin_jwt_scope and rules.admin_jwt_scope in _list(claims, rules.scope_field):
            return (PROXY_ADMIN,)
        own = _list(claims, rules.user_roles_jwt_field)
        if rules.user_allowed_roles and not set(own) & set(rules.user_allowed_roles):
            raise Forbidden("None of the token's roles is allowed here.", type="auth_error", param="token")
        roles = [*own, *_list(claims, rules.roles_jwt_field)]
        # Without a mapping, a role of that very name is ours: the operator has said which claim to read.
        mapped = {internal for theirs, internal in rules.roles if any(fnmatchcase(role, theirs) for role in roles)}
        return tuple(role for role in USER_ROLES if role in (mapped if rules.roles else roles))[:1]

    def _granted(self, claims: Mapping[str, Any], grants: tuple[str, ...], *, in_team: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The models and the routes the token is confined to; empty: not confined."""
        rules = self._rules
        if PROXY_ADMIN in grants:
            return (), tuple(rules.admin_allowed_routes)
        if not rules.enforce_scope_based_access:
            return (), tuple(rules.team_allowed_routes) if in_team else ()
        held = set(_list(claims, rules.scope_field))
        matched = [grant for grant in rules.scopes if grant.scope in held]
        if not matched:
            raise Forbidden("None of the token's scopes is allowed here.", type="auth_error", param="token")
        names = tuple(tuple(each for grant in matched for each in getattr(grant, part)) for part in ("models", "routes"))
        return names[0], names[1]

    async def _user(self, claims: Mapping[str, Any], grants: tuple[str, ...], *, anybody: bool) -> tuple[str | None, UserRecord | None]:
        """`anybody`: a team answers for the token, so that a machine need not be a user as well."""
        rules = self._rules
        user_id, email = _text(claims, rules.user_id_jwt_field or "sub"), _text(claims, rules.user_email_jwt_field) or None
        if rules.user_allowed_email_domain and not (email or "").endswith(f"@{rules.user_allowed_email_domain}"):
            raise Forbidden("The token's e-mail address is not of an allowed domain.", type="auth_error", param="token")
        known = (await self._shelves.user(user_id)).value if user_id else None
        if known is not None:
            return user_id, known
        if user_id and (rules.user_id_upsert or grants):
            fresh = UserRecord(user_id=user_id, user_email=email)
            # The token's role is not written down with it: it ends with the token.
            await self._written_down(fresh, wanted=rules.user_id_upsert)
            return user_id, fresh
        if anybody and (not user_id or not rules.user_id_jwt_field):
            return None, None
        if not user_id:
            raise Unauthenticated(f"Authentication Error, the token has no {rules.user_id_jwt_field or 'sub'}.", param="token")
        raise Unauthenticated("Authentication Error, the token's user is not known here.", param="token")

    async def _team(self, claims: Mapping[str, Any], wanted: str | None) -> TeamRecord | None:
        rules = self._rules
        own = _text(claims, rules.team_id_jwt_field)
        named = [*([own] if own else []), *_list(claims, rules.team_ids_jwt_field)]
        if wanted is not None and wanted not in named:
            raise Forbidden("The token is not for this team.", type="auth_error", param="x-litellm-team-id")
        candidates = [wanted] if wanted else named or ([rules.team_id_default] if rules.team_id_default else [])
        for team_id in candidates:
            if (known := (await self._shelves.team(team_id)).value) is not None:
                return known
        if candidates and rules.team_id_upsert:
            fresh = TeamRecord(team_id=candidates[0])
            await self._written_down(fresh, wanted=True)
            return fresh
        if candidates:
            raise Unauthenticated("Authentication Error, none of the token's teams is known here.", param="token")
        return None

    async def _written_down(self, record: UserRecord | TeamRecord, *, wanted: bool) -> None:
        if wanted and self._register is not None:
            await self._register(record)


def _identity(claims: Mapping[str, Any], user_id: str | None, team: TeamRecord | None) -> str:
    """What stands in a key hash's place, the same for every token of the same bearer."""
    bearer = user_id or _text(claims, "sub") or (team.team_id if team else "")
    return sha256(f"token\n{claims.get('iss', '')}\n{bearer}".encode()).hexdigest()


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
