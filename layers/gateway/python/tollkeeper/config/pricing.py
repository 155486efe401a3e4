"""Prices written in the configuration: dollars per token in LiteLLM's fields, over what the price data knows.

A side (input or output) that the configuration prices is priced by it alone: a negotiated input price must not meet a list price for cached
input. https://docs.litellm.ai/docs/proxy/custom_pricing
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.litellm_keys import FEE_FIELDS, RATE_UNITS, price_field
from tollkeeper.config.snapshot import PriceChange, Prices, Rate
from tollkeeper.money import usd_to_femto

FROM_CONFIG = "gateway.yaml"
MAX_USD = 10_000

_SIDES: Mapping[str, frozenset[str]] = {
    "input": frozenset(
        {"input", "cache_read", "cache_creation", "cache_creation_1h", "audio_input", "cache_audio_read", "image_input"}
        | {"character", "audio_hour"}
    ),
    "output": frozenset({"output", "reasoning", "audio_output", "image_output", "image"}),
}


def priced(given: Mapping[Path, Any], known: Prices | None, findings: Findings) -> Prices | None:
    """`given` are the price fields as written, by path. None: nobody knows the price, which is not the same as free."""
    fees = _fees(given, findings)
    base, tiers = _amounts({path: value for path, value in given.items() if path[-1] not in FEE_FIELDS}, findings)
    if not base and not tiers:
        return replace(known, fees={**known.fees, **fees}) if known and fees else known
    listed = {name: rate for name, rate in (known.rates if known else {}).items() if not _replaced(name, base)}
    rates = {**listed, **{name: Rate(price) for name, price in base.items()}}
    for (name, path), steps in tiers.items():
        if name not in rates:
            findings.error(path, "a price above a threshold needs one below it", "write the same field without _above_…")
            continue
        rates[name] = Rate(rates[name].price, tuple(sorted(steps)))
    _warn_half_priced(rates, given, findings)
    version = f"{FROM_CONFIG} over {known.version}" if listed and known else FROM_CONFIG
    later = tuple(PriceChange(change.starts, _over(change.prices, given)) for change in (known.later if known else ()))
    found = known or Prices({}, version)
    return replace(found, rates=rates, version=version, fees={**found.fees, **fees}, later=later)


def _over(announced: Prices, given: Mapping[Path, Any]) -> Prices:
    """What is written wins over a list price of a later day, too."""
    return priced(given, announced, Findings()) or announced


def _fees(given: Mapping[Path, Any], findings: Findings) -> dict[str, int]:
    """Tool → femto-dollars a use. LiteLLM gives a search three prices, by how much it reads: the dearest is billed."""
    fees: dict[str, int] = {}
    for path, value in given.items():
        if (field := FEE_FIELDS.get(str(path[-1]))) is None:
            continue
        amounts = [_usd(each) for each in (value.values() if isinstance(value, dict) else [value])]
        known = [amount for amount in amounts if amount is not None]
        if not known or len(known) != len(amounts):
            findings.error(path, "must be dollars per use", f"write a number from 0 to {MAX_USD}, as in 0.01")
        else:
            fees[field[0]] = usd_to_femto(max(known) / field[1])
    return fees


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
            # Two fields may set one rate (LiteLLM has a price of an image on either side): the dearer counts.
            base[field[0]] = max(base.get(field[0], 0), usd_to_femto(usd * RATE_UNITS.get(str(path[-1]), 1)))
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
    name = name.partition("@")[0]
    return name in base or any(side in base and name in names for side, names in _SIDES.items())


def _warn_half_priced(rates: Mapping[str, Rate], given: Mapping[Path, Any], findings: Findings) -> None:
    if "input" in rates and "output" not in rates:
        findings.warn(next(iter(given)), "output has no price and counts as free", "write output_cost_per_token, 0 if it is free")
