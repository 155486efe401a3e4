"""A stream of chat.completion.chunk events, mended, with one usage chunk at the end.

What providers do and what comes out:
- usage on every chunk, on the finishing one, in `x_groq`, or in a chunk of its own → held, and sent once as a last `choices: []` chunk;
- finish reasons repeated, contradicting or missing → the first per choice, decided by whether there were tool calls;
- Azure's opening chunk without choices → what it carries rides on the next chunk;
- tool-call fragments without index, id or type, or with the id in every fragment → OpenAI's: id, type and name once;
- `event: error`, an `error` in an event, an error body in place of a stream → StreamFailed with the typed error;
- a whole chat.completion in place of a stream → that, in one chunk.
"""

from typing import Any

import orjson

from tollkeeper.dialects import openai_mend as mend
from tollkeeper.dialects.base import Chunk, Json, StreamFailed, Target
from tollkeeper.dialects.error_bodies import error_from_tree
from tollkeeper.dialects.framing import SseParser
from tollkeeper.dialects.hub_stream import as_word
from tollkeeper.dialects.openai_decode import decode_completion, hidden_error, tool_call_id
from tollkeeper.dialects.stream_template import Template, learn
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_OBJECT = "chat.completion.chunk"
_CONTENT_KEYS = ("content", "reasoning_content", "reasoning", "refusal")
_ANSWER_KEYS = (*_CONTENT_KEYS, "reasoning_details", "audio", "images", "function_call")
_MAX_FRUITLESS = 6
"""Templates learned in a row without one use, after which a stream is taken to vary in every chunk."""
_HEAD_BYTES = 2**20


_Place = tuple[str | int, ...]
"""Steps from a delta to a value in it."""


class _Choice:
    """What must be remembered of one choice."""

    __slots__ = ("current", "finished", "places", "tools")

    def __init__(self) -> None:
        self.finished = False
        self.tools: list[Json] = []
        """Per caller-visible tool call: its id, name, and whether arguments have come."""
        self.places: dict[int, int] = {}
        """The provider's index → ours."""
        self.current = -1


