"""A wire format of one's own, as the documentation shows it: the provider takes and gives plain text, one line for each message."""

from collections.abc import Mapping
from typing import Any

from tollkeeper.dialects.base import Chunk, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Shouting:
    name = "shouting"

    def encode(self, request: dict[str, Any], target: Target) -> WireRequest:
        text = "\n".join(message["content"] for message in request["messages"])
        path = "/stream" if request.get("stream") else "/whole"
        return WireRequest(f"{target.base_url}{path}?voice={target.model}", text.encode(), {"content-type": "text/plain"})

    def decode(self, body: bytes, target: Target) -> dict[str, Any]:
        message = {"role": "assistant", "content": body.decode()}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion", target), "choices": [choice], "usage": USAGE}

    def stream_decoder(self, target: Target) -> "ShoutingStream":
        return ShoutingStream(self._head("chat.completion.chunk", target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)

    def _head(self, kind: str, target: Target) -> dict[str, Any]:
        return {"id": "shout-1", "object": kind, "created": target.created, "model": target.alias}


class ShoutingStream:
    """Text comes as it comes; a full stop ends it."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.usage: dict[str, Any] | None = None
        self._head = head
        self._ended = False

    def feed(self, data: bytes) -> list[Chunk]:
        self._ended = data.endswith(b".")
        return [self._chunk({"content": data.decode()}, None, text_bytes=len(data))]

    def close(self) -> list[Chunk]:
        if not self._ended:
            raise UpstreamProtocolError("The provider stopped before the full stop.")
        self.usage = USAGE
        last = Chunk({**self._head, "choices": [], "usage": USAGE}, has_content=False, usage=USAGE)
        return [self._chunk({}, "stop"), last]

    def _chunk(self, delta: dict[str, Any], finish: str | None, *, text_bytes: int = 0) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return Chunk({**self._head, "choices": [choice]}, has_content=bool(delta), text_bytes=text_bytes)
