"""What the operator asks of every request's form, before anything is planned. https://docs.litellm.ai/docs/proxy/enterprise#enforce-required-params-for-llm-requests

general_settings:
  enforced_params: [user, metadata.generation_name]      # also on a key or team, as a field or in its metadata
  service_account_settings: {enforced_params: [user]}    # of service accounts' keys, besides
  enforce_user_param: true
  reject_clientside_metadata_tags: true
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tollkeeper.auth.principal import Principal
from tollkeeper.errors import BadRequest

_ENFORCED = "enforced_params"


def conforming(settings: Mapping[str, Any], principal: Principal, body: Mapping[str, Any]) -> None:
    """`settings` are general_settings. Raises BadRequest naming what is missing, or what must not be there, in LiteLLM's words."""
    if settings.get("enforce_user_param") is True and "user" not in body:
        raise BadRequest("'user' param not passed in. 'enforce_user_param'=True", param="user")
    metadata = body.get("metadata")
    if settings.get("reject_clientside_metadata_tags") is True and isinstance(metadata, dict) and "tags" in metadata:
        raise BadRequest(
            "Client-side 'metadata.tags' not allowed in request. 'reject_clientside_metadata_tags'=True. "
            "Tags can only be set via API key metadata.",
            param="metadata.tags",
        )
    for name in _required(settings, principal):
        _has(body, name)


def _required(settings: Mapping[str, Any], principal: Principal) -> Iterator[str]:
    yield from _names(settings)
    if principal.metadata.get("service_account_id"):
        yield from _names(settings.get("service_account_settings"))
    for record in (principal.key, principal.team):
        if record is not None:
            yield from _names(record.metadata)
            yield from _names(record.extra)


def _names(holder: Any) -> Iterator[str]:
    named = holder.get(_ENFORCED) if isinstance(holder, Mapping) else None
    yield from (name for name in named or () if isinstance(name, str)) if isinstance(named, list | tuple) else ()


def _has(body: Mapping[str, Any], name: str) -> None:
    """`a`, or `a.b` for a field in an object."""
    outer, _, inner = name.partition(".")
    if outer not in body:
        raise BadRequest(f"BadRequest please pass param={outer} in request body. This is a required param", param=outer)
    held = body[outer]
    if inner and not (isinstance(held, dict) and inner in held):
        raise BadRequest(f"BadRequest please pass param=[{outer}][{inner}] in request body. This is a required param", param=name)
