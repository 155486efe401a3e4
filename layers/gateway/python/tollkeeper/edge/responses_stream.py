"""Hub chunks → events of a Responses stream. https://platform.openai.com/docs/api-reference/responses-streaming

response.created ▶ in_progress ▶ (output_item.added ▶ its parts and deltas ▶ output_item.done)* ▶ response.completed | incomplete. One item
is open at a time; every event has the next number.
"""

from typing import Any

import orjson

from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.hub_stream import as_index, as_object, as_objects
from tollkeeper.dialects.native import framed
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.responses_answer import (
    call_item,
    envelope,
    finished,
    flat_annotations,
    key_of,
    logprobs_of,
    message_item,
    reasoning_item,
    text_part,
)
from tollkeeper.edge.serving import Passed

_SUMMARY = {"type": "summary_text", "text": ""}


def error_event(error: BaseException, call_id: str, number: int) -> bytes:
    """OpenAI's event, and the envelope that its clients raise."""
    told = openai_error(error, call_id)[2]["error"]
    event = {"type": "error", "sequence_number": number, "code": told["code"], "message": told["message"], "param": told["param"]}
    return framed("error", orjson.dumps({**event, "error": told}))


class PassedResponse(Passed):
    """See serving.Frames."""

    def __init__(self, request: Json) -> None:
        super().__init__(request)
        self._number = 0
        self.whole: Json | None = None
        """The response, once it is complete."""

    def feed(self, batch: list[Chunk]) -> bytes:
        self._number += len(batch)
        for chunk in batch:
            if chunk.data.get("type") in {"response.completed", "response.incomplete"}:
                self.whole = chunk.data["response"]
        return super().feed(batch)

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return error_event(error, call_id, self._number)


