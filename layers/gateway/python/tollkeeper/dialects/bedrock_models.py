"""What model families on Bedrock take beside the Converse fields all share. Rows, first match wins; ARNs and region prefixes are fine.

Thinking of Claude: https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html, and adaptive thinking
…/claude-messages-adaptive-thinking.html · of Nova 2: https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
Structured output, strict tools: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tollkeeper.dialects.base import Json


@dataclass(frozen=True, slots=True)
class Family:
    """`efforts`: reasoning_effort → additionalModelRequestFields. `schema`: outputConfig and strict tools. `top_k`: the path of that field
    below additionalModelRequestFields.
    """

    pattern: re.Pattern[str]
    efforts: Mapping[str, Json] = field(default_factory=dict)
    schema: bool = False
    top_k: tuple[str, ...] = ("top_k",)
    claude: bool = False


def _budgets(**budgets: int) -> dict[str, Json]:
    return {effort: {"thinking": {"type": "enabled", "budget_tokens": tokens}} for effort, tokens in budgets.items()} | {"none": {}}


def _adaptive(*levels: str) -> dict[str, Json]:
    return {level: {"thinking": {"type": "adaptive"}, "output_config": {"effort": level}} for level in levels}


def _nova(*levels: str) -> dict[str, Json]:
    rows: dict[str, Json] = {level: {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}} for level in levels}
    return rows | {"none": {"reasoningConfig": {"type": "disabled"}}}


# LiteLLM's budgets, so that a move changes no bill.
_CLAUDE_BUDGETS = _budgets(minimal=1024, low=1024, medium=2048, high=4096, xhigh=4096, max=4096)
_CLAUDE_EFFORTS = {**_adaptive("low", "medium", "high", "max"), "none": {}}
_CLAUDE_EFFORTS |= {"minimal": _CLAUDE_EFFORTS["low"], "xhigh": _CLAUDE_EFFORTS["max"]}
_OSS_EFFORTS: dict[str, Json] = {
    given: {"reasoning_effort": sent}
    for given, sent in {"none": "low", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}.items()
}

FAMILIES = (
    Family(re.compile(r"claude-(?:[a-z]+-4-[6-9]|[a-z]+-[5-9])"), _CLAUDE_EFFORTS, schema=True, claude=True),
    Family(re.compile(r"claude-[a-z]+-4-5"), _CLAUDE_BUDGETS, schema=True, claude=True),
    Family(re.compile(r"claude-(?:3-7|[a-z]+-4)"), _CLAUDE_BUDGETS, claude=True),
    Family(re.compile(r"claude"), claude=True),
    Family(re.compile(r"nova-2"), _nova("low", "medium", "high"), top_k=("inferenceConfig", "topK")),
    Family(re.compile(r"nova"), top_k=("inferenceConfig", "topK")),
    Family(re.compile(r"gpt-oss"), _OSS_EFFORTS, schema=True),
    Family(re.compile(r"qwen3|deepseek\.v3|gemma-3|nemotron|minimax|kimi|ministral|mistral-large-3|magistral|voxtral"), schema=True),
)

_OTHER = Family(re.compile(""))


def family_of(model: str) -> Family:
    return next((family for family in FAMILIES if family.pattern.search(model)), _OTHER)
