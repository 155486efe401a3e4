"""/customer/* (and /end_user/*, LiteLLM's other name for it): the end users of applications (https://docs.litellm.ai/docs/proxy/customers)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.kinds import CUSTOMER
from tollkeeper.admin.models_groups import CustomerFields, Customers
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.simple import Simple
from tollkeeper.admin.views_groups import customer_row
from tollkeeper.auth.records_groups import CustomerRecord
from tollkeeper.store.table import ConditionFailed

router = APIRouter(prefix="/customer", tags=["customers"], route_class=StrictRoute)
_customers = Simple(CUSTOMER, "user_id", customer_row)


@router.post("/new", **a.answers(a.CustomerRow))
async def new(body: CustomerFields, services: Services, actor: Acting) -> dict[str, Any]:
    return await _customers.row(services, await _customers.create(services, actor, body.user_id, body, {}))


@router.post("/update", **a.answers(a.CustomerRow))
async def update(body: CustomerFields, services: Services, actor: Acting) -> dict[str, Any]:
    return await _customers.row(services, await _customers.change(services, actor, body.user_id, body))


@router.post("/delete", **a.answers(a.DeletedCustomers))
async def delete(body: Customers, services: Services, actor: Acting) -> dict[str, Any]:
    gone = await _customers.delete(services, actor, body.user_ids, "user_ids")
    return {"deleted_customers": len(gone), "message": f"Successfully deleted customers with ids: {[c.customer_id for c in gone]}"}


@router.post("/block", **a.answers(a.BlockedCustomers))
async def block(body: Customers, services: Services, actor: Acting) -> dict[str, Any]:
    """One who is not known yet is written down as blocked."""
    return {"blocked_users": [await _set_blocked(services, actor, customer_id, blocked=True) for customer_id in body.user_ids]}


@router.post("/unblock", **a.answers(a.BlockedCustomers))
async def unblock(body: Customers, services: Services, actor: Acting) -> dict[str, Any]:
    """Answers with those of them that are still blocked: none."""
    for customer_id in body.user_ids:
        await _set_blocked(services, actor, customer_id, blocked=False)
    return {"blocked_users": []}


@router.get("/info", **a.answers(a.CustomerRow))
async def info(services: Services, actor: Acting, end_user_id: Annotated[str, Query(min_length=1, max_length=256)]) -> dict[str, Any]:
    return await _customers.row(services, await _customers.existing(services, actor, end_user_id, "end_user_id"))


@router.get("/list", **a.answers(list[a.CustomerRow]))
async def list_customers(services: Services, _actor: Acting) -> list[dict[str, Any]]:
    return await _customers.rows(services, await _customers.listed(services))


async def _set_blocked(services: AdminServices, actor: Actor, customer_id: str, *, blocked: bool) -> dict[str, Any]:
    record = await services.revisions.find(CUSTOMER, customer_id)
    if record is None and blocked:
        try:
            fresh = CustomerRecord(customer_id=customer_id, blocked=True)
            return await _customers.row(services, await services.revisions.create(fresh, actor))
        except ConditionFailed:
            record = await services.revisions.find(CUSTOMER, customer_id)
    if record is None:
        record = await _customers.existing(services, actor, customer_id, "user_ids")
    action = "blocked" if blocked else "unblocked"
    return await _customers.row(services, await services.revisions.change(record, {"blocked": blocked}, actor, action=action))
