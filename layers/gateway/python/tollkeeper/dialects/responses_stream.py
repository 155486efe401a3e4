"""Events of a Responses stream → hub chunks. https://platform.openai.com/docs/api-reference/responses-streaming

response.created ▶ (output_item.added ▶ deltas ▶ output_item.done)* ▶ response.completed | incomplete | failed, or `error` anywhere.

Text, reasoning and arguments go out as they come; what makes sense only whole (a reasoning item, a server tool's trace) when its item is
done. An item's `done` also makes good what its deltas left out, for speakers that send none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.dialects.base import Chunk, Json, Target
from tollkeeper.dialects.hub_stream import ChunkWriter, as_index, as_object, as_objects
from tollkeeper.dialects.responses_decode import (
    CustomTools,
    annotation_of,
    custom_tools,
    envelope,
    extras_of,
    failure,
    finish_of,
    hub_logprobs,
    kind_of,
    message_parts,
    order_of,
    reasoning_texts,
    response_usage,
    tool_call,
    whole_arguments,
)

_KEYS = {"text": "content", "refusal": "refusal"}


@dataclass(slots=True)
class _Item:
    """One output item: what it is, and what of it has been sent."""

    kind: str
    given: Json
    place: int = -1
    sent: dict[tuple[str, int], str] = field(default_factory=dict)
    """By (what, part of the item)."""
    arguments: str = ""
    offsets: dict[int, int] = field(default_factory=dict)
    """Where each text part begins in the whole content."""
    annotations: int = 0
    source: str = ""


class ResponseReader:
    """See hub_stream.Reader."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target
        self._write = ChunkWriter(target)
        self._started = False
        self._custom: CustomTools = None
        self._items: dict[int, _Item] = {}
        self._calls = 0
        self._length = 0
        self._thought = False
        self._phase: Any = None
        self._handlers: dict[str, Callable[[Json], list[Chunk]]] = {
            "response.created": self._start,
            "response.queued": self._start,
            "response.in_progress": self._start,
            "response.output_item.added": self._added,
            "response.output_item.done": self._item_done,
            "response.output_text.delta": lambda event: self._words(event, "text"),
            "response.refusal.delta": lambda event: self._words(event, "refusal"),
            "response.reasoning_text.delta": lambda event: self._reasoning(event, "content_index"),
            "response.reasoning_summary_text.delta": lambda event: self._reasoning(event, "summary_index"),
            "response.function_call_arguments.delta": self._arguments,
            "response.custom_tool_call_input.delta": self._arguments,
            "response.output_text.annotation.added": self._annotation,
            "response.completed": self._end,
            "response.incomplete": self._end,
            "response.done": self._end,
            "response.failed": self._failed,
            "response.cancelled": self._failed,
            "error": self._failed,
        }
        self._closers: dict[str, Callable[[_Item], list[Chunk]]] = {
            "message": self._message_done,
            "reasoning": self._reasoning_done,
            "call": self._call_done,
            "tool": self._tool_done,
        }

    def read(self, event: Json) -> list[Chunk]:
        """Event types that are not known here repeat what others say, or tell of progress."""
        kind = str(event.get("type") or ("error" if event.get("error") else ""))
        handler = self._handlers.get(kind)
        return handler(event) if handler else []

    def _start(self, event: Json) -> list[Chunk]:
        response = as_object(event.get("response"))
        custom = custom_tools(response)
        self._custom = self._custom if custom is None else custom
        if self._started:
            return []
        self._started = True
        known = envelope(response, "chat.completion.chunk", self._target)
        self._write.begin(known["id"], known["created"])
        return [self._write.role()]

    def _added(self, event: Json) -> list[Chunk]:
        given = as_object(event.get("item"))
        item = self._items[as_index(event.get("output_index"))] = _Item(kind_of(given, self._custom), given)
        return self._open_call(item) if item.kind == "call" else []

    def _open_call(self, item: _Item) -> list[Chunk]:
        item.place = self._calls
        self._calls += 1
        call = tool_call(item.given)
        if call["type"] == "function":
            item.arguments = sent = str(item.given.get("arguments") or "")
            return [self._write.call(item.place, call["id"], call["function"]["name"], sent)]
        item.arguments = call["custom"]["input"]
        return [self._write.delta({"tool_calls": [{"index": item.place, **call}]}, said=call["custom"]["name"])]

    def _words(self, event: Json, name: str) -> list[Chunk]:
        """A delta of text or refusal."""
        item, index = self._item(event, "message"), as_index(event.get("content_index"))
        return self._say(item, name, index, event.get("delta"), as_objects(event.get("logprobs")))

    def _say(self, item: _Item, name: str, index: int, words: Any, logprobs: list[Json]) -> list[Chunk]:
        if not isinstance(words, str) or not words:
            return []
        part = (name, index)
        if name == "text":
            item.offsets.setdefault(index, self._length)
            self._length += len(words)
        item.sent[part] = item.sent.get(part, "") + words
        key = _KEYS[name]
        if known := hub_logprobs(logprobs):
            return [self._write.delta({key: words}, said=words, logprobs=known)]
        return [self._write.piece(key, words)]

    def _reasoning(self, event: Json, index: str) -> list[Chunk]:
        """Parts are paragraphs. Where an item has both a text and its summary, what comes first is what is told."""
        item, words = self._item(event, "reasoning"), event.get("delta")
        item.source = item.source or index
        if not isinstance(words, str) or not words or item.source != index:
            return []
        part = (index, as_index(event.get(index)))
        chunks = [] if part in item.sent else self._paragraph()
        item.sent[part] = item.sent.get(part, "") + words
        return [*chunks, self._write.piece("reasoning_content", words)]

    def _paragraph(self) -> list[Chunk]:
        thought, self._thought = self._thought, True
        return [self._write.piece("reasoning_content", "\n\n")] if thought else []

    def _arguments(self, event: Json) -> list[Chunk]:
        item = self._items.get(as_index(event.get("output_index")))
        return self._more_arguments(item, event.get("delta")) if item is not None and item.kind == "call" else []

    def _more_arguments(self, item: _Item, fragment: Any) -> list[Chunk]:
        if not isinstance(fragment, str) or not fragment:
            return []
        item.arguments += fragment
        if item.given.get("type") == "custom_tool_call":
            return [self._write.delta({"tool_calls": [{"index": item.place, "custom": {"input": fragment}}]}, said=fragment)]
        return [self._write.arguments(item.place, fragment)]

    def _annotation(self, event: Json) -> list[Chunk]:
        item = self._item(event, "message")
        item.annotations += 1
        return self._annotate(item, as_object(event.get("annotation")), as_index(event.get("content_index")))

    def _annotate(self, item: _Item, given: Json, index: int) -> list[Chunk]:
        note = annotation_of(given, item.offsets.get(index, 0))
        return [self._write.delta({"provider_specific_fields": {"annotations": [given]}} if note is None else {"annotations": [note]})]

    def _item(self, event: Json, kind: str) -> _Item:
        """The item an event is about; of a speaker that never added it, one that it must be."""
        return self._items.setdefault(as_index(event.get("output_index")), _Item(kind, {"type": kind}))

    def _item_done(self, event: Json) -> list[Chunk]:
        given = as_object(event.get("item"))
        item = self._items.get(as_index(event.get("output_index")))
        chunks: list[Chunk] = []
        if item is None:
            item = self._items[as_index(event.get("output_index"))] = _Item(kind_of(given, self._custom), given)
            chunks = self._open_call(item) if item.kind == "call" else []
        item.given = given
        return chunks + self._closers[item.kind](item)

    def _message_done(self, item: _Item) -> list[Chunk]:
        self._phase = item.given.get("phase") or self._phase
        chunks: list[Chunk] = []
        told, seen = any(item.sent.values()), item.annotations
        for index, (name, words, part) in enumerate(message_parts(item.given)):
            if not told:
                chunks += self._say(item, name, index, words, as_objects(part.get("logprobs")))
            notes = as_objects(part.get("annotations"))
            for note in notes[seen:]:
                chunks += self._annotate(item, note, index)
            seen = max(0, seen - len(notes))
        return chunks

    def _reasoning_done(self, item: _Item) -> list[Chunk]:
        chunks: list[Chunk] = []
        if not item.sent:
            for words in reasoning_texts(item.given):
                chunks += [*self._paragraph(), self._write.piece("reasoning_content", words)]
        return [*chunks, self._write.delta({"reasoning_items": [item.given]})]

    def _call_done(self, item: _Item) -> list[Chunk]:
        """What of the arguments no delta has said."""
        custom = item.given.get("type") == "custom_tool_call"
        whole = str(item.given.get("input") or "") if custom else whole_arguments(item.given)
        sent = item.arguments
        return self._more_arguments(item, whole.removeprefix(sent)) if whole.startswith(sent) else []

    def _tool_done(self, item: _Item) -> list[Chunk]:
        return [self._write.delta({"provider_specific_fields": {"server_tools": [item.given]}})]

    def _end(self, event: Json) -> list[Chunk]:
        response = as_object(event.get("response"))
        if response.get("error"):
            raise failure(response, self._target)
        chunks = self._start(event)
        if not self._items:
            for index, item in enumerate(as_objects(response.get("output"))):
                chunks += self._item_done({"output_index": index, "item": item})
        self.done = True
        self.usage = response_usage(response)
        order = order_of([item.given for item in self._items.values()], self._custom)
        fields = {"output_order": order, "phase": self._phase, **extras_of(response)}
        kept = {name: value for name, value in fields.items() if value}
        delta = {"provider_specific_fields": kept} if kept else {}
        chunks.append(self._write.delta(delta, finish=finish_of(response, called=self._calls > 0)))
        if self.usage is not None:
            tier = envelope(response, "chat.completion.chunk", self._target).get("service_tier")
            chunks.append(self._write.usage(self.usage, {"service_tier": tier} if tier else None))
        return chunks

    def _failed(self, event: Json) -> list[Chunk]:
        response = as_object(event.get("response"))
        self.usage = response_usage(response) or self.usage
        raise failure(response or event, self._target)
