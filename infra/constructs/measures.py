"""CloudWatch metrics of the program and of its platform, ready for a graph or an alarm."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.metrics import ENVIRONMENT, NAMESPACE
from infra.settings import Environment

MINUTE = Duration.minutes(1)
FIVE_MINUTES = Duration.minutes(5)


def own(env: Environment, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """One of the program's metrics, over all models."""
    return cloudwatch.Metric(
        namespace=NAMESPACE, metric_name=name, dimensions_map={ENVIRONMENT: env.name}, statistic=statistic, period=FIVE_MINUTES
    )


def split(env: Environment, name: str, dimensions: Sequence[str], statistic: str = "Sum") -> cloudwatch.MathExpression:
    """One of them, a line for each value of the other dimensions."""
    schema = ",".join([NAMESPACE, *dimensions])
    search = f"SEARCH('{{{schema}}} MetricName=\"{name}\" {ENVIRONMENT}=\"{env.name}\"', '{statistic}', 300)"
    return cloudwatch.MathExpression(expression=search, label="", using_metrics={}, period=FIVE_MINUTES)
