"""Permissions that follow from gateway.yaml, as values: actions on an ARN, before the deployment's account is known."""

from dataclasses import dataclass

PARTITION, ACCOUNT, REGION, FILES = "<partition>", "<account>", "<region>", "<files>"
"""Stand in an ARN for what only the deployment knows; FILES is the whole ARN of the gateway's own bucket of files."""
_THROUGH = "bedrock:InferenceProfileArn"


@dataclass(frozen=True, order=True)
class ArnGrant:
    """`through`: only where the call goes through this inference profile, which picks the region."""

    actions: tuple[str, ...]
    arn: str
    through: str = ""

    @property
    def condition(self) -> dict[str, tuple[str, str]]:
        """Operator → (key, value)"""
        return {"ArnLike": (_THROUGH, self.through)} if self.through else {}
