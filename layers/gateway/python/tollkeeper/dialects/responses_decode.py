"""A Responses answer → hub. https://platform.openai.com/docs/api-reference/responses/object

Reasoning items travel whole in `reasoning_items` (LiteLLM's name), since a model wants them back; what the provider's own tools did is in
provider_specific_fields.server_tools, and `output_order` there says how the items lay where that is not the usual order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tollkeeper.dialects import openai_mend as mend
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.hub_stream import as_object, as_objects, as_word
from tollkeeper.dialects.usage import count_of
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
_FAILED = {"failed", "cancelled"}
_UNFINISHED = {"queued", "in_progress"}
_USUAL_ORDER = ("reasoning", "tool", "message", "call")
_REFUSED = ("invalid_", "image_", "unsupported_", "empty_image", "failed_to_download_image")
"""Codes of failed responses that are about the request (https://platform.openai.com/docs/api-reference/responses/object#error)."""
_EXTRAS = ("content_filters", "moderation", "background")
_COUNTED = {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"}


def decode_response(body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for a body that is no response, or the typed error of one that failed."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(tree, dict) and (tree.get("error") or as_word(tree.get("status")) in _FAILED):
        raise failure(tree, target)
    output = tree.get("output") if isinstance(tree, dict) else None
    if not isinstance(output, list):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `output`.", upstream_status=200)
    if as_word(tree.get("status")) in _UNFINISHED:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered before the response was finished.", upstream_status=200)
    message, logprobs = _message(as_objects(output), custom_tools(tree), tree)
    finish = finish_of(tree, called="tool_calls" in message)
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    answer = {**envelope(tree, "chat.completion", target), "choices": [choice]}
    usage = response_usage(tree)
    return {**answer, "usage": usage} if usage else answer


def envelope(tree: Json, kind: str, target: Target) -> Json:
    """The response's own id stays, so that it can be a `previous_response_id`."""
    known: Json = {"id": tree.get("id"), "created": tree.get("created_at")}
    known |= {name: tree[name] for name in ("service_tier", "system_fingerprint") if tree.get(name) is not None}
    mend.mend_envelope(known, kind, target)
    return known


def failure(tree: Json, target: Target) -> UpstreamError:
    """Of a response that failed, or of an `error` event; what an event says flat is as good as an error object."""
    error = tree.get("error") or {name: tree.get(name) for name in ("code", "message", "param")}
    if isinstance(error, dict):
        error = {**error, "message": error.get("message") or f"The response {tree.get('status') or 'failed'}."}
        if str(error.get("code")).startswith(_REFUSED):
            error.setdefault("status", 400)
    return error_from_tree({"error": error}, target)


def finish_of(tree: Json, *, called: bool) -> str:
    reason = as_object(tree.get("incomplete_details")).get("reason") if tree.get("status") == "incomplete" else None
    return _INCOMPLETE.get(str(reason)) or ("tool_calls" if called else "stop")


CustomTools = frozenset[str] | None


def custom_tools(tree: Json) -> CustomTools:
    """Names of the caller's custom tools, which a response repeats: a call of any other one the provider (xAI) has answered itself.

    None if the response does not say.
    """
    if not isinstance(tree.get("tools"), list):
        return None
    return frozenset(str(tool.get("name")) for tool in as_objects(tree.get("tools")) if tool.get("type") == "custom")


def kind_of(item: Json, custom: CustomTools) -> str:
    """`message`, `reasoning`, `call` (the caller's to answer) or `tool` (the provider's own)."""
    kind = as_word(item.get("type"))
    if kind in {"message", "reasoning"}:
        return kind
    return (
        "call"
        if kind == "function_call" or (kind == "custom_tool_call" and (custom is None or as_word(item.get("name")) in custom))
        else "tool"
    )


def order_of(items: Iterable[Json], custom: CustomTools) -> list[str] | None:
    """The items' names, in their order; None if it is the usual one and goes without saying."""
    kinds = [(kind_of(item, custom), item) for item in items]
    ranks = [_USUAL_ORDER.index(kind) for kind, _ in kinds]
    if ranks == sorted(ranks):
        return None
    return [kind if kind == "message" else str(item.get("call_id" if kind == "call" else "id")) for kind, item in kinds]


def reasoning_texts(item: Json) -> list[str]:
    """What the model thought, or the summary of it: OpenAI gives summaries, open models (vLLM, DeepSeek, Bedrock) the text."""
    parts = as_objects(item.get("content")) or as_objects(item.get("summary"))
    return [str(part["text"]) for part in parts if part.get("text")]


def message_parts(item: Json) -> Iterator[tuple[str, str, Json]]:
    """(`text` or `refusal`, the words, the part) of each part of a message item."""
    for part in as_objects(item.get("content")):
        name = "refusal" if part.get("type") == "refusal" else "text"
        if isinstance(words := part.get(name), str):
            yield name, words, part


def tool_call(item: Json) -> Json:
    identifier, name = str(item.get("call_id") or item.get("id") or ""), str(item.get("name") or "")
    if item.get("type") == "custom_tool_call":
        return {"id": identifier, "type": "custom", "custom": {"name": name, "input": str(item.get("input") or "")}}
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": whole_arguments(item)}}


def whole_arguments(item: Json) -> str:
    """A function that takes none gets an empty object; what the output limit cut stays cut."""
    return str(item.get("arguments") or ("" if item.get("status") == "incomplete" else "{}"))


def annotation_of(given: Json, offset: int) -> Json | None:
    """A url_citation over the whole content, of which this part begins at `offset`; None for what only Responses has (files)."""
    if given.get("type") != "url_citation":
        return None
    source = as_object(given.get("url_citation")) or given
    page = {"url": str(source.get("url") or ""), "title": str(source.get("title") or "")}
    start, end = (count_of(source.get(name)) + offset for name in ("start_index", "end_index"))
    return {"type": "url_citation", "url_citation": {**page, "start_index": start, "end_index": end}}


def extras_of(tree: Json) -> Json:
    """What is said about the response beside its output: Azure's content filters, moderation."""
    return {name: tree[name] for name in _EXTRAS if tree.get(name)}


class _Parts:
    """What the message items of one answer add up to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.annotations: list[Json] = []
        self.other_annotations: list[Json] = []
        self.logprobs: list[Json] = []

    def add(self, item: Json) -> None:
        for name, words, part in message_parts(item):
            if name == "refusal":
                self.refusals.append(words)
                continue
            offset = sum(map(len, self.texts))
            self.texts.append(words)
            self.logprobs += as_objects(part.get("logprobs"))
            for given in as_objects(part.get("annotations")):
                note = annotation_of(given, offset)
                (self.other_annotations if note is None else self.annotations).append(note or given)


def _message(output: list[Json], custom: CustomTools, tree: Json) -> tuple[Json, Json | None]:
    """(message, logprobs)"""
    by_kind: dict[str, list[Json]] = {kind: [item for item in output if kind_of(item, custom) == kind] for kind in _USUAL_ORDER}
    parts = _Parts()
    for item in by_kind["message"]:
        parts.add(item)
    calls = [tool_call(item) for item in by_kind["call"]]
    said: Json = {"role": "assistant", "content": "".join(parts.texts) if parts.texts else None, "refusal": "".join(parts.refusals) or None}
    if calls:
        said["tool_calls"] = calls
    if reasoning := "\n\n".join(text for item in by_kind["reasoning"] for text in reasoning_texts(item)):
        said["reasoning_content"] = reasoning
    if by_kind["reasoning"]:
        said["reasoning_items"] = by_kind["reasoning"]
    if parts.annotations:
        said["annotations"] = parts.annotations
    order = order_of(output, custom)
    phases = [item["phase"] for item in by_kind["message"] if item.get("phase")]
    fields = {
        "server_tools": by_kind["tool"],
        "annotations": parts.other_annotations,
        "output_order": order,
        "phase": phases[-1] if phases else None,
        **extras_of(tree),
    }
    if kept := {name: value for name, value in fields.items() if value}:
        said["provider_specific_fields"] = kept
    return said, hub_logprobs(parts.logprobs)


def hub_logprobs(entries: list[Json]) -> Json | None:
    if not entries:
        return None
    choice: Json = {"logprobs": {"content": entries, "refusal": None}}
    mend.mend_logprobs(choice)
    return as_object(choice["logprobs"])


_BILLED_ITEMS = {
    "web_search_call": "web_search_requests",
    "file_search_call": "file_search_requests",
    "code_interpreter_call": "code_interpreter_requests",
}


def response_usage(response: Json) -> Json | None:
    """The response's usage in the hub's words, with the tools the provider ran and has a fee for, under Anthropic's name for that."""
    usage = hub_usage(response.get("usage"))
    if usage is None:
        return None
    items = as_objects(response.get("output"))
    counts = Counter(_BILLED_ITEMS[kind] for item in items if (kind := str(item.get("type"))) in _BILLED_ITEMS)
    # A container is paid for once, however often code ran in it.
    if containers := {str(item["container_id"]) for item in items if item.get("container_id")}:
        counts["code_interpreter_requests"] = len(containers)
    return {**usage, "server_tool_use": dict(counts)} if counts else usage


def hub_usage(usage: Any) -> Json | None:
    """The same counts under the hub's names; xAI's reasoning lies inside output_tokens here, unlike in its chat API."""
    if not isinstance(usage, dict) or not usage:
        return None
    mended: Json = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
    extras = {name: value for name, value in usage.items() if name not in _COUNTED}
    return mend.mend_usage({name: value for name, value in mended.items() if value is not None} | extras)
