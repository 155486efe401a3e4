"""Tokens of one call, under OpenTelemetry's gen_ai names, from the hub's usage object.

https://opentelemetry.io/docs/specs/semconv/gen-ai/
The parts lie inside the wholes: cache_read and cache_creation ⊂ input, reasoning ⊂ output.
"""

from dataclasses import dataclass
from typing import Any

XAI_TICKS_PER_USD = 10**10
_DIGITS = 12
_MOST = 10**_DIGITS


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `cost_usd` is the provider's own statement of the price, where it makes one."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    cache_creation_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    cost_usd: float | None = None
    requests: int = 1
    """What a price per call is charged for: one, or the searches of a rerank."""
    occupied_ms: int = 0
    """How long the call occupied the machine that served it: known to the gateway and to no answer."""
    service_tier: str = ""
    """The tier that served the call, where it is not the standard one: flex, priority, batch, fast."""
    tools: tuple[tuple[str, int], ...] = ()
    """How often the provider ran a tool by itself: (web_search | file_search | code_interpreter, uses)."""
    image_input: int = 0
    image_output: int = 0
    characters: int = 0
    """Spoken."""
    audio_ms: int = 0
    """Heard."""
    images: int = 0
    """Painted."""


def usage_from_hub(usage: dict[str, Any]) -> Usage:
    """Reads the hub's usage object; missing, null and senseless fields count as 0.

    Where `total` says more than its parts, the parts are short, and `input` and `output` are made to be what is billed: xAI's chat API
    leaves reasoning out of completion_tokens, Gemini's OpenAI endpoint leaves it out without naming it, Mistral leaves audio out of
    prompt_tokens.
    """
    prompt_details = _details(usage, "prompt_tokens_details")
    completion_details = _details(usage, "completion_tokens_details")
    prompt, completion = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    reasoning, audio = count_of(completion_details.get("reasoning_tokens")), count_of(prompt_details.get("audio_tokens"))
    missing = max(0, count_of(usage.get("total_tokens")) - prompt - completion)
    if missing and missing == audio and missing != reasoning:
        prompt += missing
    elif missing:
        completion += missing
        reasoning = reasoning or missing
    creation_details = _details(prompt_details, "cache_creation_token_details")
    return Usage(
        input=prompt,
        output=completion,
        cache_read=count_of(prompt_details.get("cached_tokens")),
        cache_creation=count_of(prompt_details.get("cache_creation_tokens") or prompt_details.get("cache_write_tokens")),
        cache_creation_1h=count_of(creation_details.get("ephemeral_1h_input_tokens")),
        reasoning=reasoning,
        audio_input=audio,
        audio_output=count_of(completion_details.get("audio_tokens")),
        image_input=count_of(prompt_details.get("image_tokens")),
        image_output=count_of(completion_details.get("image_tokens")),
        characters=count_of(usage.get("characters")),
        audio_ms=count_of(usage.get("audio_ms")),
        images=count_of(usage.get("images")),
        cost_usd=_stated_cost(usage),
        requests=count_of(usage.get("search_units")) or 1,
        service_tier=_tier(usage),
        tools=_tools(usage),
    )


_TIERS = {"flex": "flex", "priority": "priority", "batch": "batch"}
_TOOLS = {"web_search_requests": "web_search", "file_search_requests": "file_search", "code_interpreter_requests": "code_interpreter"}


def _tier(usage: dict[str, Any]) -> str:
    """Gemini writes its tiers large, Anthropic calls a dearer speed `speed`; default, standard, auto and on_demand are as listed."""
    if usage.get("speed") == "fast":
        return "fast"
    return _TIERS.get(str(usage.get("service_tier") or "").lower().removeprefix("service_tier_"), "")


def _tools(usage: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """Anthropic's server_tool_use; dialects whose providers count elsewhere say it in the same words."""
    used = usage.get("server_tool_use")
    counts = used if isinstance(used, dict) else {}
    return tuple((tool, uses) for name, tool in _TOOLS.items() if (uses := count_of(counts.get(name))))


def _stated_cost(usage: dict[str, Any]) -> float | None:
    """OpenRouter says `cost`, Perplexity `cost.total_cost`, xAI `cost_in_usd_ticks` (10**10 to the dollar, https://docs.x.ai)."""
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if cost is None and isinstance(ticks := usage.get("cost_in_usd_ticks"), int):
        cost = ticks / XAI_TICKS_PER_USD
    return float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def count_of(value: Any) -> int:
    """A provider's count as a whole number; 0 for what is none, or is more than any call can have used: it must not become money."""
    if isinstance(value, str) and value.isdecimal() and len(value) < _DIGITS:
        return int(value)
    return int(value) if isinstance(value, int | float) and 0 < value < _MOST else 0
