"""A2A's two wire forms, 1.0 and 0.3: how a message is read, and how an answer is said in either.

https://a2a-protocol.org/latest/specification/ https://a2a-protocol.org/v0.3.0/specification/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.edge.jsonrpc import INVALID_PARAMS, RpcFault

SEND: Mapping[str, bool] = {"SendMessage": True, "message/send": False}
STREAM: Mapping[str, bool] = {"SendStreamingMessage": True, "message/stream": False}
"""Method → whether it is 1.0's."""
TASK_NOT_FOUND = -32001
TASK_METHODS = frozenset({
    "GetTask", "CancelTask", "SubscribeToTask", "ListTasks", "tasks/get", "tasks/cancel", "tasks/resubscribe", "tasks/list",
})  # fmt: skip


def content_of(params: Json) -> list[Json]:
    """The message's parts as a chat's content. Raises RpcFault."""
    message = params.get("message")
    parts = message.get("parts") if isinstance(message, dict) else None
    if not isinstance(parts, list) or not parts:
        raise RpcFault(INVALID_PARAMS, "'message.parts' must be a list with at least one part.")
    return [_content(part) for part in parts]


def context_of(params: Json) -> str | None:
    message = params.get("message")
    found = message.get("contextId") if isinstance(message, dict) else None
    return found if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class Words:
    """How one conversation is answered; `modern` is 1.0."""

    modern: bool
    task_id: str
    context_id: str

    def message(self, message_id: str, text: str) -> Json:
        role = "ROLE_AGENT" if self.modern else "agent"
        body = {"messageId": message_id, "contextId": self.context_id, "role": role, "parts": [self._text(text)]}
        return {"message": body} if self.modern else {"kind": "message", **body}

    def task(self) -> Json:
        body: Json = {"id": self.task_id, "contextId": self.context_id, "status": {"state": self._state("submitted")}}
        return {"task": body} if self.modern else {"kind": "task", **body}

    def piece(self, text: str, *, first: bool) -> Json:
        """A further piece of the answer."""
        artifact = {"artifactId": f"{self.task_id}-answer", "parts": [self._text(text)]}
        body = {**self._ids(), "artifact": artifact, "append": not first, "lastChunk": False}
        return {"artifactUpdate": body} if self.modern else {"kind": "artifact-update", **body}

    def end(self, state: str, said: str = "") -> Json:
        """`state`: completed or failed."""
        message = self.message(f"{self.task_id}-end", said) if said else {}
        told = message.get("message", message)
        status = {"state": self._state(state), **({"message": told} if told else {})}
        body = {**self._ids(), "status": status}
        return {"statusUpdate": body} if self.modern else {"kind": "status-update", **body, "final": True}

    def _ids(self) -> Json:
        return {"taskId": self.task_id, "contextId": self.context_id}

    def _state(self, name: str) -> str:
        return f"TASK_STATE_{name.upper()}" if self.modern else name

    def _text(self, text: str) -> Json:
        return {"text": text} if self.modern else {"kind": "text", "text": text}


def _content(part: Any) -> Json:
    if not isinstance(part, dict):
        raise RpcFault(INVALID_PARAMS, "A part must be an object.")
    if isinstance(text := part.get("text"), str):
        return {"type": "text", "text": text}
    if "data" in part:
        return {"type": "text", "text": orjson.dumps(part["data"]).decode()}
    held = part["file"] if isinstance(part.get("file"), dict) else part
    kind = str(held.get("mimeType") or held.get("mediaType") or "")
    raw, url = held.get("bytes") or held.get("raw"), held.get("uri") or held.get("url")
    if kind.startswith("image/") and (raw or url):
        return {"type": "image_url", "image_url": {"url": str(url) if url else f"data:{kind};base64,{raw}"}}
    raise RpcFault(INVALID_PARAMS, f"A part of the kind {kind[:50] or part.get('kind')!r} is not understood: send text, data or images.")
