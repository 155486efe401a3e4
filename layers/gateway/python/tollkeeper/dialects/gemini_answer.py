"""A GenerateContentResponse, whole or one event of a stream → pieces of the hub's answer.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from typing import Any

import orjson

from tollkeeper.clock import from_iso
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.gemini_contents import SERVER_PARTS
from tollkeeper.dialects.gemini_signature import join_call_id, make_call_id

_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "UNEXPECTED_TOOL_CALL": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
} | dict.fromkeys(
    (
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
    ),
    "content_filter",
)  # fmt: skip
"""https://ai.google.dev/api/generate-content#FinishReason; anything else is `stop`."""

_NUMBERED_FINISH = (
    "", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL", "NO_IMAGE",
)  # fmt: skip
_NUMBERED_MODALITIES = ("unspecified", "text", "image", "video", "audio", "document")
"""Vertex answers with numbers where a proxy in between asks for `$alt=json;enum-encoding=int`, as Google's Python client does.

https://github.com/googleapis/googleapis/blob/master/google/cloud/aiplatform/v1/content.proto
"""

_PLAIN_FINISH = frozenset({"STOP", "MAX_TOKENS"})
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}

_METADATA = {
    "groundingMetadata": "grounding_metadata",
    "urlContextMetadata": "url_context_metadata",
    "citationMetadata": "citation_metadata",
    "safetyRatings": "safety_ratings",
    "avgLogprobs": "avg_logprobs",
}


def answer_id(response_id: Any, index: int) -> str:
    """What the ids of a candidate's calls and media are made from."""
    return f"{response_id or ''}{index or ''}"


def delta_of(candidate: Json, response_id: str, first_call: int) -> Json:
    """The parts of a candidate as a hub delta: content, reasoning_content, tool_calls (indexed from `first_call`), images, audio, and
    provider_specific_fields{thought_signatures, server_tools}. Only what is there; `{}` for nothing.
    """
    delta: Json = {}
    for part in _dicts(_dict(candidate.get("content")).get("parts")):
        _add_part(delta, part, response_id, first_call)
    return delta


def _add_part(delta: Json, part: Json, response_id: str, first_call: int) -> None:
    signature = part.get("thoughtSignature")
    if isinstance(call := part.get("functionCall"), dict):
        calls = delta.setdefault("tool_calls", [])
        calls.append(_tool_call(call, signature, response_id, first_call + len(calls)))
    elif SERVER_PARTS & part.keys():
        _fields(delta).setdefault("server_tools", []).append(part)
    elif isinstance(blob := part.get("inlineData"), dict):
        # An image inside the thoughts is a draft that Google does not bill.
        if not part.get("thought"):
            _add_media(delta, blob, signature, response_id)
    elif isinstance(text := part.get("text"), str):
        _add_text(delta, "reasoning_content" if part.get("thought") else "content", text)
        if isinstance(signature, str):
            _fields(delta).setdefault("thought_signatures", []).append(signature)


def _add_text(delta: Json, name: str, text: str) -> None:
    if text:
        delta[name] = delta.get(name, "") + text


def _fields(delta: Json) -> Json:
    fields: Json = delta.setdefault("provider_specific_fields", {})
    return fields


