"""What a request itself asks of routing, in LiteLLM's words: fallbacks, retries, tags. https://docs.litellm.ai/docs/proxy/reliability"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.config.notation import chains, names
from tollkeeper.errors import BadRequest
from tollkeeper.routing.asked import Asked
from tollkeeper.routing.chains import KINDS, OwnChains
from tollkeeper.routing.request import needs_of, prompt_tokens, tags_of

MAX_RETRIES = 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """`chains` None: the configured ones; `num_retries` None: the configured number. `named` are the models the request itself names."""

    chains: OwnChains = field(default_factory=OwnChains)
    num_retries: int | None = None
    named: tuple[str, ...] = ()


def wishes_of(body: Mapping[str, Any], headers: Mapping[str, str], own: Mapping[str, Any] | None = None) -> Wishes:
    """`own` is the `router_settings` of the key or its team, which the request's own fields override. Raises BadRequest with the field."""
    model = str(body.get("model"))
    own = own or {}
    asked = {kind: found for kind in KINDS if (found := _asked(body, kind, model)) is not None}
    kept = {kind: found for kind in KINDS if (found := _kept(own.get(kind), model)) is not None}
    retries = body.get("num_retries", headers.get("x-litellm-num-retries"))
    if retries is not None and not (str(retries).isdecimal() and int(retries) <= MAX_RETRIES):
        raise BadRequest(f"'num_retries' must be a whole number from 0 to {MAX_RETRIES}.", param="num_retries")
    if retries is None and isinstance(own.get("num_retries"), int):
        retries = min(max(own["num_retries"], 0), MAX_RETRIES)
    return Wishes(
        OwnChains({**kept, **asked}, none=bool(body.get("disable_fallbacks"))),
        None if retries is None else int(retries),
        tuple(dict.fromkeys(name for chain in asked.values() for name in chain)),
    )


def asked_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> Asked:
    """Of the request alone, whoever sends it."""
    return Asked(tags_of(body, headers), bool(body.get("stream")), lambda: prompt_tokens(body), lambda: needs_of(body))


def _asked(body: Mapping[str, Any], kind: str, model: str) -> list[str] | None:
    """A list of names, `[{"model": name}]`, `[{model: [names]}]`, or `a -> b`."""
    value = body.get(kind)
    if value is None:
        return None
    try:
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            listed = names(value)
            return listed[1:] if listed[:1] == [model] else listed
        if isinstance(value, list) and all(isinstance(item, dict) and isinstance(item.get("model"), str) for item in value):
            return [_only_model(item, kind) for item in value]
        return next((targets for name, targets in chains(value) if name in {model, "*"}), [])
    except ValueError:
        raise BadRequest(f"'{kind}' must be an array of model names.", param=kind) from None


def _only_model(item: Mapping[str, Any], kind: str) -> str:
    """LiteLLM lets a fallback bring other messages; what was paid for is this request."""
    if len(item) > 1:
        field = next(name for name in item if name != "model")
        raise BadRequest(f"'{kind}' may only name models here; '{field}' of a fallback cannot differ from the request's.", param=kind)
    return str(item["model"])


def _kept(value: Any, model: str) -> list[str] | None:
    """A key's or team's chains; one that cannot be read is as if it were not there (the management API checks them)."""
    try:
        return None if value is None else next((targets for name, targets in chains(value) if name in {model, "*"}), None)
    except ValueError:
        return None
