"""The OpenAI Chat Completions wire format, as its forty-odd speakers use it. The hub is this format, so encoding passes a request on.

https://platform.openai.com/docs/api-reference/chat

What is changed in a request, and nothing else: `model`; the gateway's own fields go (fields.py); `stream_options.include_usage` is asked
for, since a stream without usage cannot be billed; and what a quirk of the provider or model says (catalog/profiles.py has the reasons).
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_response
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.openai_decode import decode_completion
from tollkeeper.dialects.openai_history import History
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.errors import UpstreamError

_PATH = "/chat/completions"


class OpenAIChat:
    """See base.ChatDialect."""

    name = "openai_chat"

    def encode(self, request: Json, target: Target) -> WireRequest:
        return WireRequest(
            url=endpoint(target, _PATH),
            body=orjson.dumps(chat_body(request, target)),
            headers={"content-type": "application/json", **forwarded_headers(request)},
        )

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_completion(body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return OpenAIStreamDecoder(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def chat_body(request: Json, target: Target) -> Json:
    """The request's JSON as this provider takes it. Raises UnsupportedParams."""
    body = upstream_fields(request, target)
    drop_unsupported(body, unsupported_by_profile(target), target)
    if "messages" in body:
        body["messages"] = History(target.quirks).fit(body["messages"])
    for quirk, change in _QUIRKS.items():
        if quirk in target.quirks:
            change(body)
    if body.get("stream") is True and "no_stream_options" not in target.quirks:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    body["model"] = target.model
    return body


def _rename_limit(body: Json, old: str, new: str) -> None:
    """One output limit, under the name that the model obeys; of two, the smaller."""
    if old not in body:
        return
    limits = [limit for limit in (body.pop(old), body.get(new)) if limit is not None]
    if limits:
        body[new] = min(limits) if all(isinstance(limit, int) for limit in limits) else limits[-1]


def _without_stream_options(body: Json) -> None:
    body.pop("stream_options", None)


def _developer_to_system(body: Json) -> None:
    if isinstance(messages := body.get("messages"), list):
        body["messages"] = [{**message, "role": "system"} if _is_developer(message) else message for message in messages]


def _is_developer(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "developer"


_QUIRKS: Mapping[str, Callable[[Json], None]] = {
    "max_completion_tokens": lambda body: _rename_limit(body, "max_tokens", "max_completion_tokens"),
    "max_tokens": lambda body: _rename_limit(body, "max_completion_tokens", "max_tokens"),
    "no_stream_options": _without_stream_options,
    "developer_to_system": _developer_to_system,
}
