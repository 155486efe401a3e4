"""/budget/*: limits with a name, which keys, organizations, customers, tags and memberships refer to by `budget_id`
(https://docs.litellm.ai/docs/proxy/customers).
"""

from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.kinds import BUDGET
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models_groups import BudgetFields, DeleteBudget, ReadBudgets, UpdateBudget
from tollkeeper.admin.reach import existing
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, Services
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views import budget_row
from tollkeeper.auth.records import BudgetRecord
from tollkeeper.errors import BadRequest
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(prefix="/budget", tags=["budgets"], route_class=StrictRoute)
_SETTINGS = {
    "max_budget": "Dollars that may be spent in a period",
    "soft_budget": "Dollars at which a warning is given",
    "budget_duration": "How long a period is, such as 1d or 1mo",
    "max_parallel_requests": "Requests at the same time",
    "rpm_limit": "Requests a minute",
    "tpm_limit": "Tokens a minute",
    "tpd_limit": "Tokens a day",
    "model_max_budget": "Dollars a period, by model",
}


@router.post("/new", **a.answers(a.BudgetRow))
async def new(body: BudgetFields, services: Services, actor: Acting) -> dict[str, Any]:
    given = {name: value for name, value in body.changes(BudgetRecord).items() if value is not None}
    budget = BudgetRecord(budget_id=body.budget_id or services.clock.new_id(), extra=body.unread(), **given)
    try:
        return budget_row(await services.revisions.create(budget, actor))
    except ConditionFailed:
        raise BadRequest(f"Budget id = {budget.budget_id} already exists.", param="budget_id") from None


@router.post("/update", **a.answers(a.BudgetRow))
async def update(body: UpdateBudget, services: Services, actor: Acting) -> dict[str, Any]:
    base = await existing(services, actor, BUDGET, body.budget_id)
    return budget_row(await services.revisions.change(base, body.changes(BudgetRecord), actor, extra=body.unread()))


@router.post("/info", **a.answers(list[a.BudgetRow]))
async def info(body: ReadBudgets, services: Services, _actor: Acting) -> list[dict[str, Any]]:
    """Those of the named budgets that exist."""
    found = [await services.revisions.find(BUDGET, budget_id) for budget_id in body.budgets]
    return [budget_row(budget) for budget in found if budget]


@router.get("/settings", **a.answers(list[a.BudgetSetting]))
async def settings(services: Services, actor: Acting, budget_id: QueryName) -> list[dict[str, Any]]:
    """Each limit with its value and a word about it, for forms."""
    row = budget_row(await existing(services, actor, BUDGET, budget_id))
    types = {"budget_duration": "String", "model_max_budget": "Object", "max_budget": "Float", "soft_budget": "Float"}
    return [
        {
            "field_name": name,
            "field_type": types.get(name, "Integer"),
            "field_description": text,
            "field_value": row[name],
            "stored_in_db": row[name] not in (None, {}),
        }
        for name, text in _SETTINGS.items()
    ]


@router.get("/list", **a.answers(list[a.BudgetRow]))
async def list_budgets(services: Services, _actor: Acting) -> list[dict[str, Any]]:
    walked = await walk(services.directory, BudgetRecord, items.listing("budgets"))
    return [budget_row(budget) for budget in walked.records]


@router.post("/delete", **a.answers(a.BudgetRow))
async def delete(body: DeleteBudget, services: Services, actor: Acting) -> dict[str, Any]:
    """What refers to it is left with the limits of its own."""
    base = await existing(services, actor, BUDGET, body.id, "id")
    return budget_row(await services.revisions.delete(base, actor) or base)
