"""`reasoning_effort` and `thinking` → `thinkingConfig`, by model family.

2.5 models take a token budget, 3 models a level. https://ai.google.dev/gemini-api/docs/thinking
The budgets and levels per effort are those of Google's OpenAI endpoint: https://ai.google.dev/gemini-api/docs/openai#thinking
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.errors import BadRequest

DYNAMIC = -1
"""The budget that lets the model decide."""


@dataclass(frozen=True, slots=True)
class ThinkingFamily:
    """What a family accepts. `off` is the config that comes nearest to no thinking: some models always think."""

    pattern: re.Pattern[str]
    efforts: Mapping[str, Json]
    off: Json
    signed_calls: bool = False
    """Function calls must come back with their thought signature (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    budgets: tuple[int, int] = field(default=(0, 0))
    """Smallest and largest thinkingBudget; (0, 0): not checked."""


def _levels(**levels: str) -> dict[str, Json]:
    return {effort: {"thinkingLevel": level} for effort, level in levels.items()}


def _budgets(**budgets: int) -> dict[str, Json]:
    return {effort: {"thinkingBudget": budget} for effort, budget in budgets.items()}


_ALL_LEVELS = _levels(minimal="minimal", low="low", medium="medium", high="high", xhigh="high", max="high")
_ALL_BUDGETS = _budgets(minimal=1024, low=1024, medium=8192, high=24576, xhigh=24576, max=24576)

FAMILIES = (
    ThinkingFamily(
        re.compile(r"gemini-3-pro"),
        _levels(minimal="low", low="low", medium="high", high="high", xhigh="high", max="high"),
        off={"thinkingLevel": "low"},
        signed_calls=True,
    ),
    ThinkingFamily(
        re.compile(r"gemini-(?:[3-9][.\d]*-pro|pro-latest)"),
        {**_ALL_LEVELS, **_levels(minimal="low")},
        off={"thinkingLevel": "low"},
        signed_calls=True,
    ),
    ThinkingFamily(
        re.compile(r"gemini-(?:[3-9]|flash-latest|flash-lite-latest)"), _ALL_LEVELS, off={"thinkingLevel": "minimal"}, signed_calls=True
    ),
    ThinkingFamily(re.compile(r"gemini-2\.5-pro"), _ALL_BUDGETS, off={"thinkingBudget": 128}, budgets=(128, 32_768)),
    ThinkingFamily(re.compile(r"gemini-2\.5-flash-lite"), _ALL_BUDGETS, off={"thinkingBudget": 0}, budgets=(512, 24_576)),
    ThinkingFamily(re.compile(r"gemini-(?:2\.5|robotics)"), _ALL_BUDGETS, off={"thinkingBudget": 0}, budgets=(0, 24_576)),
)
"""First match wins. Limits: https://ai.google.dev/gemini-api/docs/thinking#set-budget"""

_OFF = ("none", "disable")
_NEVER_THINKS = re.compile(r"gemini-(?:1|2\.0)|gemma")


def family_of(model: str) -> ThinkingFamily | None:
    """None: a model without thinking, or one we know nothing of."""
    return next((family for family in FAMILIES if family.pattern.search(model)), None)


def unsupported_thinking(fields: Json, model: str) -> list[str]:
    """The parameters by which a model that cannot think is asked to."""
    if not _NEVER_THINKS.search(model):
        return []
    asked = {"reasoning_effort": fields.get("reasoning_effort"), "thinking": _object(fields.get("thinking")).get("type")}
    return [name for name, value in asked.items() if value is not None and value not in (*_OFF, "disabled")]


def thinking_of(fields: Json, model: str) -> Json | None:
    """The thinkingConfig for `thinking` and `reasoning_effort`, `thinking` first; None when neither is given.

    Raises BadRequest for a value nobody documents. A model of no known family gets budgets, which Google maps by itself.
    """
    if _NEVER_THINKS.search(model):
        return None
    family = family_of(model)
    if isinstance(thinking := fields.get("thinking"), dict):
        return _from_thinking(thinking, family)
    effort = fields.get("reasoning_effort")
    if effort is None:
        return None
    if effort in _OFF:
        return {**(family.off if family else {"thinkingBudget": 0}), "includeThoughts": False}
    known = family.efforts if family else _ALL_BUDGETS
    if not isinstance(effort, str) or effort not in known:
        raise BadRequest(f"reasoning_effort must be one of none, {', '.join(known)}.", param="reasoning_effort")
    return {**known[effort], "includeThoughts": True}


def _from_thinking(thinking: Json, family: ThinkingFamily | None) -> Json:
    """Anthropic's words, as LiteLLM takes them for Gemini: `{"type": "enabled", "budget_tokens": N}`."""
    if thinking.get("type") == "disabled":
        return {**(family.off if family else {"thinkingBudget": 0}), "includeThoughts": False}
    return {**_budget(thinking.get("budget_tokens"), family), "includeThoughts": True}


def _budget(tokens: Any, family: ThinkingFamily | None) -> Json:
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        return {}
    low, high = family.budgets if family else (0, 0)
    return {"thinkingBudget": max(low, min(tokens, high)) if high and tokens > 0 else tokens}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
