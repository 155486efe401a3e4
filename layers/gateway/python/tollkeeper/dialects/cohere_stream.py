"""Cohere's v2 stream events → hub chunks. https://docs.cohere.com/docs/streaming

message-start ▶ (content-start ▶ content-delta* ▶ content-end | tool-plan-delta* | tool-call-start ▶ tool-call-delta* ▶ tool-call-end
| citation-start ▶ citation-end)* ▶ message-end.

`delta.message.tool_calls` and `citations` are objects here, lists in a whole answer.
"""

from collections.abc import Callable

from tollkeeper.dialects.base import Chunk, Json, Target
from tollkeeper.dialects.cohere_decode import annotations_of, answer_id, finish_of, hub_logprobs, hub_usage, thinking_block
from tollkeeper.dialects.error_bodies import error_from_tree
from tollkeeper.dialects.hub_stream import ChunkWriter, as_index, as_object


class ChatReader:
    """See hub_stream.Reader."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target
        self._write = ChunkWriter(target)
        self._thought: str | None = None
        self._plan = ""
        self._places: dict[int, int] = {}
        self._arguments: list[bool] = []
        self._handlers: dict[str, Callable[[Json, Json], list[Chunk]]] = {
            "message-start": self._start,
            "content-start": self._content,
            "content-delta": self._content,
            "content-end": self._content_end,
            "tool-plan-delta": self._tool_plan,
            "tool-call-start": self._call,
            "tool-call-delta": self._fragment,
            "tool-call-end": self._call_end,
            "citation-start": self._citation,
            "message-end": self._end,
        }

    def read(self, event: Json) -> list[Chunk]:
        """Event types that are not known here say nothing a caller needs."""
        kind = event.get("type")
        if kind is None and (event.get("error") or event.get("message")):
            raise error_from_tree(event, self._target)
        handler = self._handlers.get(str(kind))
        return handler(event, as_object(as_object(event.get("delta")).get("message"))) if handler else []

    def _start(self, event: Json, _: Json) -> list[Chunk]:
        self._write.begin(answer_id(event.get("id"), self._target))
        return [self._write.role()]

    def _content(self, event: Json, message: Json) -> list[Chunk]:
        content = as_object(message.get("content"))
        if isinstance(thought := content.get("thinking"), str):
            self._thought = (self._thought or "") + thought
            return [self._write.piece("reasoning_content", thought)] if thought else []
        text = content.get("text")
        if not isinstance(text, str) or not text:
            return []
        given = as_object(event.get("delta")).get("logprobs") or event.get("logprobs")
        if logprobs := hub_logprobs([given]):
            return [self._write.delta({"content": text}, said=text, logprobs=logprobs)]
        return [self._write.piece("content", text)]

    def _content_end(self, _: Json, __: Json) -> list[Chunk]:
        thought, self._thought = self._thought, None
        return [self._write.delta({"thinking_blocks": [thinking_block(thought)]})] if thought else []

    def _tool_plan(self, _: Json, message: Json) -> list[Chunk]:
        plan = message.get("tool_plan")
        if not isinstance(plan, str) or not plan:
            return []
        self._plan += plan
        return [self._write.piece("reasoning_content", plan)]

    def _call(self, event: Json, message: Json) -> list[Chunk]:
        call = as_object(message.get("tool_calls"))
        function = as_object(call.get("function"))
        place = self._places[as_index(event.get("index"))] = len(self._arguments)
        arguments, name = str(function.get("arguments") or ""), str(function.get("name") or "")
        self._arguments.append(bool(arguments))
        return [self._write.call(place, str(call.get("id") or f"call_{place}_{name}"), name, arguments)]

    def _fragment(self, event: Json, message: Json) -> list[Chunk]:
        fragment = as_object(as_object(message.get("tool_calls")).get("function")).get("arguments")
        place = self._places.get(as_index(event.get("index")), len(self._arguments) - 1)
        if not isinstance(fragment, str) or not fragment or place < 0:
            return []
        self._arguments[place] = True
        return [self._write.arguments(place, fragment)]

    def _call_end(self, event: Json, _: Json) -> list[Chunk]:
        """A call without arguments sends none, and a caller parses what it gets."""
        place = self._places.get(as_index(event.get("index")), -1)
        if place < 0 or self._arguments[place]:
            return []
        self._arguments[place] = True
        return [self._write.arguments(place, "{}")]

    def _citation(self, _: Json, message: Json) -> list[Chunk]:
        citation = as_object(message.get("citations"))
        if not citation:
            return []
        delta: Json = {"provider_specific_fields": {"citations": [citation]}}
        if notes := annotations_of(citation):
            delta["annotations"] = notes
        return [self._write.delta(delta)]

    def _end(self, event: Json, _: Json) -> list[Chunk]:
        end = {**event, **as_object(event.get("delta"))}
        self.usage = hub_usage(end.get("usage"))
        finish = finish_of(end, called=bool(self._arguments))
        self.done = True
        delta = {"provider_specific_fields": {"tool_plan": self._plan}} if self._plan else {}
        chunks = [self._write.delta(delta, finish=finish)]
        return [*chunks, self._write.usage(self.usage)] if self.usage else chunks
