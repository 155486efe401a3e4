"""Who is calling: what every later step of the pipeline needs to know of a request's key, read once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import OrganizationRecord, ProjectRecord, TeamMembership

MASTER_USER = "default_user_id"
"""The user id LiteLLM books its master key under."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. Limits and budgets are on the records: `key`, and `team` and `user` where it has them.

    `key` already carries the limits of its `budget_id`. `aliases` (the name asked for → model) and `tags` include the team's.
    """

    key: KeyRecord
    team: TeamRecord | None = None
    user: UserRecord | None = None
    organization: OrganizationRecord | None = None
    project: ProjectRecord | None = None
    membership: TeamMembership | None = None
    """What the user may spend inside the team, the team's `team_member_*` included; None unless the user is a member of the key's team."""
    is_master: bool = False
    key_hash: str = ""
    key_name: str = ""
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    models: tuple[str, ...] = ()
    """As the key lists them; access.py combines them with the team's and the user's."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    text_counts_until: float = math.inf
    """Epoch second at which this text of a rotated key stops counting."""
    grants: tuple[str, ...] = ()
    """Roles a signed token carries, in place of the user's."""

    @property
    def role(self) -> str | None:
        if self.is_master:
            return "proxy_admin"
        if self.grants:
            return self.grants[0]
        return self.user.user_role if self.user else None


def principal_of(
    key: KeyRecord,
    team: TeamRecord | None = None,
    user: UserRecord | None = None,
    *,
    organization: OrganizationRecord | None = None,
    project: ProjectRecord | None = None,
    membership: TeamMembership | None = None,
    is_master: bool = False,
) -> Principal:
    return Principal(
        organization=organization,
        project=project,
        membership=membership,
        key=key,
        team=team,
        user=user,
        is_master=is_master,
        key_hash=key.key_hash,
        key_name=key.key_name,
        key_alias=key.key_alias,
        user_id=key.user_id,
        team_id=key.team_id,
        organization_id=key.organization_id or (team.organization_id if team else None),
        models=key.models,
        aliases={**team.model_aliases, **key.aliases} if team else key.aliases,
        tags=tuple(dict.fromkeys((*key.tags, *team.tags))) if team else key.tags,
        metadata=key.metadata,
    )
