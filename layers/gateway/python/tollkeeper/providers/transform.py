"""The request a provider would get, without sending it or touching a credential: `tollkeeper transform`, /utils/transform_request."""

import re
from typing import Any

import orjson

from tollkeeper.catalog.auth import SCHEMES
from tollkeeper.catalog.providers import scheme_of
from tollkeeper.config.litellm_keys import CREDENTIAL_HEADER
from tollkeeper.config.snapshot import Deployment, Secret
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import ChatDialect
from tollkeeper.providers.target import target_for
from tollkeeper.settings import secret_env

MASK = "****"
_SECRET_IN_URL = re.compile(r"([?&][^=&]*(?:key|token|sig|secret|password)[^=&]*=)[^&]+", re.IGNORECASE)


def describe(
    deployment: Deployment, request: dict[str, Any], alias: str | None = None, dialect: ChatDialect | None = None
) -> dict[str, Any]:
    """`{"method", "url", "headers", "body"}` for a hub request, or one in `dialect`'s own words; secrets are `****`, header names lower
    case, the body JSON.

    Raises BadRequest or UnsupportedParams where the request cannot be put into the provider's words.
    """
    spoken = dialect or registry.get(deployment.dialect)
    wire = spoken.encode(request, target_for(deployment, alias or deployment.group, 0))
    shown = {name: MASK if CREDENTIAL_HEADER.search(name) else value for name, value in deployment.headers.items()}
    headers = {"content-type": "application/json", **wire.headers, **_credential(deployment), **shown}
    return {
        "method": wire.method,
        "url": _SECRET_IN_URL.sub(rf"\1{MASK}", wire.url),
        "headers": headers,
        "body": _shown_body(wire.body),
    }


def _shown_body(body: bytes) -> Any:
    """Sound and forms are told by their size."""
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return f"<{len(body)} bytes>"


def _credential(deployment: Deployment) -> dict[str, str]:
    name = deployment.auth.scheme or scheme_of(deployment.provider)
    scheme, params = SCHEMES[name], deployment.auth.params
    if name == "header":
        header, prefix = params["header"].value, params["prefix"].value if "prefix" in params else ""
        return {header: prefix + MASK} if deployment.api_key else {}
    if deployment.api_key is not None and (name not in {"sigv4", "entra", "databricks"} or _is_set(deployment.api_key)):
        return {scheme.header: scheme.prefix + MASK} if scheme.header else {}
    if name == "sigv4":
        scope = f"{MASK}/{params['region'].value}/{params['service'].value}/aws4_request"
        return {"x-amz-date": MASK, "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={MASK}, Signature={MASK}"}
    return {"authorization": f"Bearer {MASK}"} if params else {}


def _is_set(secret: Secret) -> bool:
    return secret.source != "env" or secret_env(secret.value) is not None
