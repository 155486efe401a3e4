"""Where alarms and budget alerts go. Subscribers confirm by mail."""

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings import Environment


class Alerts(Construct):
    def __init__(self, scope: Construct, id: str, env: Environment, key: kms.Key | None) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name=f"Tollkeeper {env.name}", master_key=key, enforce_ssl=True)
        # A topic with a policy of its own no longer has the default one, which let the account's alarms in.
        cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}})
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(actions=["sns:Publish"], principals=[cloudwatch], resources=[self.topic.topic_arn])
        )
        if key:
            key.grant(cloudwatch, "kms:Decrypt", "kms:GenerateDataKey*")
        for address in env.alarms.emails:
            self.topic.add_subscription(subscriptions.EmailSubscription(address))
