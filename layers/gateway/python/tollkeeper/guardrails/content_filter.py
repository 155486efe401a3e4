"""Patterns and words, in this process: `litellm_content_filter` and `hide-secrets`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper.catalog.secret_patterns import PREBUILT, SECRETS
from tollkeeper.guardrails.check import PASS, Asked, Verdict

REDACTED = "[REDACTED]"


@dataclass(frozen=True, slots=True)
class Rule:
    """`mask` None: what it finds is refused, with `refusal` and `details`."""

    pattern: re.Pattern[str]
    mask: str | None
    refusal: str = ""
    details: tuple[tuple[str, Any], ...] = ()


class ContentFilter:
    def __init__(self, rules: Sequence[Rule]) -> None:
        """What is refused is looked for before anything is hidden, so that no mask hides a reason to refuse."""
        self._refusing = [rule for rule in rules if rule.mask is None]
        self._masking = [(rule.pattern, rule.mask) for rule in rules if rule.mask is not None]

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        for rule in self._refusing:
            if any(rule.pattern.search(text) for text in texts):
                return Verdict(rule.refusal, details=dict(rule.details))
        masked = tuple(self._masked(text) for text in texts)
        return Verdict(texts=masked) if masked != tuple(texts) else PASS

    def _masked(self, text: str) -> str:
        for pattern, mask in self._masking:
            text = pattern.sub(lambda _, mask=mask: mask, text)  # type: ignore[misc] # a lambda's default has no type
        return text


def content_filter(terms: Mapping[str, Any]) -> ContentFilter:
    """https://docs.litellm.ai/docs/proxy/guardrails/litellm_content_filter"""
    shown, tag = terms["pattern_redaction_format"], terms["keyword_redaction_tag"]
    return ContentFilter([*(_pattern(row, shown) for row in terms["patterns"]), *(_word(row, tag) for row in terms["blocked_words"])])


def hide_secrets() -> ContentFilter:
    """https://docs.litellm.ai/docs/proxy/guardrails/secret_detection"""
    return ContentFilter([Rule(re.compile(PREBUILT[name]), REDACTED) for name in SECRETS])


def _pattern(row: Mapping[str, Any], shown: str) -> Rule:
    prebuilt = row["pattern_type"] == "prebuilt"
    name = row["pattern_name"] if prebuilt else row["name"] or row["pattern_name"] or "custom"
    mask = shown.replace("{pattern_name}", name.upper()) if row["action"] == "MASK" else None
    refusal = f"Content blocked: {name} pattern detected"
    return Rule(re.compile(PREBUILT[name] if prebuilt else row["pattern"]), mask, refusal, (("pattern", name),))


def _word(row: Mapping[str, Any], tag: str) -> Rule:
    """A word stands by itself, whatever its case; in scripts without word boundaries it is found anywhere."""
    keyword = row["keyword"]
    edges = (r"(?<!\w)" if keyword[0].isascii() else "", r"(?!\w)" if keyword[-1].isascii() else "")
    pattern = re.compile(edges[0] + re.escape(keyword) + edges[1], re.IGNORECASE)
    mask = tag if row["action"] == "MASK" else None
    details = (("keyword", keyword), ("description", row["description"]))
    return Rule(pattern, mask, f"Content blocked: keyword '{keyword}' detected", details)
