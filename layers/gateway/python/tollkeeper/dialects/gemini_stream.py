"""streamGenerateContent → hub chunks: SSE with CRLF, or (without `alt=sse`) one pretty-printed JSON array.

Every event is a whole GenerateContentResponse with new parts and the counts so far. Gemini has had times in which every event said
`finishReason: STOP`, and the last event may bring counts, grounding or one more signature; so finish and usage are given by `close`.
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamFailed, Target
from tollkeeper.dialects.framing import DEFAULT_LIMIT, SseParser
from tollkeeper.dialects.gemini_answer import (
    annotations_of,
    answer_id,
    blocked_prompt,
    candidate_fields,
    delta_of,
    envelope,
    finish_of,
    logprobs_of,
    native_finish,
    refusal_of,
    usage_of,
)
from tollkeeper.dialects.gemini_errors import error_from_google, error_status
from tollkeeper.dialects.openai_mend import said_bytes
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_CONTENT = frozenset({"content", "reasoning_content", "tool_calls", "images", "audio", "refusal"})


@dataclass(slots=True)
class _Candidate:
    """What has been seen of one candidate."""

    text: list[str] = field(default_factory=list)
    calls: int = 0
    finish: str = ""
    begun: bool = False


class GeminiStream:
    """See base.StreamDecoder. `usage` is the latest usage seen, also of a stream that fails later."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._splitter = _Splitter()
        self._candidates: dict[int, _Candidate] = {}
        self._head: Json = {}
        self.usage: Json | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for document in self._splitter.feed(data):
                chunks += self._read(document)
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        return chunks

    def close(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for document in self._splitter.close():
                chunks += self._read(document)
        except UpstreamProtocolError:
            raise self._cut() from None
        except UpstreamError as error:
            raise StreamFailed(error, chunks) from None
        if not self._candidates or not all(candidate.finish for candidate in self._candidates.values()):
            raise self._cut()
        return [*chunks, *self._ending()]

    def _read(self, document: bytes) -> list[Chunk]:
        try:
            tree = orjson.loads(document)
        except orjson.JSONDecodeError as error:
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not JSON.", upstream_status=200) from error
        if not isinstance(tree, dict):
            raise UpstreamProtocolError(f"{self._provider} sent a stream event that is not an object.", upstream_status=200)
        if "error" in tree:
            raise error_from_google(error_status(tree), {}, document, self._target)
        self._head = self._head or envelope(tree, self._target, "chat.completion.chunk")
        self.usage = usage_of(tree.get("usageMetadata")) or self.usage
        if blocked := blocked_prompt(tree):
            return self._blocked(*blocked)
        choices = [choice for candidate in _dicts(tree.get("candidates")) if (choice := self._choice(candidate, tree))]
        return [self._chunk(choices)] if choices else []

    def _choice(self, candidate: Json, tree: Json) -> Json | None:
        index = candidate.get("index")
        index = index if type(index) is int else 0
        state = self._candidates.setdefault(index, _Candidate())
        delta = delta_of(candidate, answer_id(tree.get("responseId"), index), state.calls)
        state.calls += len(delta.get("tool_calls", ()))
        state.text.append(delta.get("content", ""))
        state.finish = native_finish(candidate) or state.finish
        self._add_fields(delta, candidate, state)
        logprobs = logprobs_of(candidate)
        if not delta and not logprobs:
            return None
        if not state.begun:
            delta, state.begun = {"role": "assistant", **delta}, True
        return {"index": index, "delta": delta, "finish_reason": None, **({"logprobs": logprobs} if logprobs else {})}

    def _add_fields(self, delta: Json, candidate: Json, state: _Candidate) -> None:
        if fields := candidate_fields(candidate):
            delta["provider_specific_fields"] = {**delta.get("provider_specific_fields", {}), **fields}
        if annotations := annotations_of(candidate, "".join(state.text)):
            delta["annotations"] = annotations
        if refusal := refusal_of(candidate):
            delta["refusal"] = refusal

    def _blocked(self, refusal: str, feedback: Json) -> list[Chunk]:
        self._candidates.setdefault(0, _Candidate(begun=True)).finish = "SAFETY"
        fields = {"prompt_feedback": feedback}
        delta = {"role": "assistant", "content": None, "refusal": refusal, "provider_specific_fields": fields}
        return [self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])]

    def _ending(self) -> list[Chunk]:
        chunks = []
        for index, state in sorted(self._candidates.items()):
            delta = {} if state.begun else {"role": "assistant"}
            finish = finish_of(state.finish, called=state.calls > 0)
            chunks.append(self._chunk([{"index": index, "delta": delta, "finish_reason": finish}]))
        if self.usage:
            data = {**self._head, "choices": [], "usage": self.usage}
            chunks.append(Chunk(data, has_content=False, usage=self.usage))
        return chunks

    def _cut(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider} closed the stream before the answer was finished.", upstream_status=200)

    @property
    def _provider(self) -> str:
        return self._target.provider or "The provider"

    def _chunk(self, choices: list[Json]) -> Chunk:
        has_content = any(_CONTENT & choice["delta"].keys() for choice in choices)
        said = sum(said_bytes(choice["delta"]) for choice in choices)
        return Chunk({**self._head, "choices": choices}, has_content=has_content, text_bytes=said)


class _Splitter:
    """The JSON documents of a stream. Its first byte tells whether it is SSE, an array, or (an error, mostly) one object."""

    def __init__(self) -> None:
        self._sse: SseParser | None = None
        self._array: _JsonObjects | None = None

    def feed(self, data: bytes) -> list[bytes]:
        if self._sse is None and self._array is None:
            if not (data := data.lstrip()):
                return []
            if data[:1] in b"[{":
                self._array = _JsonObjects()
            else:
                self._sse = SseParser()
        if self._sse is not None:
            return [document for _, document in self._sse.feed(data) if document != b"[DONE]"]
        return self._array.feed(data) if self._array is not None else []

    def close(self) -> list[bytes]:
        """The stream's last event, if only its blank line is missing. An event cut inside its JSON is the cut that it looks like."""
        events = self._sse.close() if self._sse is not None else []
        return [document for _, document in events if document.rstrip().endswith(b"}")]


class _JsonObjects:
    """The top-level objects of an array (or of a sequence), in any split, in linear time."""

    _OUTSIDE = re.compile(rb'[{}"]')
    _INSIDE = re.compile(rb'["\\]')

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        if len(self._buffer) > DEFAULT_LIMIT:
            raise UpstreamProtocolError(f"The provider sent a stream message larger than {DEFAULT_LIMIT} bytes.")
        found: list[bytes] = []
        start = 0
        while mark := (self._INSIDE if self._in_string else self._OUTSIDE).search(self._buffer, self._at):
            byte = mark[0]
            if byte == b"\\":
                if mark.end() == len(self._buffer):
                    break
                self._at = mark.end() + 1
                continue
            self._at = mark.end()
            if byte == b'"':
                self._in_string = not self._in_string
            elif byte == b"{":
                start = mark.start() if self._depth == 0 else start
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth < 0:
                    raise UpstreamProtocolError("The provider's stream is not well-formed JSON.", upstream_status=200)
                if self._depth == 0:
                    found.append(bytes(self._buffer[start : self._at]))
                    start = self._at
        else:
            self._at = len(self._buffer)
        return self._keep(found, start)

    def _keep(self, found: list[bytes], start: int) -> list[bytes]:
        """Drops what is done with: everything between objects, and the objects given out."""
        drop = start if self._depth else self._at
        del self._buffer[:drop]
        self._at -= drop
        return found


def _dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
