"""Hub answers → GenerateContentResponse, buffered and streamed. https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse

Gemini says a function call whole, and finish and counts in a last event. Thoughts are shown only to callers who asked (`includeThoughts`),
since others read the first part as the answer; what must come back of them rides in a `thoughtSignature`, as Gemini's own does.
"""

from typing import Any

import orjson

from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.hub_stream import as_index, as_object, as_objects
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.carried import carrying
from tollkeeper.edge.problems import gemini_error
from tollkeeper.edge.tool_names import Originals

_FINISH = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_CARRIED = ("thinking_blocks", "reasoning_items")


def generated(hub: Json, request: Json) -> Json:
    """The whole answer of a chat.completion."""
    candidates = [_candidate(choice, shows_thoughts(request), names_of(request)) for choice in as_objects(hub.get("choices"))]
    return {"candidates": candidates, "usageMetadata": usage_metadata(hub.get("usage")), **_head(hub, request)}


def names_of(request: Json) -> Originals:
    tools = as_objects(request.get("tools"))
    declared = (tool.get("functionDeclarations") or tool.get("function_declarations") for tool in tools)
    return Originals(function.get("name") for functions in declared for function in as_objects(functions))


def shows_thoughts(request: Json) -> bool:
    config = as_object(as_object(request.get("generationConfig")).get("thinkingConfig"))
    return bool(config.get("includeThoughts") or config.get("include_thoughts"))


def usage_metadata(usage: Any) -> Json:
    counted = usage_from_hub(as_object(usage))
    metadata: Json = {
        "promptTokenCount": counted.input,
        "candidatesTokenCount": max(0, counted.output - counted.reasoning),
        "totalTokenCount": counted.input + counted.output,
    }
    if counted.reasoning:
        metadata["thoughtsTokenCount"] = counted.reasoning
    if counted.cache_read:
        metadata["cachedContentTokenCount"] = counted.cache_read
    return metadata


def _head(data: Json, request: Json) -> Json:
    return {"modelVersion": request["model"], "responseId": str(data.get("id") or "").removeprefix("chatcmpl-")}


def _candidate(choice: Json, shows: bool, names: Originals) -> Json:
    said = as_object(choice.get("message"))
    parts: list[Json] = []
    if shows and said.get("reasoning_content"):
        parts.append({"text": said["reasoning_content"], "thought": True})
    if text := (said.get("content") or "") + (said.get("refusal") or ""):
        parts.append({"text": text})
    parts += _media(said)
    parts += [_call(as_object(call.get("function")), call.get("id"), names) for call in as_objects(said.get("tool_calls"))]
    if signature := carrying(said):
        _sign(parts, signature)
    return {
        "content": {"role": "model", "parts": parts},
        "finishReason": _finish(choice.get("finish_reason")),
        "index": as_index(choice.get("index")),
        **grounding(said.get("annotations")),
        **_logprobs(choice.get("logprobs")),
    }


def _sign(parts: list[Json], signature: str) -> None:
    """On the first call, else on the last part, as Gemini does."""
    called = next((part for part in parts if "functionCall" in part), None)
    if not parts:
        parts.append({"text": ""})
    (called or parts[-1])["thoughtSignature"] = signature


def _finish(reason: Any) -> str:
    return _FINISH.get(str(reason), "STOP")


def _call(function: Json, identifier: Any, names: Originals) -> Json:
    """What the output limit cut is no JSON; the finish reason says so."""
    try:
        arguments = as_object(orjson.loads(function.get("arguments") or "{}"))
    except orjson.JSONDecodeError:
        arguments = {}
    return {"functionCall": {"id": str(identifier or ""), "name": names.of(function.get("name")), "args": arguments}}


def _media(said: Json) -> list[Json]:
    urls = [str(as_object(image.get("image_url")).get("url") or "") for image in as_objects(said.get("images"))]
    parts = [_inline(url) for url in urls if url.startswith("data:")]
    audio = as_object(said.get("audio"))
    if audio.get("data"):
        parts.append({"inlineData": {"mimeType": audio.get("mime_type") or "audio/wav", "data": audio["data"]}})
        parts += [{"text": audio["transcript"]}] if audio.get("transcript") else []
    return parts


def _inline(url: str) -> Json:
    head, _, data = url.removeprefix("data:").partition(",")
    return {"inlineData": {"mimeType": head.partition(";")[0] or "image/png", "data": data}}


def grounding(annotations: Any) -> Json:
    """Citations as Google's web chunks; `{}` for none."""
    notes = [as_object(note.get("url_citation")) for note in as_objects(annotations)]
    chunks = [{"web": {"uri": note["url"], "title": str(note.get("title") or "")}} for note in notes if note.get("url")]
    return {"groundingMetadata": {"groundingChunks": chunks}} if chunks else {}


