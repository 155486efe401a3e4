"""Spans and metrics by the gen_ai conventions."""

from typing import Any

import pytest

from tollkeeper.sinks.otlp import metrics_request, traces_request

ENTRY: dict[str, Any] = {
    "pk": "day#2026-11-20#1",
    "sk": "01K0000000000000000000TEST",
    "started_at": "2026-11-20T10:00:00.000Z",
    "call_type": "acompletion",
    "model": "fast",
    "upstream_model": "gpt-4o-mini",
    "provider": "azure",
    "status": "success",
    "http_status": 200,
    "input_tokens": 30,
    "output_tokens": 5,
    "cost": 1234,
    "latency_ms": 700,
    "first_token_ms": 90,
    "stream": True,
    "team_id": "blue",
    "tags": ["a", "b"],
}


def _span(**fields: Any) -> dict[str, Any]:
    [resource] = traces_request([{**ENTRY, **fields}], "svc")["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "svc"}}]
    [span] = resource["scopeSpans"][0]["spans"]
    return {**span, "attributes": {each["key"]: each["value"] for each in span["attributes"]}}


def test_a_call_is_a_client_span() -> None:
    span = _span()
    assert (span["name"], span["kind"], span["status"]) == ("chat fast", 3, {})
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 700 * 10**6
    assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)
    said = span["attributes"]
    assert said["gen_ai.provider.name"] == {"stringValue": "azure.ai.openai"}
    assert said["gen_ai.request.model"] == {"stringValue": "fast"}
    assert said["gen_ai.response.model"] == {"stringValue": "gpt-4o-mini"}
    assert said["gen_ai.usage.input_tokens"] == {"intValue": "30"}
    assert said["tollkeeper.cost.nano_usd"] == {"intValue": "1234"}
    assert said["tollkeeper.tags"] == {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}
    assert "error.type" not in said


def test_it_is_the_same_span_when_it_is_sent_again() -> None:
    assert _span() == _span()


def test_a_failure_says_its_kind_and_nothing_of_what_was_asked() -> None:
    span = _span(status="failure", error_type="rate_limit_error", http_status=429)
    assert span["status"] == {"code": 2, "message": "rate_limit_error"}
    assert span["attributes"]["error.type"] == {"stringValue": "rate_limit_error"}


def test_a_callers_trace_goes_on() -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    span = _span(traceparent=f"00-{trace}-{parent}-01")
    assert (span["traceId"], span["parentSpanId"]) == (trace, parent)
    assert "parentSpanId" not in _span(traceparent="nonsense")


def _metrics(*entries: dict[str, Any]) -> dict[str, Any]:
    [resource] = metrics_request([{**ENTRY, **entry} for entry in entries], "svc", 1_800_000_000.0)["resourceMetrics"]
    return {metric["name"]: metric for metric in resource["scopeMetrics"][0]["metrics"]}


def test_tokens_and_durations_are_histograms_of_the_batch() -> None:
    metrics = _metrics({}, {"latency_ms": 1400}, {"status": "failure", "error_type": "timeout"})
    points = metrics["gen_ai.client.operation.duration"]["histogram"]["dataPoints"]
    assert [(point["count"], point["sum"]) for point in points] == [("2", pytest.approx(2.1)), ("1", 0.7)]
    for point in points:
        assert sum(map(int, point["bucketCounts"])) == int(point["count"])
        assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
    kinds = metrics["gen_ai.client.token.usage"]["histogram"]["dataPoints"]
    assert [(point["count"], point["sum"]) for point in kinds] == [("3", 90), ("3", 15)]


def test_money_is_a_sum_of_whole_nano_dollars() -> None:
    [point] = _metrics({}, {})["tollkeeper.cost"]["sum"]["dataPoints"]
    assert point["asInt"] == "2468"
