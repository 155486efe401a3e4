"""What a call may cost beside its listed rates: service tiers, and the tools that providers run by themselves. Data, each with its source.

Read on 2026-11-26. A deployment's own prices (`input_cost_per_token_priority`, `search_context_cost_per_query`, …) win over these rows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MILLION = 10**6
"""Factors are millionths of the listed rate."""
_HALF, _TWICE = MILLION // 2, 2 * MILLION
_KILO_USD = 10**12
"""Femto-dollars of a dollar for each thousand."""


@dataclass(frozen=True, slots=True)
class TierRow:
    """Which models of which provider have these factors: regular expressions for `re.match`."""

    provider: str
    model: str
    factors: Mapping[str, int]


TIERS: tuple[TierRow, ...] = (
    # https://platform.openai.com/docs/pricing: flex and batch are half; priority is listed for each family.
    TierRow("openai|azure", "gpt-4o-mini", {"flex": _HALF, "batch": _HALF, "priority": 1_666_667}),
    TierRow("openai|azure", "gpt-4o", {"flex": _HALF, "batch": _HALF, "priority": 1_700_000}),
    TierRow("openai|azure", "gpt-4\\.1|o3", {"flex": _HALF, "batch": _HALF, "priority": 1_750_000}),
    TierRow("openai|azure", "o4-mini", {"flex": _HALF, "batch": _HALF, "priority": 1_818_182}),
    TierRow("openai|azure", "", {"flex": _HALF, "batch": _HALF, "priority": _TWICE}),
    # "75% to 100% more than standard": the larger. https://ai.google.dev/gemini-api/docs/optimization
    TierRow("gemini|vertex_ai", "gemini", {"flex": _HALF, "batch": _HALF, "priority": _TWICE}),
    # Priority is bought as capacity and not dearer by the token; fast mode is six times the price.
    # https://platform.claude.com/docs/en/build-with-claude/batch-processing …/fast-mode
    TierRow("anthropic|vertex_ai", ".*claude", {"batch": _HALF, "fast": 6 * MILLION}),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html
    TierRow("bedrock", "", {"flex": _HALF, "batch": _HALF, "priority": 1_750_000}),
)


@dataclass(frozen=True, slots=True)
class FeeRow:
    """Femto-dollars for each use of a tool, by the tool's name in `Usage.tools`."""

    provider: str
    model: str
    fees: Mapping[str, int]


FEES: tuple[FeeRow, ...] = (
    # $25 and $10 for 1,000 searches, $2.50 for 1,000 file searches, $0.03 a container. https://platform.openai.com/docs/pricing
    FeeRow("openai|azure", "gpt-4", {"web_search": 25 * _KILO_USD, "file_search": 2_500_000_000_000, "code_interpreter": 30 * _KILO_USD}),
    FeeRow("openai|azure", "", {"web_search": 10 * _KILO_USD, "file_search": 2_500_000_000_000, "code_interpreter": 30 * _KILO_USD}),
    # $10 for 1,000 searches. https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
    FeeRow("anthropic|vertex_ai", ".*claude", {"web_search": 10 * _KILO_USD}),
    # $14 for 1,000 queries since Gemini 3, $35 for 1,000 grounded prompts before. https://ai.google.dev/gemini-api/docs/pricing
    FeeRow("gemini|vertex_ai", "gemini-[12]", {"web_search": 35 * _KILO_USD}),
    FeeRow("gemini|vertex_ai", "gemini", {"web_search": 14 * _KILO_USD}),
)


def tier_factors(provider: str, model: str) -> dict[str, int]:
    """Service tier → millionths of the listed rate; a tier that is not named costs what is listed."""
    found = (row.factors for row in TIERS if re.match(row.provider, provider) and re.match(row.model, _bare(model)))
    return dict(next(found, {}))


def tool_fees(provider: str, model: str) -> dict[str, int]:
    """Tool → femto-dollars a use. A tool that is not named is free beside its tokens."""
    found = (row.fees for row in FEES if re.match(row.provider, provider) and re.match(row.model, _bare(model)))
    return dict(next(found, {}))


def _bare(model: str) -> str:
    return model.lower().rpartition("/")[2]
