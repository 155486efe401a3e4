"""Hub answers → Messages, buffered and streamed. https://docs.claude.com/en/docs/build-with-claude/streaming

message_start ▶ (content_block_start ▶ deltas ▶ content_block_stop)* ▶ message_delta ▶ message_stop: one block is open at a time. The hub
says usage last, so that message_start knows none and message_delta states all of it.
"""

from typing import Any

import orjson

from tollkeeper.dialects.anthropic_blocks import kind_of
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.hub_stream import as_index, as_object, as_objects
from tollkeeper.dialects.native import framed
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.anthropic_request import carrying
from tollkeeper.edge.problems import anthropic_error_event
from tollkeeper.edge.tool_names import Originals

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "refusal"}


def message_of(hub: Json, request: Json) -> Json:
    """The whole message of a chat.completion."""
    choice = next(iter(as_objects(hub.get("choices"))), {})
    said = as_object(choice.get("message"))
    stop, sequence = _stop(choice.get("finish_reason"), as_object(said.get("provider_specific_fields")))
    return {
        "id": message_id(hub.get("id")),
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": _blocks(said, names_of(request)),
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": usage_of(hub.get("usage")),
    }


def names_of(request: Json) -> Originals:
    return Originals(tool.get("name") for tool in as_objects(request.get("tools")))


def message_id(hub_id: Any) -> str:
    return f"msg_{str(hub_id or '').removeprefix('chatcmpl-').removeprefix('msg_')}"


def usage_of(usage: Any) -> Json:
    """Anthropic counts what was cached beside input_tokens."""
    counted = usage_from_hub(as_object(usage))
    return {
        "input_tokens": max(0, counted.input - counted.cache_read - counted.cache_creation),
        "cache_creation_input_tokens": counted.cache_creation,
        "cache_read_input_tokens": counted.cache_read,
        "output_tokens": counted.output,
    }


def _blocks(said: Json, names: Originals) -> list[Json]:
    blocks = [_whole(block) for block in as_objects(said.get("thinking_blocks"))]
    items = as_objects(said.get("reasoning_items"))
    if not blocks and (said.get("reasoning_content") or items):
        thought = str(said.get("reasoning_content") or "")
        blocks.append({"type": "thinking", "thinking": thought, "signature": carrying(items) if items else ""})
    if text := (said.get("content") or "") + (said.get("refusal") or ""):
        blocks.append({"type": "text", "text": text})
    for call in as_objects(said.get("tool_calls")):
        function = as_object(call.get("function"))
        blocks.append(
            {"type": "tool_use", "id": call.get("id"), "name": names.of(function.get("name")), "input": _input(function.get("arguments"))}
        )
    return blocks


def _whole(block: Json) -> Json:
    """Anthropic's thinking always has a signature; others' has none."""
    return {"signature": "", **block} if kind_of(block) == "thinking" else block


def _input(arguments: Any) -> Json:
    """What the output limit cut is no JSON; the stop reason says so."""
    try:
        return as_object(orjson.loads(arguments or "{}"))
    except orjson.JSONDecodeError:
        return {}


def _stop(finish: Any, fields: Json) -> tuple[str, str | None]:
    sequence = fields.get("stop_sequence")
    if isinstance(sequence, str) and finish == "stop":
        return "stop_sequence", sequence
    return _STOPS.get(str(finish), "end_turn"), None


class MessagesFrames:
    """See serving.Frames. Chunks of one choice; of others nothing is said."""

    def __init__(self, request: Json) -> None:
        self._model, self._names = request["model"], names_of(request)
        self._started = False
        self._place = -1
        self._open: tuple[str, int] | None = None
        """What the open block is, and of a tool call the hub's index."""
        self._calls: dict[int, int] = {}
        """The hub's index of a tool call → its block."""
        self._stop: tuple[str, str | None] = ("end_turn", None)
        self._usage: Any = None

    def feed(self, batch: list[Chunk]) -> bytes:
        return b"".join([event for chunk in batch for event in self._chunk(chunk)])

    def end(self) -> bytes:
        stop, sequence = self._stop
        delta = {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": sequence}, "usage": usage_of(self._usage)}
        return b"".join([*self._start({}), *self._close(), _event(delta), _event({"type": "message_stop"})])

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return anthropic_error_event(error, call_id)

    def _chunk(self, chunk: Chunk) -> list[bytes]:
        data = chunk.data
        self._usage = chunk.usage or self._usage
        events = self._start(data)
        for choice in as_objects(data.get("choices")):
            if choice.get("index"):
                continue
            delta = as_object(choice.get("delta"))
            events += self._delta(delta)
            if finish := choice.get("finish_reason"):
                self._stop = _stop(finish, as_object(delta.get("provider_specific_fields")))
        return events

    def _start(self, data: Json) -> list[bytes]:
        if self._started:
            return []
        self._started = True
        message = {
            "id": message_id(data.get("id")),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(None),
        }
        return [_event({"type": "message_start", "message": message})]

    def _delta(self, delta: Json) -> list[bytes]:
        events: list[bytes] = []
        if thought := delta.get("reasoning_content"):
            events += self._say("thinking", "thinking_delta", "thinking", thought)
        for block in as_objects(delta.get("thinking_blocks")):
            events += self._thought(block)
        if items := as_objects(delta.get("reasoning_items")):
            events += self._say("thinking", "signature_delta", "signature", carrying(items)) + self._close()
        for name in ("content", "refusal"):
            if isinstance(text := delta.get(name), str) and text:
                events += self._say("text", "text_delta", "text", text)
        for call in as_objects(delta.get("tool_calls")):
            events += self._call(call)
        return events

    def _thought(self, block: Json) -> list[bytes]:
        """A whole thinking block: its text has mostly been said, its signature has not."""
        if kind_of(block) != "thinking":
            return [*self._begin(block, ("redacted", 0)), *self._close()]
        events = []
        if self._open != ("thinking", 0) and block.get("thinking"):
            events += self._say("thinking", "thinking_delta", "thinking", block["thinking"])
        return [*events, *self._say("thinking", "signature_delta", "signature", str(block.get("signature") or "")), *self._close()]

    def _call(self, call: Json) -> list[bytes]:
        index, function = as_index(call.get("index")), as_object(call.get("function"))
        events = []
        if index not in self._calls:
            block: Json = {"type": "tool_use", "id": call.get("id") or "", "name": self._names.of(function.get("name")), "input": {}}
            events += self._begin(block, ("tool_use", index))
            self._calls[index] = self._place
        if arguments := function.get("arguments"):
            events.append(_block_delta(self._calls[index], "input_json_delta", "partial_json", arguments))
        return events

    def _say(self, kind: str, delta: str, name: str, text: str) -> list[bytes]:
        empty = {"type": "text", "text": ""} if kind == "text" else {"type": "thinking", "thinking": "", "signature": ""}
        opening = self._begin(empty, (kind, 0)) if self._open != (kind, 0) else []
        return [*opening, _block_delta(self._place, delta, name, text)]

    def _begin(self, block: Json, what: tuple[str, int]) -> list[bytes]:
        events = self._close()
        self._place += 1
        self._open = what
        return [*events, _event({"type": "content_block_start", "index": self._place, "content_block": block})]

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [_event({"type": "content_block_stop", "index": self._place})]


def _block_delta(place: int, kind: str, name: str, text: str) -> bytes:
    return _event({"type": "content_block_delta", "index": place, "delta": {"type": kind, name: text}})


def _event(event: Json) -> bytes:
    return framed(event["type"], orjson.dumps(event))
