"""Responses that are kept: what is written of one, who may read it, and how a conversation goes on from it.

A response is kept with the items before it, so that one read continues a conversation, wherever it goes on: at the deployment that keeps it
too, by its id; anywhere else, by saying everything again. Items that only their maker can read are left out then.
"""

from dataclasses import dataclass
from typing import Any

from tollkeeper.auth.principal import Principal
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_objects
from tollkeeper.edge.responses_request import carried_thoughts
from tollkeeper.errors import NotFound

KIND = "response"
UNFINISHED = frozenset({"queued", "in_progress"})
_OWN = frozenset({"id", "status"})
"""Of an item: its maker's."""
_SAID_AGAIN = frozenset({"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"})


@dataclass(frozen=True, slots=True)
class Kept:
    """`deployment` is set where its provider keeps the response too, under the name `known_as` if that is another."""

    response: Json
    input: list[Json]
    before: list[Json]
    deployment: str | None
    known_as: str | None = None

    def as_json(self) -> Json:
        at_provider = {"deployment": self.deployment, "known_as": self.known_as}
        return {"response": self.response, "input": self.input, "before": self.before, **at_provider}

    @property
    def provider_id(self) -> str:
        return self.known_as or str(self.response["id"])

    def history(self) -> list[Json]:
        """Everything up to and with this response, as input items."""
        return [*self.before, *self.input, *as_objects(self.response.get("output"))]


def kept_of(tree: Json) -> Kept:
    return Kept(tree["response"], tree["input"], tree["before"], tree["deployment"], tree.get("known_as"))


def owner_of(key_hash: str | None, user_id: str | None) -> str:
    """A user's keys share what they keep; a key without a user has its own."""
    return f"user#{user_id}" if user_id else f"key#{key_hash}"


def may_read(principal: Principal, owner: str) -> bool:
    return principal.is_master or owner == owner_of(principal.key_hash, principal.user_id)


def items_of(given: Any, key: str) -> list[Json]:
    """A request's input as items, each with an id."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else as_objects(given)
    return [_item(item, f"{key}_{place}") for place, item in enumerate(items)]


def _item(item: Json, name: str) -> Json:
    if item.get("type") not in (None, "message"):
        return {"id": f"item_{name}", **item}
    content = item.get("content")
    kind = "output_text" if item.get("role") == "assistant" else "input_text"
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
    return {"id": f"msg_{name}", "type": "message", "status": "completed", **item, "content": parts}


def retold(kept: Kept, body: Json) -> Json:
    """The request with everything before it in its input, for a provider that does not know it."""
    given = body.get("input")
    fresh = [{"role": "user", "content": given}] if isinstance(given, str) else as_objects(given)
    told = [told for item in kept.history() if (told := _retold(item)) is not None]
    rest = {name: value for name, value in body.items() if name != "previous_response_id"}
    return {**rest, "input": [*told, *fresh]}


def _retold(item: Json) -> Json | None:
    kind = item.get("type") or "message"
    if kind == "reasoning":
        # Thoughts that we carry for another make, or that their maker can read again without having kept them.
        readable = carried_thoughts(item) or item.get("encrypted_content")
        return {"summary": [], **{name: value for name, value in item.items() if name not in _OWN}} if readable else None
    if kind not in _SAID_AGAIN:
        return None
    return {name: value for name, value in item.items() if name not in _OWN}


def no_such_response(identifier: str) -> NotFound:
    return NotFound(f"Response with id '{identifier[:100]}' not found.", type="invalid_request_error", param="response_id")
