"""Makes what the speakers of OpenAI's chat format really send into what the `openai` package's types accept. Changes its argument in place.

Facts and examples: https://platform.openai.com/docs/api-reference/chat/object and each provider's page linked in catalog/providers.py.
What is merely extra stays; what is missing, null or of the wrong type is mended; padding noise goes.
"""

from typing import Any

import orjson

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.usage import count_of
from tollkeeper.errors import UpstreamFailed

NOISE = ("obfuscation", "p", "sla_metrics")
"""Top-level padding: OpenAI and Azure, Mistral, Hugging Face's router."""

SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_SERVICE_TIER_ALIASES = {"on_demand": "default", "standard": "default"}

_BROKEN = frozenset({"error", "network_error", "insufficient_system_resource"})
"""Words for an answer that could not be finished: OpenRouter's and Mistral's, Z.ai's, DeepSeek's."""

FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
    "sensitive": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "image_safety": "content_filter",
}
"""What is not here ends the answer normally: `eos` and `eos_token` (TGI, Together), `end_turn`, `stop_sequence`, "" (Snowflake) …"""

_USAGE_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_USAGE_DETAILS = ("prompt_tokens_details", "completion_tokens_details")
_DETAIL_COUNTS = frozenset(
    {
        "audio_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "image_tokens",
        "text_tokens",
        "reasoning_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    }
)
_CACHED_ELSEWHERE = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
"""Where Together, Mistral, DeepSeek and Databricks count what OpenAI calls prompt_tokens_details.cached_tokens."""


def mend_envelope(data: Json, kind: str, target: Target, *, fallback_id: str = "") -> None:
    """id, object, created, model, service_tier, system_fingerprint, and no noise."""
    identifier = data.get("id")
    if not (isinstance(identifier, str) and identifier):
        data["id"] = str(identifier) if isinstance(identifier, int) else fallback_id or f"chatcmpl-{target.created}"
    data["object"] = kind
    created = data.get("created")
    if type(created) is not int or not created:
        data["created"] = (count_of(created) if isinstance(created, float) else 0) or target.created
    data["model"] = target.alias
    for name in NOISE:
        data.pop(name, None)
    tier = data.get("service_tier")
    if tier is not None and not (isinstance(tier, str) and tier in SERVICE_TIERS):
        mended = _SERVICE_TIER_ALIASES.get(tier) if isinstance(tier, str) else None
        if mended:
            data["service_tier"] = mended
        else:
            del data["service_tier"]
    if not isinstance(data.get("system_fingerprint"), str | None):
        del data["system_fingerprint"]


def finish_reason(given: Any, *, tool_calls: bool, function_call: bool = False) -> str:
    """The hub's finish reason. `tool_calls` is decided by whether there are any, as providers are often wrong about it.

    Raises UpstreamFailed for a provider's word for an answer that it could not finish.
    """
    if isinstance(given, str) and given in _BROKEN:
        raise UpstreamFailed(f"The provider ended the answer with finish_reason `{given}`.")
    reason = FINISH_REASONS.get(given.lower(), "stop") if isinstance(given, str) else "stop"
    if reason in {"stop", "tool_calls", "function_call"}:
        return "tool_calls" if tool_calls else "function_call" if function_call else "stop"
    return reason


def mend_usage(usage: Any) -> Json | None:
    """A usage object with whole-number counts, or None if there is none."""
    if not isinstance(usage, dict) or not usage:
        return None
    for name in _USAGE_COUNTS[:2]:
        usage[name] = count_of(usage.get(name))
    usage["total_tokens"] = count_of(usage.get("total_tokens")) or usage["prompt_tokens"] + usage["completion_tokens"]
    for name in _USAGE_DETAILS:
        if isinstance(details := usage.get(name), dict):
            for key in details.keys() & _DETAIL_COUNTS:
                if type(details[key]) is not int and details[key] is not None:
                    details[key] = count_of(details[key])
        elif details is not None:
            del usage[name]
    _adopt(usage, "prompt_tokens_details", "cached_tokens", _CACHED_ELSEWHERE)
    _adopt(usage, "completion_tokens_details", "reasoning_tokens", ("reasoning_tokens",))
    return usage


def _adopt(usage: Json, details: str, name: str, elsewhere: tuple[str, ...]) -> None:
    if not (usage.get(details) or {}).get(name):
        for key in elsewhere:
            if count := count_of(usage.get(key)):
                usage[details] = {**(usage.get(details) or {}), name: count}
                return


def mend_logprobs(choice: Json) -> None:
    """`content` and `refusal` lists of {token, logprob, bytes, top_logprobs}; anything else there is not OpenAI's and goes."""
    logprobs = choice["logprobs"]
    if not isinstance(logprobs, dict):
        choice["logprobs"] = None
        return
    for name in ("content", "refusal"):
        entries = logprobs.get(name)
        if entries is not None:
            logprobs[name] = (
                [_mend_token(entry, top=True) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else None
            )


def _mend_token(entry: Json, *, top: bool = False) -> Json:
    if not isinstance(entry.get("token"), str):
        entry["token"] = str(entry.get("token", ""))
    if type(entry.get("logprob")) not in {int, float}:
        entry["logprob"] = -9999.0  # OpenAI's own value for "too unlikely to say"
    given = entry.get("bytes")
    if given is not None and not (isinstance(given, list) and all(type(byte) is int for byte in given)):
        entry["bytes"] = None
    if top:
        others = entry.get("top_logprobs")
        entry["top_logprobs"] = [_mend_token(other) for other in others if isinstance(other, dict)] if isinstance(others, list) else []
    return entry


def mend_text(message: Json) -> None:
    """Content, refusal and reasoning of a message or delta: strings, whichever way they came."""
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        _mend_parts(message, content)
    if not isinstance(message.get("refusal"), str | None):
        message["refusal"] = None
    if message.get("reasoning_content") is None:
        mirrored = message.get("reasoning")
        if not isinstance(mirrored, str):
            mirrored = _reasoning_in(message.get("reasoning_details"))
        if mirrored is not None:
            message["reasoning_content"] = mirrored
    elif not isinstance(message["reasoning_content"], str):
        message["reasoning_content"] = _text_of(message["reasoning_content"])


def _mend_parts(message: Json, content: Any) -> None:
    """Content as an array of parts: text, thoughts, and what else there may be, which keeps a place of its own.

    Mistral: https://docs.mistral.ai/capabilities/reasoning/ · Databricks: https://docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference
    """
    parts = content if isinstance(content, list) else [content]
    kinds = [part.get("type") if isinstance(part, dict) else None for part in parts]
    thoughts = [part for part, kind in zip(parts, kinds, strict=True) if kind in _THOUGHTS]
    other = [part for part, kind in zip(parts, kinds, strict=True) if kind in _NO_TEXT]
    message["content"] = "".join(_text_of(part) for part, kind in zip(parts, kinds, strict=True) if kind not in _THOUGHTS)
    if reasoning := "".join(_text_of(part.get("thinking") or part.get("summary")) for part in thoughts):
        message["reasoning_content"] = reasoning
    signed = [
        _signed(piece) for part in thoughts for piece in part.get("summary") or () if isinstance(piece, dict) and piece.get("signature")
    ]
    if signed:
        message["thinking_blocks"] = signed
    if other:
        message["provider_specific_fields"] = {**(message.get("provider_specific_fields") or {}), "content_parts": other}


_THOUGHTS = ("thinking", "reasoning")
_NO_TEXT = ("reference", "image_url", "document_url", "tool_file", "tool_reference")


def _signed(piece: Json) -> Json:
    return {"type": "thinking", "thinking": _text_of(piece.get("text")), "signature": piece["signature"]}


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text_of, value))
    return _text_of(value.get("text")) if isinstance(value, dict) else ""


