"""Prices and context windows from the `genai-prices` data set, pinned while a configuration is compiled; the hot path never imports this.

Every rate is exact: the data set states dollars per million tokens as decimals, and a femto-dollar per token is a billionth of that.
A price that changes with the hour of the day is pinned at its dearest hour, so that a budget holds at any hour. A price announced for a
later day is pinned beside today's. The data set knows one service tier; factors for the others and fees are in catalog/surcharges.py.

https://github.com/pydantic/genai-prices
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from tollkeeper.catalog.surcharges import tier_factors, tool_fees
from tollkeeper.config.snapshot import PriceChange, PricePattern, Prices, Rate
from tollkeeper.money import usd_to_femto

if TYPE_CHECKING:
    from genai_prices import types

SOURCES: Mapping[str, str] = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "azure": "azure",
    "azure_ai": "azure",
    "anthropic": "anthropic",
    "bedrock": "aws",
    "bedrock_mantle": "aws",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "gemini": "google",
    "mistral": "mistral",
    "codestral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "cerebras": "cerebras",
    "databricks": "databricks",
    "novita": "novita",
    "moonshot": "moonshotai",
    "zai": "zai",
    "bigmodel": "zhipuai",
    "minimax": "minimax",
    "voyage": "voyageai",
    "baseten": "baseten",
    "cloudflare": "cloudflare",
    "ovhcloud": "ovhcloud",
    "meta_llama": "meta",
}
"""Our provider → the data set's. One that is not here (ollama, hosted_vllm, lm_studio, …) has no price but a configured one."""

UNITS: Mapping[str, str] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_creation",
    "cache_write_1h_mtok": "cache_creation_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "cache_audio_read_mtok": "cache_audio_read",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "input_mchars": "character",
    "audio_hours": "audio_hour",
    "requests_kcount": "request",
}
"""The data set's units → our rates. Pages and searches are not billed."""

_PER = {"mtok": 10**6, "mchars": 10**6, "kcount": 10**3, "hours": 1}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the data set knows of a model; None where it does not say."""

    prices: Prices | None = None
    max_input_tokens: int | None = None


UNKNOWN = ModelFacts()


def version() -> str:
    import genai_prices  # noqa: PLC0415 - half a second of import, at compile time only

    return f"genai-prices {genai_prices.__version__}"


def facts_of(provider: str, model: str, at: date, *, base_model: str | None = None) -> ModelFacts:
    """`base_model` wins: `azure/gpt-4o`, or the bare name for a deployment whose own name says nothing. UNKNOWN if nobody knows it."""
    source, name = _source(*named(provider, model, base_model))
    return _facts(source, name, at) if source else UNKNOWN


def named(provider: str, model: str, base_model: str | None) -> tuple[str, str]:
    """(provider, model) by whose price list a deployment is billed."""
    if not base_model:
        return provider, model
    prefix, _, rest = base_model.partition("/")
    return (prefix, rest) if rest and prefix in SOURCES else (provider, base_model)


@lru_cache(maxsize=256)
def patterns_of(provider: str, at: date) -> tuple[PricePattern, ...]:
    """Every price of a provider, for a wildcard deployment whose models are named by its callers."""
    source = SOURCES.get(provider)
    if source is None:
        return ()
    rows = ((_regex(info.match), _priced(info, source, info.id, at)) for info in _with_fallbacks(source))
    return tuple(PricePattern(pattern, prices) for pattern, prices in rows if prices is not None)


def _source(provider: str, model: str) -> tuple[str | None, str]:
    """Hugging Face's router names the host in the model: `together/org/name`, or `org/name:together`."""
    if provider != "huggingface":
        return SOURCES.get(provider), model
    name, _, host = model.partition(":")
    if not host and name.count("/") > 1:
        host, _, name = name.partition("/")
    return (f"huggingface_{host}", name) if host else (None, model)


