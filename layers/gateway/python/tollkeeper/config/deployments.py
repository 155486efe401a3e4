"""One entry of model_list → one Deployment, with everything the hot path needs decided: provider, URL, credential reference, prices."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import orjson

from tollkeeper.catalog import prices as price_data
from tollkeeper.catalog.models import profile_of
from tollkeeper.catalog.profiles import quirks_for
from tollkeeper.catalog.provider import Blank
from tollkeeper.catalog.providers import PROVIDERS, Provider, base_url_for, dialect_for
from tollkeeper.catalog.vertex import located
from tollkeeper.config.adjustments import Adjustments, by_the_hour, with_changes
from tollkeeper.config.auth import AuthReader
from tollkeeper.config.batch_storage import BatchStorageReader
from tollkeeper.config.findings import Findings, Path, did_you_mean
from tollkeeper.config.labels import abilities, labels_of, windows_of
from tollkeeper.config.litellm_keys import SECRET_KEYS, is_billed
from tollkeeper.config.pinned import PriceFile
from tollkeeper.config.pricing import priced
from tollkeeper.config.references import References
from tollkeeper.config.schema import MODES, Entry, Info, Params, check
from tollkeeper.config.snapshot import BatchStorage, Deployment, PriceBook, Prices
from tollkeeper.config.targets import Target, target_of
from tollkeeper.money import usd_to_nano

SCRIPTED = Provider(name="scripted", base_url="scripted://", dialect="openai_chat", key_required=False)
"""Stands in for the provider of a mock_response, which needs none."""


@dataclass(slots=True)
class Defaults:
    """What litellm_settings and router_settings say for deployments that do not say it themselves."""

    drop_params: bool = False
    timeout: float = 600.0
    stream_timeout: float | None = None


@dataclass(slots=True)
class Workshop:
    """What compiling an entry needs, and what the entries share."""

    findings: Findings
    references: References
    at: date
    credentials: Mapping[str, Mapping[str, Any]]
    defaults: Defaults
    unsupported: list[str]
    pinned: PriceFile | None = None
    adjustments: Adjustments = field(default_factory=lambda: Adjustments({}, {}))
    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    """The catalog and the rows of `tollkeeper.providers`."""
    ids: dict[str, Path] = field(default_factory=dict)


def compile_entry(entry: Any, raw: Any, path: Path, shop: Workshop) -> Deployment | None:
    """None after at least one finding."""
    checked = check(Entry, entry, path, shop.findings)
    if checked is None:
        return None
    given = _with_credential(checked.litellm_params, path, shop)
    params = check(Params, given, (*path, "litellm_params"), shop.findings)
    info = check(Info, checked.model_info or {}, (*path, "model_info"), shop.findings)
    if params is None or info is None:
        return None
    return _Builder(_Parts(checked.model_name, params, info, raw, path), shop).build()


def _with_credential(params: dict[str, Any], path: Path, shop: Workshop) -> dict[str, Any]:
    """litellm_credential_name: what the credential has and the entry has not. https://docs.litellm.ai/docs/proxy/credential_list"""
    name = params.get("litellm_credential_name")
    if not isinstance(name, str):
        return params
    if name not in shop.credentials:
        here = (*path, "litellm_params", "litellm_credential_name")
        shop.findings.error(here, f"there is no credential {name}", did_you_mean(name, shop.credentials, "add it to credential_list"))
        return params
    return {**shop.credentials[name], **params}


@dataclass(frozen=True, slots=True)
class _Parts:
    """An entry after its types are checked; `raw` is the same entry as written."""

    group: str
    params: Params
    info: Info
    raw: Any
    path: Path