def _reasoning_in(details: Any) -> str | None:
    """OpenRouter's reasoning_details (https://openrouter.ai/docs/use-cases/reasoning-tokens): the readable ones, None if there are none."""
    if not isinstance(details, list):
        return None
    return "".join(_text_of(detail.get("text") or detail.get("summary")) for detail in details if isinstance(detail, dict)) or None


def arguments_text(arguments: Any) -> str:
    """Tool arguments as the JSON string that the hub has; TGI and Ollama send an object."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else orjson.dumps(arguments).decode()


def said_bytes(delta: Json) -> int:
    """UTF-8 bytes of the answer in a mended delta: text, reasoning, refusal, tool names and arguments, what audio says."""
    said = [delta.get("content"), delta.get("reasoning_content"), delta.get("refusal")]
    for call in delta.get("tool_calls") or ():
        made = call.get("function") or call.get("custom") or {}
        said += (made.get("name"), made.get("arguments"), made.get("input"))
    if isinstance(audio := delta.get("audio"), dict):
        said.append(audio.get("transcript"))
    if isinstance(legacy := delta.get("function_call"), dict):
        said += (legacy.get("name"), legacy.get("arguments"))
    return sum([len(text.encode()) for text in said if isinstance(text, str)])


_AUDIO = {"id": "", "data": "", "expires_at": 0, "transcript": ""}


def mend_audio(message: Json, *, whole: bool) -> None:
    """Snowflake sends an `audio` and a `function_call` with nothing in them. `whole`: all that OpenAI's type has must be there; a stream
    tells it in pieces.
    """
    audio = message.get("audio")
    if audio is not None and not (isinstance(audio, dict) and any(audio.get(name) for name in _AUDIO)):
        message["audio"] = None
    elif audio is not None and whole:
        message["audio"] = {**audio, **{name: value for name, value in _AUDIO.items() if type(audio.get(name)) is not type(value)}}
    call = message.get("function_call")
    if call is not None and not (isinstance(call, dict) and (call.get("name") or call.get("arguments"))):
        message["function_call"] = None
    elif call is not None:
        for name in ("name", "arguments"):
            if (whole or name in call) and not isinstance(call.get(name), str):
                call[name] = arguments_text(call.get(name))
