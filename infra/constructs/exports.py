"""The bucket that ledger exports and statements go to: encrypted, TLS only, private, and emptied by age."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.nag import acknowledge
from infra.settings import Environment

_COLD_AFTER_DAYS = 90


class Exports(Construct):
    def __init__(self, scope: Construct, id: str, env: Environment, key: kms.IKey | None) -> None:
        super().__init__(scope, id)
        cold = [s3.Transition(storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(_COLD_AFTER_DAYS))]
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    transitions=cold if env.export_days > _COLD_AFTER_DAYS else None,
                    expiration=Duration.days(env.export_days),
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=RemovalPolicy.RETAIN if env.production else RemovalPolicy.DESTROY,
        )
        reason = "Only two functions can reach it; who wants every object access on record turns on CloudTrail data events."
        acknowledge(self.bucket, {"AwsSolutions-S1": reason})
