"""/model/*: models on top of those of gateway.yaml (https://docs.litellm.ai/docs/proxy/model_management).

A model is validated and priced by the compiler that reads the file, when it is written; what it finds wrong is answered as 400. A
credential given here goes to the secret manager, and the record says where it lies.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.listing import contains, pages, walk
from tollkeeper.admin.models import Row
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.team_models import belonging, lend, take_back
from tollkeeper.admin.values import Json, Name, PathName, QueryName
from tollkeeper.admin.views import stamps
from tollkeeper.admin.views_models import group_rows, info_row
from tollkeeper.admin.workshop import Credentials, Secrets, compiled
from tollkeeper.auth.access import visible_models
from tollkeeper.auth.records_groups import AccessGroupRecord
from tollkeeper.auth.records_models import CredentialRecord, ModelRecord
from tollkeeper.config.snapshot import Deployment, deployment_of
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(tags=["models"], route_class=StrictRoute)
MOST_MODELS = 5_000


class NewModel(Row):
    model_name: Name
    litellm_params: Json
    model_info: Json = Field(default_factory=dict)
    blocked: bool = False


class PatchModel(Row):
    model_name: Name | None = None
    litellm_params: Json | None = None
    model_info: Json | None = None
    blocked: bool | None = None


class UpdateModel(PatchModel):
    """`id`, or `model_info.id`, says which."""

    id: Name | None = None


class OneModel(Row):
    id: Name


class ListModels(BaseModel):
    """`sortBy` without a value keeps the order of the file, then of making."""

    page: int = Field(1, ge=1, le=1_000_000)
    size: int = Field(50, ge=1, le=500)
    model: Name | None = None
    modelId: Name | None = None  # noqa: N815 - LiteLLM's spelling
    search: Name | None = None
    blocked: bool | None = None
    access_group: Name | None = None
    teamId: Name | None = None  # noqa: N815
    wildcard_only: bool = False
    sortBy: Literal["model_name", "created_at", "updated_at", "status"] | None = None  # noqa: N815
    sortOrder: Literal["asc", "desc"] = "asc"  # noqa: N815


@router.post("/model/new", **a.answers(a.ModelRow))
async def new(body: NewModel, services: Services, actor: Acting) -> dict[str, Any]:
    model_id = str(body.model_info.get("id") or services.clock.new_id())
    if any(deployment.id == model_id for deployment in services.models.deployments):
        raise BadRequest(f"Model id = {model_id} is one of gateway.yaml's.", param="model_info.id")
    name, model_info = await belonging(services, model_id, body.model_name, body.model_info)
    if await services.revisions.read(ModelRecord, items.MODELS_PK, model_id) is not None:
        raise _exists(model_id)
    record = await _made(services, ModelRecord(model_id=model_id), name, body.litellm_params, model_info)
    try:
        made = await services.revisions.create(replace(record, blocked=body.blocked), actor)
    except ConditionFailed:
        raise _exists(model_id) from None
    await lend(services, made, actor)
    return _row(made)


@router.post("/model/update", **a.answers(a.ModelRow))
async def update(body: UpdateModel, services: Services, actor: Acting) -> dict[str, Any]:
    model_id = body.id or str((body.model_info or {}).get("id") or "")
    if not model_id:
        raise BadRequest("Name the model, in model_info.id.", param="model_info.id")
    return await _change(model_id, body, services, actor)


@router.patch("/model/{model_id}/update", **a.answers(a.ModelRow))
async def patch(model_id: PathName, body: PatchModel, services: Services, actor: Acting) -> dict[str, Any]:
    return await _change(model_id, body, services, actor)


@router.post("/model/delete", **a.answers(a.Message))
async def delete(body: OneModel, services: Services, actor: Acting) -> dict[str, str]:
    record = await existing_model(services, body.id)
    await services.revisions.delete(record, actor)
    await _secrets(services, record.model_id).drop(record.litellm_params)
    await take_back(services, record, actor)
    return {"message": f"Model: {body.id} deleted successfully"}


@router.post("/model/block", **a.answers(a.ModelRow))
async def block(body: OneModel, services: Services, actor: Acting) -> dict[str, Any]:
    base = await existing_model(services, body.id)
    return _row(await services.revisions.change(base, {"blocked": True}, actor, action="blocked"))


@router.post("/model/unblock", **a.answers(a.ModelRow))
async def unblock(body: OneModel, services: Services, actor: Acting) -> dict[str, Any]:
    base = await existing_model(services, body.id)
    return _row(await services.revisions.change(base, {"blocked": False}, actor, action="unblocked"))


@router.get("/model/info", **a.answers(a.ModelInfos))
async def info(services: Services, actor: Acting, litellm_model_id: QueryName | None = None) -> dict[str, Any]:
    """The deployments behind every model that the caller may use."""
    visible = await _visible(services, actor)
    found = [info_row(deployment, record) for deployment, record in visible if litellm_model_id in (None, deployment.id)]
    if litellm_model_id is not None and not found:
        raise NotFound(f"Model id = {litellm_model_id} not found on litellm proxy", param="litellm_model_id")
    return {"data": found}


@router.get("/v1/model/info", **a.answers(a.ModelInfos))
async def info_v1(services: Services, actor: Acting, litellm_model_id: QueryName | None = None) -> dict[str, Any]:
    return await info(services, actor, litellm_model_id)


@router.get("/v2/model/info", **a.answers(a.ModelInfoPage))
async def info_page(services: Services, actor: Acting, asked: Annotated[ListModels, Query()]) -> dict[str, Any]:
    found = [
        info_row(deployment, record)
        for deployment, record in await _visible(services, actor)
        if (asked.model is None or deployment.group == asked.model)
        and (asked.modelId is None or deployment.id == asked.modelId)
        and (asked.search is None or contains(asked.search, deployment.group, deployment.model))
        and (asked.blocked is None or asked.blocked == bool(record and record.blocked))
        and (asked.access_group is None or asked.access_group in deployment.access_groups)
        and (asked.teamId is None or (record is not None and record.model_info.get("team_id") == asked.teamId))
        and ("*" in deployment.group or not asked.wildcard_only)
    ]
    if asked.sortBy is not None:
        found.sort(key=lambda row: str(_sorted_by(row, str(asked.sortBy))), reverse=asked.sortOrder == "desc")
    shown = found[(asked.page - 1) * asked.size : asked.page * asked.size]
    counts = {"total_count": len(found), "current_page": asked.page, "total_pages": pages(len(found), asked.size), "size": asked.size}
    return {"data": shown, **counts}


@router.get("/model_group/info", **a.answers(a.ModelGroups))
async def groups(services: Services, actor: Acting, model_group: QueryName | None = None) -> dict[str, Any]:
    rows = group_rows(deployment for deployment, record in await _visible(services, actor) if not (record and record.blocked))
    return {"data": [row for row in rows if model_group in (None, row["model_group"])]}


async def recompile(services: AdminServices, actor: Actor, credential_name: str) -> None:
    """Every model with this credential, which has changed."""
    for record in await stored_models(services):
        if record.litellm_params.get("litellm_credential_name") == credential_name:
            document = await _compiled(services, record.model_name, record.litellm_params, record.model_info)
            await services.revisions.change(record, {"compiled": document}, actor)


async def stored_models(services: AdminServices) -> list[ModelRecord]:
    found: list[ModelRecord] = []
    after = None
    while len(found) < MOST_MODELS:
        page = await services.directory.query(items.MODELS_PK, after=after, limit=200)
        found += [ModelRecord.from_item(item) for item in page.items]
        after = page.next
        if after is None:
            break
    return found


async def _made(services: AdminServices, base: ModelRecord, name: str, params: dict[str, Any], info_fields: dict[str, Any]) -> ModelRecord:
    """Compiled before a credential is kept, and again with the reference to it."""
    secrets, whole = _secrets(services, base.model_id), {**info_fields, "id": base.model_id}
    document = await _compiled(services, name, secrets.on_trial(params), whole)
    kept = await secrets.kept(params)
    if kept != params:
        document = await _compiled(services, name, kept, whole)
    return replace(base, model_name=name, litellm_params=kept, model_info=whole, compiled=document)


async def _compiled(services: AdminServices, name: str, params: Mapping[str, Any], info_fields: Mapping[str, Any]) -> str:
    shared = params.get("litellm_credential_name")
    credentials = await _credential(services, shared) if isinstance(shared, str) else {}
    return compiled(name, params, info_fields, services.models.request_timeout, credentials)


async def _credential(services: AdminServices, name: str) -> Credentials:
    record = await services.revisions.read(CredentialRecord, items.ROUTES_PK, items.credential_sk(name))
    values = record.credential_values if record else services.models.credentials.get(name)
    return {} if values is None else {name: values}


def _secrets(services: AdminServices, model_id: str) -> Secrets:
    return Secrets(services.secrets, "models", model_id, "litellm_params")


async def _change(model_id: str, body: PatchModel, services: AdminServices, actor: Actor) -> dict[str, Any]:
    """A merge patch of both mappings; null takes a parameter out."""
    base = await existing_model(services, model_id)
    params = _merged(base.litellm_params, body.litellm_params)
    whole = _merged(base.model_info, body.model_info)
    asked = body.model_name or str(base.model_info.get("team_public_model_name") or base.model_name)
    name, whole = await belonging(services, model_id, asked, whole)
    fresh = await _made(services, base, name, params, whole)
    names = ("model_name", "litellm_params", "model_info", "compiled")
    changes = {name: getattr(fresh, name) for name in names if getattr(fresh, name) != getattr(base, name)}
    if body.blocked is not None:
        changes["blocked"] = body.blocked
    changed = await services.revisions.change(base, changes, actor)
    await _secrets(services, model_id).drop(base.litellm_params, changed.litellm_params)
    if changed.model_info.get("team_id") != base.model_info.get("team_id") or changed.model_name != base.model_name or asked != name:
        await take_back(services, base, actor)
        await lend(services, changed, actor)
    return _row(changed)


def _exists(model_id: str) -> BadRequest:
    return BadRequest(f"Model id = {model_id} already exists.", param="model_info.id")


async def existing_model(services: AdminServices, model_id: str) -> ModelRecord:
    record = await services.revisions.read(ModelRecord, items.MODELS_PK, model_id)
    if record is not None:
        return record
    if any(deployment.id == model_id for deployment in services.models.deployments):
        raise BadRequest("This model is gateway.yaml's; change it there.", param="id")
    raise NotFound(f"Model id = {model_id} not found.", param="id")


async def _visible(services: AdminServices, actor: Actor) -> list[tuple[Deployment, ModelRecord | None]]:
    found: list[tuple[Deployment, ModelRecord | None]] = [(deployment, None) for deployment in services.models.deployments]
    found += [(deployment, record) for record in await stored_models(services) if (deployment := _readable(record)) is not None]
    groups = (await walk(services.directory, AccessGroupRecord, items.listing("accessgroups"))).records
    names = {
        deployment.group: (*deployment.access_groups, *(group.access_group for group in groups if deployment.group in group.model_names))
        for deployment, _ in found
    }
    allowed = set(names) if actor.is_admin else set(visible_models(actor.principal, names))
    return [(deployment, record) for deployment, record in found if deployment.group in allowed]


def _sorted_by(row: Mapping[str, Any], name: str) -> Any:
    """gateway.yaml's models have no dates: they come first."""
    return row["model_info"].get({"status": "db_model"}.get(name, name)) or "" if name != "model_name" else row["model_name"]


def _readable(record: ModelRecord) -> Deployment | None:
    """None for what another version wrote: one bad model does not hide the good ones."""
    try:
        return deployment_of(record.compiled)
    except ValueError:
        return None


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in {**old, **(patch or {})}.items() if value is not None}


def _row(record: ModelRecord) -> dict[str, Any]:
    return {
        "model_id": record.model_id,
        "model_name": record.model_name,
        "litellm_params": dict(record.litellm_params),
        "model_info": {**record.model_info, "db_model": True},
        "blocked": record.blocked,
        **stamps(record),
    }
