"""The compiled configuration: what the hot path reads. Plain frozen values, JSON in and out, no pydantic, no YAML, no price database.

`config/compile.py` makes one from gateway.yaml (`make dev` at start, `cdk synth` at build time); the proxy on Lambda loads the JSON only.
Secrets are never in it unless the file itself has them: a reference (`os.environ/NAME`) stays a reference until first use.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import orjson

from tollkeeper.catalog.regions import area_of


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a credential is: `env` (environment variable, or field of a configured Secrets Manager secret), `aws` or `literal`."""

    source: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Auth:
    """How requests are authenticated beside or in place of `api_key`: a scheme of catalog/auth.py, and where its parameters are."""

    scheme: str = ""
    """Empty: that of the provider's row."""
    params: dict[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchStorage:
    """The bucket, and the folder in it, through which a provider takes batches and gives results (config/batch_storage.py)."""

    bucket: str
    folder: str = ""
    output_bucket: str = ""
    """Where results go; empty: the same."""
    region: str = ""
    """Empty: the deployment's."""
    endpoint: str = ""
    """An address of the store itself, where it is not its cloud's."""
    role: str = ""
    """ARN of the role that AWS's job runs as."""
    encryption_key: str = ""
    """The KMS key of the results."""
    keys: dict[str, Secret] = field(default_factory=dict)
    """The bucket's own AWS keys: access_key, secret_key, token. Empty: the deployment's."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A price in femto-dollars per unit. `tiers` are (threshold, price): a call whose input tokens exceed a threshold pays that price
    for all its tokens when `whole` (how every provider with thresholds bills), ordered ascending.
    """

    price: int
    tiers: tuple[tuple[int, int], ...] = ()

    def at(self, input_tokens: int) -> int:
        """The price for a call of so many input tokens in all."""
        price = self.price
        for threshold, dearer in self.tiers:
            if input_tokens > threshold:
                price = dearer
        return price


@dataclass(frozen=True, slots=True)
class Prices:
    """What one deployment charges. Keys of `rates`: input, output, cache_read, cache_creation, cache_creation_1h, reasoning,
    audio_input, audio_output, cache_audio_read, image_input, image_output (per token), `character` (to speak), `audio_hour` (to hear),
    `image` (to paint) and `request` (per call). A missing key falls back as ledger/cost.py says.
    """

    rates: dict[str, Rate]
    version: str
    """Where they come from, with date: `genai-prices 0.2.3`, `gateway.yaml`."""
    tiers: dict[str, int] = field(default_factory=dict)
    """Service tier → millionths of the listed rate, where `rates` has none of its own (`input@flex`)."""
    fees: dict[str, int] = field(default_factory=dict)
    """Femto-dollars for each use of a tool the provider runs by itself: web_search, file_search, code_interpreter."""
    compute: int = 0
    """Femto-dollars for each millisecond that a call occupies hardware of one's own; at most `compute_ms` of them are billed."""
    compute_ms: int = 0
    discount: int = 0
    """Millionths taken off the list (`cost_discount_config`)."""
    margin: int = 0
    """Millionths added to what is left (`cost_margin_config`)."""
    margin_fixed: int = 0
    """Femto-dollars added to each call."""
    later: tuple["PriceChange", ...] = ()
    """What is charged from later days on, in order of time."""

    def at(self, now: float) -> "Prices":
        """What is charged at `now` (epoch seconds)."""
        current = self
        for change in self.later:
            if change.starts <= now:
                current = change.prices
        return current


@dataclass(frozen=True, slots=True)
class PriceChange:
    """`starts` is epoch seconds: midnight UTC of the day on which these prices begin."""

    starts: float
    prices: Prices


@dataclass(frozen=True, slots=True)
class PricePattern:
    """`pattern` is a regular expression for `re.match` on a model's lower-case name."""

    pattern: str
    prices: Prices


_MAX_REMEMBERED = 1000


@dataclass(frozen=True)
class PriceBook:
    """Prices of a wildcard deployment (`openai/*`), by the model the caller names. The first pattern that matches wins."""

    patterns: tuple[PricePattern, ...] = ()

    def get(self, model: str) -> Prices | None:
        """None: unknown, and not free."""
        name = model.lower()
        if name not in self._known:
            # Callers choose the names: what is remembered of them must have an end.
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[name] = next((row.prices for pattern, row in self._compiled if pattern.match(name)), None)
        return self._known[name]

    @cached_property
    def _known(self) -> dict[str, Prices | None]:
        return {}

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], PricePattern]]:
        return [(re.compile(row.pattern), row) for row in self.patterns]