class OpenAIStreamDecoder:
    """See base.StreamDecoder. `usage` is the latest usage seen, also of a stream that fails later. `fast=False` is for tests."""

    def __init__(self, target: Target, *, fast: bool = True) -> None:
        self.usage: Json | None = None
        self._target = target
        self._sse = SseParser()
        self._choices: dict[int, _Choice] = {}
        self._extras: Json = {}
        self._id = ""
        self._created = target.created
        self._usage_chunk: Json = {}
        self._done = False
        self._head: bytes | None = b""  # what came before the first event: an error body, if the provider ignored `stream`
        self._template: Template | None = None
        self._fruitless = 0 if fast else _MAX_FRUITLESS

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        chunks: list[Chunk] = []
        if self._head is not None:
            self._head = (self._head + data)[:_HEAD_BYTES]
        try:
            for name, event in self._sse.feed(data):
                self._read(name, event, chunks)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished, StreamFailed for an error in the last event."""
        chunks: list[Chunk] = []
        try:
            for name, event in self._sse.close():
                self._read(name, event, chunks)
            self._read_head(chunks)
        except UpstreamProtocolError:
            raise self._cut() from None
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        if not self._done:
            if not self._choices or not all(choice.finished for choice in self._choices.values()):
                raise self._cut()
            self._finish(chunks)
        return chunks

    def _read(self, name: bytes, event: bytes, chunks: list[Chunk]) -> None:
        if self._done:
            return
        if self._template is not None and name != b"error" and (sent := self._template.apply(event)) is not None:
            self._fruitless = 0
            chunks.append(Chunk(raw=sent[0], has_content=True, text_bytes=sent[1]))
            return
        self._head = None
        if event.strip() == b"[DONE]":
            self._finish(chunks)
        elif event.strip():
            self._read_slowly(name, event, chunks)

    def _read_head(self, chunks: list[Chunk]) -> None:
        """A stream without a single event may be an error body in place of one, or the whole answer of a server that does not stream."""
        head = self._head or b""
        try:
            tree = orjson.loads(head) if head else None
        except orjson.JSONDecodeError:
            return
        if (error := hidden_error(tree)) is not None:
            raise error_from_tree(error, self._target)
        if isinstance(tree, dict) and tree.get("choices"):
            self._read(b"", orjson.dumps(_as_one_event(decode_completion(head, self._target))), chunks)
            self._finish(chunks)

    def _read_slowly(self, name: bytes, event: bytes, chunks: list[Chunk]) -> None:
        try:
            tree = orjson.loads(event)
        except orjson.JSONDecodeError:
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not JSON.", upstream_status=200) from None
        if name == b"error" or (isinstance(tree, dict) and tree.get("error")) or hidden_error(tree) is not None:
            raise error_from_tree(hidden_error(tree) or tree, self._target)
        if tree is None:
            return  # nothing, said now and then to keep the connection
        if not isinstance(tree, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not an object.", upstream_status=200)
        learnable = _varying_text(tree) if self._fruitless < _MAX_FRUITLESS else None
        chunk = self._mend(tree)
        if chunk is not None:
            chunks.append(chunk)
            if learnable:
                self._learn(event, *learnable)

    def _mend(self, data: Json) -> Chunk | None:
        self._hold_usage(data)
        mend.mend_envelope(data, _OBJECT, self._target, fallback_id=self._id)
        given = data.get("choices")
        if not given or not isinstance(given, list):
            self._keep_extras(data)
            return None
        self._id, self._created = data["id"], data["created"]
        answers = False
        choices = []
        for position, choice in enumerate(given):
            if isinstance(choice, dict) and (kept := self._mend_choice(choice, position)) is not None:
                choices.append(choice)
                answers |= kept
        if not choices:
            self._keep_extras(data)
            return None
        data["choices"] = choices
        if self._extras:
            data = {**self._extras, **data}
            self._extras = {}
        said = sum([mend.said_bytes(choice["delta"]) for choice in choices])
        return Chunk(data, has_content=answers, text_bytes=said)

    def _mend_choice(self, choice: Json, position: int) -> bool | None:
        """Whether it has part of the answer; None if nothing is left of it."""
        if type(choice.get("index")) is not int:
            choice["index"] = position
        state = self._choices.get(choice["index"])
        if state is None:
            state = self._choices[choice["index"]] = _Choice()
        delta = choice.get("delta")
        message = choice.pop("message", None)  # Perplexity: everything so far, again
        if not isinstance(delta, dict):
            delta = choice["delta"] = message if isinstance(message, dict) else {}
        answers = self._mend_delta(delta, state)
        choice.pop("text", None)  # Together's second copy
        if choice.get("logprobs") is not None:
            mend.mend_logprobs(choice)
        finish = choice.get("finish_reason")
        if not finish:
            choice["finish_reason"] = None
        elif state.finished:
            choice["finish_reason"] = None
            if not answers:
                return None
        else:
            self._finish_choice(choice, delta, state, finish)
        return answers

    def _mend_delta(self, delta: Json, state: _Choice) -> bool:
        role = delta.get("role")
        if role is not None and role != "assistant":
            delta["role"] = "assistant"
        delta.pop("token_id", None)
        mend.mend_text(delta)
        mend.mend_audio(delta, whole=False)
        if calls := delta.get("tool_calls"):
            listed = calls if isinstance(calls, list) else [calls]  # TGI sends the one call bare
            delta["tool_calls"] = [self._mend_fragment(call, state) for call in listed if isinstance(call, dict)]
        elif calls is not None and calls != []:
            delta["tool_calls"] = None
        return bool(delta.get("tool_calls")) or any(delta.get(key) for key in _ANSWER_KEYS)

    def _mend_fragment(self, call: Json, state: _Choice) -> Json:
        self._template = None  # which call a fragment belongs to may have changed
        place = self._place(call, state)
        opening = place == len(state.tools)
        if isinstance(custom := call.get("custom"), dict):
            return self._mend_custom(call, custom, place, state, opening=opening)
        function = call.get("function")
        if not isinstance(function, dict):
            function = call["function"] = {}
        if opening:
            identifier = call.get("id")
            if not (isinstance(identifier, str) and identifier):
                call["id"] = tool_call_id(self._id or f"{self._target.created}", place)
            function["name"] = as_word(function.get("name"))
            state.tools.append({"id": call["id"], "name": function["name"], "arguments": False})
            call["type"] = "function"
        else:
            # Clients add fragments up, ids and names included: what was said once must not be said again.
            call.pop("id", None)
            call.pop("type", None)
            if not isinstance(function.get("name"), str) or function["name"] in ("", state.tools[place]["name"]):
                function.pop("name", None)
        call["index"] = state.current = place
        if opening or "arguments" in function:
            function["arguments"] = mend.arguments_text(function.get("arguments"))
            state.tools[place]["arguments"] |= bool(function["arguments"])
        return call

    def _mend_custom(self, call: Json, custom: Json, place: int, state: _Choice, *, opening: bool) -> Json:
        """A custom tool's input is any text: https://platform.openai.com/docs/guides/function-calling#custom-tools"""
        if opening:
            state.tools.append({"id": str(call.get("id") or ""), "name": custom.get("name"), "arguments": True})
        call["index"] = state.current = place
        return call

    def _place(self, call: Json, state: _Choice) -> int:
        """Our index for a fragment. A new id is a new call, whatever index it claims (Ollama numbers every call 0, Mistral none)."""
        index, identifier = call.get("index"), call.get("id")
        known = state.places.get(index, -1) if type(index) is int else state.current
        if isinstance(identifier, str) and identifier:
            if known >= 0 and state.tools[known]["id"] == identifier:
                return known
            same = next((place for place, tool in enumerate(state.tools) if tool["id"] == identifier), None)
            known = len(state.tools) if same is None else same
        elif known < 0 or (type(index) is not int and (call.get("function") or call.get("custom") or {}).get("name")):
            known = len(state.tools)
        if type(index) is int:
            state.places[index] = known
        return known

    def _finish_choice(self, choice: Json, delta: Json, state: _Choice, finish: Any) -> None:
        state.finished = True
        choice["finish_reason"] = mend.finish_reason(finish, tool_calls=bool(state.tools), function_call=finish == "function_call")
        if empty := [place for place, tool in enumerate(state.tools) if not tool["arguments"]]:
            fragments = [{"index": place, "function": {"arguments": "{}"}} for place in empty]
            if choice["finish_reason"] == "tool_calls":
                delta["tool_calls"] = _merged(delta.get("tool_calls") or [], fragments)

    def _hold_usage(self, data: Json) -> None:
        usage = data.pop("usage", None)
        if not usage and isinstance(groq := data.get("x_groq"), dict):
            usage = groq.get("usage")
        if not usage and isinstance(choices := data.get("choices"), list) and choices and isinstance(choices[0], dict):
            usage = choices[0].pop("usage", None)  # Moonshot
        if (mended := mend.mend_usage(usage)) is not None:
            self.usage = mended

    def _keep_extras(self, data: Json) -> None:
        """A chunk without choices: what it says about the answer goes on with the next one, or with the usage."""
        data.pop("choices", None)
        if self.usage is not None:
            self._usage_chunk.update(data)
        else:
            known = ("id", "object", "created", "model")
            self._extras.update({name: value for name, value in data.items() if name not in known})

    def _finish(self, chunks: list[Chunk]) -> None:
        if not self._choices:
            raise UpstreamProtocolError(f"{self._provider} ended the stream without an answer.", upstream_status=200)
        self._done = True
        envelope = {"id": self._id, "object": _OBJECT, "created": self._created, "model": self._target.alias}
        open_choices = [
            {"index": index, "delta": {}, "finish_reason": mend.finish_reason(None, tool_calls=bool(state.tools))}
            for index, state in self._choices.items()
            if not state.finished
        ]
        if open_choices:  # Snowflake never says why it stopped
            chunks.append(Chunk({**envelope, "choices": open_choices}, has_content=False))
        if self.usage is not None:
            data = {**envelope, **self._usage_chunk, "choices": [], "usage": self.usage}
            chunks.append(Chunk(data, has_content=False, usage=self.usage))

    def _learn(self, event: bytes, place: _Place, padding: str | None) -> None:
        self._fruitless += 1

        def put(marked: Any, marker: str) -> None:
            node = marked["choices"][0]["delta"]
            for step in place[:-1]:
                node = node[step]
            node[place[-1]] = marker

        def render(marked: Any) -> bytes | None:
            chunk = self._mend(marked)
            return None if chunk is None else chunk.payload()

        self._template = learn(event, str(place[-1]), padding, put, render)

    def _cut(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"


def _as_one_event(whole: Json) -> Json:
    """A chat.completion as the only chunk of a stream."""
    choices = []
    for choice in whole["choices"]:
        message = choice["message"]
        if calls := message.get("tool_calls"):
            message = {**message, "tool_calls": [{**call, "index": place} for place, call in enumerate(calls)]}
        choices.append({"index": choice["index"], "delta": message, "finish_reason": choice["finish_reason"]})
    return {**whole, "object": _OBJECT, "choices": choices}


def _merged(calls: list[Json], fragments: list[Json]) -> list[Json]:
    """Fragments put with their call where this delta already has it."""
    for fragment in fragments:
        own = next((call for call in calls if call["index"] == fragment["index"]), None)
        if own is None:
            calls = [*calls, fragment]
        else:
            own["function"]["arguments"] = "{}"
    return calls


def _varying_text(tree: Json) -> tuple[_Place, str | None] | None:
    """(where the text is, key of the padding) of a chunk whose only news is one string, so that its like may be known by their bytes."""
    choices = tree.get("choices")
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if not isinstance(choice, dict) or tree.get("usage") or "x_groq" in tree:
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict) or any(choice.get(key) for key in ("finish_reason", "logprobs", "message")):
        return None
    said = [key for key in ("tool_calls", *_ANSWER_KEYS) if delta.get(key)]
    if len(said) != 1:
        return None
    place = _arguments_place(delta["tool_calls"]) if said[0] == "tool_calls" else (said[0],)
    if place is None or (len(place) == 1 and (place[0] not in _CONTENT_KEYS or not isinstance(delta[said[0]], str))):
        return None
    return place, next((name for name in mend.NOISE if isinstance(tree.get(name), str)), None)


def _arguments_place(calls: Any) -> _Place | None:
    """Where a bare fragment of arguments is: no id, no name, its own index."""
    call = calls[0] if isinstance(calls, list) and len(calls) == 1 else None
    function = call.get("function") if isinstance(call, dict) else None
    if call is None or not isinstance(function, dict) or type(call.get("index")) is not int or call.get("id") or function.get("name"):
        return None
    arguments = function.get("arguments")
    return ("tool_calls", 0, "function", "arguments") if isinstance(arguments, str) and arguments else None
