"""Callers who sign with AWS credentials: API Gateway's IAM authorizer has proven who they are, configuration says whom they are booked to.

The ARN travels as a header that no client can send: its name is not one that HTTP allows (RFC 9110, 5.1), and what reads API Gateway's
event drops any such name before it sets its own.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html (context.identity.userArn)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.auth.shelves import Shelves
from tollkeeper.errors import Unauthenticated

PRINCIPAL_HEADER = b":aws-principal"


@dataclass(frozen=True, slots=True)
class IamCaller:
    """`principal` is an ARN, `*` matches."""

    principal: str
    team_id: str | None = None
    user_id: str | None = None
    models: tuple[str, ...] = ()


def callers_of(rows: Sequence[Mapping[str, Any]]) -> tuple[IamCaller, ...]:
    """`tollkeeper.iam_callers`, checked by config/identity.py."""
    return tuple(
        IamCaller(identity_of(row["principal"]), row.get("team_id"), row.get("user_id"), tuple(row.get("models") or ())) for row in rows
    )


def identity_of(arn: str) -> str:
    """A session is its role; a role is named without its path, which a session's ARN does not have."""
    head, _, resource = arn.rpartition(":")
    kind, _, name = resource.partition("/")
    account = head.split(":")[4] if head.count(":") >= 4 else ""
    partition = arn.split(":")[1] if ":" in arn else "aws"
    if kind == "assumed-role":
        return f"arn:{partition}:iam::{account}:role/{name.partition('/')[0]}"
    if kind == "role":
        return f"arn:{partition}:iam::{account}:role/{name.rpartition('/')[2]}"
    return arn


class IamAuth:
    """The first row whose pattern fits the caller counts."""

    def __init__(self, callers: Sequence[IamCaller], shelves: Shelves) -> None:
        self._callers, self._shelves = callers, shelves

    async def principal(self, arn: str) -> Principal:
        """Raises Unauthenticated for somebody nobody has mapped, StoreUnavailable."""
        identity = identity_of(arn)
        caller = next((row for row in self._callers if fnmatchcase(identity, row.principal)), None)
        if caller is None:
            raise Unauthenticated(f"Authentication Error, {identity} is proven but mapped to nobody here; see tollkeeper.iam_callers.")
        team = (await self._shelves.team(caller.team_id)).value
        user = (await self._shelves.user(caller.user_id)).value
        organization = await self._shelves.organization(team.organization_id if team else None)
        membership = await self._shelves.member(team, caller.user_id)
        key = KeyRecord(
            key_hash=sha256(f"iam\n{identity}".encode()).hexdigest(),
            key_name=identity.rpartition("/")[2],
            key_alias=identity,
            user_id=caller.user_id,
            team_id=caller.team_id,
            models=caller.models,
        )
        return principal_of(key, team, user, organization=organization.value, membership=membership.value)