@dataclass(frozen=True, slots=True)
class AccessWindow:
    """Days of the week (0: Monday) and minutes of the day, in a time zone. An `end` before `start` is on the next day."""

    days: tuple[int, ...]
    start: int
    end: int
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on one provider with one credential."""

    id: str
    group: str
    """The model alias callers ask for (`model_name`)."""
    provider: str
    dialect: str
    model: str
    base_url: str
    api_key: Secret | None = None
    auth: Auth = field(default_factory=Auth)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """Further litellm_params, sent upstream in every body unless the caller sets the same field."""
    quirks: tuple[str, ...] = ()
    timeout: float = 600.0
    stream_timeout: float | None = None
    """Seconds to the first chunk of a stream."""
    drop_params: bool = False
    additional_drop_params: tuple[str, ...] = ()
    allowed_openai_params: tuple[str, ...] = ()
    weight: float | None = None
    """None: not given (then rpm, then tpm weigh, as in LiteLLM)."""
    order: int = 1
    rpm: int | None = None
    tpm: int | None = None
    max_budget: int | None = None
    """Nano-dollars that may be spent on this deployment per `budget_duration`."""
    budget_duration: str | None = None
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] = ()
    tag_regex: tuple[str, ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)
    """Where its data goes and what becomes of it: region, provider, private, retention, training … (config/labels.py)."""
    able: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    """What its model_info says it can do, and cannot: vision, audio, tools … (config/labels.py: ABILITIES)."""
    access_windows: tuple[AccessWindow, ...] = ()
    """It serves within these only; none: always."""
    silent_model: str | None = None
    """A model group that gets a copy of each call, whose answer nobody sees."""
    cooldown_time: float | None = None
    allowed_fails: int | None = None
    allowed_fails_policy: dict[str, int] = field(default_factory=dict)
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    prices: Prices | None = None
    wildcard_prices: PriceBook = PriceBook()
    """For a wildcard row (`openai/*`) without prices of its own: the provider's price list by upstream model name."""
    mock_response: Any = None
    mode: str = "chat"
    batch_storage: BatchStorage | None = None
    access_groups: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    """model_info as given, over what catalog/models.py knows of the model."""

    def satisfies(self, label: str, allowed: Sequence[Any]) -> bool:
        """A label nobody wrote satisfies nothing. A region also lies in its area (`eu-central-1` in `eu`)."""
        value = self.labels.get(label)
        if value is None:
            return False
        return value in allowed or (label == "region" and area_of(str(value)) in allowed)


@dataclass(frozen=True, slots=True)
class AutoRouter:
    """A model name that stands for a choice among others, made for each request (routing/auto.py). `config` as it was checked."""

    kind: str
    """`complexity` or `semantic`."""
    default: str
    config: dict[str, Any] = field(default_factory=dict)

    def targets(self) -> list[str]:
        return [self.default, *(name for names in self.config.get("targets", {}).values() for name in names)]


