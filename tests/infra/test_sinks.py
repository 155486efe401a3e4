"""What may be written to outside follows from gateway.yaml's callbacks: each bucket, queue and stream it names, and no other."""

import pytest
from infra.arns import ACCOUNT, FILES, PARTITION, REGION
from infra.sinks import sink_grants
from tests.support.assembly import actions_of, as_list, text_of

from tollkeeper.bootstrap.sinks import _MAKERS
from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import dump

WRITES = {"sqs:SendMessage", "firehose:PutRecordBatch", "s3:PutObject"}
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/calls"


def arns(settings):
    text = f"model_list: [{{model_name: a, litellm_params: {{model: openai/a}}}}]\nlitellm_settings: {settings}\n"
    return [grant.arn for grant in sink_grants(dump(compile_config(text, env=lambda _: None)))]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{}", []),
        ("{callbacks: [otel, generic_api, stdout]}", []),
        ("{success_callback: [s3_v2], s3_callback_params: {s3_bucket_name: ours}}", [f"arn:{PARTITION}:s3:::ours/calls/*"]),
        ("{failure_callback: s3}", [f"{FILES}/calls/*"]),
        (
            f'{{callbacks: [sqs], aws_sqs_callback_params: {{sqs_queue_url: "{QUEUE}"}}}}',
            [f"arn:{PARTITION}:sqs:eu-west-1:123456789012:calls"],
        ),
        (
            "{callbacks: [firehose], firehose_callback_params: {delivery_stream_name: calls}}",
            [f"arn:{PARTITION}:firehose:{REGION}:{ACCOUNT}:deliverystream/calls"],
        ),
    ],
)
def test_a_callback_is_permitted_what_it_names(settings, expected):
    assert arns(settings) == expected


def test_alerts_may_go_where_they_are_to():
    text = """model_list: [{model_name: a, litellm_params: {model: openai/a}}]
general_settings: {alerting: [sns, email, slack]}
tollkeeper: {alerts: {sns_topic: "arn:aws:sns:eu-west-1:1:t", email: {sender: gateway@example.com, recipients: [f@example.com]}}}
"""
    found = sink_grants(dump(compile_config(text, env=lambda _: None)))
    assert [(grant.actions, grant.arn) for grant in found] == [
        (("ses:SendEmail",), f"arn:{PARTITION}:ses:{REGION}:{ACCOUNT}:identity/example.com"),
        (("ses:SendEmail",), f"arn:{PARTITION}:ses:{REGION}:{ACCOUNT}:identity/gateway@example.com"),
        (("sns:Publish",), "arn:aws:sns:eu-west-1:1:t"),
    ]


def test_every_sink_the_program_has_is_known_here():
    """A new one on AWS needs a permission."""
    assert set(_MAKERS) == {"stdout", "generic_api", "otel", "s3", "aws_sqs", "firehose"}


def test_the_rollup_and_the_janitor_have_them_and_no_other_role(assemblies):
    found = {
        (role.partition("Role")[0], action)
        for role, statement in assemblies["full"].statements()
        for action in actions_of(statement)
        for resource in as_list(statement["Resource"])
        if action in WRITES and "calls" in text_of(resource)
    }
    assert found == {
        (role, action) for role in ("Rollup", "Janitor") for action in ("sqs:SendMessage", "firehose:PutRecordBatch", "s3:PutObject")
    }
