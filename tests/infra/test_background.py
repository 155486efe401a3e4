"""What runs without a caller: the ledger's stream and the schedules. Asserted on the templates that `cdk synth` writes."""

import json
from pathlib import Path

import pytest
from infra.functions import ALL
from tests.support.assembly import Assembly, actions_of, as_list, text_of

from tollkeeper.clock import iso
from tollkeeper.ledger.entry import Entry, to_item
from tollkeeper.store.items import AUDIT_PK, SUM_ALL_PK, lane_pk, rolled_pk

EVENTS = Path(__file__).parents[2] / "events"
SCHEDULE = "AWS::Scheduler::Schedule"


@pytest.fixture(params=["dev", "prod", "full", "rehearsal"])
def assembly(request, assemblies) -> Assembly:
    return assemblies[request.param]


@pytest.fixture
def stream(assembly):
    return assembly.one("AWS::Lambda::EventSourceMapping").properties


def test_the_ledgers_stream_starts_the_rollup_with_bounded_tries(assembly, stream):
    assert "RollupLive" in text_of(stream["FunctionName"])
    assert "Ledger" in text_of(stream["EventSourceArn"])
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    assert stream["BisectBatchOnFunctionError"] is True
    assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 < stream["MaximumRetryAttempts"] <= 100
    assert 0 < stream["MaximumRecordAgeInSeconds"] < 24 * 3600


def test_what_cannot_be_rolled_up_is_set_aside_and_alarmed(assembly, stream):
    queue = assembly.one("AWS::SQS::Queue", "DeadLetters")
    assert queue.id in text_of(stream["DestinationConfig"]["OnFailure"]["Destination"])
    assert queue.properties["MessageRetentionPeriod"] == 14 * 86400
    alarm = assembly.one("AWS::CloudWatch::Alarm", "DeadLetters").properties
    assert (alarm["Threshold"], alarm["MetricName"]) == (0, "ApproximateNumberOfMessagesVisible")


def test_only_what_is_booked_starts_it(stream):
    """Its own sums and lanes, the audit chain and removals by age do not."""
    ((pattern,),) = [
        [json.loads(row["Pattern"]) for row in stream["FilterCriteria"]["Filters"]],
    ]
    (prefix,) = [rule["prefix"] for rule in pattern["dynamodb"]["Keys"]["pk"]["S"]]
    entry = to_item(Entry("r", "c", 0.0, "chat", "m"))
    assert entry["pk"].startswith(prefix)
    assert not [pk for pk in (SUM_ALL_PK, AUDIT_PK, lane_pk(0), rolled_pk("req_1", 0)) if pk.startswith(prefix)]
    assert "REMOVE" not in pattern["eventName"]


@pytest.mark.parametrize(("function", "rate"), [("janitor", "rate(5 minutes)"), ("batches", "rate(1 minute)")])
def test_a_schedule_starts_it_with_the_event_the_tests_play(assembly, function, rate):
    schedule = assembly.one(SCHEDULE, f"{function}schedule").properties
    assert schedule["ScheduleExpression"] == rate
    target = schedule["Target"]
    assert f"{function.capitalize()}Live" in text_of(target["Arn"])
    assert "DeadLetters" in text_of(target["DeadLetterConfig"])
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    sent, played = json.loads(target["Input"]), json.loads((EVENTS / f"{function}_schedule.json").read_text())
    assert sent == {**played, "time": "<aws.scheduler.scheduled-time>"}
    assert len(played["time"]) == len(iso(0.0)) - len(".000")


def test_every_function_has_a_trigger(assembly):
    assert not [name for name, row in ALL.items() if row.exists and not (row.paths or row.every or row.reads_ledger_stream)]
    assert len(assembly.all(SCHEDULE)) == sum(bool(row.every) for row in ALL.values() if row.exists)


def test_the_worker_of_batches_may_what_the_proxy_may_and_hand_batches_over(assembly):
    def of(role: str) -> set[str]:
        return {
            f"{action} {text_of(resource)}"
            for name, statement in assembly.statements()
            if name.startswith(role)
            for action in actions_of(statement)
            for resource in as_list(statement["Resource"])
            if not action.startswith("logs:") and action not in {"kms:Sign", "kms:GetPublicKey"}
        }

    # A batch's lines carry no receipts.
    assert of("BatchesRole") >= of("ProxyRole")
    more = of("BatchesRole") - of("ProxyRole")
    assert all("InvocationJob" in grant or "iam:PassRole" in grant or "our-batches" in grant for grant in more), more
    assert any(action.startswith("s3:DeleteObject") and "files-bucket" in action for action in of("ProxyRole"))
    assert not any("exports-bucket" in action for action in of("ProxyRole"))


def test_the_rollup_knows_no_callers_and_no_keys(assembly):
    named = [text_of(statement["Resource"]) for role, statement in assembly.statements() if role.startswith("RollupRole")]
    assert any("TablesLedger" in resource for resource in named)
    assert not [resource for resource in named for secret in ("TablesDirectory", "Pepper", "MasterKey") if secret in resource]
