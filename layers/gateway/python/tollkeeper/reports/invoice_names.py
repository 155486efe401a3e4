"""When an invoice and the ledger mean the same model: `Claude Sonnet 4.5`, `claude-sonnet-4-5-20250929`,
`eu.anthropic.claude-sonnet-4-5-20250929-v1:0` and `EUC1-Claude4.5Sonnet-input-tokens` do. A name is the words and numbers in it, in any
order, without dates, revisions and places.
"""

import re
from collections.abc import Callable

Words = tuple[str, ...]
Naming = Callable[[str], Words]
_DATE = re.compile(r"[-@]?20\d{2}-?[01]\d-?[0-3]\d")
_REVISION = re.compile(r"[-\s]v\d+(:\d+)?\b|:\d+$|-latest\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_EDITION = re.compile(r"\s*\(Amazon Bedrock(?: Edition)?\)$", re.IGNORECASE)
_PLACE = re.compile(r"^[A-Z]{2,4}\d?[-_]")
_METER = re.compile(r"-(?:mantle-)?(?:cache-(?:read|write)-)?(?:text-|image-|audio-)?(?:input|output|cached)[-_].*$", re.IGNORECASE)
_TIERS = re.compile(r"-(?:batch|flex|priority|latency-optimized|cross-region-global)$", re.IGNORECASE)


def plain_name(text: str) -> Words:
    text = _REVISION.sub("", _DATE.sub("", text))
    return tuple(sorted(word.lower() for word in _WORD.findall(text)))


def aws_name(text: str) -> Words:
    """Of a model id, an inference profile, a product's name or a usage type."""
    text = _EDITION.sub("", text.rpartition("/")[2])
    text = _TIERS.sub("", _METER.sub("", _PLACE.sub("", text)))
    # `eu.anthropic.claude-…`: a place and a maker, which no invoice repeats. In `Claude 3.5` the point is part of the name.
    if re.match(r"[a-z-]+\.[a-z]", text):
        text = re.sub(r"^(?:[a-z-]+\.)+(?=[a-z])", "", text)
    return plain_name(text)
