"""Records that are made, changed, listed and deleted and nothing else: projects, customers, tags, access groups. Their verbs, once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.kinds import BUDGET, Kind
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models import Body
from tollkeeper.admin.organizations import check_budget
from tollkeeper.admin.parts import AdminServices, Spend
from tollkeeper.admin.reach import existing
from tollkeeper.auth.records import BudgetRecord, Record
from tollkeeper.errors import BadRequest
from tollkeeper.store.table import ConditionFailed

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Simple(Generic[R]):
    """`id_param` is what LiteLLM calls the id in requests; `view` makes the row of a record, what it spent and the budget it refers to."""

    kind: Kind[R]
    id_param: str
    view: Callable[[R, Spend, BudgetRecord | None], dict[str, Any]]

    async def create(self, services: AdminServices, actor: Actor, record_id: str, body: Body, fixed: Mapping[str, Any]) -> R:
        """Raises BadRequest for an id that is taken."""
        given = {name: value for name, value in body.changes(self.kind.record).items() if value is not None}
        await check_budget(services, given.get("budget_id"))
        fields = {**given, **fixed, self.kind.id_field: record_id}
        try:
            return await services.revisions.create(self.kind.record(extra=body.unread(), **fields), actor)
        except ConditionFailed:
            word = self.kind.word.replace("_", " ").capitalize()
            raise BadRequest(f"{word} {record_id} already exists.", param=self.id_param) from None

    async def change(self, services: AdminServices, actor: Actor, record_id: str, body: Body) -> R:
        base = await self.existing(services, actor, record_id)
        changes = body.changes(self.kind.record)
        await check_budget(services, changes.get("budget_id"))
        return await services.revisions.change(base, changes, actor, extra=body.unread())

    async def delete(self, services: AdminServices, actor: Actor, record_ids: list[str], param: str) -> list[R]:
        """None is deleted unless all exist."""
        found = [await self.existing(services, actor, record_id, param) for record_id in dict.fromkeys(record_ids)]
        for record in found:
            await services.revisions.delete(record, actor)
        return found

    async def existing(self, services: AdminServices, actor: Actor, record_id: str, param: str | None = None) -> R:
        return await existing(services, actor, self.kind, record_id, param or self.id_param)

    async def listed(self, services: AdminServices, keep: Callable[[R], bool] | None = None) -> list[R]:
        return (await walk(services.directory, self.kind.record, self.kind.listing, keep=keep)).records

    async def row(self, services: AdminServices, record: R) -> dict[str, Any]:
        budget_id = getattr(record, "budget_id", None)
        spend = await services.spent(self.kind.word, self.kind.id_of(record), record.budget_duration)
        return self.view(record, spend, await services.revisions.find(BUDGET, budget_id) if budget_id else None)

    async def rows(self, services: AdminServices, records: list[R]) -> list[dict[str, Any]]:
        return [await self.row(services, record) for record in records]
