"""Another make's thoughts inside a field that Gemini's clients give back as it was: a part's `thoughtSignature`."""

import base64
import binascii
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_object, as_objects

_FIELDS = ("thinking_blocks", "reasoning_items")


def carrying(message: Json) -> str | None:
    """Of a hub message or of what its deltas add up to; None if it has nothing that must come back."""
    kept = {name: message[name] for name in _FIELDS if message.get(name)}
    return base64.b64encode(orjson.dumps(kept)).decode() if kept else None


def carried(signature: Any) -> Json:
    """The inverse: fields of a hub message; none for Google's own signatures. Both alphabets of base64 come back."""
    if not isinstance(signature, str) or not signature:
        return {}
    try:
        padded = signature.replace("-", "+").replace("_", "/") + "=" * (-len(signature) % 4)
        tree = as_object(orjson.loads(base64.b64decode(padded)))
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        return {}
    return {name: found for name in _FIELDS if (found := as_objects(tree.get(name)))}
