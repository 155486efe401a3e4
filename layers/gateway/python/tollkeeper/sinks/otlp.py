"""Ledger entries as OpenTelemetry spans and metrics, by the gen_ai semantic conventions. Values in, OTLP's JSON out; nothing is sent here.

A span's ids follow from the call's, so that one that is sent twice is the same span. A caller's `traceparent` makes it a child.
Metrics are deltas of one batch: histograms of duration and of tokens, with the conventions' own bucket boundaries.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ …/gen-ai-metrics/
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from tollkeeper.clock import from_iso
from tollkeeper.store.table import Item

Json = dict[str, Any]
_SECOND = 10**9
_CLIENT, _ERROR, _DELTA = 3, 2, 1
_SCOPE = {"name": "tollkeeper"}
_DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKENS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKENS = tuple(float(4**power) for power in range(14))
_OPERATIONS = {"acompletion": "chat", "completion": "chat", "aembedding": "embeddings", "atext_completion": "text_completion"}
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
}


class Clocked(Protocol):
    def now(self) -> float: ...


def traces_request(entries: Iterable[Item], service: str) -> Json:
    """ExportTraceServiceRequest: one client span for each call."""
    spans = [_span(entry) for entry in entries]
    return {"resourceSpans": [{"resource": _resource(service), "scopeSpans": [{"scope": _SCOPE, "spans": spans}]}]}


def metrics_request(entries: Sequence[Item], service: str, now: float) -> Json:
    """ExportMetricsServiceRequest. `now` is epoch seconds."""
    started = min((from_iso(str(entry["started_at"])) for entry in entries), default=now)
    durations, first, tokens, cost = _Histogram(_DURATIONS), _Histogram(_FIRST_TOKENS), _Histogram(_TOKENS), _Histogram(())
    for entry in entries:
        shared = _shared(entry)
        durations.note(entry.get("latency_ms", 0) / 1000, shared | _failed(entry))
        if entry.get("first_token_ms") is not None and entry.get("stream"):
            first.note(entry["first_token_ms"] / 1000, shared)
        for kind in ("input", "output"):
            tokens.note(entry.get(f"{kind}_tokens", 0), shared | {"gen_ai.token.type": kind})
        cost.note(int(entry.get("cost", 0)), shared)
    metrics = [
        durations.metric("gen_ai.client.operation.duration", "s", started, now),
        first.metric("gen_ai.server.time_to_first_token", "s", started, now),
        tokens.metric("gen_ai.client.token.usage", "{token}", started, now),
        cost.sums("tollkeeper.cost", "{nanoUSD}", started, now),
    ]
    return {"resourceMetrics": [{"resource": _resource(service), "scopeMetrics": [{"scope": _SCOPE, "metrics": metrics}]}]}


def _span(entry: Mapping[str, Any]) -> Json:
    started = from_iso(str(entry["started_at"]))
    trace, parent = _parent(entry)
    operation = _operation(entry)
    failed = entry.get("status") != "success"
    return {
        "traceId": trace,
        "spanId": blake2b(str(entry["sk"]).encode(), digest_size=8).hexdigest(),
        **({"parentSpanId": parent} if parent else {}),
        "name": f"{operation} {entry.get('model', '')}",
        "kind": _CLIENT,
        "startTimeUnixNano": _nanoseconds(started),
        "endTimeUnixNano": _nanoseconds(started + entry.get("latency_ms", 0) / 1000),
        "attributes": _attributes(_span_attributes(entry)),
        "status": {"code": _ERROR, "message": str(entry.get("error_type") or entry.get("status"))} if failed else {},
    }


def _span_attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    tags = list(entry.get("tags") or ())
    return {
        **_shared(entry),
        **_failed(entry),
        "gen_ai.response.model": entry.get("upstream_model"),
        "gen_ai.usage.input_tokens": entry.get("input_tokens", 0),
        "gen_ai.usage.output_tokens": entry.get("output_tokens", 0),
        "gen_ai.usage.cache_read.input_tokens": entry.get("cache_read_tokens") or None,
        "gen_ai.usage.cache_creation.input_tokens": entry.get("cache_creation_tokens") or None,
        "http.response.status_code": entry.get("http_status"),
        "user.id": entry.get("user_id"),
        "tollkeeper.request.id": entry["sk"],
        "tollkeeper.cost.nano_usd": entry.get("cost", 0),
        "tollkeeper.key.alias": entry.get("key_alias"),
        "tollkeeper.key.hash": entry.get("key_hash"),
        "tollkeeper.team.id": entry.get("team_id"),
        "tollkeeper.organization.id": entry.get("organization_id"),
        "tollkeeper.customer.id": entry.get("customer_id"),
        "tollkeeper.deployment.id": entry.get("deployment_id"),
        "tollkeeper.fallbacks": entry.get("fallbacks") or None,
        "tollkeeper.tags": tags or None,
    }


def _shared(entry: Mapping[str, Any]) -> dict[str, Any]:
    provider = str(entry.get("provider") or "")
    return {
        "gen_ai.operation.name": _operation(entry),
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) or None,
        "gen_ai.request.model": entry.get("model"),
    }


def _operation(entry: Mapping[str, Any]) -> str:
    kind = str(entry.get("call_type") or "chat")
    return _OPERATIONS.get(kind, kind)


def _failed(entry: Mapping[str, Any]) -> dict[str, Any]:
    status = entry.get("status")
    return {} if status == "success" else {"error.type": str(entry.get("error_type") or status)}


def _parent(entry: Mapping[str, Any]) -> tuple[str, str]:
    """(trace id, parent span id) from the caller's traceparent, else a trace of its own. https://www.w3.org/TR/trace-context/"""
    parts = str(entry.get("traceparent") or "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
        return parts[1], parts[2]
    return blake2b(str(entry["sk"]).encode(), digest_size=16).hexdigest(), ""


@dataclass(slots=True)
class _Histogram:
    """One point for each set of attributes."""

    bounds: tuple[float, ...]
    points: dict[tuple[tuple[str, Any], ...], list[float]] = field(default_factory=dict)

    def note(self, value: float, attributes: Mapping[str, Any]) -> None:
        self.points.setdefault(tuple(attributes.items()), []).append(value)

    def metric(self, name: str, unit: str, started: float, now: float) -> Json:
        points = [self._point(values, started, now) | {"attributes": _attributes(dict(of))} for of, values in self.points.items()]
        return {"name": name, "unit": unit, "histogram": {"aggregationTemporality": _DELTA, "dataPoints": points}}

    def sums(self, name: str, unit: str, started: float, now: float) -> Json:
        times = {"startTimeUnixNano": _nanoseconds(started), "timeUnixNano": _nanoseconds(now)}
        points = [{"attributes": _attributes(dict(of)), "asInt": str(int(sum(values))), **times} for of, values in self.points.items()]
        return {"name": name, "unit": unit, "sum": {"aggregationTemporality": _DELTA, "isMonotonic": True, "dataPoints": points}}

    def _point(self, values: Sequence[float], started: float, now: float) -> Json:
        counts = [0] * (len(self.bounds) + 1)
        for value in values:
            counts[bisect_left(self.bounds, value)] += 1
        return {
            "startTimeUnixNano": _nanoseconds(started),
            "timeUnixNano": _nanoseconds(now),
            "count": str(len(values)),
            "sum": sum(values),
            "min": min(values),
            "max": max(values),
            "bucketCounts": [str(count) for count in counts],
            "explicitBounds": list(self.bounds),
        }


def _resource(service: str) -> Json:
    return {"attributes": _attributes({"service.name": service})}


def _attributes(values: Mapping[str, Any]) -> list[Json]:
    """OTLP's JSON writes 64-bit numbers as text."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": str(value)}


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * _SECOND))
