"""Teams and who is in them: the team's `members_with_roles` says who is a member, the user's `teams` mirrors it, and a membership item
holds what the member may spend there.

Order of writes on joining: the membership, the user's list, the team last, for the team decides. On leaving: the team first. A call that
was cut off can be repeated; until then at worst a user lists a team that does not list them, which gives them nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.kinds import ORGANIZATION, TEAM, TEAM_MEMBER, USER
from tollkeeper.admin.listing import members, walk
from tollkeeper.admin.models_people import TeamMember
from tollkeeper.admin.parts import AdminServices
from tollkeeper.admin.people import People
from tollkeeper.auth.records import KeyRecord, Member, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import ProjectRecord, TeamMembership
from tollkeeper.auth.roles import INTERNAL_USER
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed


class Crew:
    def __init__(self, services: AdminServices, actor: Actor) -> None:
        self._services, self._actor = services, actor
        self._revisions = services.revisions

    async def resolve(self, member: TeamMember, *, make: bool = True) -> UserRecord:
        """The member's user record; one who is not known yet gets one, as in LiteLLM. Raises NotFound if `make` is off."""
        people = People(self._services)
        user = await (people.find(member.user_id) if member.user_id else people.find_email(str(member.user_email)))
        if user is not None:
            return user
        if not make:
            raise NotFound("User not found.", param="user_id" if member.user_id else "user_email")
        user_id = member.user_id or self._services.clock.new_id()
        return await people.create(UserRecord(user_id=user_id, user_email=member.user_email, user_role=INTERNAL_USER), self._actor)

    async def join(self, team: TeamRecord, users: Sequence[tuple[UserRecord, str]], limits: Mapping[str, Any]) -> TeamRecord:
        """`users` with their roles. Who is a member already gets the new role and limits."""
        for user, _ in users:
            if limits:
                await self.set_limits(team, user.user_id, limits)
            if team.team_id not in user.teams:
                await self._revisions.rework(user, lambda old: {"teams": (*_without(old.teams, team.team_id), team.team_id)}, self._actor)

        def added(old: TeamRecord) -> dict[str, Any]:
            new = {user.user_id: Member(user_id=user.user_id, user_email=user.user_email, role=role) for user, role in users}
            kept = [member for member in old.members_with_roles if member.user_id not in new and not _same_email(member, new.values())]
            return {"members_with_roles": (*kept, *new.values())}

        return await self._revisions.rework(team, added, self._actor, action="members_added")

    async def leave(self, team: TeamRecord, user_id: str | None, user_email: str | None) -> TeamRecord:
        """Raises NotFound for who is no member. Their keys in the team end with it."""
        gone = next((m for m in team.members_with_roles if _is(m, user_id, user_email)), None)
        if gone is None:
            raise NotFound(f"User is not a member of team {team.team_id}.", param="user_id" if user_id else "user_email")

        def rest(old: TeamRecord) -> dict[str, Any]:
            return {"members_with_roles": tuple(m for m in old.members_with_roles if not _is(m, user_id, user_email))}

        fresh = await self._revisions.rework(team, rest, self._actor, action="member_deleted")
        if gone.user_id:
            await self._clear(team.team_id, gone.user_id)
        return fresh

    async def set_role(self, team: TeamRecord, user_id: str, role: str) -> TeamRecord:
        def changed(old: TeamRecord) -> dict[str, Any]:
            return {"members_with_roles": tuple(replace(m, role=role) if m.user_id == user_id else m for m in old.members_with_roles)}

        return await self._revisions.rework(team, changed, self._actor, action="member_updated")

    async def set_limits(self, team: TeamRecord, user_id: str, limits: Mapping[str, Any]) -> TeamMembership:
        """None clears. A membership without limits of its own takes the team's."""
        if (old := await self._revisions.member(TEAM_MEMBER, team.team_id, user_id)) is not None:
            return await self._revisions.change(old, limits, self._actor)
        given = {name: value for name, value in limits.items() if value is not None}
        fresh = TeamMembership(team_id=team.team_id, user_id=user_id, **given)
        try:
            return await self._revisions.create(fresh, self._actor)
        except ConditionFailed:
            return await self.set_limits(team, user_id, limits)

    async def delete_team(self, team: TeamRecord) -> None:
        """Blocked first: should the rest be cut off, its keys have stopped already and the call can be repeated."""
        team = await self._revisions.change(team, {"blocked": True}, self._actor, action="blocked")
        await self.delete_keys(items.owned_keys(items.team_pk(team.team_id)), "gsi2")
        projects = await walk(self._services.directory, ProjectRecord, f"{items.team_pk(team.team_id)}/projects", "gsi2")
        for project in projects.records:
            await self._revisions.delete(project, self._actor)
        for membership in await members(self._services.directory, TeamMembership, items.team_pk(team.team_id)):
            await self._revisions.delete(membership, self._actor)
        for user_id in {member.user_id for member in team.members_with_roles if member.user_id}:
            await self._unlist(team.team_id, user_id)
        await self._revisions.delete(team, self._actor)

    async def delete_user(self, user: UserRecord) -> None:
        """Their keys first, so that a call cut off in between leaves none that works."""
        await self.delete_keys(items.owned_keys(items.user_pk(user.user_id)), "gsi3")
        for team_id in user.teams:
            team = await self._revisions.find(TEAM, team_id)
            if team is not None and team.member(user.user_id):
                await self.leave(team, user.user_id, None)
        await People(self._services).delete(user, self._actor)
        # Once more for keys that were being made meanwhile: a key may outlive the record of its user.
        await self.delete_keys(items.owned_keys(items.user_pk(user.user_id)), "gsi3")

    async def delete_keys(self, partition: str, index: str) -> None:
        """Every key of an owner; one of another owner that an index still shows here is left alone."""
        keyring, complete = Keyring(self._services), False
        while not complete:
            walked = await walk(self._services.directory, KeyRecord, partition, index)
            for shown in walked.records:
                key = await keyring.find(shown.key_hash)
                if key is not None and key.address().get(f"{index}pk") == partition:
                    await keyring.delete(key, self._actor)
            complete = walked.complete

    async def delete_key(self, key: KeyRecord) -> None:
        await Keyring(self._services).delete(key, self._actor)

    async def _clear(self, team_id: str, user_id: str) -> None:
        if (membership := await self._revisions.member(TEAM_MEMBER, team_id, user_id)) is not None:
            await self._revisions.delete(membership, self._actor)
        keyring = Keyring(self._services)
        own = await walk(self._services.directory, KeyRecord, items.owned_keys(items.user_pk(user_id)), "gsi3")
        for key in own.records:
            if key.team_id == team_id:
                await keyring.delete(key, self._actor)
        await self._unlist(team_id, user_id)

    async def _unlist(self, team_id: str, user_id: str) -> None:
        user = await self._revisions.find(USER, user_id)
        if user is not None and team_id in user.teams:
            await self._revisions.rework(user, lambda old: {"teams": _without(old.teams, team_id)}, self._actor)


async def check_organization(services: AdminServices, organization_id: str | None) -> None:
    """Raises BadRequest for one that does not exist."""
    if organization_id and await services.revisions.find(ORGANIZATION, organization_id) is None:
        message = f"Organization not found, passed organization_id={organization_id}. Create it via `/organization/new`."
        raise BadRequest(message, param="organization_id")


def _without(names: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(each for each in names if each != name)


def _is(member: Member, user_id: str | None, user_email: str | None) -> bool:
    return member.user_id == user_id if user_id else member.user_email == user_email and user_email is not None


def _same_email(member: Member, others: Any) -> bool:
    """A member who was written down by address only is replaced by the user with that address."""
    return member.user_id is None and any(member.user_email == other.user_email for other in others)
