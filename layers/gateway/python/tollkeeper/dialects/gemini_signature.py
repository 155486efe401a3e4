"""Where a Gemini thought signature lives while the conversation is with the caller.

Gemini 3 refuses a function call that comes back without its signature, yet the OpenAI shape has no field for one, and many clients
rebuild a tool call from id, name and arguments alone. So it travels three ways, best first:

1. `tool_call.provider_specific_fields.thought_signature` (LiteLLM's place; also `extra_content.google.thought_signature`, Google's own);
2. inside the id, as `<id>__thought__<signature>`: LiteLLM's trick, which every client returns. Ours is URL-safe base64 without padding,
   which Google's JSON parser takes as it is and which stays within the characters that other providers allow in an id;
3. nowhere: a Gemini 3 call then carries the documented stand-in, so that history from another model can be continued.

https://ai.google.dev/gemini-api/docs/thought-signatures
https://protobuf.dev/programming-guides/json/ (bytes: standard or URL-safe base64, with or without padding)
"""

import hashlib
from typing import Any

SEPARATOR = "__thought__"
STAND_IN = "skip_thought_signature_validator"

_OUR_ID = "call_gem"
_URL_SAFE = str.maketrans("+/", "-_")


def split_call_id(call_id: str) -> tuple[str, str | None]:
    """A tool call id of the hub → the plain id, and the signature it carried. Other dialects send only the plain id."""
    plain, found, signature = call_id.partition(SEPARATOR)
    return plain, signature if found and signature else None


def join_call_id(call_id: str, signature: str | None) -> str:
    return call_id + SEPARATOR + signature.translate(_URL_SAFE).rstrip("=") if signature else call_id


def make_call_id(response_id: str, position: int, name: str, arguments: str) -> str:
    """An id for a call that Gemini gave none: the same answer gives the same ids, different answers give different ones."""
    digest = hashlib.blake2s(f"{response_id}\0{position}\0{name}\0{arguments}".encode(), digest_size=10)
    return f"{_OUR_ID}{digest.hexdigest()}"


def provider_id(plain_id: str) -> str | None:
    """The id to tell Gemini: none if it was `make_call_id` that invented it."""
    return None if plain_id.startswith(_OUR_ID) else plain_id or None


def signature_of(call: dict[str, Any]) -> str | None:
    """The signature of a tool call that comes back from the caller, wherever it survived."""
    function = call.get("function")
    holders = (call, function if isinstance(function, dict) else {})
    for holder in holders:
        fields = holder.get("provider_specific_fields")
        if isinstance(fields, dict) and isinstance(found := fields.get("thought_signature"), str):
            return found
    google = _dict(_dict(call.get("extra_content")).get("google"))
    if isinstance(found := google.get("thought_signature"), str):
        return found
    return split_call_id(str(call.get("id") or ""))[1]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
