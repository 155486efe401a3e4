"""How many tokens a request has, without asking a model: by the provider's own count where it is free, else by an estimate."""

from collections.abc import Mapping
from typing import Any

import orjson

from tollkeeper.budgets.media import survey

_BYTES_PER_TOKEN = 4
_PER_MEDIA = 1_600
"""Tokens of a picture of the usual size. https://docs.claude.com/en/docs/build-with-claude/vision#evaluate-image-size"""


def estimated_tokens(request: Mapping[str, Any]) -> int:
    """Four bytes a token, as prose and JSON have more or less in every language model."""
    found = survey(request)
    size = len(orjson.dumps({name: value for name, value in request.items() if name not in {"model", "extra_headers"}}))
    return max(1, -(-max(0, size - found.encoded) // _BYTES_PER_TOKEN)) + _PER_MEDIA * len(found.media)
