"""Days, as settings have them, → the CDK's enumeration."""

from aws_cdk import aws_logs as logs

from infra.settings import LOG_DAYS


def retention(days: int) -> logs.RetentionDays:
    return logs.RetentionDays[LOG_DAYS[days]]
