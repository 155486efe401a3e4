"""The three DynamoDB tables: on-demand with a maximum, restorable to any second of the last 35 days, encrypted.

Keys and indexes are those of tollkeeper/store/items.py; a test compares them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings import Environment, TableLimit

INDEXES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "directory": ("gsi1", "gsi2", "gsi3"),
    "counters": (),
    "ledger": ("gsi1", "gsi2", "gsi3"),
})  # fmt: skip
TTL = "ttl"


class Tables(Construct):
    def __init__(self, scope: Construct, id: str, env: Environment, key: kms.IKey | None) -> None:
        super().__init__(scope, id)
        self._env, self._key = env, key
        self.by_name: dict[str, dynamodb.Table] = {name: self._table(name) for name in INDEXES}

    def _table(self, name: str) -> dynamodb.Table:
        production, limit = self._env.production, self._env.tables.get(name, TableLimit())
        table = dynamodb.Table(
            self,
            name.capitalize(),
            partition_key=_text("pk"),
            sort_key=_text("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            max_read_request_units=limit.read,
            max_write_request_units=limit.write,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
            time_to_live_attribute=TTL,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if name == "ledger" else None,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self._key else dynamodb.TableEncryption.DEFAULT,
            encryption_key=self._key,
            deletion_protection=production,
            removal_policy=RemovalPolicy.RETAIN if production else RemovalPolicy.DESTROY,
        )
        for index in INDEXES[name]:
            table.add_global_secondary_index(
                index_name=index,
                partition_key=_text(f"{index}pk"),
                sort_key=_text(f"{index}sk"),
                max_read_request_units=limit.read,
                max_write_request_units=limit.write,
            )
        return table


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