def _tool_call(call: Json, signature: Any, response_id: str, position: int) -> Json:
    name, arguments = str(call.get("name") or ""), orjson.dumps(call.get("args") or {}).decode()
    signature = signature if isinstance(signature, str) else None
    identifier = str(call.get("id") or make_call_id(response_id, position, name, arguments))
    made: Json = {
        "index": position,
        "id": join_call_id(identifier, signature),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    if signature:
        made["provider_specific_fields"] = {"thought_signature": signature}
    return made


def _add_media(delta: Json, blob: Json, signature: Any, response_id: str) -> None:
    """Images as LiteLLM and OpenRouter give them; speech as OpenAI's `audio`."""
    kind, data = str(blob.get("mimeType") or "image/png"), str(blob.get("data") or "")
    if kind.startswith("audio/"):
        audio = delta.setdefault("audio", {"id": f"audio-{response_id}", "data": "", "expires_at": 0, "transcript": "", "mime_type": kind})
        audio["data"] += data
        return
    images = delta.setdefault("images", [])
    image: Json = {"type": "image_url", "index": len(images), "image_url": {"url": f"data:{kind};base64,{data}", "detail": "auto"}}
    if isinstance(signature, str):
        image["thought_signature"] = signature
    images.append(image)


def finish_of(native: str, *, called: bool) -> str:
    """Gemini says STOP for a function call, too."""
    finish = _FINISH.get(native, "stop")
    return "tool_calls" if called and finish == "stop" else finish


def native_finish(candidate: Json) -> str:
    """Google's finish reason; empty while the candidate goes on."""
    reason = candidate.get("finishReason")
    if type(reason) is int:
        return _NUMBERED_FINISH[reason] if 0 <= reason < len(_NUMBERED_FINISH) else "OTHER"
    return str(reason or "")


def candidate_fields(candidate: Json) -> Json:
    """Metadata of a candidate for provider_specific_fields."""
    fields = {name: candidate[key] for key, name in _METADATA.items() if candidate.get(key)}
    if (native := native_finish(candidate)) and native not in _PLAIN_FINISH:
        fields["native_finish_reason"] = native
        if message := candidate.get("finishMessage"):
            fields["finish_message"] = message
    return fields


def refusal_of(candidate: Json) -> str | None:
    """What Google says instead of an answer, when it filtered the candidate."""
    message = candidate.get("finishMessage")
    return message if _FINISH.get(native_finish(candidate)) == "content_filter" and isinstance(message, str) else None


def blocked_prompt(tree: Json) -> tuple[str, Json] | None:
    """(refusal, promptFeedback) when the prompt was blocked and nothing was generated."""
    feedback = tree.get("promptFeedback")
    if tree.get("candidates") or not isinstance(feedback, dict) or not (reason := feedback.get("blockReason")):
        return None
    return str(feedback.get("blockReasonMessage") or f"The prompt was blocked: {reason}."), feedback


def annotations_of(candidate: Json, text: str) -> list[Json]:
    """Grounding and citations as OpenAI's url_citation, with character offsets into `text`."""
    grounding = _dict(candidate.get("groundingMetadata"))
    sources = [_source(chunk) for chunk in _dicts(grounding.get("groundingChunks"))]
    found = []
    for support in _dicts(grounding.get("groundingSupports")):
        start, end = _locate(_dict(support.get("segment")), text)
        given = support.get("groundingChunkIndices")
        indices = [index for index in given if type(index) is int and 0 <= index < len(sources)] if isinstance(given, list) else []
        found += [_citation(start, end, *source) for index in indices if (source := sources[index])]
    citations = _dict(candidate.get("citationMetadata"))
    for citation in _dicts(citations.get("citations") or citations.get("citationSources")):
        if uri := citation.get("uri"):
            found.append(_citation(*_locate(citation, text), str(uri), str(citation.get("title") or "")))
    return found


def _citation(start: int, end: int, url: str, title: str) -> Json:
    return {"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "url": url, "title": title}}


def _source(chunk: Json) -> tuple[str, str] | None:
    """(URL, title) of a grounding chunk; None for one that has no address, such as a passage of an uploaded file."""
    for kind in ("web", "retrievedContext", "maps", "image"):
        node = _dict(chunk.get(kind))
        if uri := node.get("uri") or node.get("sourceUri"):
            return str(uri), str(node.get("title") or "")
    return None


def _locate(segment: Json, text: str) -> tuple[int, int]:
    """Google counts UTF-8 bytes and sometimes from the wrong part; the segment's own text, if it is there, decides."""
    raw = text.encode()
    start, end = (min(max(_count(segment.get(key)), 0), len(raw)) for key in ("startIndex", "endIndex"))
    first, last = len(raw[:start].decode(errors="ignore")), len(raw[:end].decode(errors="ignore"))
    quoted = segment.get("text")
    if not isinstance(quoted, str) or not quoted or text[first:last] == quoted:
        return first, max(first, last)
    at = text.find(quoted)
    return (at, at + len(quoted)) if at >= 0 else (first, max(first, last))


def logprobs_of(candidate: Json) -> Json | None:
    """logprobsResult → OpenAI's logprobs (https://ai.google.dev/api/generate-content#LogprobsResult)."""
    result = _dict(candidate.get("logprobsResult"))
    chosen = _dicts(result.get("chosenCandidates"))
    if not chosen:
        return None
    tops = [_dicts(top.get("candidates")) for top in _dicts(result.get("topCandidates"))]
    tops += [[]] * (len(chosen) - len(tops))
    content = [{**_logprob(token), "top_logprobs": [_logprob(other) for other in top]} for token, top in zip(chosen, tops, strict=False)]
    return {"content": content, "refusal": None}


def _logprob(token: Json) -> Json:
    text = str(token.get("token") or "")
    return {"token": text, "logprob": float(token.get("logProbability") or 0.0), "bytes": list(text.encode())}


def usage_of(metadata: Any) -> Json | None:
    """usageMetadata → the hub's usage; None when it counts nothing yet (Vertex's early chunks).

    prompt = prompt + toolUsePrompt, completion = candidates + thoughts, cached lies inside prompt.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    if not isinstance(metadata, dict) or not any(name.endswith("TokenCount") for name in metadata):
        return None
    thoughts = _count(metadata.get("thoughtsTokenCount"))
    completion = _count(metadata.get("candidatesTokenCount")) + thoughts
    prompt = _count(metadata.get("promptTokenCount")) + _count(metadata.get("toolUsePromptTokenCount"))
    prompt_details = {"cached_tokens": _count(metadata.get("cachedContentTokenCount")), "audio_tokens": 0}
    completion_details = {"reasoning_tokens": thoughts, "audio_tokens": 0}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": prompt_details | _modalities(metadata.get("promptTokensDetails")),
        "completion_tokens_details": completion_details | _modalities(metadata.get("candidatesTokensDetails")),
    }


def _modalities(details: Any) -> dict[str, int]:
    """[{modality: "AUDIO", tokenCount: 9}] → {"audio_tokens": 9}."""
    return {f"{_modality(item['modality'])}_tokens": _count(item.get("tokenCount")) for item in _dicts(details) if item.get("modality")}


def _modality(value: Any) -> str:
    if type(value) is int:
        return _NUMBERED_MODALITIES[value] if 0 <= value < len(_NUMBERED_MODALITIES) else "other"
    return str(value).lower()


def envelope(tree: Json, target: Target, kind: str) -> Json:
    """The fields every answer and chunk begins with."""
    created = target.created
    if isinstance(moment := tree.get("createTime"), str):
        try:
            created = int(from_iso(moment))
        except ValueError:
            created = target.created
    head: Json = {"id": f"chatcmpl-{tree.get('responseId') or ''}", "object": kind, "created": created, "model": target.alias}
    tier = _TIERS.get(str(_dict(tree.get("usageMetadata")).get("serviceTier")).lower())
    return {**head, "service_tier": tier} if tier else head


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
