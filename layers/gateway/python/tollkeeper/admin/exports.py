"""/reports/exports: exports of the ledger to S3 (or, from an embedded store, to its folder). LiteLLM has none like them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import PathName
from tollkeeper.errors import BadRequest, Conflict, NotFound
from tollkeeper.reports.exports import Exports, shown
from tollkeeper.reports.ranges import moment_of

router = APIRouter(prefix="/reports/exports", tags=["reports"], route_class=StrictRoute)


class NewExport(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Literal["full", "incremental"] = "full"
    begin: str | None = Field(default=None, alias="from", max_length=64)
    end: str | None = Field(default=None, alias="to", max_length=64)


@router.post("", status_code=202, response_model=None, responses={202: {"model": dict[str, Any], "description": "Started"}})
async def start(body: NewExport, services: Services, actor: Acting) -> dict[str, Any]:
    """Starts an export. `from` and `to` (ISO 8601, whole seconds) say what an incremental one covers; a full one is the ledger at `to`."""
    begin, end = (None if text is None else moment_of(text, field) for text, field in ((body.begin, "from"), (body.end, "to")))
    return shown(await _exports(services).request(body.type, begin, end, actor.name))


@router.get("", **a.answers(dict[str, Any]))
async def listed(
    services: Services,
    _actor: Acting,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=2048)] = None,
) -> dict[str, Any]:
    """The newest first; `after` is the `next` of the page before."""
    try:
        found, further = await _exports(services).listed(limit, after)
    except ValueError:
        raise BadRequest("after is not the `next` of an answer of ours.", param="after") from None
    return {"object": "list", "data": [shown(export) for export in found], "next": further, "has_more": further is not None}


@router.get("/{export_id}", **a.answers(dict[str, Any]))
async def one(export_id: PathName, services: Services, _actor: Acting) -> dict[str, Any]:
    """How far it is, and where its files are."""
    if (export := await _exports(services).get(export_id)) is None:
        raise NotFound(f"No export with id={export_id}.", param="export_id")
    return shown(export)


def _exports(services: AdminServices) -> Exports:
    if services.exports is None:
        raise Conflict("This installation has nowhere to put exports: set TOLLKEEPER_EXPORTS_BUCKET.")
    return services.exports
