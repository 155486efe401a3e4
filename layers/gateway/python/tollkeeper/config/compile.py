"""gateway.yaml → Snapshot. Every mistake is found before any is reported; nothing is compiled in part.

    load (YAML, includes, lines) → keys (whose?) → references (environment) → schema (types) → deployments, routes → Snapshot

Runs at start on a laptop and at build time for Lambda; it may import pydantic, YAML and a price data set, which the hot path does not.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path as FilePath
from typing import Any

from tollkeeper import clock as clocks
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.adjustments import Adjustments
from tollkeeper.config.auto_routers import compile_auto_router, is_auto_router
from tollkeeper.config.custom import providers_of
from tollkeeper.config.deployments import Defaults, Workshop, compile_entry
from tollkeeper.config.findings import Findings, Path, in_order
from tollkeeper.config.guardrails import compile_guardrails
from tollkeeper.config.keys import KeyCheck
from tollkeeper.config.load import Document, load_file, load_text
from tollkeeper.config.pinned import PriceFile
from tollkeeper.config.pinned import read as read_prices
from tollkeeper.config.references import Env, References
from tollkeeper.config.routes import FALLBACKS, Names, compile_routes
from tollkeeper.config.routing import check_routing, mixed
from tollkeeper.config.routing_schema import RoutingSettings
from tollkeeper.config.schema import Credential, GeneralSettings, LiteLLMSettings, RouterSettings, Section, TollkeeperSettings, check
from tollkeeper.config.snapshot import Deployment, Snapshot, dump
from tollkeeper.config.upstreams import compile_upstreams
from tollkeeper.errors import ConfigError

MEGABYTE = 2**20
DEFAULT_RETRIES = 2
DEFAULT_TIMEOUT = 600.0

OWN_FIELDS = frozenset({
    "drop_params", "request_timeout", "timeout", "stream_timeout", "num_retries", "default_fallbacks", "model_group_alias", "master_key",
    "litellm_key_header_name", "max_request_size_mb", "pass_through_endpoints", "providers", "guardrails", *FALLBACKS,
})  # fmt: skip
"""Settings that have a field of their own in the snapshot; the others go to `Snapshot.settings`."""

EVERYTHING: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai/*", "gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "text-embedding-*"),
    "anthropic": ("anthropic/*", "claude-*"),
}
"""The names a deployment of everything (`*`) answers to, where that is more than `<provider>/*`."""


def compile_config(text: str, *, env: Env, name: str = "gateway.yaml", at: date | None = None) -> Snapshot:
    """A configuration as text. `env` looks a variable up; `at` is the day whose prices apply (default: today, UTC).

    Raises ConfigError with every finding: path, file, line, what is wrong and what to write.
    """
    return _compile(load_text(text, name), env, at, FilePath())


def compile_file(path: FilePath, *, env: Env, at: date | None = None) -> Snapshot:
    """As `compile_config`, from a file, with its `include`s."""
    return _compile(load_file(path), env, at, path.parent)


def _compile(document: Document, env: Env, at: date | None, folder: FilePath) -> Snapshot:
    findings, keys = document.findings, KeyCheck(document.findings)
    written = keys.document(document.data)
    references = References(env, _mapping(written, "environment_variables", findings), findings)
    data = references.resolve(written)
    settings = _Settings.of(data, findings)
    shop = Workshop(
        findings=findings,
        references=references,
        at=at or datetime.fromtimestamp(clocks.system.now(), UTC).date(),
        credentials=_credentials(_list(data, "credential_list", findings), findings),
        defaults=settings.defaults(),
        pinned=_pinned(settings.own.prices, folder, findings),
        adjustments=Adjustments(settings.litellm.cost_discount_config or {}, settings.litellm.cost_margin_config or {}),
        unsupported=keys.unsupported,
        providers=providers_of(_mapping(data, "tollkeeper", Findings()).get("providers"), ("tollkeeper", "providers"), findings),
    )
    entries = list(_entries(_list(data, "model_list", findings), _list(written, "model_list", findings), shop))
    choices = [entry for entry in entries if is_auto_router(entry.data)]
    compiled = [compile_entry(entry.data, entry.written, entry.path, shop) for entry in entries if entry not in choices]
    deployments = mixed(settings.routing.models or {}, [row for row in compiled if row is not None], findings)
    guardrails, beyond = compile_guardrails(data, references, folder, findings)
    keys.unsupported += beyond
    snapshot = replace(
        settings.snapshot(references),
        guardrails=guardrails,
        deployments=tuple(deployments),
        credentials={name: dict(values) for name, values in shop.credentials.items()},
        upstreams=compile_upstreams(data, references, findings),
        **_routed(settings, [name for entry in entries if (name := entry.group)], deployments, choices, shop),
    )
    mappings = settings.general.user_header_mappings or []
    keys.unsupported += [f"general_settings.user_header_mappings[{place}]" for place, row in enumerate(mappings) if row.names_the_holder]
    if not entries:
        findings.warn((), "there is no model in model_list", "add one; until then every call is refused")
    findings.raise_if_any(document.name)
    version = hashlib.sha256(dump(snapshot)).hexdigest()[:16]
    return replace(snapshot, version=version, unsupported=tuple(keys.unsupported), warnings=in_order(findings.warnings))


def _pinned(name: str | None, folder: FilePath, findings: Findings) -> PriceFile | None:
    try:
        return read_prices(folder / name) if name else None
    except ConfigError as error:
        findings.error(("tollkeeper", "prices"), error.message, "")
        return None


@dataclass(frozen=True, slots=True)
class _Settings:
    litellm: LiteLLMSettings
    router: RouterSettings
    general: GeneralSettings
    own: TollkeeperSettings

    @classmethod
    def of(cls, data: Mapping[str, Any], findings: Findings) -> "_Settings":
        names = ("litellm_settings", "router_settings", "general_settings", "tollkeeper")
        litellm, router, general, own = (_mapping(data, name, findings) for name in names)
        return cls(
            check(LiteLLMSettings, litellm, ("litellm_settings",), findings) or LiteLLMSettings(),
            check(RouterSettings, router, ("router_settings",), findings) or RouterSettings(),
            check(GeneralSettings, general, ("general_settings",), findings) or GeneralSettings(),
            check(TollkeeperSettings, own, ("tollkeeper",), findings) or TollkeeperSettings(),
        )

    def sections(self) -> dict[str, Section]:
        return {"litellm_settings": self.litellm, "router_settings": self.router, "general_settings": self.general, "tollkeeper": self.own}

    def timeout(self) -> float:
        return self.router.timeout or self.litellm.request_timeout or DEFAULT_TIMEOUT

    def defaults(self) -> Defaults:
        return Defaults(bool(self.litellm.drop_params), self.timeout(), self.router.stream_timeout)

    def snapshot(self, references: References) -> Snapshot:
        """What of a Snapshot stands in the settings alone."""
        given = (self.router.num_retries, self.litellm.num_retries, DEFAULT_RETRIES)
        header, megabytes = self.general.litellm_key_header_name, self.general.max_request_size_mb
        return Snapshot(
            version="",
            num_retries=next(retries for retries in given if retries is not None),
            request_timeout=self.timeout(),
            master_key=references.secret(self.general.master_key, ("general_settings", "master_key")),
            key_header=header.lower() if header else None,
            max_request_bytes=int(megabytes * MEGABYTE) if megabytes else None,
            settings=self._others(),
        )

    @property
    def routing(self) -> RoutingSettings:
        return self.own.routing or RoutingSettings()

    def _others(self) -> dict[str, dict[str, Any]]:
        kept = {name: section.model_dump(exclude_unset=True, exclude=set(OWN_FIELDS)) for name, section in self.sections().items()}
        if self.own.routing is not None:
            kept["tollkeeper"]["routing"] = self.own.routing.model_dump(exclude_none=True)
        return {name: section for name, section in kept.items() if section}


def _routed(settings: _Settings, groups: list[str], rows: list[Deployment], choices: "list[_Entry]", shop: Workshop) -> dict[str, Any]:
    """Everything in which names lead to other names."""
    own, sections = settings.routing, {name: section.model_extra or {} for name, section in settings.sections().items()}
    names = Names(tuple(dict.fromkeys((*groups, *(row.group for row in rows)))), frozenset(shop.ids))
    routes = compile_routes(sections, names, shop.findings, own.models or {}, cycles=own.fallback_cycles == "allow")
    check_routing(own, names, rows, shop.findings)
    _check_silent(rows, names, shop.findings)
    routers = [compile_auto_router(entry.data, entry.path, names, shop.findings) for entry in choices]
    return {
        "aliases": routes.aliases,
        "hidden_aliases": routes.hidden,
        "default_fallbacks": routes.default,
        "auto_routers": dict(router for router in routers if router is not None),
        **routes.chains,
    }


def _check_silent(rows: list[Deployment], names: Names, findings: Findings) -> None:
    for row in rows:
        if row.silent_model is not None and (row.silent_model not in names or row.silent_model == row.group):
            problem, remedy = ("is the model itself", "name another") if row.silent_model == row.group else names.unknown(row.silent_model)
            findings.error(("model_list", row.group, "silent_model"), problem, remedy)


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    data: Any
    written: Any

    @property
    def group(self) -> str | None:
        name = self.data.get("model_name") if isinstance(self.data, dict) else None
        return name if isinstance(name, str) else None


def _entries(resolved: list[Any], written: list[Any], shop: Workshop) -> Iterator[_Entry]:
    """model_list, with an entry for everything (`model: "*"`) as one for each provider that has a key."""
    for index, (entry, raw) in enumerate(zip(resolved, written, strict=True)):
        path: Path = ("model_list", index)
        if not _is_everything(entry):
            yield _Entry(path, entry, raw)
            continue
        hosted = (provider for provider in PROVIDERS.values() if provider.key_required and provider.base_url)
        names = [name for provider in hosted if _has_key(provider.key_env, shop) for name in _everything(provider.name)]
        if not names:
            problem = "means every provider whose key is set, and none is"
            shop.findings.error((*path, "litellm_params", "model"), problem, "name one, as in openai/*, or set its key")
        for name in names:
            yield _Entry(path, _named(entry, name), _named(raw, name))


def _is_everything(entry: Any) -> bool:
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    return (
        isinstance(params, dict) and params.get("model") == "*" and not params.get("custom_llm_provider") and "mock_response" not in params
    )


def _has_key(names: tuple[str, ...], shop: Workshop) -> bool:
    return any(shop.references.value_of(name) is not None for name in names)


def _everything(provider: str) -> tuple[str, ...]:
    return EVERYTHING.get(provider, (f"{provider}/*",))


def _named(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {**entry, "model_name": name, "litellm_params": {**entry["litellm_params"], "model": name}}


def _credentials(rows: list[Any], findings: Findings) -> dict[str, dict[str, Any]]:
    checked = [check(Credential, row, ("credential_list", index), findings) for index, row in enumerate(rows)]
    return {row.credential_name: row.credential_values for row in checked if row is not None}


def _mapping(data: Mapping[str, Any], name: str, findings: Findings) -> dict[str, Any]:
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        findings.error((name,), "must be a mapping", "write `key: value` lines below it")
    return value if isinstance(value, dict) else {}


def _list(data: Mapping[str, Any], name: str, findings: Findings) -> list[Any]:
    value = data.get(name)
    if value is not None and not isinstance(value, list):
        findings.error((name,), "must be a list", "write one item per line, each after `- `")
    return value if isinstance(value, list) else []
