"""Secrets Manager: one JSON secret per provider group, filled in by the operator; the master key and the pepper, generated.

A group is one secret, so it is rotated and granted by itself. https://aws.amazon.com/secrets-manager/pricing/
"""

from typing import cast

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.nag import acknowledge
from infra.settings import Environment

_ROTATION = "AwsSolutions-SMG4"


class Secrets(Construct):
    """ARNs: `providers` by group; `own` has `master-key` and `pepper`, each a JSON secret with one field."""

    def __init__(self, scope: Construct, id: str, env: Environment, key: kms.IKey | None) -> None:
        super().__init__(scope, id)
        self._env, self._key = env, key
        self.providers = {group: self._provider(group, names) for group, names in env.provider_secrets.items()}
        self.own = {
            "master-key": self._generated("MasterKey", "The gateway's master key", "master_key"),
            "pepper": self._generated("Pepper", "HMAC key of the virtual keys: changing it makes every one of them unknown", "pepper"),
        }

    def _provider(self, group: str, names: tuple[str, ...]) -> str:
        secret = secretsmanager.Secret(
            self,
            f"Provider{group.capitalize()}",
            description=f"Provider credentials ({group}). JSON with the fields {', '.join(names)}",
            # Made empty, and never written again by a deployment: what an operator puts in stays.
            secret_object_value={},
            encryption_key=self._key,
            removal_policy=self._removal,
        )
        acknowledge(
            secret, {_ROTATION: "A provider's API key is made in the provider's console; the gateway reads a new one within 5 minutes."}
        )
        CfnOutput(Stack.of(self), f"Provider{group.capitalize()}Secret", value=_arn(secret))
        return _arn(secret)

    def _generated(self, id: str, description: str, field: str) -> str:
        secret = secretsmanager.Secret(
            self,
            id,
            description=f"{description} (tollkeeper {self._env.name})",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - an empty JSON object
                generate_string_key=field,
                exclude_punctuation=True,
                password_length=48,
            ),
            encryption_key=self._key,
            removal_policy=self._removal,
        )
        acknowledge(secret, {_ROTATION: "Rotating it by itself would lock out every caller; an operator does it, see infra/README.md."})
        CfnOutput(Stack.of(self), f"{id}Secret", value=_arn(secret))
        return _arn(secret)

    @property
    def _removal(self) -> RemovalPolicy:
        return RemovalPolicy.RETAIN if self._env.production else RemovalPolicy.DESTROY


def _arn(secret: secretsmanager.Secret) -> str:
    """By its attribute: `Ref`, which the library uses, is the ARN on AWS but the name in emulators."""
    return cast("secretsmanager.CfnSecret", secret.node.default_child).attr_id
