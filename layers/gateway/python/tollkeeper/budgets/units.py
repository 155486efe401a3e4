"""What of a call is paid by other measures than tokens of text: characters to speak, hours to hear, images to paint. A proven upper bound
before the call, from the request alone; what it came to is on the usage (dialects/usage.py).

The bound adds up what a price list may charge by (a list prices by one of them, mostly), each at its most.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tollkeeper.config.snapshot import Prices

MS_PER_HOUR = 3_600_000
BYTES_PER_SECOND = 750
"""Of sound: 6 kbit/s, the least that speech is coded with (https://opus-codec.org)."""
BYTES_PER_PCM_SECOND = 8_000
"""8,000 one-byte samples, the least of a telephone."""
PAINTED_TOKENS = 16_384
"""Of one image at most: 6,240 are the most that is documented (https://platform.openai.com/docs/guides/image-generation#cost-and-latency),
larger sizes are on offer."""
SHOWN_TOKENS = 16_384
"""Of one image that is sent; see media.py."""
SPOKEN_TOKENS_PER_CHARACTER = 8
"""About 1.4 at the usual speed (1,250 tokens and 900 characters a minute), four times as many at the slowest."""


@dataclass(frozen=True, slots=True)
class Units:
    """At most so much of each. `priced_by` are rates of which one must be known for the price to be."""

    priced_by: frozenset[str]
    characters: int = 0
    audio_ms: int = 0
    images: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


_INPUTS = ("input", "audio_input", "image_input", "cache_creation", "cache_read")
_OUTPUTS = ("output", "audio_output", "image_output", "reasoning")


def has_price(units: Units, prices: Prices | None) -> bool:
    """A price by measures that the call does not have (tokens for a model that is billed by the hour) says nothing of its cost."""
    return prices is not None and not units.priced_by.isdisjoint(prices.rates)


def most_of(units: Units, prices: Prices) -> int:
    """The worst case in femto-dollars, in the dearest service tier."""
    rates: dict[str, int] = {}
    for name, rate in prices.rates.items():
        plain = name.partition("@")[0]
        rates[plain] = max([rates.get(plain, 0), rate.price, *(price for _, price in rate.tiers)])
    tokens = units.input_tokens * _dearest(rates, _INPUTS) + units.output_tokens * _dearest(rates, _OUTPUTS)
    hours = -(-units.audio_ms * rates.get("audio_hour", 0) // MS_PER_HOUR)
    each = units.characters * rates.get("character", 0) + units.images * rates.get("image", 0)
    return tokens + hours + each + rates.get("request", 0)


def heard_ms(sound: bytes, *, bytes_per_second: int = BYTES_PER_SECOND) -> int:
    """How long a recording is at most; `bytes_per_second` for another guess. Uncompressed WAV is known better."""
    pcm = sound[:4] == b"RIFF" and sound[20:22] == b"\x01\x00"
    return -(-len(sound) * 1_000 // (max(BYTES_PER_PCM_SECOND, bytes_per_second) if pcm else bytes_per_second))


def _dearest(rates: Mapping[str, int], names: tuple[str, ...]) -> int:
    return max((rates.get(name, 0) for name in names), default=0)
