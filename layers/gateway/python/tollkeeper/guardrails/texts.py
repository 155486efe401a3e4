"""The texts of a request or an answer, whoever's words it is in: OpenAI's, Anthropic's, Gemini's, Cohere's.

What a model reads or says stands under a few names in all of these APIs. Names, ids, URLs, images, sound and signed thinking are left
alone; the arguments and results of tools, which are objects in some APIs and text in others, are read to the last string.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.multipart import FORM

ASKED = frozenset({
    "messages", "system", "input", "instructions", "prompt", "contents", "systemInstruction", "system_instruction", "query", "documents",
    "suffix", "content", "requests", "prediction",
})  # fmt: skip
"""Where a request has its texts."""
ANSWERED = frozenset({
    "choices", "content", "output", "candidates", "text", "segments", "delta", "item", "part", "response", "content_block", "arguments",
})  # fmt: skip
"""Where an answer, or an event of one, has its texts."""
_TEXT = frozenset({
    "content", "text", "input", "prompt", "query", "output", "arguments", "refusal", "instructions", "system", "documents", "delta",
    "reasoning_content", "reasoning", "partial_json", "suffix", "summary", "transcript",
})  # fmt: skip
_WHOLE = frozenset({"args", "variables", "text"})
"""Of these an object is text to its last string."""
_SIGNED = frozenset({"thinking", "redacted_thinking"})
_MARKS = ("type", "index", "output_index", "content_index", "summary_index", "thought")
"""What tells apart two places of a stream that have the same path."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One text: where it stands, and `place`, which is the same for all pieces of one text in a stream."""

    holder: Any
    key: Any
    place: tuple[Any, ...]

    @property
    def text(self) -> str:
        found: str = self.holder[self.key]
        return found

    def put(self, text: str) -> None:
        self.holder[self.key] = text


class _FormSlot(Slot):
    """A plain field of a form, which may be there twice."""

    @property
    def text(self) -> str:
        found: str = self.holder[self.key][1]
        return found

    def put(self, text: str) -> None:
        self.holder[self.key] = (self.holder[self.key][0], text)


def slots_of(body: Json, roots: frozenset[str]) -> list[Slot]:
    """In the order in which they are read; empty texts are not among them."""
    if form := _form_of(body):
        fields = enumerate(form)
        return [_FormSlot(form, index, (name,)) for index, (name, value) in fields if name in roots and value and isinstance(value, str)]
    marks = tuple(body.get(name) for name in _MARKS if not isinstance(body.get(name), dict | list))
    return [slot for name in body if name in roots for slot in _walk(body, name, (*marks, name), textual=name in _TEXT, deep=False)]


def forget_logprobs(body: Json) -> None:
    """The tokens of a text that was changed would tell it."""
    for choice in body.get("choices") or ():
        if isinstance(choice, dict) and choice.get("logprobs"):
            choice["logprobs"] = None


def replaced(body: Json, roots: frozenset[str], texts: Sequence[str]) -> Json:
    """A copy with these texts in place of its own."""
    copy = deepcopy(body)
    for slot, text in zip(slots_of(copy, roots), texts, strict=True):
        slot.put(text)
    # What a form says is in the request by name, too.
    return {**copy, **{name: value for name, value in _form_of(copy) if isinstance(value, str)}}


def _form_of(body: Json) -> list[Any]:
    """Empty: it is none. A JSON body may have a field of that name, but no tuples in it."""
    form = body.get(FORM)
    return form if isinstance(form, list) and all(isinstance(field, tuple) for field in form) else []


def _walk(holder: Any, key: Any, place: tuple[Any, ...], *, textual: bool, deep: bool) -> Iterator[Slot]:
    value = holder[key]
    if isinstance(value, str):
        if value and (textual or deep):
            yield Slot(holder, key, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            # An entry that says which one it is counts by that: streams send the second of two alone.
            named = isinstance(item, dict) and "index" in item
            yield from _walk(value, index, place if named else (*place, index), textual=textual, deep=deep)
    elif isinstance(value, dict) and value.get("type") not in _SIGNED:
        within = deep or _is_a_tools(holder, key)
        marks = tuple(value.get(name) for name in _MARKS if not isinstance(value.get(name), dict | list))
        for name in value:
            plain = name == "data" and value.get("type") == "text"
            yield from _walk(value, name, (*place, *marks, name), textual=plain or name in _TEXT, deep=within)


def _is_a_tools(holder: Any, key: Any) -> bool:
    """Anthropic's `tool_use.input`, Gemini's `functionCall.args` and `functionResponse.response`: every string in it counts."""
    if key == "input":
        return str(holder.get("type", "")).endswith("tool_use")
    return key in _WHOLE or (key == "response" and "type" not in holder)
