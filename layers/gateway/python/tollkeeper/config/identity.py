"""Callers without a virtual key: `general_settings.litellm_jwtauth` and `tollkeeper.iam_callers`.

https://docs.litellm.ai/docs/proxy/token_auth. `issuer`, `audience` and `jwks_url` stand in litellm_jwtauth, once or as rows of `issuers`;
what is missing is LiteLLM's JWT_ISSUER, JWT_AUDIENCE and JWT_PUBLIC_KEY_URL (auth/token_rules.py).
"""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Word = Annotated[str, Field(min_length=1, max_length=512)]
Words = Word | list[Word]
Address = Annotated[str, Field(pattern=r"^https?://\S+$")]
Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer", "team"]
_JWKS_URL = AliasChoices("jwks_url", "jwks_uri", "public_key_url")


class IssuerRow(BaseModel):
    """Without `jwks_url`, the issuer's OpenID configuration says where its keys are."""

    model_config = ConfigDict(extra="forbid")

    issuer: Word | None = None
    audience: Words | None = None
    jwks_url: Address | None = Field(None, validation_alias=_JWKS_URL)


class RoleMapping(BaseModel):
    """One of `role_mappings` or `jwt_litellm_role_map`: a role of the identity provider (`*` matches) → one here."""

    model_config = ConfigDict(extra="forbid")

    role: Word = Field(validation_alias=AliasChoices("role", "jwt_role"))
    internal_role: Role = Field(validation_alias=AliasChoices("internal_role", "litellm_role"))


class ScopeMapping(BaseModel):
    """With `enforce_scope_based_access`: what a scope lets its bearer use."""

    model_config = ConfigDict(extra="forbid")

    scope: Word
    models: list[Word] = Field(default_factory=list)
    routes: list[Word] = Field(default_factory=list)


class JwtSettings(BaseModel):
    """`*_field` name claims, with dots into nested ones. `public_key_ttl` is in seconds."""

    model_config = ConfigDict(extra="allow")

    issuer: Word | None = None
    audience: Words | None = None
    jwks_url: Address | None = Field(None, validation_alias=_JWKS_URL)
    issuers: list[IssuerRow] | None = None
    user_id_jwt_field: Word | None = None
    user_email_jwt_field: Word | None = None
    user_allowed_email_domain: Word | None = None
    user_id_upsert: bool | None = None
    user_roles_jwt_field: Word | None = None
    user_allowed_roles: list[Word] | None = None
    roles_jwt_field: Word | None = None
    role_mappings: list[RoleMapping] | None = None
    jwt_litellm_role_map: list[RoleMapping] | None = None
    team_id_jwt_field: Word | None = None
    team_ids_jwt_field: Word | None = None
    team_id_default: Word | None = None
    team_id_upsert: bool | None = None
    team_allowed_routes: list[Word] | None = None
    org_id_jwt_field: Word | None = None
    scope_field: Word | None = None
    admin_jwt_scope: Word | None = None
    admin_allowed_routes: list[Word] | None = None
    scope_mappings: list[ScopeMapping] | None = None
    enforce_scope_based_access: bool | None = None
    public_key_ttl: float | None = Field(None, ge=0)


class IamCaller(BaseModel):
    """A principal that API Gateway's IAM authorizer has proven → whom it is booked to.

    `principal` is the ARN of a role or a user (`*` matches); sessions of a role are the role. One of the ids at least.
    """

    model_config = ConfigDict(extra="forbid")

    principal: Annotated[str, Field(pattern=r"^arn:[^:]+:(iam|sts)::[^:]*:\S+$")]
    team_id: Word | None = None
    user_id: Word | None = None
    models: list[Word] = Field(default_factory=list)
