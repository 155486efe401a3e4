"""Metrics as CloudWatch reads them from a log line."""

import json

import pytest

from tollkeeper.telemetry import emf


def test_a_call_is_one_line_with_its_metrics_and_dimension_sets():
    values = {"Requests": 1, "Latency": 812, "CostNanoUSD": 8550}
    text = emf.line(1_790_000_000.5, "prod", values, provider="openai", model="gpt-4o-mini", outcome="success", request_id="r-1")
    assert "\n" not in text
    line = json.loads(text)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_790_000_000_500
    assert directive["Namespace"] == "Tollkeeper"
    assert directive["Metrics"] == [
        {"Name": "Requests", "Unit": "Count"},
        {"Name": "Latency", "Unit": "Milliseconds"},
        {"Name": "CostNanoUSD", "Unit": "None"},
    ]
    assert directive["Dimensions"] == [["environment"], ["environment", "provider", "model"], ["environment", "outcome"]]
    assert {name: line[name] for name in values} == values
    for names in directive["Dimensions"]:
        assert all(isinstance(line[name], str) and line[name] for name in names)


def test_only_what_is_bounded_is_a_dimension():
    text = emf.line(0.0, "prod", {"Requests": 1}, provider="openai", model="m", outcome="success", request_id="r", key_alias="a")
    line = json.loads(text)
    assert line["request_id"] == "r"
    assert not {"request_id", "key_alias"} & {name for names in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for name in names}


def test_what_has_no_provider_is_counted_for_the_environment_alone():
    line = json.loads(emf.line(0.0, "prod", {"UnconfirmedHolds": 2}))
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["environment"]]


def test_an_unknown_metric_is_a_mistake():
    with pytest.raises(KeyError):
        emf.line(0.0, "prod", {"Request": 1})
