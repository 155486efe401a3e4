"""A ledger entry in LiteLLM's words: the StandardLoggingPayload that its callbacks and webhooks get.

https://docs.litellm.ai/docs/proxy/logging_spec
"""

from collections.abc import Mapping
from typing import Any

from tollkeeper.clock import from_iso
from tollkeeper.money import nano_to_usd

Json = dict[str, Any]


def standard_logging_payload(entry: Mapping[str, Any]) -> Json:
    """`messages` and `response` are null: content is not in the ledger."""
    started = from_iso(str(entry["started_at"]))
    ended = started + int(entry.get("latency_ms", 0)) / 1000
    first = entry.get("first_token_ms")
    tokens = int(entry.get("input_tokens", 0)), int(entry.get("output_tokens", 0))
    return {
        "id": entry["sk"],
        "litellm_call_id": entry.get("call_id"),
        "trace_id": entry.get("call_id"),
        "call_type": entry.get("call_type"),
        "stream": bool(entry.get("stream")),
        "status": "success" if entry.get("status") == "success" else "failure",
        "response_cost": nano_to_usd(int(entry.get("cost", 0))),
        "response_cost_nano_usd": int(entry.get("cost", 0)),
        "cost_breakdown": {part: nano_to_usd(nano) for part, nano in (entry.get("cost_parts") or {}).items()},
        "price_version": entry.get("price_version"),
        "custom_llm_provider": entry.get("provider"),
        "model": entry.get("upstream_model") or entry.get("model"),
        "model_group": entry.get("model"),
        "model_id": entry.get("deployment_id"),
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "total_tokens": sum(tokens),
        "startTime": started,
        "endTime": ended,
        "completionStartTime": started + first / 1000 if first is not None else ended,
        "response_time": ended - started,
        "cache_hit": bool(entry.get("cache_hit")),
        "request_tags": list(entry.get("tags") or ()),
        "end_user": entry.get("customer_id") or "",
        "messages": None,
        "response": None,
        "error_str": None,
        "error_information": _error(entry),
        "metadata": _metadata(entry),
        "hidden_params": {"model_id": entry.get("deployment_id"), "usage_object": _usage(entry)},
    }


def _error(entry: Mapping[str, Any]) -> Json | None:
    if entry.get("status") == "success":
        return None
    return {
        "error_code": str(entry.get("http_status") or ""),
        "error_class": entry.get("error_type") or entry.get("status"),
        "llm_provider": entry.get("provider"),
    }


def _metadata(entry: Mapping[str, Any]) -> Json:
    return {
        "user_api_key_hash": entry.get("key_hash"),
        "user_api_key_alias": entry.get("key_alias"),
        "user_api_key_team_id": entry.get("team_id"),
        "user_api_key_user_id": entry.get("user_id"),
        "user_api_key_org_id": entry.get("organization_id"),
        "user_api_key_end_user_id": entry.get("customer_id"),
        "user_api_key_request_route": entry.get("call_type"),
        "applied_guardrails": list(entry.get("guardrails") or ()),
        "attempts": entry.get("attempts", 0),
        "fallbacks": entry.get("fallbacks", 0),
        "usage_at_least": bool(entry.get("usage_at_least")),
        "unconfirmed": bool(entry.get("unconfirmed")),
    }


def _usage(entry: Mapping[str, Any]) -> Json:
    return {
        "prompt_tokens": entry.get("input_tokens", 0),
        "completion_tokens": entry.get("output_tokens", 0),
        "cache_read_input_tokens": entry.get("cache_read_tokens", 0),
        "cache_creation_input_tokens": entry.get("cache_creation_tokens", 0),
        "reasoning_tokens": entry.get("reasoning_tokens", 0),
    }
