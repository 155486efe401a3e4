"""Who makes a management call, and what they reach with it.

`auth/roles.py` says which roles may call a route; here it is decided which of them the caller holds toward one target. What the caller does
not reach is answered as 403 whether it exists or not.
"""

from dataclasses import dataclass

from tollkeeper.auth.access import MANAGEMENT, READING, may_use_route
from tollkeeper.auth.principal import Principal
from tollkeeper.auth.records import TeamRecord
from tollkeeper.auth.records_groups import OrganizationMembership
from tollkeeper.auth.roles import (
    ANYONE,
    DEFAULT_MEMBER_PERMISSIONS,
    INTERNAL_USER,
    INTERNAL_USER_VIEWER,
    ORG_ADMIN,
    PROXY_ADMIN,
    READS,
    ROUTES,
    TEAM_ADMIN,
    TEAM_MEMBER,
    VIEWER,
    Route,
)
from tollkeeper.errors import Forbidden
from tollkeeper.store import items
from tollkeeper.store.table import Table

_LISTS = ("/key/list", "/key/aliases")


@dataclass(frozen=True, slots=True)
class Target:
    """What a call is about: whose it is. `team` brings its organization with it."""

    user_id: str | None = None
    team: TeamRecord | None = None
    organization_id: str | None = None

    @property
    def organization(self) -> str | None:
        return self.organization_id or (self.team.organization_id if self.team else None)


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` is who `created_by` and `updated_by` will name, `user` who it really is: a user id, or the hash of a key without one."""

    principal: Principal
    route: Route
    name: str
    request_id: str
    directory: Table

    @property
    def user(self) -> str:
        return self.principal.user_id or self.principal.key_hash

    @property
    def user_id(self) -> str | None:
        return self.principal.user_id

    @property
    def is_admin(self) -> bool:
        return self.principal.is_master or self.principal.key.key_type == "management" or self.principal.role == PROXY_ADMIN

    @property
    def everywhere(self) -> bool:
        """Whether this route has no limits for the caller."""
        return self.is_admin or (self.principal.role == VIEWER and VIEWER in ROUTES[self.route])

    @property
    def knows_routes(self) -> bool:
        """Whether the caller's own role admits the route, whatever it is called for."""
        return self.everywhere or self.principal.role in ROUTES[self.route]

    def enter(self) -> None:
        """Raises Forbidden if no target whatever would let the caller use this route."""
        allowed = ROUTES[self.route]
        if ANYONE not in allowed:
            may_use_route(self.principal, self.route[1], READING if self.route in READS else MANAGEMENT)
        if self.everywhere or ANYONE in allowed:
            return
        if not allowed or self.user_id is None or allowed == {VIEWER}:
            raise self.refusal()

    async def reach(self, target: Target) -> str:
        """The greatest role the caller holds toward the target and the route admits. Raises Forbidden if there is none."""
        if self.everywhere:
            return PROXY_ADMIN
        allowed = ROUTES[self.route]
        if ORG_ADMIN in allowed and await self.leads(target.organization):
            return ORG_ADMIN
        for role in (self._in_team(target), self._own(target)):
            if role in allowed:
                return str(role)
        raise self.refusal()

    async def reaches(self, target: Target) -> bool:
        try:
            await self.reach(target)
        except Forbidden:
            return False
        return True

    async def leads(self, organization_id: str | None) -> bool:
        """Whether the caller is an admin of this organization."""
        if not organization_id or not self.user_id:
            return False
        pk, sk = items.organization_pk(organization_id), items.member_sk(self.user_id)
        item = await self.directory.get(pk, sk, consistent=True)
        return item is not None and OrganizationMembership.from_item(item).role == ORG_ADMIN

    def _in_team(self, target: Target) -> str | None:
        team = target.team
        member = team.member(self.user_id) if team and self.user_id else None
        if team is None or member is None:
            return None
        if member.role == "admin":
            return TEAM_ADMIN
        if not self.route[1].startswith(("/key/", "/v2/key/")):
            return TEAM_MEMBER if self.route in READS else None
        if self.route not in READS and target.user_id not in (None, self.user_id):
            return None
        permitted = team.team_member_permissions or DEFAULT_MEMBER_PERMISSIONS
        path = self.route[1].removeprefix("/v2")
        return TEAM_MEMBER if ("/key/info" if path in _LISTS else path) in permitted else None

    def _own(self, target: Target) -> str | None:
        role = self.principal.role
        if not self.user_id or target.user_id != self.user_id or role not in (INTERNAL_USER, INTERNAL_USER_VIEWER):
            return None
        return role if target.team is None or self.route in READS else None

    def refusal(self) -> Forbidden:
        return Forbidden(
            f"This key may not call this route for this target. Route={self.route[1]}. Your role={self.principal.role}", type="auth_error"
        )