class _Builder:
    def __init__(self, parts: _Parts, shop: Workshop) -> None:
        self._group, self._params, self._info = parts.group, parts.params, parts.info
        self._raw, self._path = parts.raw, parts.path
        self._shop = shop
        self._findings = shop.findings

    def build(self) -> Deployment | None:
        target = self._target()
        if target is None:
            return None
        provider, model, params, info = target.provider, target.model, self._params, self._info
        defaults, facts, profile = self._shop.defaults, self._facts(target), self._profile(target)
        prices = self._prices(target, facts.prices)
        responses = target.responses or info.mode == "responses"
        base_url = self._base_url(target, responses=responses)
        able, lacks = abilities(info.model_extra or {})
        access = AuthReader(provider, params, (*self._path, "litellm_params"), self._shop.references, self._findings)
        api_key = access.api_key()
        return Deployment(
            id=self._id(),
            group=self._group,
            provider=provider.name,
            dialect=target.dialect or dialect_for(provider, base_url, responses=responses),
            model=model,
            base_url=base_url,
            api_key=api_key,
            auth=access.auth(self._region(target, needed=not params.api_key)),
            headers=self._headers(provider),
            body=self._body(),
            quirks=tuple(sorted(provider.quirks | target.quirks | quirks_for(provider.name, model))),
            timeout=params.timeout or defaults.timeout,
            stream_timeout=params.stream_timeout or defaults.stream_timeout,
            drop_params=defaults.drop_params if params.drop_params is None else params.drop_params,
            additional_drop_params=tuple(params.additional_drop_params or ()),
            allowed_openai_params=tuple(params.allowed_openai_params or ()),
            weight=params.weight,
            order=1 if params.order is None else params.order,
            rpm=params.rpm,
            tpm=params.tpm,
            max_budget=None if params.max_budget is None else usd_to_nano(params.max_budget),
            budget_duration=params.budget_duration,
            max_parallel_requests=params.max_parallel_requests,
            tags=tuple(params.tags or ()),
            tag_regex=tuple(params.tag_regex or ()),
            labels=labels_of(self._written_labels(), self._place_of(target), provider.name, model, base_url),
            able=able,
            lacks=lacks,
            access_windows=windows_of(info.access_windows or [], (*self._path, "model_info", "access_windows"), self._findings),
            silent_model=params.silent_model,
            cooldown_time=params.cooldown_time,
            allowed_fails=params.allowed_fails,
            allowed_fails_policy={str(kind): fails for kind, fails in (params.allowed_fails_policy or {}).items()},
            max_input_tokens=info.max_input_tokens or facts.max_input_tokens or profile.get("max_input_tokens"),
            max_output_tokens=info.max_output_tokens or info.max_tokens,
            prices=prices,
            wildcard_prices=self._price_book(provider) if "*" in model and prices is None else PriceBook(),
            mock_response=params.mock_response,
            mode=profile.get("mode", "chat") if info.mode is None else self._mode(),
            batch_storage=self._batch_storage(provider),
            access_groups=tuple(info.access_groups or ()),
            info={**profile, **info.model_dump(exclude_unset=True)},
        )

    def _target(self) -> Target | None:
        path = (*self._path, "litellm_params")
        quiet = Findings()
        mocked = self._params.mock_response is not None
        target = target_of(self._params, path, quiet if mocked else self._findings, self._shop.providers)
        if target is None:
            return Target(SCRIPTED, self._params.model) if mocked else None
        return target if self._stars_agree(target) else None

    def _stars_agree(self, target: Target) -> bool:
        here = (*self._path, "litellm_params", "model")
        if "*" in target.model and "*" not in self._group:
            self._findings.error(here, "has a * that nothing fills in", "write a * in model_name as well, or name the model")
            return False
        if target.model.count("*") > 1:
            self._findings.error(here, "has more than one *", f"write {target.provider.name}/*")
            return False
        return True

    def _base_url(self, target: Target, *, responses: bool) -> str:
        provider = target.provider
        given = self._params.api_base or self._params.base_url
        if given is None and provider.name == "bedrock":
            given = self._params.aws_bedrock_runtime_endpoint
        if given is None:
            given = next((value for name in provider.base_env if (value := self._shop.references.value_of(name))), None)
        if given and not given.startswith(("http://", "https://", "onprem://")):
            self._findings.error((*self._path, "litellm_params", "api_base"), "is not a URL", "write it with https:// or http://")
        version = self._params.api_version or (self._shop.references.value_of(provider.version_env) if provider.version_env else None)
        url = base_url_for(provider, given, model=target.model, api_version=version, responses=responses)
        if not url and self._params.mock_response is None:
            named = f", or set {provider.base_env[0]}" if provider.base_env else ""
            here = (*self._path, "litellm_params", "api_base")
            self._findings.error(here, f"is missing, and {provider.name} has no address of its own", f"add api_base: https://…{named}")
        return self._filled(target, url)

    def _filled(self, target: Target, url: str) -> str:
        """The address with the account, project or region that it names."""
        for blank in target.provider.blanks:
            if f"{{{blank.name}}}" in url:
                url = url.replace(f"{{{blank.name}}}", self._place(target, blank))
        return located(url) if target.provider.auth == "google" else url

    def _region(self, target: Target, *, needed: bool) -> str:
        """What a signature names, also where api_base has replaced the address; "" where nothing is signed."""
        blank = next((blank for blank in target.provider.blanks if blank.name == "region"), None)
        if blank is None or target.provider.auth != "sigv4":
            return ""
        return self._place(target, blank) if needed else self._said(target, blank) or ""

    def _place(self, target: Target, blank: Blank) -> str:
        """Added to the findings, once, if it is nowhere."""
        if (given := self._said(target, blank)) is not None:
            return given
        here = (*self._path, "litellm_params", blank.param or "api_base")
        problem = f"is missing: {target.provider.name}'s address needs the {blank.name}"
        named = (f"add {blank.param}, or " if blank.param else "add api_base, or ") + f"set {blank.env[0]}"
        if self._params.mock_response is None and not any(finding.path == here for finding in self._findings.errors):
            self._findings.error(here, problem, named)
        return ""

    def _said(self, target: Target, blank: Blank) -> str | None:
        given = self._params.model_dump().get(blank.param) if blank.param else None
        named = target.region if blank.name == "region" else None
        variable = next((value for name in blank.env if (value := self._shop.references.value_of(name))), None)
        return given or named or variable or blank.default or None

    def _written_labels(self) -> dict[str, Any]:
        return {**(self._info.labels or {}), **({"region": self._info.region} if self._info.region else {})}

    def _place_of(self, target: Target) -> str | None:
        """The region as far as the entry or its address says."""
        named = (blank for blank in target.provider.blanks if blank.name in {"region", "location"})
        return self._params.region_name or next((place for blank in named if (place := self._said(target, blank))), None)

    def _headers(self, provider: Provider) -> dict[str, str]:
        organization = {"openai-organization": self._params.organization} if self._params.organization and provider.name == "openai" else {}
        given = {**(self._params.headers or {}), **(self._params.extra_headers or {})}
        return {**provider.headers, **organization, **{name.lower(): value for name, value in given.items()}}

    def _body(self) -> dict[str, Any]:
        extra = {key: value for key, value in (self._params.model_extra or {}).items() if not is_billed(key)}
        return {**extra, **(self._params.extra_body or {})}

    def _mode(self) -> str:
        mode = self._info.mode or "chat"
        if mode not in MODES:
            self._findings.error((*self._path, "model_info", "mode"), f"there is no mode {mode}", did_you_mean(mode, MODES, "write chat"))
        return mode

    def _batch_storage(self, provider: Provider) -> BatchStorage | None:
        here = (*self._path, "litellm_params")
        reader = BatchStorageReader(provider.name, self._params, here, self._shop.references, self._findings)
        return reader.read(batch_only=self._info.mode == "batch")

    def _profile(self, target: Target) -> dict[str, Any]:
        """What is known of the model, as model_info says it; what the entry says itself comes before it."""
        base_model = self._info.base_model or self._params.base_model
        known = profile_of(target.provider.name, target.model, base_model) if "*" not in target.model else None
        return known.info() if known else {}

    def _facts(self, target: Target) -> price_data.ModelFacts:
        if "*" in target.model:
            return price_data.UNKNOWN
        base_model = self._info.base_model or self._params.base_model
        facts = price_data.facts_of(target.provider.name, target.model, self._shop.at, base_model=base_model)
        return facts if self._shop.pinned is None else self._as_pinned(facts, target, base_model, self._shop.pinned)

    def _as_pinned(self, facts: price_data.ModelFacts, target: Target, base_model: str | None, pinned: PriceFile) -> price_data.ModelFacts:
        provider, model = price_data.named(target.provider.name, target.model, base_model)
        prices = pinned.get(provider, model)
        if prices is None and facts.prices is not None:
            here = (*self._path, "litellm_params", "model")
            self._findings.warn(here, "is not in the price file and has the price of the day", "run `tollkeeper prices update`")
        return replace(facts, prices=prices or facts.prices)

    def _prices(self, target: Target, known: Prices | None) -> Prices | None:
        sections = (("model_info", self._info.model_extra), ("litellm_params", self._params.model_extra))
        given = {
            (*self._path, section, key): value
            for section, extra in sections
            for key, value in (extra or {}).items()
            if value is not None and is_billed(key)
        }
        found = priced(given, known, self._findings)
        if found is not None and known is None:
            found = price_data.surcharged(found, target.provider.name, target.model)
        if self._info.gpu_hour_cost is not None:
            seconds = self._params.timeout or self._shop.defaults.timeout
            found = by_the_hour(found, self._info.gpu_hour_cost, self._info.gpu_hour_share or 1, seconds)
        changes = self._info.price_changes or []
        found = with_changes(found, changes, (*self._path, "model_info", "price_changes"), self._findings)
        return self._shop.adjustments.of(target.provider.name, found) if found else None

    def _price_book(self, provider: Provider) -> PriceBook:
        rows = price_data.patterns_of(provider.name, self._shop.at)
        return PriceBook(tuple(replace(row, prices=self._shop.adjustments.of(provider.name, row.prices)) for row in rows))

    def _id(self) -> str:
        """As LiteLLM: a hash of what is written, so that it survives a restart. Credentials count by reference only."""
        if self._info.id:
            if self._info.id in self._shop.ids:
                self._findings.error((*self._path, "model_info", "id"), "is another deployment's id too", "give each its own")
            self._shop.ids[self._info.id] = self._path
            return self._info.id
        written = {key: _unsecret(key, value) for key, value in self._raw["litellm_params"].items()}
        for repetition in range(len(self._shop.ids) + 1):
            content = orjson.dumps([self._group, written, repetition], option=orjson.OPT_SORT_KEYS)
            if (found := hashlib.sha256(content).hexdigest()) not in self._shop.ids:
                break
        self._shop.ids[found] = self._path
        return found


def _unsecret(key: str, value: Any) -> Any:
    literal = isinstance(value, dict) or (isinstance(value, str) and not value.startswith(("os.environ/", "secret:", "${")))
    return "literal" if key in SECRET_KEYS and literal else value
