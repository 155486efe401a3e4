"""What a raw provider API says of usage, read beside the bytes that pass: which call it is follows from its path.

Nothing here changes a byte, and nothing here fails: an answer that cannot be read has no usage.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.dialects import registry
from tollkeeper.dialects.base import ChatDialect, Json, StreamDecoder, StreamFailed, Target
from tollkeeper.dialects.native import NativeDialect, native
from tollkeeper.errors import TollkeeperError

MAX_ANSWER_BYTES = 16 * 2**20
"""A buffered answer above this is not read for its usage."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A metered API: how its answers are read, and where a request says its output limit (None: it has none)."""

    dialect: str
    endpoint: str | None = None
    """Of the native dialect; None: it is a chat dialect."""
    limit: tuple[str, ...] | None = ("max_tokens",)

    @property
    def output(self) -> bool:
        return self.limit is not None

    def reader(self) -> ChatDialect | NativeDialect:
        found = native(self.endpoint, self.dialect) if self.endpoint else registry.get(self.dialect)
        assert found is not None
        return found


_GEMINI = Kind("gemini_generate", limit=("generationConfig", "maxOutputTokens"))
_CONVERSE = Kind("bedrock_converse", limit=("inferenceConfig", "maxTokens"))
_MESSAGES = Kind("anthropic_messages", "messages")
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"chat/completions", Kind("openai_chat")),
    (r"responses", Kind("openai_responses", "responses", ("max_output_tokens",))),
    (r"completions", Kind("openai_chat", "completions")),
    (r"embeddings", Kind("openai_chat", "embeddings", None)),
    (r"moderations", Kind("openai_chat", "moderations", None)),
    (r"v1/messages", _MESSAGES),
    (r"v2/chat", Kind("cohere_v2")),
    (r"v2/rerank", Kind("cohere_v2", "rerank", None)),
    (r"api/chat", Kind("ollama_chat", limit=("options", "num_predict"))),
    (r"models/[^/]+:(?:generateContent|streamGenerateContent)", _GEMINI),
    (r"models/[^/]+:(?:rawPredict|streamRawPredict)", Kind("vertex_anthropic", "messages")),
    (r"model/[^/]+/converse(?:-stream)?", _CONVERSE),
    (r"model/[^/]+/invoke(?:-with-response-stream)?", Kind("bedrock_invoke", "messages")),
)
_COMPILED = tuple((re.compile(rf"(?:^|.*/){pattern}/?"), kind) for pattern, kind in _KINDS)
_MODEL_IN_PATH = re.compile(r"(?:^|/)(?:models|model|deployments|engines)/([^/:]+(?::\d+)?)(?=[:/])")


def kind_of(method: str, path: str) -> Kind | None:
    """None: nobody can say what such a call costs."""
    if method != "POST":
        return None
    return next((kind for pattern, kind in _COMPILED if pattern.fullmatch(path)), None)


def model_of(path: str, body: Json) -> str | None:
    """The model a raw request names, in its body or its path."""
    named = body.get("model")
    if isinstance(named, str) and named:
        return named.removeprefix("models/")
    match = _MODEL_IN_PATH.search(path)
    return match[1] if match else None


def limit_in(body: Json, kind: Kind) -> Any:
    value: Any = body
    for name in kind.limit or ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def with_limit(body: Json, kind: Kind, limit: int, also: tuple[str, ...] = ()) -> Json:
    """The request with this output limit where its API looks for one. `also` are other names of it, of which the first present is kept."""
    if kind.limit is None:
        return body
    if len(kind.limit) == 2:
        outer, inner = kind.limit
        held = body.get(outer)
        return {**body, outer: {**(held if isinstance(held, dict) else {}), inner: limit}}
    given = [name for name in (*kind.limit, *also) if body.get(name) is not None]
    rest = {name: value for name, value in body.items() if name not in given}
    return {**rest, given[0] if given else kind.limit[0]: limit}


class Meter:
    """One answer. Feed it what passes; `usage` is the hub's usage object as far as it is known."""

    def __init__(self, kind: Kind, model: str, *, streamed: bool) -> None:
        self._reader = kind.reader()
        self._target = Target(model=model, base_url="", alias=model)
        self._decoder: StreamDecoder | None = self._reader.stream_decoder(self._target) if streamed and kind.output else None
        self._parts: list[bytes] = []
        self._size = 0
        self._usage: Json | None = None
        self.text_bytes = 0
        """Of the answer's text so far; of an answer that comes in one piece, all its bytes, which is more."""

    def feed(self, data: bytes) -> None:
        if self._decoder is None:
            self._size += len(data)
            self.text_bytes = self._size
            if self._size > MAX_ANSWER_BYTES:
                self._parts.clear()
            else:
                self._parts.append(data)
            return
        try:
            self.text_bytes += sum(chunk.text_bytes for chunk in self._decoder.feed(data))
        except StreamFailed as failed:
            self.text_bytes += sum(chunk.text_bytes for chunk in failed.chunks)
        except (TollkeeperError, ValueError, KeyError, TypeError, AttributeError):
            self._usage = self.usage
            self._decoder = None  # what is no stream of this kind is passed on all the same

    @property
    def usage(self) -> Json | None:
        if self._decoder is not None:
            return self._decoder.usage
        return self._usage

    def close(self) -> None:
        """The answer is whole."""
        if self._parts:
            self._usage = self._read(b"".join(self._parts))

    def _read(self, data: bytes) -> Json | None:
        if data.lstrip()[:1] == b"[":
            return self._read_array(data)
        try:
            answer = self._reader.decode(data, self._target)
        except (TollkeeperError, ValueError, KeyError, TypeError, AttributeError):
            return _plain_usage(data)
        stated = self._reader.usage(answer) if hasattr(self._reader, "usage") else answer.get("usage")
        return stated if isinstance(stated, dict) else None

    def _read_array(self, data: bytes) -> Json | None:
        """Gemini's stream without `alt=sse` is one array, whose last usage counts."""
        for part in reversed(_array(data)):
            if isinstance(part, dict) and (stated := self._read(orjson.dumps(part))):
                return stated
        return None


def _array(data: bytes) -> list[Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return []
    return found if isinstance(found, list) else []


def _plain_usage(data: bytes) -> Json | None:
    """An answer that is not quite the API's, but has OpenAI's usage in it."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    stated = answer.get("usage") if isinstance(answer, dict) else None
    return stated if isinstance(stated, dict) and "prompt_tokens" in stated else None
