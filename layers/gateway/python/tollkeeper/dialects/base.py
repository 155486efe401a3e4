"""What a dialect is: bytes and values in, values and bytes out. Nothing here sends, waits, reads a clock or the environment.

The hub is the OpenAI Chat Completions JSON itself, as plain dicts; unknown fields ride along.
https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import orjson

from tollkeeper.errors import UpstreamError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What a dialect must know of the deployment it speaks to, and no more."""

    model: str
    """The provider's name for the model."""
    base_url: str
    """Without a trailing slash."""
    alias: str
    """The caller's name for the model: what `model` says in every answer."""
    provider: str = ""
    """The catalog row, named in errors."""
    quirks: frozenset[str] = frozenset()
    """Flags of the catalog's provider row and model profile (catalog/profiles.py says what each means and why)."""
    drop_params: bool = False
    """Drop what the provider cannot do instead of refusing it."""
    drop: frozenset[str] = frozenset()
    """additional_drop_params."""
    allow: frozenset[str] = frozenset()
    """allowed_openai_params: sent even if the profile says otherwise."""
    max_output_tokens: int | None = None
    """The model's own output limit, for wire formats that insist on one."""
    created: int = 0
    """Epoch seconds at which the gateway saw the request: `created` of answers whose provider gives none."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request but for its credentials, which providers.client adds. `url` is absolute."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    credential: bool = True
    """False: an address that the provider named on another host, where its credential has no business."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Requests to send at once, after `wait` seconds; what comes of each is the list of their 2xx bodies, in order."""

    requests: tuple[WireRequest, ...]
    wait: float = 0.0


Steps = Generator[Ask, list[bytes], "Json"]
Opening = Generator[Ask, list[bytes], WireRequest]


class Chunk:
    """One chat.completion.chunk of the hub.

    `raw`, when set, is its JSON exactly as it should be sent (alias already in place): the openai edge passes it on untouched, and
    `data` parses it only if somebody asks. `has_content` tells whether an answer has begun (text, reasoning, refusal, tool call),
    after which no fallback is possible. `usage` is the hub's usage object when this chunk carries one. `text_bytes` counts the answer in
    it (UTF-8 bytes of text, reasoning and tool arguments): what a stream that is cut before its usage is charged for.
    """

    __slots__ = ("_data", "has_content", "raw", "text_bytes", "usage")

    def __init__(
        self, data: Json | None = None, *, raw: bytes | None = None, has_content: bool, usage: Json | None = None, text_bytes: int = 0
    ) -> None:
        self._data = data
        self.raw = raw
        self.has_content = has_content
        self.usage = usage
        self.text_bytes = text_bytes

    @property
    def data(self) -> Json:
        if self._data is None:
            self._data = orjson.loads(self.raw or b"{}")
        return self._data

    def payload(self) -> bytes:
        """The chunk's JSON bytes."""
        return self.raw if self.raw is not None else orjson.dumps(self._data)


class StreamDecoder(Protocol):
    """One upstream stream. Feed it bytes in any split; it never needs more than it was given and never blocks.

    `feed` and `close` raise UpstreamError for an error the provider put into the stream (HTTP 200 + error); chunks decoded before the
    error in the same call are on the exception as `.chunks` (see `StreamFailed`). `close` raises UpstreamProtocolError when the stream
    ended before the dialect's own end mark and before a finish_reason.
    """

    @property
    def usage(self) -> Json | None:
        """The hub's usage object as far as the provider has stated it, also of a stream that ended early."""
        ...

    def feed(self, data: bytes) -> list[Chunk]: ...
    def close(self) -> list[Chunk]: ...


class StreamFailed(Exception):
    """Raised by a decoder: `error` is what happened, `chunks` what was complete before it."""

    def __init__(self, error: UpstreamError, chunks: list[Chunk]) -> None:
        super().__init__(error.message)
        self.error = error
        self.chunks = chunks


class ChatDialect(Protocol):
    """One wire format for chat. Implementations are stateless; a stream's state lives in its decoder."""

    name: str

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Hub request → wire. Raises BadRequest / UnsupportedParams naming the field at fault. Never mutates `request`."""
        ...

    def decode(self, body: bytes, target: Target) -> Json:
        """Buffered 2xx body → hub chat.completion (strict OpenAI types, `model` = alias). Raises UpstreamProtocolError, or the typed
        error a provider hid behind a 200.
        """
        ...

    def stream_decoder(self, target: Target) -> StreamDecoder: ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        """Non-2xx → typed error. Header names are lower case. Never raises: any body (HTML, empty, array) becomes an error."""
        ...


@runtime_checkable
class SteppedDialect(Protocol):
    """A dialect whose answer takes more than one request: a prediction that is polled, a batch that the provider takes one by one.

    Still sans-I/O: a generator says what to send and is sent the bodies. `encode` gives the first request.
    """

    def exchange(self, request: Json, target: Target) -> Steps:
        """Returns the answer. Raises what `encode` and `decode` raise."""
        ...

    def opening(self, request: Json, target: Target) -> Opening:
        """Returns the request whose answer is the stream."""
        ...


@runtime_checkable
class TellsByHeaders(Protocol):
    """A dialect whose provider states usage in response headers."""

    def usage_in(self, headers: Mapping[str, str]) -> Json | None:
        """The hub's usage object; header names are lower case."""
        ...
