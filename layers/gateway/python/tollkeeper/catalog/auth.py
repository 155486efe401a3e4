"""How providers want to be convinced, as data: which header carries a key, and which parameters the schemes take that need more than one.

`sigv4` signs each request, `google`, `entra`, `databricks` and `ibm_iam` exchange what they are given for a token; providers/signers.py
does it. Parameter names are LiteLLM's (https://docs.litellm.ai/docs/providers), environment variables the providers' own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Auth = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "none", "header", "sigv4", "google", "entra", "databricks", "ibm_iam"]


@dataclass(frozen=True, slots=True)
class AuthParam:
    """One parameter of a scheme: what a signer calls it, its litellm_param, and the variables that stand in for it."""

    name: str
    param: str
    env: tuple[str, ...] = ()
    secret: bool = True


@dataclass(frozen=True, slots=True)
class Scheme:
    """`header` (lower case) and `prefix` say how a plain key or a token is sent."""

    header: str = "authorization"
    prefix: str = "Bearer "
    params: tuple[AuthParam, ...] = ()


SCHEMES: Mapping[str, Scheme] = {
    "bearer": Scheme(),
    "x-api-key": Scheme("x-api-key", ""),
    "api-key": Scheme("api-key", ""),
    "x-goog-api-key": Scheme("x-goog-api-key", ""),
    "none": Scheme("", ""),
    # A provider of one's own: header and prefix stand in the deployment (`tollkeeper.providers`).
    "header": Scheme("authorization", ""),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html, else the keys given here, else the machine's own.
    "sigv4": Scheme(
        params=(
            AuthParam("access_key", "aws_access_key_id"),
            AuthParam("secret_key", "aws_secret_access_key"),
            AuthParam("token", "aws_session_token"),
            AuthParam("role", "aws_role_name", secret=False),
            AuthParam("session", "aws_session_name", secret=False),
            AuthParam("external_id", "aws_external_id", secret=False),
            AuthParam("sts", "aws_sts_endpoint", secret=False),
        )
    ),
    # An api_key is one of express mode: https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
    "google": Scheme(
        "x-goog-api-key", "", (AuthParam("credentials", "vertex_credentials", ("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_CREDENTIALS")),)
    ),
    # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity
    "entra": Scheme(
        "api-key",
        "",
        (
            AuthParam("token", "azure_ad_token", ("AZURE_AD_TOKEN",)),
            AuthParam("tenant", "tenant_id", ("AZURE_TENANT_ID",), secret=False),
            AuthParam("client", "client_id", ("AZURE_CLIENT_ID",), secret=False),
            AuthParam("secret", "client_secret", ("AZURE_CLIENT_SECRET",)),
            AuthParam("scope", "azure_scope", ("AZURE_SCOPE",), secret=False),
        ),
    ),
    # https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m
    "databricks": Scheme(
        params=(
            AuthParam("client", "client_id", ("DATABRICKS_CLIENT_ID",), secret=False),
            AuthParam("secret", "client_secret", ("DATABRICKS_CLIENT_SECRET",)),
        )
    ),
    # https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
    "ibm_iam": Scheme(),
}

KEY_IS_EXCHANGED = frozenset({"ibm_iam"})
"""Schemes whose api_key is never sent to the provider itself."""
