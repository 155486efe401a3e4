"""Models, credentials and fallbacks that were added through the management API: what was given, without its secrets, and what a model
compiles to.

Compiled when it is written, as gateway.yaml is when it is deployed: the proxy needs neither the compiler nor the price data, and a model
that does not compile never gets here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.auth.records import Record
from tollkeeper.store import items


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord(Record):
    """`compiled` is the JSON of a config.snapshot.Deployment. Credentials in it and in `litellm_params` are references."""

    model_id: str
    model_name: str = ""
    litellm_params: Mapping[str, Any] = field(default_factory=dict)
    model_info: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    compiled: str = ""

    def address(self) -> dict[str, str]:
        # One partition of the table itself, not an index: every proxy reads all of it every few seconds.
        return {"pk": items.MODELS_PK, "sk": self.model_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord(Record):
    """Parameters that models share by `litellm_credential_name`. Secrets in `credential_values` are references."""

    credential_name: str
    credential_info: Mapping[str, Any] = field(default_factory=dict)
    credential_values: Mapping[str, Any] = field(default_factory=dict)
    display_name: str | None = None

    def address(self) -> dict[str, str]:
        return {"pk": items.ROUTES_PK, "sk": items.credential_sk(self.credential_name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackRecord(Record):
    """Where calls of a model go when it fails. `fallback_type`: general, context_window or content_policy."""

    fallback_id: str
    """`<fallback_type>/<model>`"""
    model: str = ""
    fallback_type: str = "general"
    fallback_models: tuple[str, ...] = ()

    def address(self) -> dict[str, str]:
        return {"pk": items.ROUTES_PK, "sk": items.fallback_sk(self.fallback_id)}
