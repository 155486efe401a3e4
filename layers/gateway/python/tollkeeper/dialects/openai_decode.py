"""A buffered chat.completion, mended. See openai_mend.py for why."""

from typing import Any

import orjson

from tollkeeper.dialects import openai_mend as mend
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.errors import UpstreamProtocolError


def decode_completion(body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for a body that is no completion, or the typed error that hides in it."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if (error := hidden_error(data)) is not None:
        raise error_from_tree(error, target)
    if not isinstance(data, dict) or "choices" not in data:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `choices`.", upstream_status=200)
    mend.mend_envelope(data, "chat.completion", target)
    choices = data["choices"] if isinstance(data["choices"], list) else []
    data["choices"] = [mend_choice(choice, position, data["id"]) for position, choice in enumerate(choices) if isinstance(choice, dict)]
    if (usage := mend.mend_usage(data.pop("usage", None))) is not None:
        data["usage"] = usage
    if "metadata" in data and not _all_strings(data["metadata"]):
        data.setdefault("provider_specific_fields", {})["metadata"] = data.pop("metadata")
    return data


def hidden_error(data: Any) -> Any:
    """The error that a 200 body or a stream event is: an `error` without choices, vLLM's `object: "error"`, OpenRouter's error inside a
    choice, Groq's in `x_groq`. None if it is an answer.
    """
    if isinstance(data, list):
        return hidden_error(data[0]) if data else None
    if not isinstance(data, dict):
        return None
    if not (choices := data.get("choices")):
        return data if data.get("error") or data.get("object") == "error" else _failed_base(data)
    first = choices[0] if isinstance(choices, list) else None
    if isinstance(first, dict) and isinstance(first.get("error"), dict):
        return first
    groq = data.get("x_groq")
    return groq if isinstance(groq, dict) and groq.get("error") else None


def _failed_base(data: Json) -> Json | None:
    """MiniMax puts its errors beside an empty answer (https://platform.minimax.io/docs/api-reference/errorcode)."""
    base = data.get("base_resp")
    if not isinstance(base, dict) or not base.get("status_code"):
        return None
    status = _MINIMAX.get(base["status_code"], 500)
    return {"error": {"message": base.get("status_msg") or "The request failed.", "code": base["status_code"], "status": status}}


_MINIMAX = {1002: 429, 1004: 401, 1008: 402, 1026: 400, 1027: 400, 1039: 429, 1041: 429, 2013: 400, 2049: 401, 2056: 429}
"""Its own numbers → the status that says whose fault it is."""


def mend_choice(choice: Json, position: int, response_id: str) -> Json:
    if type(choice.get("index")) is not int:
        choice["index"] = position
    message = choice.get("message")
    if not isinstance(message, dict):
        # Azure leaves the message out of a filtered choice; a text completion has `text` in its place.
        message = choice["message"] = {"role": "assistant", "content": choice["text"] if isinstance(choice.get("text"), str) else None}
    choice.pop("delta", None)  # Perplexity sends an empty one beside the message
    mend_message(message, response_id)
    if choice.get("logprobs") is not None:
        mend.mend_logprobs(choice)
    choice["finish_reason"] = mend.finish_reason(
        choice.get("finish_reason"), tool_calls="tool_calls" in message, function_call=bool(message.get("function_call"))
    )
    return choice


def mend_message(message: Json, response_id: str) -> None:
    message["role"] = "assistant"
    message.setdefault("content", None)
    mend.mend_text(message)
    mend.mend_audio(message, whole=True)
    if not message.get("refusal"):
        message["refusal"] = None
    calls = message.pop("tool_calls", None)
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [_mend_call(call, position, response_id) for position, call in enumerate(calls) if isinstance(call, dict)]
    _mend_annotations(message)


def _mend_call(call: Json, position: int, response_id: str) -> Json:
    identifier = call.get("id")
    if not (isinstance(identifier, str) and identifier):
        call["id"] = tool_call_id(response_id, position)
    if call.get("type") == "custom" and isinstance(call.get("custom"), dict):
        return call
    call["type"] = "function"
    function = call.get("function")
    if not isinstance(function, dict):
        function = call["function"] = {}
    if not isinstance(function.get("name"), str):
        function["name"] = ""
    function["arguments"] = mend.arguments_text(function.get("arguments")) or "{}"
    return call


def tool_call_id(response_id: str, position: int) -> str:
    """An id for a call that came without one: the same for every reader of the same answer."""
    return f"call_{response_id.removeprefix('chatcmpl-')}_{position}"


def _mend_annotations(message: Json) -> None:
    """Only url_citation is OpenAI's; OpenRouter's parsed files go to provider_specific_fields."""
    given = message.get("annotations")
    if given is None:
        return
    kept: list[Json] = []
    other: list[Any] = []
    for annotation in given if isinstance(given, list) else [given]:
        citation = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if isinstance(citation, dict) and annotation.get("type") == "url_citation":
            _mend_citation(citation)
            kept.append(annotation)
        else:
            other.append(annotation)
    message["annotations"] = kept
    if other:
        message["provider_specific_fields"] = {**(message.get("provider_specific_fields") or {}), "annotations": other}


def _mend_citation(citation: Json) -> None:
    for name in ("url", "title"):
        if not isinstance(citation.get(name), str):
            citation[name] = ""
    for name in ("start_index", "end_index"):
        if type(citation.get(name)) is not int:
            citation[name] = 0


def _all_strings(metadata: Any) -> bool:
    return metadata is None or (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values()))
