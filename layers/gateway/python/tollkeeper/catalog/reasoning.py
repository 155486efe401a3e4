"""Models that are billed for thoughts the caller never sees, so that what was received says nothing of what was generated.

OpenAI: https://platform.openai.com/docs/guides/reasoning  Gemini: https://ai.google.dev/gemini-api/docs/thinking
Claude sends a summary of thoughts that are billed whole: https://docs.claude.com/en/docs/build-with-claude/extended-thinking
"""

import re
from collections.abc import Mapping
from typing import Any

_ALWAYS = re.compile(r"gemini-(?:2\.5|3)|grok-(?:3-mini|4|code)|(?:^|/)o[134](?:-|$)|gpt-5(?!-chat)")
_WHEN_ASKED = re.compile(r"claude")


def thinks_unseen(model: str, request: Mapping[str, Any]) -> bool:
    """`model` is the provider's name for it, `request` the hub's."""
    asked = any(request.get(name) is not None for name in ("thinking", "reasoning", "reasoning_effort"))
    return _ALWAYS.search(model) is not None or (asked and _WHEN_ASKED.search(model) is not None)
