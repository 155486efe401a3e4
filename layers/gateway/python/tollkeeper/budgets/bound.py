"""What one request can cost at most, on every deployment it may go to. A budget is only as hard as this bound.

    input   ≤ bytes of the JSON without encoded media (a byte-level tokenizer makes at most one token of a byte, and each message's frame
              costs more bytes than tokens) + media + what the provider adds by itself; never more than the context window
    output  ≤ the request's limit, else the model's; times n or best_of
    rate    = the dearest that may apply: cache writes, and every price tier whose threshold the input may pass

Tools the provider runs by itself read their results as input, once a round: window × (1 + rounds), and a fee for each.
Byte-level BPE: https://github.com/openai/tiktoken. tests/contract/test_budget_bound.py holds the bound against every recorded call.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tollkeeper.budgets.media import TOOL_FEE_FEMTO, TOOL_PROMPT_TOKENS, Survey, hidden_tokens, media_tokens, own_tool_uses, survey
from tollkeeper.budgets.units import Units, has_price, most_of
from tollkeeper.config.snapshot import Prices, Rate
from tollkeeper.errors import BadRequest
from tollkeeper.money import NanoUSD, round_hold

UNKNOWN_WINDOW = 2**21
"""Tokens of the largest context window on offer, for a model whose own is not known."""
UNKNOWN_OUTPUT = 16_384
"""The output limit sent upstream when neither the request nor the catalog has one."""
_LEAST_OUTPUT = 16
"""Smaller limits are raised by some providers (OpenAI's Responses API takes no less)."""

_LIMITS = (
    ("max_completion_tokens",),
    ("max_tokens",),
    ("max_output_tokens",),
    ("generationConfig", "maxOutputTokens"),
    ("inferenceConfig", "maxTokens"),
    ("options", "num_predict"),
)
_LIMIT_IGNORED = re.compile(r"grok-(?:3-mini|4|code)(?!.*non-reasoning)")
"""xAI's models whose reasoning does not count against the limit (recorded: 135 tokens billed under a limit of 10)."""
_TIERS = {"priority": 2, "fast": 6}
"""service_tier and speed → the dearest factor listed. https://openai.com/api-priority-processing
https://platform.claude.com/docs/en/build-with-claude/fast-mode"""

_MILLION = 10**6
_SEARCHED_TOKENS, _SEARCHED_DOCUMENTS = 500, 100
"""A search is a query with so many documents of so many tokens, query included."""

_INPUT_RATES = ("input", "cache_read", "cache_creation")
_AUDIO_INPUT_RATES = ("audio_input", "cache_audio_read")
_OUTPUT_RATES = ("output", "reasoning", "image_output")
_ESTIMATED_BYTES_PER_TOKEN = 4
_ESTIMATED_OUTPUT = 512


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a deployment costs and takes. `prices` None: unknown, which is not free."""

    name: str
    """The deployment, for messages."""
    provider: str
    model: str
    prices: Prices | None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


class PriceUnknown(BadRequest):
    """400: a hard budget cannot hold for a call whose price nobody knows."""


@dataclass(frozen=True, slots=True)
class Line:
    """One deployment's bound: `fixed` + `per_token` × output tokens, up to `most`. Femto-USD."""

    fixed: int
    per_token: int
    most: int

    def cost(self, tokens: int) -> int:
        return self.fixed + self.per_token * min(tokens, self.most)

    def tokens_for(self, femto: int) -> int:
        """The largest output limit that `femto` pays for; below 0 if it does not pay for the input."""
        if self.cost(self.most) <= femto:
            return self.most
        return (femto - self.fixed) // self.per_token if self.per_token else -1


@dataclass(frozen=True, slots=True)
class Bound:
    """What to reserve, and what an amount pays for. `output_tokens` is the limit to send upstream when nothing is clamped.

    `input_tokens` is the largest input bound of the deployments, `estimate` what the call will cost more or less (for soft budgets).
    """

    lines: tuple[Line, ...]
    output_tokens: int
    input_tokens: int
    estimate: NanoUSD

    @property
    def amount(self) -> NanoUSD:
        """The worst case."""
        return self.amount_for(self.output_tokens)

    def amount_for(self, tokens: int) -> NanoUSD:
        """The worst case with an output limit of `tokens`, on the dearest deployment."""
        return round_hold(max((line.cost(tokens) for line in self.lines), default=0))

    def minimum(self, useful_tokens: int) -> NanoUSD:
        """The least worth reserving: an answer of `useful_tokens`, or of the request's own limit if that is smaller."""
        return self.amount_for(min(useful_tokens, self.output_tokens))

    def tokens_for(self, amount: NanoUSD) -> int:
        """The output limit to send upstream for a hold of `amount`."""
        femto = amount * 10**6
        return min((*(line.tokens_for(femto) for line in self.lines if line.cost(line.most) > femto), self.output_tokens))


def worst_case(
    request: Mapping[str, Any],
    tariffs: Sequence[Tariff],
    *,
    body: bytes | None = None,
    hard: bool = True,
    output: bool = True,
    units: Units | None = None,
) -> Bound:
    """The bound of `request` (hub JSON, or the caller's own dialect) over all `tariffs`. `body` is its JSON, if it is at hand.

    `output` False: an endpoint that answers without tokens (embeddings, moderation); `units`: one that is paid by these.
    Raises PriceUnknown for a deployment without a price; with `hard` False that one counts as free.
    """
    if units is not None:
        return _by_units(units, tariffs, hard=hard)
    text = orjson.dumps(request) if body is None else body
    asked = survey(request)
    lines: list[Line] = []
    largest_input = longest = estimate = 0
    for tariff in tariffs:
        found = replace(asked, tool_uses=asked.tool_uses + own_tool_uses(tariff.model))
        tokens = _input_tokens(len(text), found, tariff)
        most = _output_tokens(request, tariff) if output else 0
        largest_input, longest = max(largest_input, tokens), max(longest, most)
        if tariff.prices is None:
            if hard:
                raise _unknown(tariff)
            continue
        shape = _Shape(found, long_cache=b'"1h"' in text, speaks=_speaks(request))
        line, likely = _line(request, tariff, shape, tokens=tokens, most=most)
        lines.append(line)
        estimate = max(estimate, likely)
    return Bound(tuple(lines), longest, largest_input, round_hold(estimate))


def _by_units(units: Units, tariffs: Sequence[Tariff], *, hard: bool) -> Bound:
    most = 0
    for tariff in tariffs:
        if tariff.prices is not None and has_price(units, tariff.prices):
            most = max(most, _booked(tariff.prices, most_of(units, tariff.prices)) + tariff.prices.margin_fixed)
        elif hard:
            raise _unknown(tariff)
    return Bound((Line(most, 0, 0),), 0, units.input_tokens, round_hold(most // 2))


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which rates may apply."""

    found: Survey
    long_cache: bool
    speaks: bool

    def input_rates(self) -> tuple[str, ...]:
        audio = _AUDIO_INPUT_RATES if self.found.has_audio or self.found.opaque else ()
        seen = ("image_input",) if self.found.media or self.found.opaque else ()
        return (*_INPUT_RATES, *audio, *seen, *(("cache_creation_1h",) if self.long_cache else ()))

    def output_rates(self) -> tuple[str, ...]:
        return (*_OUTPUT_RATES, "audio_output") if self.speaks else _OUTPUT_RATES


def _line(request: Mapping[str, Any], tariff: Tariff, shape: _Shape, *, tokens: int, most: int) -> tuple[Line, int]:
    """The bound of one deployment, and what the call will cost there more or less, in femto-USD."""
    prices = tariff.prices or Prices({}, "")
    tier = _Tier.of(request, prices)
    input_rate = tier.dearest(prices, shape.input_rates(), tokens)
    output_rate = tier.dearest(prices, shape.output_rates(), tokens) * _answers(request)
    fees = shape.found.tool_uses * max(TOOL_FEE_FEMTO, *prices.fees.values(), 0)
    fixed = tokens * input_rate + _dearest(prices, ("request",), tokens) * _searches(request) + fees
    fixed += output_rate * len(orjson.dumps(request["prediction"])) if request.get("prediction") else 0
    fixed += prices.compute * prices.compute_ms
    likely = tokens // _ESTIMATED_BYTES_PER_TOKEN * input_rate + output_rate * min(most, _ESTIMATED_OUTPUT)
    if tariff.provider.startswith("xai") and _LIMIT_IGNORED.search(tariff.model) and most:
        # The limit buys nothing here: all the model can say is part of the price of asking.
        ceiling = tariff.max_output_tokens or tariff.max_input_tokens or UNKNOWN_WINDOW
        fixed, output_rate = fixed + output_rate * (ceiling + most), 0
    return Line(_booked(prices, fixed) + prices.margin_fixed, _booked(prices, output_rate), most), _booked(prices, likely)


def _booked(prices: Prices, listed: int) -> int:
    """With discount and margin, rounded up."""
    return -(-listed * (_MILLION - prices.discount) * (_MILLION + prices.margin) // _MILLION**2)


def _input_tokens(size: int, found: Survey, tariff: Tariff) -> int:
    window = tariff.max_input_tokens or UNKNOWN_WINDOW
    if found.tool_uses:
        return window * (1 + found.tool_uses)
    if found.opaque:
        return window
    media = sum(media_tokens(item, tariff.provider, tariff.model) for item in found.media)
    added = hidden_tokens(tariff.provider, tariff.model, formatted=found.formatted) + (TOOL_PROMPT_TOKENS if found.has_tools else 0)
    return min(max(size - found.encoded, 0) + media + added, window)


def _output_tokens(request: Mapping[str, Any], tariff: Tariff) -> int:
    own = tariff.max_output_tokens
    asked = [limit for limit in (_at(request, path) for path in _LIMITS) if limit is not None]
    limit = min(asked) if asked else own or UNKNOWN_OUTPUT
    return max(min(limit, own) if own else limit, _LEAST_OUTPUT)


def _speaks(request: Mapping[str, Any]) -> bool:
    """Whether the answer may be sound, which has a rate of its own."""
    modalities = request.get("modalities")
    return "audio" in request or (isinstance(modalities, list) and "audio" in modalities)


def _answers(request: Mapping[str, Any]) -> int:
    """How many answers are generated: `best_of` ones are billed too."""
    prompts = request.get("prompt")
    several = len(prompts) if isinstance(prompts, list) and any(isinstance(prompt, str | list) for prompt in prompts) else 1
    return several * max(1, *(_at(request, path) or 1 for path in (("n",), ("best_of",), ("generationConfig", "candidateCount"))))


def _searches(request: Mapping[str, Any]) -> int:
    """Calls that a price per call is paid for: of a rerank, one for each 100 documents, a long one counting as many.

    https://docs.cohere.com/docs/rerank-overview
    """
    documents, query = request.get("documents"), request.get("query")
    if not isinstance(documents, list) or not isinstance(query, str):
        return 1
    room = max(1, _SEARCHED_TOKENS - len(query.encode()))
    chunks = sum(-(-len(orjson.dumps(document)) // room) for document in documents)
    return max(1, -(-chunks // _SEARCHED_DOCUMENTS))


@dataclass(frozen=True, slots=True)
class _Tier:
    """The service tier a request asks for: rates of its own, else a factor on the listed ones."""

    name: str
    factor: int
    """Millionths; never below the listed rate, which a provider falls back to."""

    @classmethod
    def of(cls, request: Mapping[str, Any], prices: Prices) -> "_Tier":
        name = "fast" if request.get("speed") == "fast" else str(request.get("service_tier") or "").lower()
        return cls(name, max(_MILLION, _TIERS.get(name, 1) * _MILLION, prices.tiers.get(name, 0)))

    def dearest(self, prices: Prices, names: Sequence[str], input_tokens: int) -> int:
        listed = -(-_dearest(prices, names, input_tokens) * self.factor // _MILLION)
        return max(listed, _dearest(prices, [f"{name}@{self.name}" for name in names], input_tokens))


def _dearest(prices: Prices, names: Sequence[str], input_tokens: int) -> int:
    """A part without a rate costs what the part it lies in costs, which is in `names` too."""
    return max((price for name in names if name in prices.rates for price in _prices(prices.rates[name], input_tokens)), default=0)


def _prices(rate: Rate, input_tokens: int) -> list[int]:
    return [rate.price, *(price for threshold, price in rate.tiers if threshold < input_tokens)]


def _at(request: Mapping[str, Any], path: tuple[str, ...]) -> int | None:
    value: Any = request
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _unknown(tariff: Tariff) -> PriceUnknown:
    return PriceUnknown(
        f"The price of deployment {tariff.name} ({tariff.provider}/{tariff.model}) is not known, and a hard budget cannot hold without it. "
        "An admin can set input_cost_per_token and output_cost_per_token in its litellm_params (0 is allowed), "
        "or make the budget soft (enforcement: soft).",
        code="price_unknown",
        param="model",
    )
