"""`model: auto_router/…` in model_list → an AutoRouter: a name that stands for a choice, and has no deployment of its own.

    auto_router/complexity_router   complexity_router_config: {tiers: {SIMPLE: a, MEDIUM: b, COMPLEX: c, REASONING: d}}
    auto_router/<name>              auto_router_config (JSON as text, or the same as a mapping): {routes: [{name: model, utterances: […]}]}

https://docs.litellm.ai/docs/proxy/auto_routing
"""

from pathlib import Path as FilePath
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.routes import Names
from tollkeeper.config.schema import check
from tollkeeper.config.snapshot import AutoRouter

PREFIX = "auto_router/"
TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


def _pool(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Pool = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_pool), Field(min_length=1)]


class Boundaries(BaseModel):
    """Scores from 0 to 1 at which the next tier begins."""

    simple_medium: Annotated[float, Field(ge=0, le=1)] = 0.15
    medium_complex: Annotated[float, Field(ge=0, le=1)] = 0.35
    complex_reasoning: Annotated[float, Field(ge=0, le=1)] = 0.6


class KeywordRule(BaseModel):
    """Words that decide before any score does."""

    model_config = ConfigDict(extra="ignore")

    keywords: list[str]
    model: str


class Complexity(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    tiers: dict[str, Pool]
    tier_boundaries: Boundaries = Field(default_factory=Boundaries)
    keyword_rules: list[KeywordRule] = Field(default_factory=list)
    default_model: str | None = None


class Utterances(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1)]
    utterances: Annotated[list[str], Field(min_length=1, max_length=200)]
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5


class Semantic(BaseModel):
    model_config = ConfigDict(extra="ignore")

    routes: Annotated[list[Utterances], Field(min_length=1, max_length=100)]


def is_auto_router(entry: Any) -> bool:
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    return isinstance(params, dict) and str(params.get("model", "")).startswith(PREFIX)


def compile_auto_router(entry: dict[str, Any], path: Path, names: Names, findings: Findings) -> tuple[str, AutoRouter] | None:
    """(its name, the router); None after a finding."""
    name, params = entry.get("model_name"), entry["litellm_params"]
    if not isinstance(name, str) or not name:
        findings.error((*path, "model_name"), "is missing", "add it")
        return None
    made = _complexity if str(params["model"]).removeprefix(PREFIX).startswith("complexity_router") else _semantic
    router = made(params, (*path, "litellm_params"), findings)
    if router is None:
        return None
    for target in dict.fromkeys(router.targets()):
        if target == name or target not in names:
            findings.error(
                (*path, "litellm_params"), *(("it chooses itself", "name other models") if target == name else names.unknown(target))
            )
    return name, router


def _complexity(params: dict[str, Any], path: Path, findings: Findings) -> AutoRouter | None:
    here = (*path, "complexity_router_config")
    checked = check(Complexity, params.get("complexity_router_config") or {}, here, findings)
    if checked is None:
        return None
    for tier in checked.tiers.keys() - set(TIERS):
        findings.error((*here, "tiers", tier), "is no tier", f"write one of {', '.join(TIERS)}")
    steps = checked.tier_boundaries
    if not steps.simple_medium <= steps.medium_complex <= steps.complex_reasoning:
        findings.error((*here, "tier_boundaries"), "do not rise", "order them from simple_medium to complex_reasoning")
    targets = {tier: pool for tier, pool in checked.tiers.items() if tier in TIERS}
    named = params.get("complexity_router_default_model") or checked.default_model
    default = named or next((targets[tier][0] for tier in ("MEDIUM", *TIERS) if tier in targets), None)
    if default is None:
        findings.error((*here, "tiers"), "is empty", "name a model for one tier at least")
        return None
    keywords = [rule.model_dump() for rule in checked.keyword_rules]
    extra = {f"keyword {index}": [rule.model] for index, rule in enumerate(checked.keyword_rules)}
    config = {"targets": {**targets, **extra}, "tiers": targets, "boundaries": steps.model_dump(), "keyword_rules": keywords}
    return AutoRouter("complexity", default, config)


def _semantic(params: dict[str, Any], path: Path, findings: Findings) -> AutoRouter | None:
    given, where = params.get("auto_router_config"), "auto_router_config"
    if given is None and params.get("auto_router_config_path"):
        given, where = _read(str(params["auto_router_config_path"])), "auto_router_config_path"
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except ValueError:
            findings.error((*path, where), "is not JSON", "write the routes as YAML in its place")
            return None
    checked = check(Semantic, given if given is not None else {}, (*path, where), findings)
    missing = [name for name in ("auto_router_default_model", "auto_router_embedding_model") if not params.get(name)]
    for name in missing:
        findings.error((*path, name), "is missing", "add it")
    if checked is None or missing:
        return None
    routes = [route.model_dump() for route in checked.routes]
    targets = {"routes": [route.name for route in checked.routes], "embedding": [str(params["auto_router_embedding_model"])]}
    config = {"targets": targets, "routes": routes, "embedding_model": targets["embedding"][0]}
    return AutoRouter("semantic", str(params["auto_router_default_model"]), config)


def _read(name: str) -> str:
    try:
        return FilePath(name).read_text()
    except OSError:
        return ""
