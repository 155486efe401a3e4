"""What finance puts on top of a provider's list: discounts, margins, and the day from which a price counts.

    litellm_settings:
      cost_discount_config: {openai: 0.05}                      # 5 % off, by provider
      cost_margin_config: {global: 0.1, anthropic: {percentage: 0.08, fixed_amount: 0.0005}}
    model_list[].model_info.price_changes:
      - {effective_from: 2027-01-01, input_cost_per_token: 0.000002}

https://docs.litellm.ai/docs/proxy/provider_discounts https://docs.litellm.ai/docs/proxy/provider_margins
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from tollkeeper.catalog.surcharges import MILLION
from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.litellm_keys import is_billed
from tollkeeper.config.pricing import FROM_CONFIG, priced
from tollkeeper.config.schema import Margin
from tollkeeper.config.snapshot import PriceChange, Prices
from tollkeeper.money import usd_to_femto

GLOBAL = "global"
_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Adjustments:
    """By provider; `global` is for those that are not named."""

    discounts: Mapping[str, float]
    margins: Mapping[str, "Margin | float"]

    def of(self, provider: str, prices: Prices) -> Prices:
        """`prices`, and those of later days, as this provider's calls are booked."""
        margin = self.margins.get(provider, self.margins.get(GLOBAL))
        share, fixed = (margin.percentage, margin.fixed_amount) if isinstance(margin, Margin) else (margin, 0.0)
        added = {
            "discount": _millionths(self.discounts.get(provider, self.discounts.get(GLOBAL))),
            "margin": _millionths(share),
            "margin_fixed": usd_to_femto(fixed or 0),
        }
        return _each(prices, added) if any(added.values()) else prices


def _each(prices: Prices, added: Mapping[str, Any]) -> Prices:
    later = tuple(PriceChange(change.starts, replace(change.prices, **added)) for change in prices.later)
    return replace(prices, **added, later=later)


def _millionths(share: float | None) -> int:
    return round(Decimal(str(share or 0)) * MILLION)


def by_the_hour(prices: Prices | None, hour: float, share: int, timeout: float) -> Prices:
    """With what a call pays for the time it occupies hardware that costs `hour` dollars and serves `share` calls at once, up to `timeout`
    seconds. Tokens without a price are free then.
    """
    millisecond = -(-usd_to_femto(hour) // (_MS_PER_HOUR * share))
    return replace(prices or Prices({}, FROM_CONFIG), compute=millisecond, compute_ms=round(timeout * 1000))


def with_changes(base: Prices | None, changes: list[dict[str, Any]], path: Path, findings: Findings) -> Prices | None:
    """`base` with what `price_changes` says of later days, each over what is charged the day before."""
    known, later = base, list(base.later if base else ())
    for index, change in enumerate(changes):
        here = (*path, index)
        starts = _day(change.get("effective_from"), (*here, "effective_from"), findings)
        given = {(*here, name): value for name, value in change.items() if is_billed(name)}
        for name in change.keys() - {str(field[-1]) for field in given} - {"effective_from"}:
            findings.error((*here, name), "is no price", "write LiteLLM's price fields, as in input_cost_per_token")
        if starts is None or not given:
            if not given:
                findings.error(here, "has no price in it", "add input_cost_per_token, output_cost_per_token or the like")
            continue
        known = priced(given, known, findings)
        if known is not None:
            later = [each for each in later if each.starts < starts] + [PriceChange(starts, replace(known, later=()))]
    if not later:
        return base
    if base is None:
        problem, remedy = "says what is charged later, and nothing says what is charged until then", "add input_cost_per_token beside it"
        findings.error(path, problem, remedy)
        return None
    return replace(base, later=tuple(sorted(later, key=lambda change: change.starts)))


def midnight(day: date) -> float:
    """Epoch seconds of a day's beginning, UTC."""
    return datetime.combine(day, time(), UTC).timestamp()


def _day(value: Any, path: Path, findings: Findings) -> float | None:
    try:
        return midnight(date.fromisoformat(str(value)))
    except ValueError:
        findings.error(path, "must be a day", "write it as in 2027-01-31")
        return None