def _logprobs(given: Any) -> Json:
    tokens = as_objects(as_object(given).get("content"))
    if not tokens:
        return {}
    chosen = [_token(token) for token in tokens]
    tops = [{"candidates": [_token(other) for other in as_objects(token.get("top_logprobs"))]} for token in tokens]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": tops}}


def _token(token: Json) -> Json:
    return {"token": str(token.get("token") or ""), "logProbability": token.get("logprob") or 0.0}


class _Choice:
    """What of one choice has been heard and not said yet."""

    def __init__(self, names: Originals) -> None:
        self._names = names
        self.calls: dict[int, Json] = {}
        self.said_calls = 0
        self.kept: Json = {}
        self.notes: list[Json] = []
        self.finish: Any = None

    def hear(self, delta: Json, shows: bool) -> list[Json]:
        """The parts to say at once."""
        parts: list[Json] = []
        if shows and delta.get("reasoning_content"):
            parts.append({"text": delta["reasoning_content"], "thought": True})
        if text := (delta.get("content") or "") + (delta.get("refusal") or ""):
            parts.append({"text": text})
        parts += _media(delta)
        for call in as_objects(delta.get("tool_calls")):
            self._call(call)
        for name in _CARRIED:
            if delta.get(name):
                self.kept.setdefault(name, []).extend(delta[name])
        self.notes += as_objects(delta.get("annotations"))
        return parts

    def _call(self, call: Json) -> None:
        function = as_object(call.get("function"))
        known = self.calls.setdefault(as_index(call.get("index")), {"id": call.get("id"), "name": "", "arguments": ""})
        known["name"] = known["name"] or function.get("name") or ""
        known["arguments"] += function.get("arguments") or ""

    def last(self) -> Json:
        """The candidate of the last event."""
        parts = [_call(call, call["id"], self._names) for call in self.calls.values()] or [{"text": ""}]
        if signature := carrying(self.kept):
            _sign(parts, signature)
        return {"content": {"role": "model", "parts": parts}, "finishReason": _finish(self.finish), **grounding(self.notes)}


class GenerateFrames:
    """See serving.Frames. `array`: one JSON array, as Google sends without `alt=sse`."""

    array = False

    def __init__(self, request: Json) -> None:
        self._request = request
        self._shows, self._names = shows_thoughts(request), names_of(request)
        self._head: Json = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._writer = EventWriter(array=self.array)

    def feed(self, batch: list[Chunk]) -> bytes:
        return b"".join([self._chunk(chunk) for chunk in batch])

    def end(self) -> bytes:
        choices = self._choices or {0: _Choice(self._names)}
        candidates = [{**choice.last(), "index": index} for index, choice in sorted(choices.items())]
        head = self._head or _head({}, self._request)
        event = {"candidates": candidates, "usageMetadata": usage_metadata(self._usage), **head}
        return self._writer.write(orjson.dumps(event)) + self._writer.end()

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return self._writer.write(orjson.dumps(gemini_error(error, call_id)[2])) + self._writer.end()

    def _chunk(self, chunk: Chunk) -> bytes:
        data = chunk.data
        self._usage = chunk.usage or self._usage
        self._head = self._head or _head(data, self._request)
        candidates = []
        for choice in as_objects(data.get("choices")):
            index = as_index(choice.get("index"))
            state = self._choices.setdefault(index, _Choice(self._names))
            parts = state.hear(as_object(choice.get("delta")), self._shows)
            state.finish = choice.get("finish_reason") or state.finish
            if parts:
                candidates.append({"content": {"role": "model", "parts": parts}, "index": index, **_logprobs(choice.get("logprobs"))})
        return self._writer.write(orjson.dumps({"candidates": candidates, **self._head})) if candidates else b""


class ArrayFrames(GenerateFrames):
    array = True


class PassedGenerate:
    """See serving.Frames. Google's own events, whose `raw` is their JSON."""

    array = False

    def __init__(self, request: Json) -> None:
        self._writer = EventWriter(array=self.array)

    def feed(self, batch: list[Chunk]) -> bytes:
        return b"".join([self._writer.write(chunk.payload()) for chunk in batch])

    def end(self) -> bytes:
        return self._writer.end()

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return self._writer.write(orjson.dumps(gemini_error(error, call_id)[2])) + self._writer.end()


class PassedArray(PassedGenerate):
    array = True


class EventWriter:
    """JSON documents as server-sent events with Google's line ends, or as the items of one array."""

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._begun = False

    def write(self, document: bytes) -> bytes:
        if not self._array:
            return b"data: " + document + b"\r\n\r\n"
        opening, self._begun = b",\r\n" if self._begun else b"[", True
        return opening + document

    def end(self) -> bytes:
        if not self._array:
            return b""
        return b"]" if self._begun else b"[]"
