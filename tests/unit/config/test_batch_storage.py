"""Buckets for batches, in LiteLLM's notation, and what is kept of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import BatchStorage, Secret, Snapshot, dump, load

ROLE = "arn:aws:iam::123456789012:role/batches"
BEDROCK = {"model": "bedrock/amazon.nova-pro-v1:0", "aws_region_name": "us-east-1"}
VERTEX = {"model": "vertex_ai/gemini-3.5-flash", "vertex_project": "p", "vertex_location": "us-central1"}


def compiled(params: Mapping[str, Any], env: Mapping[str, str] | None = None, **info: Any) -> Snapshot:
    rows = [{"model_name": "m", "litellm_params": dict(params), "model_info": info}]
    return compile_config(json.dumps({"model_list": rows}), env=(env or {}).get)


def storage(params: Mapping[str, Any], env: Mapping[str, str] | None = None, **info: Any) -> BatchStorage | None:
    return compiled(params, env, **info).deployments[0].batch_storage


def test_bedrocks_bucket_with_everything() -> None:
    given = {
        "s3_bucket_name": "ours/some/folder/",
        "s3_output_bucket_name": "results",
        "s3_region_name": "eu-west-1",
        "s3_endpoint_url": "http://127.0.0.1:9000/",
        "s3_encryption_key_id": "arn:aws:kms:eu-west-1:1:key/k",
        "s3_access_key_id": "os.environ/K",
        "s3_secret_access_key": "os.environ/S",
        "aws_batch_role_arn": ROLE,
    }
    snapshot = compiled({**BEDROCK, **given})
    expected = BatchStorage(
        "ours",
        "some/folder",
        output_bucket="results",
        region="eu-west-1",
        endpoint="http://127.0.0.1:9000",
        role=ROLE,
        encryption_key="arn:aws:kms:eu-west-1:1:key/k",
        keys={"access_key": Secret("env", "K"), "secret_key": Secret("env", "S")},
    )
    assert snapshot.deployments[0].batch_storage == expected
    assert load(dump(snapshot)).deployments[0].batch_storage == expected
    assert not snapshot.unsupported
    assert not snapshot.deployments[0].body, "no parameter of the bucket may go to the model"


def test_without_a_role_bedrock_runs_nothing_and_the_file_is_told() -> None:
    snapshot = compiled({**BEDROCK, "s3_bucket_name": "ours"})
    assert snapshot.deployments[0].batch_storage is None
    assert any("aws_batch_role_arn" in warning for warning in snapshot.warnings)


@pytest.mark.parametrize("name", ["gcs_bucket_name", "bucket_name"])
def test_vertex_bucket(name: str) -> None:
    assert storage({**VERTEX, name: "gs://ours/f"}) == BatchStorage("ours", "f")


def test_of_two_names_the_newer_wins() -> None:
    assert storage({**VERTEX, "gcs_bucket_name": "new", "bucket_name": "old"}) == BatchStorage("new")


def test_a_bucket_in_the_environment_is_for_deployments_of_batches_only() -> None:
    env = {"GCS_BUCKET_NAME": "logs", "GCS_BATCH_BUCKET_NAME": "batches", "STORAGE_EMULATOR_HOST": "127.0.0.1:9"}
    assert storage(VERTEX, env) is None
    assert storage(VERTEX, env, mode="batch") == BatchStorage("batches", endpoint="http://127.0.0.1:9")
    assert storage(VERTEX, {"GCS_BUCKET_NAME": "logs"}, mode="batch") == BatchStorage("logs")


def test_a_bucket_where_nobody_needs_one_is_pointed_out() -> None:
    snapshot = compiled({"model": "openai/gpt-4o", "api_key": "os.environ/K", "s3_bucket_name": "ours"})
    assert snapshot.deployments[0].batch_storage is None
    assert any("does nothing for openai" in warning for warning in snapshot.warnings)


def test_a_secret_of_the_bucket_does_not_change_the_deployments_id() -> None:
    def identity(secret: str) -> str:
        keys = {"s3_access_key_id": "AKID", "s3_secret_access_key": secret}
        return compiled({**BEDROCK, "s3_bucket_name": "ours", "aws_batch_role_arn": ROLE, **keys}).deployments[0].id

    assert identity("one") == identity("two")
