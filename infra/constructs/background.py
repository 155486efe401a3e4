"""What starts functions without a caller: the ledger's stream, with bounded retries and a dead-letter queue, and schedules."""

import json

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.function import GatewayFunction
from infra.constructs.nag import acknowledge
from infra.stacks.state import StateStack

# Only what is booked: a rollup the function writes into the same table must not start it again.
BOOKED = {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "day#"}]}}}}


# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
_WHEN = "<aws.scheduler.scheduled-time>"


class DeadLetters(Construct):
    """Where events go that could not be handled. An alarm watches it."""

    def __init__(self, scope: Construct, id: str, key: kms.IKey | None) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.queue, {"AwsSolutions-SQS3": "This is the dead-letter queue."})


def read_ledger_stream(function: GatewayFunction, state: StateStack, dead_letters: sqs.IQueue) -> None:
    """A record that cannot be handled is isolated by halving the batch, tried again a bounded number of times, then set aside."""
    function.live.add_event_source(
        sources.DynamoEventSource(
            state.tables["ledger"],
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            max_batching_window=Duration.seconds(5),
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
            retry_attempts=20,
            max_record_age=Duration.hours(6),
            on_failure=sources.SqsDlq(dead_letters),
            filters=[lambda_.FilterCriteria.filter(BOOKED)],
        )
    )
    if state.key:
        reason = "The library's grants on the environment's own key, which the stream and the queue are encrypted with."
        acknowledge(function.role, {f"AwsSolutions-IAM5[Action::kms:{action}*]": reason for action in ("GenerateDataKey", "ReEncrypt")})


def every(scope: Construct, minutes: int, function: GatewayFunction, dead_letters: sqs.IQueue) -> None:
    """Starts it with `{"schedule": <function>, "time": <ISO 8601>}`; a start that fails three times is set aside."""
    scheduler.Schedule(
        scope,
        f"{function.row.name.capitalize()}Schedule",
        schedule=scheduler.ScheduleExpression.rate(Duration.minutes(minutes)),
        target=targets.LambdaInvoke(
            function.live,
            input=scheduler.ScheduleTargetInput.from_text(json.dumps({"schedule": function.row.name, "time": _WHEN})),
            retry_attempts=2,
            max_event_age=Duration.minutes(15),
            dead_letter_queue=dead_letters,
        ),
        description=f"{function.row.description}, every {minutes} minutes",
    )
