"""Permissions that follow from gateway.yaml, as values: actions on an ARN, before the deployment's account is known."""

from dataclasses import dataclass

PARTITION, ACCOUNT, REGION, FILES = "<partition>", "<account>", "<region>", "<files>"
"""Stand in an ARN for what only the deployment knows; FILES is the whole ARN of the gateway's own bucket of files."""
_THROUGH = "bedrock:InferenceProfileArn"
_PASSED_TO = "iam:PassedToService"


@dataclass(frozen=True, order=True)
class ArnGrant:
    """`through`: only where the call goes through this inference profile, which picks the region. `to`: only in handing a role to this
    service.
    """

    actions: tuple[str, ...]
    arn: str
    through: str = ""
    to: str = ""

    @property
    def condition(self) -> dict[str, tuple[str, str]]:
        """Operator → (key, value)"""
        found = {"ArnLike": (_THROUGH, self.through)} if self.through else {}
        return found | ({"StringEquals": (_PASSED_TO, self.to)} if self.to else {})