@dataclass(frozen=True, slots=True)
class Upstream:
    """What is called that is no model (config/upstreams.py): `kind` passage (name: its path here), mcp or agent. A header's value is its
    parts, joined when it is used; `terms` are what the kind needs besides.
    """

    kind: str
    name: str
    url: str
    headers: dict[str, tuple[Secret, ...]] = field(default_factory=dict)
    timeout: float = 600.0
    terms: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A check of what is asked or answered (config/guardrails.py). `stages` are pre_call, during_call and post_call; `by_tag` has those of
    a request with a tag. `terms` are what the kind needs besides, `info` is for people.
    """

    name: str
    kind: str
    stages: tuple[str, ...]
    by_tag: dict[str, tuple[str, ...]] = field(default_factory=dict)
    default_on: bool = False
    url: str = ""
    credentials: dict[str, Secret] = field(default_factory=dict)
    timeout: float = 10.0
    fail_open: bool = False
    """Lets a call pass that it could not check."""
    message: str | None = None
    """violation_message_template."""
    terms: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    def stages_for(self, tags: Collection[str]) -> tuple[str, ...]:
        return next((stages for tag, stages in self.by_tag.items() if tag in tags), self.stages)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the whole configuration."""

    version: str
    """Content hash."""
    deployments: tuple[Deployment, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    """model_group_alias: other names for a group, each resolved to the group itself."""
    hidden_aliases: tuple[str, ...] = ()
    """Aliases that work but are not listed by /v1/models."""
    fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    context_window_fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    content_policy_fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    auto_routers: dict[str, AutoRouter] = field(default_factory=dict)
    num_retries: int = 2
    request_timeout: float = 600.0
    master_key: Secret | None = None
    key_header: str | None = None
    """general_settings.litellm_key_header_name, lower case."""
    max_request_bytes: int | None = None
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    """credential_list: name → parameters, for models that are added at run time. Secrets are as written (`os.environ/NAME`)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Everything else that was validated, by section: litellm_settings, router_settings, general_settings."""
    upstreams: tuple[Upstream, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    unsupported: tuple[str, ...] = ()
    """Paths of keys that are LiteLLM's but do nothing here yet; said at start and by `tollkeeper config validate`."""
    warnings: tuple[str, ...] = ()
    """What is allowed but unwise, one line each, in the form of ConfigError's findings."""


def dump(snapshot: Snapshot) -> bytes:
    return orjson.dumps(asdict(snapshot), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def load(data: bytes) -> Snapshot:
    """The inverse of `dump`. Raises ValueError on anything else."""
    try:
        return _snapshot(orjson.loads(data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a compiled configuration: {type(error).__name__}") from None


def _snapshot(raw: dict[str, Any]) -> Snapshot:
    fallback_maps = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
    return Snapshot(
        **{
            **raw,
            "deployments": tuple(_deployment(row) for row in raw["deployments"]),
            "master_key": _secret(raw.get("master_key")),
            "auto_routers": {name: AutoRouter(**row) for name, row in (raw.get("auto_routers") or {}).items()},
            "upstreams": tuple(_upstream(row) for row in raw.get("upstreams", ())),
            "guardrails": tuple(_guardrail(row) for row in raw.get("guardrails", ())),
            **{name: tuple(raw.get(name, ())) for name in ("default_fallbacks", "hidden_aliases", "unsupported", "warnings")},
            **{name: {k: tuple(v) for k, v in raw.get(name, {}).items()} for name in fallback_maps},
        }
    )


def _deployment(row: dict[str, Any]) -> Deployment:
    tuples = ("quirks", "additional_drop_params", "allowed_openai_params", "access_groups", "tags", "tag_regex", "able", "lacks")
    book = row.get("wildcard_prices") or {"patterns": ()}
    return Deployment(
        **{
            **row,
            "api_key": _secret(row.get("api_key")),
            "auth": _auth(row.get("auth") or {}),
            "batch_storage": _batch_storage(row.get("batch_storage")),
            "access_windows": tuple(AccessWindow(**{**found, "days": tuple(found["days"])}) for found in row.get("access_windows") or ()),
            "prices": prices_of(row["prices"]) if row.get("prices") else None,
            "wildcard_prices": PriceBook(tuple(PricePattern(entry["pattern"], prices_of(entry["prices"])) for entry in book["patterns"])),
            **{name: tuple(row.get(name, ())) for name in tuples},
        }
    )


def prices_of(row: dict[str, Any]) -> Prices:
    """The inverse of `asdict`. Raises KeyError, TypeError or AttributeError on anything else."""
    rates = {unit: _rate(rate) for unit, rate in row["rates"].items()}
    later = tuple(PriceChange(change["starts"], prices_of(change["prices"])) for change in row.get("later", ()))
    return Prices(**{**row, "rates": rates, "later": later})


def _rate(rate: dict[str, Any]) -> Rate:
    return Rate(rate["price"], tuple((start, price) for start, price in rate["tiers"]))


def _auth(row: dict[str, Any]) -> Auth:
    return Auth(row.get("scheme", ""), _secrets(row.get("params", {})))


def _batch_storage(row: dict[str, Any] | None) -> BatchStorage | None:
    return BatchStorage(**{**row, "keys": _secrets(row["keys"])}) if row else None


def _secrets(rows: dict[str, dict[str, str]]) -> dict[str, Secret]:
    return {name: Secret(found["source"], found["value"]) for name, found in rows.items()}


def _upstream(row: dict[str, Any]) -> Upstream:
    headers = {name: tuple(Secret(part["source"], part["value"]) for part in parts) for name, parts in row["headers"].items()}
    return Upstream(**{**row, "headers": headers})


def _guardrail(row: dict[str, Any]) -> Guardrail:
    credentials = {name: Secret(found["source"], found["value"]) for name, found in row["credentials"].items()}
    by_tag = {tag: tuple(stages) for tag, stages in row["by_tag"].items()}
    return Guardrail(**{**row, "stages": tuple(row["stages"]), "by_tag": by_tag, "credentials": credentials})


def _secret(row: dict[str, str] | None) -> Secret | None:
    return Secret(row["source"], row["value"]) if row else None


def deployment_json(deployment: Deployment) -> str:
    return orjson.dumps(asdict(deployment), option=orjson.OPT_SORT_KEYS).decode()


def deployment_of(text: str) -> Deployment:
    """The inverse of `deployment_json`. Raises ValueError on anything else."""
    try:
        return _deployment(orjson.loads(text))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a compiled deployment: {type(error).__name__}") from None
