"""The compiled configuration: what the hot path reads. Plain frozen values, JSON in and out, no pydantic, no YAML, no price database.

`config/compile.py` makes one from gateway.yaml (`make dev` at start, `cdk synth` at build time); the proxy on Lambda loads the JSON only.
Secrets are never in it unless the file itself has them: a reference (`os.environ/NAME`) stays a reference until first use.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a credential is: `env` (environment variable, or field of a configured Secrets Manager secret) or `literal`."""

    source: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rate:
    """A price in femto-dollars per unit. `tiers` are (threshold, price): a call whose input tokens exceed a threshold pays that price
    for all its tokens when `whole` (how every provider with thresholds bills), ordered ascending.
    """

    price: int
    tiers: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Prices:
    """What one deployment charges. Keys of `rates`: input, output, cache_read, cache_creation, cache_creation_1h, reasoning,
    audio_input, audio_output, cache_audio_read (per token) and `request` (per call). A missing key falls back as ledger/cost.py says.
    """

    rates: dict[str, Rate]
    version: str
    """Where they come from, with date: `genai-prices 0.2.3`, `gateway.yaml`."""


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
    weight: float = 1.0
    order: int = 1
    rpm: int | None = None
    tpm: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    prices: Prices | None = None
    mock_response: Any = None
    mode: str = "chat"
    access_groups: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    """model_info as given."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the whole configuration."""

    version: str
    """Content hash."""
    deployments: tuple[Deployment, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    """model_group_alias: other names for a group."""
    fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    context_window_fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    content_policy_fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    num_retries: int = 2
    request_timeout: float = 600.0
    master_key: Secret | None = None
    key_header: str | None = None
    """general_settings.litellm_key_header_name, lower case."""
    max_request_bytes: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Everything else that was validated, by section: litellm_settings, router_settings, general_settings."""
    unsupported: tuple[str, ...] = ()
    """Paths of keys that are LiteLLM's but do nothing here yet; said at start and by `tollkeeper config validate`."""


def dump(snapshot: Snapshot) -> bytes:
    return orjson.dumps(asdict(snapshot), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def load(data: bytes) -> Snapshot:
    """The inverse of `dump`. Raises ValueError on anything else."""
    raw = orjson.loads(data)
    fallback_maps = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
    return Snapshot(
        **{
            **raw,
            "deployments": tuple(_deployment(row) for row in raw["deployments"]),
            "master_key": _secret(raw.get("master_key")),
            "default_fallbacks": tuple(raw.get("default_fallbacks", ())),
            "unsupported": tuple(raw.get("unsupported", ())),
            **{name: {k: tuple(v) for k, v in raw.get(name, {}).items()} for name in fallback_maps},
        }
    )


def _deployment(row: dict[str, Any]) -> Deployment:
    tuples = ("quirks", "additional_drop_params", "allowed_openai_params", "access_groups")
    prices = row.get("prices")
    return Deployment(
        **{
            **row,
            "api_key": _secret(row.get("api_key")),
            "prices": prices and Prices({unit: _rate(rate) for unit, rate in prices["rates"].items()}, prices["version"]),
            **{name: tuple(row.get(name, ())) for name in tuples},
        }
    )


def _rate(rate: dict[str, Any]) -> Rate:
    return Rate(rate["price"], tuple((start, price) for start, price in rate["tiers"]))


def _secret(row: dict[str, str] | None) -> Secret | None:
    return Secret(row["source"], row["value"]) if row else None
