"""Hub answers → responses. https://platform.openai.com/docs/api-reference/responses/object"""

from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.usage import usage_from_hub
from tollkeeper.edge.responses_request import carrying

KEY = "response_key"
"""Of a request as its caller knows it: what the edge adds, and nobody else sees."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
"""Of the request, with what stands there when it says nothing."""


def response_of(hub: Json, request: Json) -> Json:
    """The whole response of a chat.completion."""
    choice = next(iter(as_objects(hub.get("choices"))), {})
    key = key_of(hub, request)
    output = _output(as_object(choice.get("message")), key, logprobs_of(choice))
    return finished(envelope(key, hub.get("created"), request), output, choice.get("finish_reason"), hub.get("usage"))


def key_of(hub: Json, request: Json) -> str:
    """What the ids of one answer have in common. Not every provider's are unique, so that one that is kept has the call's."""
    return request.get(KEY) or str(hub.get("id") or "").removeprefix("chatcmpl-").removeprefix("resp_") or "0"


def envelope(key: str, created: Any, request: Json) -> Json:
    """A response that has just begun."""
    given = {name: default if request.get(name) is None else request[name] for name, default in _ECHOED.items()}
    return {
        "id": f"resp_{key}",
        "object": "response",
        "created_at": created or 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": request["model"],
        "output": [],
        "previous_response_id": request.get("previous_response_id"),
        "store": request.get("store") is not False,
        "truncation": "disabled",
        "usage": None,
        **given,
    }


def finished(response: Json, output: list[Json], finish: Any, usage: Any) -> Json:
    reason = _INCOMPLETE.get(str(finish))
    status = {"status": "incomplete", "incomplete_details": {"reason": reason}} if reason else {"status": "completed"}
    return {**response, **status, "output": output, "usage": usage_of(usage)}


def usage_of(usage: Any) -> Json:
    counted = usage_from_hub(as_object(usage))
    return {
        "input_tokens": counted.input,
        "input_tokens_details": {"cached_tokens": counted.cache_read, "cache_write_tokens": counted.cache_creation},
        "output_tokens": counted.output,
        "output_tokens_details": {"reasoning_tokens": counted.reasoning},
        "total_tokens": counted.input + counted.output,
    }


def reasoning_item(identifier: str, text: str, thoughts: list[Json]) -> Json:
    item: Json = {"type": "reasoning", "id": identifier, "summary": [{"type": "summary_text", "text": text}] if text else []}
    return {**item, "encrypted_content": carrying(thoughts)} if thoughts else item


def message_item(identifier: str, parts: list[Json], status: str = "completed") -> Json:
    return {"type": "message", "id": identifier, "role": "assistant", "status": status, "content": parts}


def text_part(text: str, annotations: list[Json] | None = None, logprobs: list[Json] | None = None) -> Json:
    return {"type": "output_text", "text": text, "annotations": annotations or [], "logprobs": logprobs or []}


def logprobs_of(choice: Json) -> list[Json]:
    """Chat and Responses say them alike."""
    return as_objects(as_object(choice.get("logprobs")).get("content"))


def call_item(key: str, call: Json) -> Json:
    """A tool call; a custom tool's has `input` in place of `arguments`."""
    called = as_object(call.get("custom") or call.get("function"))
    common = {"call_id": call.get("id") or "", "name": called.get("name") or "", "status": "completed"}
    if call.get("custom"):
        return {"type": "custom_tool_call", "id": f"ctc_{key}", **common, "input": called.get("input") or ""}
    return {"type": "function_call", "id": f"fc_{key}", **common, "arguments": called.get("arguments") or ""}


def flat_annotations(given: Any) -> list[Json]:
    """Chat nests a citation, Responses does not."""
    return [{"type": "url_citation", **as_object(note.get("url_citation"))} for note in as_objects(given) if note.get("url_citation")]


def _output(said: Json, key: str, logprobs: list[Json]) -> list[Json]:
    output: list[Json] = []
    thought, thoughts = str(said.get("reasoning_content") or ""), as_objects(said.get("thinking_blocks"))
    if thought or thoughts:
        output.append(reasoning_item(f"rs_{key}", thought, thoughts))
    parts = [text_part(said["content"], flat_annotations(said.get("annotations")), logprobs)] if said.get("content") else []
    if said.get("refusal"):
        parts.append({"type": "refusal", "refusal": said["refusal"]})
    if parts:
        output.append(message_item(f"msg_{key}", parts))
    return output + [call_item(f"{key}_{place}", call) for place, call in enumerate(as_objects(said.get("tool_calls")))]
