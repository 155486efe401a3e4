"""The directory's records that hang on a key, read through a cache, each with the limits of its `budget_id` filled in."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tollkeeper.auth.lookups import Known, Lookups
from tollkeeper.auth.records import BudgetRecord, KeyRecord, Record, TeamRecord, UserRecord, under
from tollkeeper.auth.records_groups import CustomerRecord, OrganizationRecord, ProjectRecord, TagRecord, TeamMembership
from tollkeeper.clock import Clock
from tollkeeper.store import items
from tollkeeper.store.table import Table

R = TypeVar("R", bound=Record)
_FOR_EVER = float("inf")


class Shelves:
    """Each method takes an id, or None for none, and gives what is `Known`. Raises StoreUnavailable."""

    def __init__(self, directory: Table, clock: Clock, seconds: float, size: int = 1000) -> None:
        self._directory = directory
        self._settings = (clock, seconds, size)
        self._caches: dict[type[Record], Lookups[tuple[str, str], Record]] = {}

    async def budget(self, budget_id: str | None) -> Known[BudgetRecord]:
        return await self._get(BudgetRecord, budget_id, items.budget_pk, items.BUDGET_SK)

    async def key(self, key_hash: str | None) -> Known[KeyRecord]:
        """As it is stored, whoever holds it; whether a text opens it, auth/keys.py says."""
        return await self._get(KeyRecord, key_hash, items.key_pk, items.KEY_SK)

    async def team(self, team_id: str | None) -> Known[TeamRecord]:
        return await self._get(TeamRecord, team_id, items.team_pk, items.TEAM_SK)

    async def user(self, user_id: str | None) -> Known[UserRecord]:
        return await self._get(UserRecord, user_id, items.user_pk, items.USER_SK)

    async def project(self, project_id: str | None) -> Known[ProjectRecord]:
        return await self._get(ProjectRecord, project_id, items.project_pk, items.PROJECT_SK)

    async def organization(self, organization_id: str | None) -> Known[OrganizationRecord]:
        return await self._get(OrganizationRecord, organization_id, items.organization_pk, items.ORGANIZATION_SK)

    async def customer(self, customer_id: str) -> Known[CustomerRecord]:
        return await self._get(CustomerRecord, customer_id, items.customer_pk, items.CUSTOMER_SK)

    async def tag(self, name: str) -> Known[TagRecord]:
        return await self._get(TagRecord, name, items.tag_pk, items.TAG_SK)

    async def member(self, team: TeamRecord | None, user_id: str | None) -> Known[TeamMembership]:
        """None for who is no member of the team; otherwise also what the team grants every member."""
        if team is None or not user_id or team.member(user_id) is None:
            return Known(None, _FOR_EVER)
        known = await self._get(TeamMembership, user_id, lambda _: items.team_pk(team.team_id), items.member_sk(user_id))
        own = known.value or TeamMembership(team_id=team.team_id, user_id=user_id, allowed_models=team.default_team_member_models)
        return Known(own.within(team), known.until)

    def forget(self) -> None:
        for lookups in self._caches.values():
            lookups.forget()

    async def _get(self, kind: type[R], record_id: str | None, pk: Callable[[str], str], sk: str) -> Known[R]:
        if not record_id:
            return Known(None, _FOR_EVER)
        if kind not in self._caches:
            self._caches[kind] = Lookups(self._reader(kind), *self._settings)
        known = await self._caches[kind].get((pk(record_id), sk))
        assert known.value is None or isinstance(known.value, kind)
        return Known(known.value, known.until)

    def _reader(self, kind: type[Record]) -> Callable[[tuple[str, str], float], Awaitable[Known[Record]]]:
        async def read(place: tuple[str, str], until: float) -> Known[Record]:
            item = await self._directory.get(*place, consistent=True)
            record = kind.from_item(item) if item else None
            budget = await self.budget(getattr(record, "budget_id", None)) if kind is not BudgetRecord else None
            if record is None or budget is None or budget.value is None:
                return Known(record, until if budget is None else min(until, budget.until))
            return Known(under(record, budget.value), min(until, budget.until))

        return read
