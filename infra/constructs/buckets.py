"""Buckets for what is too large for a table: encrypted, TLS only, private, and emptied by age.

`exports` has ledger exports and statements, kept for years. `files` has what callers upload and what their batches answer; a file that its
owner deletes is gone, so there are no versions of it.
"""

from collections.abc import Mapping

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.nag import acknowledge
from infra.settings import Environment

_COLD_AFTER_DAYS = 90


class Buckets(Construct):
    def __init__(self, scope: Construct, id: str, env: Environment, key: kms.IKey | None) -> None:
        super().__init__(scope, id)
        self._env, self._key = env, key
        self.by_name: Mapping[str, s3.Bucket] = {
            "exports": self._bucket("Exports", env.export_days, versioned=True),
            "files": self._bucket("Files", env.file_days, versioned=False),
        }

    def _bucket(self, id: str, days: int, *, versioned: bool) -> s3.Bucket:
        key, keep = self._key, self._env.production
        bucket = s3.Bucket(
            self,
            id,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=versioned,
            lifecycle_rules=[_rule(days, versioned=versioned)],
            removal_policy=RemovalPolicy.RETAIN if keep else RemovalPolicy.DESTROY,
        )
        reason = "Only this gateway's functions can reach it; who wants every object access on record turns on CloudTrail data events."
        acknowledge(bucket, {"AwsSolutions-S1": reason})
        return bucket


def _rule(days: int, *, versioned: bool) -> s3.LifecycleRule:
    cold = [s3.Transition(storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(_COLD_AFTER_DAYS))]
    return s3.LifecycleRule(
        transitions=cold if days > _COLD_AFTER_DAYS else None,
        expiration=Duration.days(days),
        noncurrent_version_expiration=Duration.days(30) if versioned else None,
        abort_incomplete_multipart_upload_after=Duration.days(1),
    )
