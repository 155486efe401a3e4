"""Dashboard and alarms, held against the metrics the program writes. Asserted on the templates that `cdk synth` writes."""

import re

import pytest
from tests.support.assembly import text_of

from infra import metrics
from tollkeeper.telemetry import emf

ALARM = "AWS::CloudWatch::Alarm"


def alarms(assembly):
    return {alarm.id: alarm.properties for alarm in assembly.all(ALARM, "observability")}


def metric_names(properties):
    return set(re.findall(r'"MetricName": "(\w+)"', text_of(properties)))


def test_the_names_are_those_the_program_writes():
    named = {value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)}
    assert named - {metrics.NAMESPACE, metrics.ENVIRONMENT} == set(emf.UNITS)
    assert emf.NAMESPACE == metrics.NAMESPACE
    assert {metrics.BY_MODEL, metrics.BY_OUTCOME} == set(emf.DIMENSIONS) - {(metrics.ENVIRONMENT,)}


@pytest.mark.parametrize("name", ["dev", "prod", "full"])
def test_every_alarm_tells_the_topic_and_stays_quiet_when_nobody_calls(assemblies, name):
    found = alarms(assemblies[name])
    assert found
    for properties in found.values():
        assert "Alerts" in text_of(properties["AlarmActions"])
        assert properties["TreatMissingData"] == "notBreaching"


def test_what_must_not_happen_is_alarmed(assemblies):
    found = metric_names(list(alarms(assemblies["full"]).values()))
    wanted = {"Errors", "Throttles", "Duration", "ConcurrentExecutions", "WriteThrottleEvents", "ApproximateNumberOfMessagesVisible"}
    assert wanted | {"UnconfirmedHolds", "BoundViolations", "UnHealthyHostCount"} <= found
    proxy = [alarm for name, alarm in alarms(assemblies["prod"]).items() if "ProxyConcurrency" in name]
    assert [alarm["Threshold"] for alarm in proxy] == [400]


def test_a_broken_promise_is_alarmed_at_the_first(assemblies):
    for name, alarm in alarms(assemblies["prod"]).items():
        if "UnconfirmedHolds" in name or "BoundViolations" in name:
            assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Namespace"]) == (0, 1, "Tollkeeper")
            assert alarm["Dimensions"] == [{"Name": "environment", "Value": "prod"}]


def test_the_dashboard_shows_traffic_waiting_money_and_trouble(assemblies):
    body = text_of(assemblies["prod"].one("AWS::CloudWatch::Dashboard").properties["DashboardBody"])
    for metric in emf.UNITS:
        assert metric in body


def test_the_topic_takes_tls_only_and_lets_alarms_in(assemblies):
    policy = assemblies["prod"].one("AWS::SNS::TopicPolicy").properties["PolicyDocument"]["Statement"]
    assert any(row["Effect"] == "Deny" and "aws:SecureTransport" in text_of(row["Condition"]) for row in policy)
    assert any(row["Effect"] == "Allow" and "cloudwatch.amazonaws.com" in text_of(row["Principal"]) for row in policy)
