"""Usage × prices → what a call cost. Integer femto-dollars inside, one rounding at the end, no float in a sum. On the hot path.

The parts of a usage lie inside its wholes (dialects/usage.py), so each token is billed once: as the most particular thing it is. A part
without a rate of its own is billed as what it is a part of: 1-hour cache write → cache write → input; cache read, audio, image → input;
reasoning, audio, image → output. A part larger than its whole cannot lie inside it: the provider counted it beside, and so it is billed
(Azure's Grok: 29 prompt tokens, 157 of them cached). Where a provider states the cost of the call itself, that is the cost.

Hardware of one's own may cost by the hour: a call then pays for the time it took, shared with as many as are served at once.

A service tier (flex, priority, batch) has rates of its own (`input@flex`), or a factor on the listed ones. Tools the provider ran by itself
have fees. Then the discount comes off, and the margin goes on, as in LiteLLM's cost_discount_config and cost_margin_config.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tollkeeper.config.snapshot import Prices
from tollkeeper.dialects.usage import Usage
from tollkeeper.money import ZERO, NanoUSD, round_cost, usd_to_femto

FALLBACK: Mapping[str, str] = {
    "cache_creation_1h": "cache_creation",
    "cache_creation": "input",
    "cache_read": "input",
    "cache_audio_read": "cache_read",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
    "image_input": "input",
    "image_output": "output",
}
MS_PER_HOUR = 3_600_000

_MAX_STATED_USD = 10**6
MILLION = 10**6


@dataclass(frozen=True, slots=True)
class CostBreakdown:
    """Nano-dollars. `total` is rounded once from the exact sum, so the rounded parts may differ from it by a few units.

    A cost the provider stated has no parts.
    """

    total: NanoUSD
    input: NanoUSD = ZERO
    output: NanoUSD = ZERO
    cache_read: NanoUSD = ZERO
    cache_creation: NanoUSD = ZERO
    reasoning: NanoUSD = ZERO
    audio: NanoUSD = ZERO
    request: NanoUSD = ZERO
    tools: NanoUSD = ZERO
    compute: NanoUSD = ZERO
    discount: NanoUSD = ZERO
    """What was taken off the list, as a positive number."""
    margin: NanoUSD = ZERO

    @property
    def listed(self) -> NanoUSD:
        """Before discount and margin."""
        return NanoUSD(self.total + self.discount - self.margin)

    def parts(self) -> dict[str, int]:
        """What is not nothing, by name, without the total."""
        return {name: value for name in _PARTS if (value := getattr(self, name))}


_PARTS = tuple(field.name for field in fields(CostBreakdown) if field.name != "total")


def cost_of(usage: Usage, prices: Prices) -> CostBreakdown:
    """Each token once, whatever the provider counts. An absurd stated cost is not believed."""
    if usage.cost_usd is not None and 0 <= usage.cost_usd <= _MAX_STATED_USD:
        return _adjusted(usd_to_femto(usage.cost_usd), {}, prices)
    creation = max(usage.cache_creation, usage.cache_creation_1h)
    input_tokens = usage.input + _beside(usage.input, creation, usage.cache_read, usage.audio_input)
    output_tokens = usage.output + _beside(usage.output, usage.reasoning, usage.audio_output)
    parts: dict[str, int] = {}
    for name, units in (*_input(usage, input_tokens, creation), *_output(usage, output_tokens), *_others(usage)):
        if units:
            part = _PART.get(name, name)
            femto = units * rate_of(prices, name, input_tokens, usage.service_tier)
            parts[part] = parts.get(part, 0) + (femto if name != "audio_hour" else -(-femto // MS_PER_HOUR))
    if fees := sum(uses * prices.fees.get(tool, 0) for tool, uses in usage.tools):
        parts["tools"] = fees
    if compute := min(usage.occupied_ms, prices.compute_ms) * prices.compute:
        parts["compute"] = compute
    return _adjusted(sum(parts.values()), parts, prices)


def rate_of(prices: Prices, name: str, input_tokens: int, service_tier: str = "") -> int:
    """Femto-dollars per unit for a call of so many input tokens in all: a call above a threshold pays its price for every token."""
    if service_tier and name != "request":
        return _tier_rate(prices, name, input_tokens, service_tier)
    rate = prices.rates.get(name)
    while rate is None:
        if name not in FALLBACK:
            return 0
        name = FALLBACK[name]
        rate = prices.rates.get(name)
    return rate.at(input_tokens)


def _tier_rate(prices: Prices, name: str, input_tokens: int, service_tier: str) -> int:
    """The tier's own rate of the nearest name that has one, before the listed rate of a wider name."""
    current: str | None = name
    while current is not None:
        if (own := prices.rates.get(f"{current}@{service_tier}")) is not None:
            return own.at(input_tokens)
        if (listed := prices.rates.get(current)) is not None:
            return listed.at(input_tokens) * prices.tiers.get(service_tier, MILLION) // MILLION
        current = FALLBACK.get(current)
    return 0


def _adjusted(listed: int, parts: Mapping[str, int], prices: Prices) -> CostBreakdown:
    """`listed` femto-dollars, less the discount, with the margin."""
    named = {part: round_cost(femto) for part, femto in parts.items()}
    if not (prices.discount or prices.margin or prices.margin_fixed):
        return CostBreakdown(round_cost(listed), **named)
    discount = listed * prices.discount // MILLION
    margin = (listed - discount) * prices.margin // MILLION + prices.margin_fixed
    total, off = round_cost(listed - discount + margin), round_cost(discount)
    return CostBreakdown(total, **named, discount=off, margin=NanoUSD(total - round_cost(listed) + off))


_PART = {
    "cache_creation_1h": "cache_creation",
    "cache_audio_read": "cache_read",
    "audio_input": "audio",
    "audio_output": "audio",
    "image_input": "input",
    "image_output": "output",
    "character": "input",
    "audio_hour": "audio",
    "image": "output",
}


def _beside(whole: int, *parts: int) -> int:
    return sum(part for part in parts if part > whole)


def _input(usage: Usage, whole: int, creation: int) -> tuple[tuple[str, int], ...]:
    # More parts than whole: so many tokens must have been cached audio, counted as both.
    both = max(0, min(creation + usage.cache_read + usage.audio_input - whole, usage.audio_input, usage.cache_read))
    left, long_lived = _take(whole, usage.cache_creation_1h)
    left, short_lived = _take(left, creation - usage.cache_creation_1h)
    left, cached_audio = _take(left, both)
    left, audio = _take(left, usage.audio_input - cached_audio)
    left, cached = _take(left, usage.cache_read - cached_audio)
    left, seen = _take(left, usage.image_input)
    return (
        ("input", left),
        ("cache_read", cached),
        ("cache_creation", short_lived),
        ("cache_creation_1h", long_lived),
        ("cache_audio_read", cached_audio),
        ("audio_input", audio),
        ("image_input", seen),
    )


def _output(usage: Usage, whole: int) -> tuple[tuple[str, int], ...]:
    left, audio = _take(whole, usage.audio_output)
    left, painted = _take(left, usage.image_output)
    left, reasoning = _take(left, usage.reasoning)
    return ("output", left), ("reasoning", reasoning), ("audio_output", audio), ("image_output", painted)


def _others(usage: Usage) -> tuple[tuple[str, int], ...]:
    """Sound is counted in milliseconds, which every price of it divides."""
    counted = (("character", usage.characters), ("audio_hour", usage.audio_ms), ("image", usage.images))
    return ("request", usage.requests), *counted


def _take(whole: int, part: int) -> tuple[int, int]:
    taken = max(0, min(whole, part))
    return whole - taken, taken
