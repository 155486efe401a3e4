"""Providers that want a token in exchange for what a deployment has: Microsoft Entra, Databricks, IBM. One form each.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m
https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from tollkeeper.config.snapshot import Deployment

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
_IBM_HOSTS = (".cloud.ibm.com",)


@dataclass(frozen=True, slots=True)
class Grant:
    """What is asked of whom. `form` has the secret in it."""

    who: str
    url: str
    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


Params = Mapping[str, str]


def entra(deployment: Deployment, params: Params, key: str | None) -> Grant | None:
    if not {"tenant", "client", "secret"} <= params.keys():
        return None
    form = {
        "grant_type": "client_credentials",
        "client_id": params["client"],
        "client_secret": params["secret"],
        "scope": params.get("scope", AZURE_SCOPE),
    }
    return Grant("Microsoft Entra", f"https://login.microsoftonline.com/{quote(params['tenant'], safe='')}/oauth2/v2.0/token", form)


def databricks(deployment: Deployment, params: Params, key: str | None) -> Grant | None:
    if not {"client", "secret"} <= params.keys():
        return None
    parts = urlsplit(deployment.base_url)
    basic = base64.b64encode(f"{params['client']}:{params['secret']}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "all-apis"}
    return Grant("Databricks", f"{parts.scheme}://{parts.netloc}/oidc/v1/token", form, {"authorization": f"Basic {basic}"})


def ibm_iam(deployment: Deployment, params: Params, key: str | None) -> Grant | None:
    if key is None:
        return None
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
    return Grant("IBM Cloud IAM", "https://iam.cloud.ibm.com/identity/token", form)


GRANTS: Mapping[str, Callable[[Deployment, Params, str | None], Grant | None]] = {
    "entra": entra,
    "databricks": databricks,
    "ibm_iam": ibm_iam,
}
"""None: not all that is needed is there."""
