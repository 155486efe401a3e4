"""Gemini's generateContent, on AI Studio and on Vertex.

`base_url` ends before `/models/…`: `https://generativelanguage.googleapis.com/v1beta`, or
`https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google`.
https://ai.google.dev/api/generate-content · https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference

Encode is in gemini_contents, gemini_media, gemini_options and gemini_thinking; decode in gemini_answer and gemini_stream. gemini_signature
tells what a caller must send back for a conversation to go on.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import not_json
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.gemini_answer import (
    annotations_of,
    answer_id,
    blocked_prompt,
    candidate_fields,
    delta_of,
    envelope,
    finish_of,
    logprobs_of,
    native_finish,
    refusal_of,
    usage_of,
)
from tollkeeper.dialects.gemini_contents import contents_of
from tollkeeper.dialects.gemini_errors import error_from_google, error_status
from tollkeeper.dialects.gemini_options import body_of
from tollkeeper.dialects.gemini_stream import GeminiStream
from tollkeeper.dialects.gemini_thinking import family_of
from tollkeeper.errors import UpstreamError, UpstreamProtocolError


class GeminiGenerate:
    """See base.ChatDialect."""

    name = "gemini_generate"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        fields = upstream_fields(request, target)
        drop_unsupported(fields, unsupported_by_profile(target), target)
        family = family_of(target.model)
        system, contents = contents_of(fields.get("messages"), signed_calls=family is not None and family.signed_calls)
        body = {"contents": contents, **({"systemInstruction": {"parts": system}} if system else {}), **body_of(fields, target)}
        model = quote(target.model.removeprefix("models/"), safe="/@:._-")
        method = "streamGenerateContent?alt=sse" if fields.get("stream") else "generateContent"
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=f"{target.base_url}/models/{model}:{method}", body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, and the typed error of an error object under HTTP 200."""
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise not_json(body, target) from error
        if isinstance(tree, dict) and "error" in tree:
            raise error_from_google(error_status(tree), {}, body, target)
        choices = _choices(tree) if isinstance(tree, dict) else []
        if not choices:
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without a candidate.", upstream_status=200)
        answer = {**envelope(tree, target, "chat.completion"), "choices": choices}
        usage = usage_of(tree.get("usageMetadata"))
        return {**answer, "usage": usage} if usage else answer

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return GeminiStream(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_google(status, headers, body, target)


def _choices(tree: Json) -> list[Json]:
    if blocked := blocked_prompt(tree):
        refusal, feedback = blocked
        message = {"role": "assistant", "content": None, "refusal": refusal, "provider_specific_fields": {"prompt_feedback": feedback}}
        return [{"index": 0, "message": message, "logprobs": None, "finish_reason": "content_filter"}]
    candidates: Any = tree.get("candidates")
    if not isinstance(candidates, list):
        return []
    response_id = str(tree.get("responseId") or "")
    return [_choice(candidate, position, response_id) for position, candidate in enumerate(candidates) if isinstance(candidate, dict)]


def _choice(candidate: Json, position: int, response_id: str) -> Json:
    index = candidate["index"] if type(candidate.get("index")) is int else position
    delta = delta_of(candidate, answer_id(response_id, index), 0)
    for call in delta.get("tool_calls", ()):
        del call["index"]
    message: Json = {"role": "assistant", "content": None, "refusal": refusal_of(candidate), **delta}
    if annotations := annotations_of(candidate, delta.get("content", "")):
        message["annotations"] = annotations
    if fields := {**delta.get("provider_specific_fields", {}), **candidate_fields(candidate)}:
        message["provider_specific_fields"] = fields
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_of(candidate),
        "finish_reason": finish_of(native_finish(candidate), called="tool_calls" in delta),
    }