@lru_cache(maxsize=4096)
def _facts(source: str, model: str, at: date) -> ModelFacts:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - see `version`

    try:
        _, info = get_snapshot().find_provider_model(model, None, source, None)
    except LookupError:
        return UNKNOWN
    return ModelFacts(_priced(info, source, model, at), info.context_window)


def _priced(info: "types.ModelInfo", source: str, model: str, at: date) -> Prices | None:
    """Of the day, with what else is charged beside tokens, and with what is announced for later days."""
    if (today := _pinned(info, at)) is None:
        return None
    provider = next(name for name, known in (*SOURCES.items(), (source, source)) if known == source)
    later = [(day, _pinned(info, day)) for day in _changes(info, at)]
    changes = [PriceChange(_midnight(day), surcharged(prices, provider, model)) for day, prices in later if prices is not None]
    return replace(surcharged(today, provider, model), later=tuple(changes))


def surcharged(prices: Prices, provider: str, model: str) -> Prices:
    """With the factors of service tiers and the fees of tools, where `prices` has none of its own."""
    return replace(prices, tiers=tier_factors(provider, model), fees={**tool_fees(provider, model), **prices.fees})


def _changes(info: "types.ModelInfo", at: date) -> list[date]:
    conditions = info.prices if isinstance(info.prices, list) else []
    return sorted({start for row in conditions if (start := getattr(row.constraint, "start_date", None)) and start > at})


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _with_fallbacks(source: str) -> "Iterator[types.ModelInfo]":
    """A provider's models, then those of the providers whose models it also sells, in the data set's own order of search."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - see `version`

    by_id = {provider.id: provider for provider in get_snapshot().providers}
    yield from by_id[source].models
    for other in by_id[source].fallback_model_providers or ():
        yield from by_id[other].models


def _pinned(info: "types.ModelInfo", at: date) -> Prices | None:
    midnight = datetime.combine(at, time(), UTC)
    conditions = info.prices if isinstance(info.prices, list) else []
    hourly = any(hasattr(row.constraint, "start_time") for row in conditions)
    moments = range(0, 24 * 60, 30) if hourly else (0,)
    day = [_rates(info.get_prices(midnight + timedelta(minutes=minutes))) for minutes in moments]
    rates = max(day, key=lambda rates: sum(rate.price for rate in rates.values()))
    return Prices(rates, version()) if rates else None


def _rates(price: "types.ModelPrice") -> dict[str, Rate]:
    found = {unit: getattr(price, unit) for unit in UNITS}
    return {UNITS[unit]: _rate(value, _PER[unit.rpartition("_")[2]]) for unit, value in found.items() if value is not None}


def _rate(value: "Decimal | types.TieredPrices", per: int) -> Rate:
    if isinstance(value, Decimal):
        return Rate(usd_to_femto(value / per))
    return replace(_rate(value.base, per), tiers=tuple((tier.start, usd_to_femto(tier.price / per)) for tier in value.tiers))


def _regex(match: "types.MatchLogic") -> str:
    """The data set's match logic as one pattern for `re.match` on a lower-case name: each clause looks ahead from the start."""
    from genai_prices import types  # noqa: PLC0415 - see `version`

    if isinstance(match, types.ClauseOr):
        return "(?:" + "|".join(_regex(clause) for clause in match.or_) + ")"
    if isinstance(match, types.ClauseAnd):
        return "".join(_regex(clause) for clause in match.and_)
    if isinstance(match, types.ClauseRegex):
        return f"(?=(?s:.*?)(?:{match.regex}))"
    if isinstance(match, types.ClauseStartsWith):
        return f"(?={re.escape(match.starts_with.lower())})"
    if isinstance(match, types.ClauseEndsWith):
        return f"(?=(?s:.*){re.escape(match.ends_with.lower())}\\Z)"
    if isinstance(match, types.ClauseContains):
        return f"(?=(?s:.*){re.escape(match.contains.lower())})"
    return f"(?={re.escape(match.equals.lower())}\\Z)"
