"""Cohere's v2 chat answer → hub. https://docs.cohere.com/reference/chat

`tool_plan`, which Cohere calls the model's chain of thought about its tools, is reasoning in the hub, and stays apart in
provider_specific_fields so that it can go back as what it was.
"""

from typing import Any

import orjson

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.hub_stream import as_object, as_objects, as_word
from tollkeeper.dialects.usage import count_of
from tollkeeper.errors import UpstreamError, UpstreamFailed, UpstreamProtocolError, UpstreamTimeout

_FINISH = {"MAX_TOKENS": "length", "ERROR_LIMIT": "length", "ERROR_TOXIC": "content_filter"}
"""Anything else ends the answer normally: COMPLETE, STOP_SEQUENCE, TOOL_CALL."""


def decode_chat(body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for a body that is no answer, or the typed error that hides in it."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    message = tree.get("message") if isinstance(tree, dict) else None
    if not isinstance(message, dict):
        if isinstance(tree, dict) and (tree.get("error") or isinstance(message, str)):
            raise error_from_tree(tree, target)
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without a message.", upstream_status=200)
    said = _message(message)
    answer: Json = {
        "id": answer_id(tree.get("id"), target),
        "object": "chat.completion",
        "created": target.created,
        "model": target.alias,
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": hub_logprobs(tree.get("logprobs")),
                "finish_reason": finish_of(tree, called="tool_calls" in said),
            }
        ],
    }
    usage = hub_usage(tree.get("usage"))
    return {**answer, "usage": usage} if usage else answer


def answer_id(given: Any, target: Target) -> str:
    return f"chatcmpl-{given or target.created}"


def finish_of(end: Json, *, called: bool) -> str:
    """`end` has finish_reason, and the error where that is ERROR. Raises UpstreamError for an answer that Cohere could not finish."""
    reason = as_word(end.get("finish_reason"))
    if reason in {"ERROR", "TIMEOUT"}:
        raise _failure(end, reason)
    return _FINISH.get(reason) or ("tool_calls" if called else "stop")


def _failure(end: Json, reason: str) -> UpstreamError:
    message = str(end.get("error") or f"The provider ended the answer with finish_reason {reason}.")
    fields: Json = {"upstream_status": 200, "code": str(end["error_type"]) if end.get("error_type") else None}
    return UpstreamTimeout(message, **fields) if reason == "TIMEOUT" else UpstreamFailed(message, **fields)


def _message(message: Json) -> Json:
    blocks = as_objects(message.get("content"))
    texts = [str(block.get("text") or "") for block in blocks if block.get("type") == "text"]
    thoughts = [str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking"]
    plan = message.get("tool_plan")
    calls = as_objects(message.get("tool_calls"))
    said: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None, "refusal": None}
    if calls:
        said["tool_calls"] = [_call(call, place) for place, call in enumerate(calls)]
    if reasoning := "".join(thoughts) + (plan if isinstance(plan, str) else ""):
        said["reasoning_content"] = reasoning
    if thoughts:
        said["thinking_blocks"] = [thinking_block(thought) for thought in thoughts]
    fields: Json = {"tool_plan": plan} if plan else {}
    if citations := as_objects(message.get("citations")):
        fields["citations"] = citations
        said["annotations"] = [note for citation in citations for note in annotations_of(citation)]
    return {**said, "provider_specific_fields": fields} if fields else said


def _call(call: Json, place: int) -> Json:
    function = as_object(call.get("function"))
    return {
        "id": str(call.get("id") or f"call_{place}_{function.get('name')}"),
        "type": "function",
        "function": {"name": str(function.get("name") or ""), "arguments": str(function.get("arguments") or "{}")},
    }


def thinking_block(thought: str) -> Json:
    return {"type": "thinking", "thinking": thought}


def annotations_of(citation: Json) -> list[Json]:
    """Sources with an address of their own, as OpenAI's url_citation over the cited text."""
    notes = []
    for source in as_objects(citation.get("sources")):
        page = as_object(source.get("document") or source.get("tool_output"))
        if isinstance(url := page.get("url"), str):
            place = {"start_index": count_of(citation.get("start")), "end_index": count_of(citation.get("end"))}
            notes.append({"type": "url_citation", "url_citation": {"url": url, "title": str(page.get("title") or ""), **place}})
    return notes


def hub_usage(usage: Any) -> Json | None:
    """`tokens` counts what the model saw and wrote, hidden prompt template included; `billed_units`, far less, rides along.

    Images are counted apart from input_tokens.
    """
    given = as_object(usage)
    tokens, billed = as_object(given.get("tokens")), as_object(given.get("billed_units"))
    if not tokens and not billed:
        return None
    counts = tokens or billed
    prompt, output = count_of(counts.get("input_tokens")), count_of(counts.get("output_tokens"))
    details = {"cached_tokens": count_of(given.get("cached_tokens"))}
    if "image_tokens" in tokens:
        details["image_tokens"] = count_of(tokens["image_tokens"])
    result: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": details,
    }
    if "reasoning_tokens" in tokens:
        result["completion_tokens_details"] = {"reasoning_tokens": count_of(tokens["reasoning_tokens"])}
    return {**result, "billed_units": billed} if billed else result


def hub_logprobs(items: Any) -> Json | None:
    """Cohere gives one entry for each piece of text, with the log probabilities of the tokens in it."""
    entries = as_objects(items)
    if not entries:
        return None
    return {"content": [_token(entry) for entry in entries], "refusal": None}


def _token(entry: Json) -> Json:
    text = str(entry.get("text") or "")
    logprob = sum(float(value) for value in entry.get("logprobs") or () if isinstance(value, int | float))
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}
