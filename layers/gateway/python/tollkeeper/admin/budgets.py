"""/budget/*: limits with a name, which keys refer to by `budget_id` (https://docs.litellm.ai/docs/proxy/customers)."""

from typing import Any

from fastapi import APIRouter

from tollkeeper.admin.listing import walk
from tollkeeper.admin.models import BudgetFields, DeleteBudget, ReadBudgets, UpdateBudget
from tollkeeper.admin.revisions import Revisions
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import AdminServices, Author, Services
from tollkeeper.admin.views import budget_row
from tollkeeper.auth.records import BudgetRecord
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(prefix="/budget", tags=["budgets"], route_class=StrictRoute)


@router.post("/new")
async def new(body: BudgetFields, services: Services, author: Author) -> dict[str, Any]:
    given = {name: value for name, value in body.changes(BudgetRecord).items() if value is not None}
    budget = BudgetRecord(budget_id=body.budget_id or services.clock.new_id(), extra=body.unread(), **given)
    try:
        made = await Revisions(services.directory, services.clock).create(budget, author)
    except ConditionFailed:
        raise BadRequest(f"Budget id = {budget.budget_id} already exists.", param="budget_id") from None
    services.authenticator.forget()
    return budget_row(made)


@router.post("/update")
async def update(body: UpdateBudget, services: Services, author: Author) -> dict[str, Any]:
    base = await _read(services, body.budget_id)
    if base is None:
        raise _not_found(body.budget_id, "budget_id")
    fresh = await Revisions(services.directory, services.clock).change(base, body.changes(BudgetRecord), author, extra=body.unread())
    services.authenticator.forget()
    return budget_row(fresh)


@router.post("/info")
async def info(body: ReadBudgets, services: Services, _author: Author) -> list[dict[str, Any]]:
    """Those of the named budgets that exist."""
    found = [await _read(services, budget_id) for budget_id in body.budgets]
    return [budget_row(budget) for budget in found if budget]


@router.get("/list")
async def list_budgets(services: Services, _author: Author) -> list[dict[str, Any]]:
    walked = await walk(services.directory, BudgetRecord, items.listing("budgets"))
    return [budget_row(budget) for budget in walked.records]


@router.post("/delete")
async def delete(body: DeleteBudget, services: Services, _author: Author) -> dict[str, Any]:
    """Keys that refer to it are left with the limits of their own."""
    old = await services.directory.delete(items.budget_pk(body.id), items.BUDGET_SK)
    if old is None:
        raise _not_found(body.id, "id")
    services.authenticator.forget()
    return budget_row(BudgetRecord.from_item(old))


async def _read(services: AdminServices, budget_id: str) -> BudgetRecord | None:
    return await Revisions(services.directory, services.clock).read(BudgetRecord, items.budget_pk(budget_id), items.BUDGET_SK)


def _not_found(budget_id: str, param: str) -> NotFound:
    return NotFound(f"Budget {budget_id} not found.", param=param)
