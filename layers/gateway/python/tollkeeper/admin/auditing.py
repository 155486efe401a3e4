"""/audit: the log of management writes, newest first, and whether its chain holds (see audit.py)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.listing import LONGEST_WALK, pages
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import Moment, Name
from tollkeeper.clock import iso
from tollkeeper.errors import NotFound
from tollkeeper.store import items
from tollkeeper.store.table import Item

router = APIRouter(prefix="/audit", tags=["audit"], route_class=StrictRoute)


class ListAudit(BaseModel):
    """`table_name` is the kind of record (key, team, user …), which `object_id` needs."""

    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(10, ge=1, le=100)
    changed_by: Name | None = None
    action: Name | None = None
    table_name: Name | None = None
    object_id: Name | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    sort_order: Literal["desc"] = "desc"


class Verify(BaseModel):
    after: int = Field(0, ge=0, le=10**11)
    limit: int = Field(2000, ge=1, le=10_000)


@router.get("", **a.answers(a.AuditPage))
async def list_audit(services: Services, _actor: Acting, asked: Annotated[ListAudit, Query()]) -> dict[str, Any]:
    """Numbers have no gaps, so that any page of the whole log is read directly; a filter reads an index, or the newest entries."""
    if asked.model_dump(exclude={"page", "page_size", "sort_order"}, exclude_none=True):
        found = [entry for entry in await _candidates(services, asked) if _wanted(entry, asked)]
        total, shown = len(found), found[(asked.page - 1) * asked.page_size : asked.page * asked.page_size]
    else:
        total = await services.audit.newest()
        newest = total - (asked.page - 1) * asked.page_size
        numbers = range(newest, max(0, newest - asked.page_size), -1)
        shown = [entry for number in numbers if (entry := await services.audit.entry(number))]
    counts = {"total": total, "page": asked.page, "page_size": asked.page_size, "total_pages": pages(total, asked.page_size)}
    return {"audit_logs": [_row(entry) for entry in shown], **counts}


@router.get("/verify", **a.answers(a.AuditVerdict))
async def verify(services: Services, _actor: Acting, asked: Annotated[Verify, Query()]) -> dict[str, Any]:
    """Reads `limit` entries behind number `after` and checks that none was altered, removed or slipped in."""
    verdict = await services.audit.verify(asked.after, asked.limit)
    return {
        "ok": not verdict.problems,
        "checked": verdict.checked,
        "last": verdict.last,
        "seal": verdict.seal,
        "next": None if verdict.complete else verdict.last,
        "problems": [{"number": number, "problem": problem} for number, problem in verdict.problems[:1000]],
    }


@router.get("/{number}", **a.answers(a.AuditRow))
async def entry(number: Annotated[int, Field(ge=0, le=10**11)], services: Services, _actor: Acting) -> dict[str, Any]:
    found = await services.audit.entry(number)
    if found is None:
        raise NotFound(f"There is no audit entry {number}.", param="number")
    return _row(found)


async def _candidates(services: AdminServices, asked: ListAudit) -> list[Item]:
    table = services.audit.table
    partition, index, prefix = items.AUDIT_PK, None, "0"
    if asked.table_name and asked.object_id:
        partition, index = items.audited(asked.table_name, asked.object_id), "gsi1"
    elif asked.changed_by:
        partition, index = items.audited_by(asked.changed_by), "gsi2"
    found: list[Item] = []
    after = None
    while len(found) < LONGEST_WALK:
        page = await table.query(partition, index=index, prefix=prefix, after=after, limit=500, descending=True)
        found += page.items
        after = page.next
        if after is None:
            break
    return found


def _wanted(entry: Item, asked: ListAudit) -> bool:
    exact = {"by": asked.changed_by, "action": asked.action, "kind": asked.table_name, "object_id": asked.object_id}
    return (
        all(entry.get(name) == value for name, value in exact.items() if value is not None)
        and (asked.start_date is None or entry["at"] >= iso(asked.start_date))
        and (asked.end_date is None or entry["at"] <= iso(asked.end_date))
    )


def _row(entry: Item) -> dict[str, Any]:
    return {
        "id": str(entry["number"]),
        "number": entry["number"],
        "updated_at": entry["at"],
        "changed_by": entry["by"],
        "changed_by_api_key": entry["by_key"],
        "on_behalf_of": entry.get("changed_by"),
        "action": entry["action"],
        "table_name": entry["kind"],
        "object_id": entry["object_id"],
        "before_value": entry.get("before"),
        "updated_values": entry.get("after"),
        "request_id": entry["request_id"],
        "seal": entry["seal"],
    }
