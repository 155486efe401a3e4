"""What the worker of batches may do on AWS follows from the buckets and roles that gateway.yaml names, and nobody else may it."""

import json
from dataclasses import replace

from infra.arns import ACCOUNT, PARTITION
from infra.batches import batch_grants
from infra.environments import load
from tests.support.assembly import actions_of, as_list, text_of

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import dump

ROLE = "arn:aws:iam::123456789012:role/batches"
BEDROCK = f"arn:{PARTITION}:bedrock"
BUCKET = f"arn:{PARTITION}:s3:::ours"


def grants(env=None, **more):
    params = {"model": "bedrock/amazon.nova-pro-v1:0", "aws_region_name": "us-east-1", "s3_bucket_name": "ours", **more}
    params = {name: value for name, value in params.items() if value}
    text = f"model_list: [{{model_name: m, litellm_params: {json.dumps(params)}}}]"
    return batch_grants(env or load("dev"), dump(compile_config(text, env=lambda _: None)))


def permitted(found):
    return {(action, grant.arn) for grant in found for action in grant.actions}


def test_without_a_bucket_or_a_role_nothing_is_permitted():
    assert grants() == []
    assert grants(s3_bucket_name="", aws_batch_role_arn=ROLE) == []


def test_jobs_of_that_model_with_that_role_and_objects_of_that_folder():
    found = grants(aws_batch_role_arn=ROLE, s3_output_bucket_name="theirs", s3_bucket_name="ours/llm")
    jobs = f"{BEDROCK}:us-east-1:{ACCOUNT}:model-invocation-job/*"
    assert permitted(found) == {
        ("bedrock:CreateModelInvocationJob", f"{BEDROCK}:us-east-1::foundation-model/amazon.nova-pro-v1:0"),
        *((f"bedrock:{verb}ModelInvocationJob", jobs) for verb in ("Create", "Get", "Stop")),
        ("bedrock:ListModelInvocationJobs", "*"),
        ("iam:PassRole", ROLE),
        ("s3:PutObject", f"{BUCKET}/llm/tollkeeper/*"),
        ("s3:GetObject", f"arn:{PARTITION}:s3:::theirs/llm/tollkeeper/*"),
    }
    assert [grant.condition for grant in found if "iam:PassRole" in grant.actions] == [
        {"StringEquals": ("iam:PassedToService", "bedrock.amazonaws.com")}
    ]


def test_keys_of_its_own_need_no_permission():
    keys = {"aws_access_key_id": "os.environ/K", "aws_secret_access_key": "os.environ/S"}
    assert grants(aws_batch_role_arn=ROLE, **keys) == []
    assert grants(aws_batch_role_arn=ROLE, aws_role_name="arn:aws:iam::210987654321:role/models") == []


def test_keys_of_the_bucket_alone_leave_the_jobs_to_the_role():
    found = grants(aws_batch_role_arn=ROLE, s3_access_key_id="os.environ/K", s3_secret_access_key="os.environ/S")
    assert not [grant for grant in found if ":s3:" in grant.arn]
    assert ("iam:PassRole", ROLE) in permitted(found)


def test_a_bearer_token_leaves_the_bucket_to_the_role():
    env = replace(load("dev"), provider_secrets={"bedrock": ("AWS_BEARER_TOKEN_BEDROCK",)})
    assert {action for action, _ in permitted(grants(env, aws_batch_role_arn=ROLE))} == {"s3:PutObject", "s3:GetObject"}


def test_the_worker_of_batches_has_them_and_no_other_role(assemblies):
    found = {
        (role.partition("Role")[0], action)
        for role, statement in assemblies["full"].statements()
        for action in actions_of(statement)
        for resource in as_list(statement["Resource"])
        if "InvocationJob" in action or "iam:" in action or "our-batches" in text_of(resource)
    }
    names = ("CreateModelInvocationJob", "GetModelInvocationJob", "StopModelInvocationJob", "ListModelInvocationJobs")
    assert found == {
        ("Batches", action) for action in (*(f"bedrock:{name}" for name in names), "iam:PassRole", "s3:PutObject", "s3:GetObject")
    }
