"""Prices written in the configuration: dollars per token in LiteLLM's fields, over what the price data knows.

A side (input or output) that the configuration prices is priced by it alone: a negotiated input price must not meet a list price for cached
input. https://docs.litellm.ai/docs/proxy/custom_pricing
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.litellm_keys import price_field
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.money import usd_to_femto

FROM_CONFIG = "gateway.yaml"
MAX_USD = 10_000

_SIDES: Mapping[str, frozenset[str]] = {
    "input": frozenset({"input", "cache_read", "cache_creation", "cache_creation_1h", "audio_input", "cache_audio_read"}),
    "output": frozenset({"output", "reasoning", "audio_output"}),
}


def priced(given: Mapping[Path, Any], known: Prices | None, findings: Findings) -> Prices | None:
    """`given` are the price fields as written, by path. None: nobody knows the price, which is not the same as free."""
    base, tiers = _amounts(given, findings)
    if not base and not tiers:
        return known
    listed = {name: rate for name, rate in (known.rates if known else {}).items() if not _replaced(name, base)}
    rates = {**listed, **{name: Rate(price) for name, price in base.items()}}
    for (name, path), steps in tiers.items():
        if name not in rates:
            findings.error(path, "a price above a threshold needs one below it", "write the same field without _above_…")
            continue
        rates[name] = Rate(rates[name].price, tuple(sorted(steps)))
    _warn_half_priced(rates, given, findings)
    return Prices(rates, f"{FROM_CONFIG} over {known.version}" if listed and known else FROM_CONFIG)


def _amounts(given: Mapping[Path, Any], findings: Findings) -> tuple[dict[str, int], dict[tuple[str, Path], list[tuple[int, int]]]]:
    base: dict[str, int] = {}
    tiers: dict[tuple[str, Path], list[tuple[int, int]]] = {}
    first: dict[str, Path] = {}
    for path, value in given.items():
        field = price_field(str(path[-1]))
        usd = _usd(value)
        if usd is None:
            findings.error(path, "must be dollars per unit", f"write a number from 0 to {MAX_USD}, as in 0.0000025")
        elif field and field[1]:
            tiers.setdefault((field[0], first.setdefault(field[0], path)), []).append((field[1], usd_to_femto(usd)))
        elif field:
            base[field[0]] = usd_to_femto(usd)
    return base, tiers


def _usd(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        usd = Decimal(str(value))
    except InvalidOperation:
        return None
    return usd if usd.is_finite() and 0 <= usd <= MAX_USD else None


def _replaced(name: str, base: Iterable[str]) -> bool:
    return name in base or any(side in base and name in names for side, names in _SIDES.items())


def _warn_half_priced(rates: Mapping[str, Rate], given: Mapping[Path, Any], findings: Findings) -> None:
    if "input" in rates and "output" not in rates:
        findings.warn(next(iter(given)), "output has no price and counts as free", "write output_cost_per_token, 0 if it is free")
