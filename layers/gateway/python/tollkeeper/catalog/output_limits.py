"""How many tokens a model family can put out at most, for models whose configuration does not say (`model_info.max_output_tokens`).

The price data has context windows only. A row errs upward within the family: it bounds what a budget sets aside, and the limit that goes
upstream may not be above what the model takes.
"""

import re
from functools import lru_cache

UNKNOWN = 4096
"""For a model no row knows: every current model takes a limit of this size."""

_ROWS: tuple[tuple[str, int], ...] = (
    # https://platform.openai.com/docs/models
    (r"gpt-5(?!-chat)", 128_000),
    (r"gpt-5-chat|gpt-4o|chatgpt-4o", 16_384),
    (r"gpt-4\.1", 32_768),
    (r"gpt-4\.5", 16_384),
    (r"(?:^|/)o[134](?:-|$)", 100_000),
    (r"gpt-4|gpt-3\.5", 4096),
    # https://docs.claude.com/en/docs/about-claude/models/overview
    (r"claude-(?:opus-4-[678]|sonnet-4-6|[a-z]+-5)", 128_000),
    (r"claude-(?:opus-4-5|sonnet-4|haiku-4|3-7)", 64_000),
    (r"claude-opus-4", 32_000),
    (r"claude-3-5", 8192),
    (r"claude-3", 4096),
    # https://ai.google.dev/gemini-api/docs/models
    (r"gemini-(?:2\.5|3)", 65_535),
    (r"gemini-", 8192),
    # https://api-docs.deepseek.com/quick_start/pricing
    (r"deepseek-(?:reasoner|r1)", 64_000),
    (r"deepseek", 8192),
)
_COMPILED = tuple((re.compile(pattern), limit) for pattern, limit in _ROWS)


@lru_cache(maxsize=4096)
def output_limit(model: str) -> int:
    """The first row whose pattern is in the provider's model name, else `UNKNOWN`."""
    return next((limit for pattern, limit in _COMPILED if pattern.search(model)), UNKNOWN)
