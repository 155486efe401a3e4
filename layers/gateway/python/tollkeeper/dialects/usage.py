"""Tokens of one call, under OpenTelemetry's gen_ai names, from the hub's usage object.

https://opentelemetry.io/docs/specs/semconv/gen-ai/
The parts lie inside the wholes: cache_read and cache_creation ⊂ input, reasoning ⊂ output.
"""

from dataclasses import dataclass
from typing import Any


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


def usage_from_hub(usage: dict[str, Any]) -> Usage:
    """Reads the hub's usage object; missing, null and non-numeric fields count as 0.

    xAI's chat API leaves reasoning out of completion_tokens (`total = prompt + completion + reasoning`): it is added here, so that output
    always is what is billed.
    """
    prompt_details = usage.get("prompt_tokens_details") or {}
    completion_details = usage.get("completion_tokens_details") or {}
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    reasoning, total = _count(completion_details.get("reasoning_tokens")), _count(usage.get("total_tokens"))
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    creation_details = prompt_details.get("cache_creation_token_details") or {}
    cost = usage.get("cost")
    return Usage(
        input=prompt,
        output=completion,
        cache_read=_count(prompt_details.get("cached_tokens")),
        cache_creation=_count(prompt_details.get("cache_creation_tokens") or prompt_details.get("cache_write_tokens")),
        cache_creation_1h=_count(creation_details.get("ephemeral_1h_input_tokens")),
        reasoning=reasoning,
        audio_input=_count(prompt_details.get("audio_tokens")),
        audio_output=_count(completion_details.get("audio_tokens")),
        cost_usd=float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
    )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0