class ResponseFrames:
    """See serving.Frames. Chunks of one choice."""

    def __init__(self, request: Json) -> None:
        self._request = request
        self._events: list[bytes] = []
        self._number = 0
        self._key = ""
        self._response: Json = {}
        self._output: list[Json] = []
        self._kind = ""
        self._said = ""
        self._likely: list[Json] = []
        """Log probabilities of what was said."""
        self._calls: dict[int, int] = {}
        """The hub's index of a tool call → its place in the output."""
        self._finish: Any = None
        self._usage: Any = None
        self.whole: Json | None = None
        """The response, once it is complete."""

    def feed(self, batch: list[Chunk]) -> bytes:
        for chunk in batch:
            self._usage = chunk.usage or self._usage
            self._start(chunk.data)
            for choice in as_objects(chunk.data.get("choices")):
                if not choice.get("index"):
                    self._delta(as_object(choice.get("delta")), logprobs_of(choice))
                    self._finish = choice.get("finish_reason") or self._finish
        return self._take()

    def end(self) -> bytes:
        self._start({})
        self._close()
        whole = finished(self._response, self._output, self._finish, self._usage)
        self.whole = whole
        self._say(f"response.{whole['status']}", response=whole)
        return self._take()

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return error_event(error, call_id, self._number)

    def _start(self, data: Json) -> None:
        if self._response:
            return
        self._key = key_of(data, self._request)
        self._response = envelope(self._key, data.get("created"), self._request)
        self._say("response.created", response=self._response)
        self._say("response.in_progress", response=self._response)

    def _delta(self, delta: Json, logprobs: list[Json]) -> None:
        if thought := delta.get("reasoning_content"):
            self._words("reasoning", thought)
        if thoughts := as_objects(delta.get("thinking_blocks")):
            self._remember(thoughts)
        for name in ("content", "refusal"):
            if isinstance(text := delta.get(name), str) and text:
                self._words("text" if name == "content" else "refusal", text, logprobs if name == "content" else [])
        for note in flat_annotations(delta.get("annotations")):
            self._annotate(note)
        for call in as_objects(delta.get("tool_calls")):
            self._call(call)

    def _words(self, kind: str, text: str, logprobs: list[Json] | None = None) -> None:
        if self._kind != kind:
            self._open(kind)
        self._said += text
        event, more = _DELTAS[kind]
        if logprobs:
            self._likely += logprobs
            more = {**more, "logprobs": logprobs}
        self._say(event + ".delta", **self._item, **more, delta=text)

    def _remember(self, thoughts: list[Json]) -> None:
        """Signed thoughts, which belong to the reasoning that was said."""
        if self._kind != "reasoning":
            self._open("reasoning")
        self._output[-1] = {**self._output[-1], "thoughts": [*self._output[-1].get("thoughts", ()), *thoughts]}

    def _annotate(self, note: Json) -> None:
        if self._kind == "text":
            notes = self._output[-1].setdefault("notes", [])
            notes.append(note)
            more = {"content_index": 0, "annotation_index": len(notes) - 1, "annotation": note}
            self._say("response.output_text.annotation.added", **self._item, **more)

    def _call(self, call: Json) -> None:
        index = as_index(call.get("index"))
        if index not in self._calls:
            self._close()
            self._calls[index] = len(self._output)
            self._kind = "call"
            self._output.append({**call_item(f"{self._key}_{index}", call), "status": "in_progress"})
            name = _argument(self._output[-1])
            given, self._output[-1][name] = self._output[-1][name], ""
            self._say("response.output_item.added", output_index=len(self._output) - 1, item=self._output[-1])
        else:
            given = as_object(call.get("custom")).get("input") or as_object(call.get("function")).get("arguments") or ""
        if given:
            place = self._calls[index]
            item = self._output[place]
            item[_argument(item)] += given
            self._say(_call_event(item) + ".delta", item_id=item["id"], output_index=place, delta=given)

    @property
    def _item(self) -> Json:
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _open(self, kind: str) -> None:
        self._close()
        self._kind, self._said, self._likely = kind, "", []
        place = len(self._output)
        reasons = kind == "reasoning"
        item = reasoning_item(f"rs_{self._key}_{place}", "", []) if reasons else message_item(f"msg_{self._key}_{place}", [], "in_progress")
        self._output.append(item)
        self._say("response.output_item.added", output_index=place, item=item)
        if reasons:
            self._say("response.reasoning_summary_part.added", **self._item, summary_index=0, part=_SUMMARY)
        else:
            self._say("response.content_part.added", **self._item, content_index=0, part=_part(kind, "", []))

    def _close(self) -> None:
        """What is open is done: an item of words, or every call that is not."""
        kind, self._kind = self._kind, ""
        if kind == "reasoning":
            self._close_reasoning()
        elif kind in {"text", "refusal"}:
            self._close_message(kind)
        elif kind == "call":
            for place in self._calls.values():
                if self._output[place]["status"] == "in_progress":
                    self._close_call(place)

    def _close_reasoning(self) -> None:
        item = reasoning_item(self._output[-1]["id"], self._said, self._output[-1].get("thoughts", []))
        self._say("response.reasoning_summary_text.done", **self._item, summary_index=0, text=self._said)
        self._say("response.reasoning_summary_part.done", **self._item, summary_index=0, part={**_SUMMARY, "text": self._said})
        self._done(len(self._output) - 1, item)

    def _close_message(self, kind: str) -> None:
        part = _part(kind, self._said, self._output[-1].get("notes", []), self._likely)
        words = {"text": self._said, "logprobs": self._likely} if kind == "text" else {"refusal": self._said}
        self._say(_DELTAS[kind][0] + ".done", **self._item, content_index=0, **words)
        self._say("response.content_part.done", **self._item, content_index=0, part=part)
        self._done(len(self._output) - 1, message_item(self._output[-1]["id"], [part]))

    def _close_call(self, place: int) -> None:
        item = {**self._output[place], "status": "completed"}
        name = _argument(item)
        self._say(_call_event(item) + ".done", item_id=item["id"], output_index=place, name=item["name"], **{name: item[name]})
        self._done(place, item)

    def _done(self, place: int, item: Json) -> None:
        self._output[place] = item
        self._say("response.output_item.done", output_index=place, item=item)

    def _say(self, kind: str, **fields: Any) -> None:
        self._events.append(framed(kind, orjson.dumps({"type": kind, "sequence_number": self._number, **fields})))
        self._number += 1

    def _take(self) -> bytes:
        taken, self._events = b"".join(self._events), []
        return taken


_DELTAS: dict[str, tuple[str, Json]] = {
    "text": ("response.output_text", {"content_index": 0, "logprobs": []}),
    "refusal": ("response.refusal", {"content_index": 0}),
    "reasoning": ("response.reasoning_summary_text", {"summary_index": 0}),
}


def _part(kind: str, words: str, notes: list[Json], logprobs: list[Json] | None = None) -> Json:
    return {"type": "refusal", "refusal": words} if kind == "refusal" else text_part(words, notes, logprobs)


def _argument(item: Json) -> str:
    return "input" if item["type"] == "custom_tool_call" else "arguments"


def _call_event(item: Json) -> str:
    return "response.custom_tool_call_input" if item["type"] == "custom_tool_call" else "response.function_call_arguments"
