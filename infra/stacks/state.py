"""What must survive every deployment of the code: tables, secrets, buckets, the key that encrypts them, and whom to alert."""

from aws_cdk import Aws, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.alerts import Alerts
from infra.constructs.buckets import Buckets
from infra.constructs.log_role import ApiLogRole
from infra.constructs.secrets import Secrets
from infra.constructs.tables import Tables
from infra.settings import Environment
from infra.stacks.names import bucket_export, placed, table_export


class StateStack(Stack):
    """`key` is None unless the environment has one of its own."""

    def __init__(self, scope: Construct, id: str, env: Environment) -> None:
        super().__init__(
            scope,
            id,
            env=placed(env),
            termination_protection=env.production,
            description=f"Tollkeeper {env.name}: tables, secrets, buckets",
        )
        self.key = _own_key(self, env) if env.own_key else None
        if env.api.account_log_role:
            ApiLogRole(self, "ApiLogs")
        self.tables = Tables(self, "Tables", env, self.key).by_name
        # By a name, as the buckets' below: the objects and the exports that grants speak of have stable ids.
        self.ledger_arn = self.export_value(self.tables["ledger"].table_arn, name=table_export(env, "ledger"))
        self.secrets = Secrets(self, "Secrets", env, self.key)
        self.buckets = Buckets(self, "Buckets", env, self.key).by_name
        # Exported by a name, so that cdk-nag's findings about its objects have stable ids.
        self.bucket_arns = {
            name: self.export_value(bucket.bucket_arn, name=bucket_export(env, name)) for name, bucket in self.buckets.items()
        }
        self.alerts = Alerts(self, "Alerts", env, self.key).topic


def _own_key(scope: Construct, env: Environment) -> kms.Key:
    key = kms.Key(
        scope,
        "Key",
        alias=f"alias/tollkeeper-{env.name}",
        description=f"Tollkeeper {env.name}: tables, secrets, buckets",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.RETAIN if env.production else RemovalPolicy.DESTROY,
    )
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    of_this_account = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:*"}}
    key.grant_encrypt_decrypt(iam.ServicePrincipal("logs.amazonaws.com", conditions=of_this_account))
    return key
