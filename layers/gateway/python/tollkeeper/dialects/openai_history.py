"""What came out of this gateway and comes back in the next request, made fit for a provider that speaks OpenAI's format.

Clients append the answer they got to their messages. In it are fields that the gateway put there (`provider_specific_fields`,
`thinking_blocks`, a thought signature inside a tool call's id), and fields that only answers have, which strict providers refuse.
Everything else passes untouched.

    history:<field>     quirk: the provider refuses this field in an assistant message
    tool_ids:<length>   quirk: the longest tool call id it takes; 9 is Mistral's rule, exactly so many letters and digits
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.gemini_signature import split_call_id

HISTORY, TOOL_IDS, KEEPS = "history:", "tool_ids:", "keeps_gateway_fields"
_OURS = frozenset({"provider_specific_fields", "reasoning_items", "thinking_blocks"})
_MISTRALS = re.compile(r"[a-zA-Z0-9]{9}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class History:
    """What one provider takes, read out of its quirks once for each request."""

    def __init__(self, quirks: Iterable[str]) -> None:
        quirks = frozenset(quirks)
        self._keeps = KEEPS in quirks
        self._refused = frozenset(quirk.removeprefix(HISTORY) for quirk in quirks if quirk.startswith(HISTORY))
        self._longest = next((int(quirk.removeprefix(TOOL_IDS)) for quirk in quirks if quirk.startswith(TOOL_IDS)), 0)

    def fit(self, messages: Any) -> Any:
        """The same list if there was nothing to do; never changes its argument."""
        if self._keeps or not isinstance(messages, list):
            return messages
        made = [self._message(message) if isinstance(message, dict) else message for message in messages]
        return made if any(new is not old for new, old in zip(made, messages, strict=True)) else messages

    def _message(self, message: Json) -> Json:
        if message.get("role") == "assistant":
            return self._assistant(message)
        identifier = message.get("tool_call_id")
        fitting = self._id(identifier) if isinstance(identifier, str) else identifier
        return message if fitting == identifier else {**message, "tool_call_id": fitting}

    def _assistant(self, message: Json) -> Json:
        dropped = {name for name in message if name in _OURS or name in self._refused}
        made = {name: value for name, value in message.items() if name not in dropped} if dropped else message
        if "refusal" in dropped and message["refusal"] and not message.get("content"):
            made["content"] = message["refusal"]
        calls = message.get("tool_calls")
        fitting = [self._call(call) if isinstance(call, dict) else call for call in calls] if isinstance(calls, list) else []
        if any(new is not old for new, old in zip(fitting, calls or (), strict=False)):
            made = {**made, "tool_calls": fitting}
        return made

    def _call(self, call: Json) -> Json:
        identifier = call.get("id")
        fitting = self._id(identifier) if isinstance(identifier, str) else identifier
        if fitting == identifier and "provider_specific_fields" not in call:
            return call
        return {**{name: value for name, value in call.items() if name not in _OURS}, "id": fitting}

    def _id(self, identifier: str) -> str:
        plain = split_call_id(identifier)[0]
        if self._longest == 9:
            return plain if _MISTRALS.fullmatch(plain) else _short(plain, 9)
        return plain if not self._longest or len(plain) <= self._longest else _short(plain, self._longest)


def _short(identifier: str, length: int) -> str:
    """The same id in, the same id out."""
    number = int.from_bytes(hashlib.blake2s(identifier.encode()).digest())
    return "".join(_DIGITS[number // len(_DIGITS) ** place % len(_DIGITS)] for place in range(min(length, 32)))
