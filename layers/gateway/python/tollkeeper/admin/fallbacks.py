"""/fallback: where calls of a model go when it fails, on top of gateway.yaml's (https://docs.litellm.ai/docs/proxy/fallback_management).

One that is set here stands in place of the file's for the same model and type, and every proxy heeds it within seconds.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.kinds import FALLBACK
from tollkeeper.admin.models import Row
from tollkeeper.admin.models_admin import stored_models
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import Name, PathName
from tollkeeper.auth.records_models import FallbackRecord
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(tags=["fallbacks"], route_class=StrictRoute)
Type = Literal["general", "context_window", "content_policy"]
Asked = Annotated[Type, Query()]


class NewFallback(Row):
    model: Name
    fallback_models: list[Name] = Field(min_length=1, max_length=20)
    fallback_type: Type = "general"


@router.post("/fallback", **a.answers(a.FallbackDone))
async def put(body: NewFallback, services: Services, actor: Acting) -> dict[str, Any]:
    """Makes it, or changes it. Every model has to be there."""
    await _check(services, body)
    record = FallbackRecord(
        fallback_id=f"{body.fallback_type}/{body.model}",
        model=body.model,
        fallback_type=body.fallback_type,
        fallback_models=tuple(body.fallback_models),
    )
    try:
        await services.revisions.create(record, actor)
        word = "created"
    except ConditionFailed:
        old = await _find(services, body.model, body.fallback_type) or record
        await services.revisions.change(old, {"fallback_models": record.fallback_models}, actor)
        word = "updated"
    return {**_row(record), "message": f"Fallback configuration {word} successfully"}


@router.get("/fallback/{model}", **a.answers(a.Fallback))
async def get(model: PathName, services: Services, _actor: Acting, fallback_type: Asked = "general") -> dict[str, Any]:
    if (record := await _find(services, model, fallback_type)) is not None:
        return _row(record)
    if chain := _file(services, fallback_type).get(model):
        return {"model": model, "fallback_models": list(chain), "fallback_type": fallback_type}
    raise _missing(model, fallback_type)


@router.delete("/fallback/{model}", **a.answers(a.FallbackGone))
async def delete(model: PathName, services: Services, actor: Acting, fallback_type: Asked = "general") -> dict[str, Any]:
    """After it, gateway.yaml's counts again, if it has one."""
    record = await _find(services, model, fallback_type)
    if record is None and model in _file(services, fallback_type):
        raise BadRequest("This fallback is gateway.yaml's; change it there.", param="model")
    if record is None:
        raise _missing(model, fallback_type)
    await services.revisions.delete(record, actor)
    return {"model": model, "fallback_type": fallback_type, "message": "Fallback configuration deleted successfully"}


async def _check(services: AdminServices, body: NewFallback) -> None:
    names = {row.group for row in services.models.deployments} | set(services.models.aliases)
    names |= {record.model_name for record in await stored_models(services)}
    if body.model not in names:
        raise NotFound(f"Model '{body.model}' not found in router. Available models: {', '.join(sorted(names)[:20])}", param="model")
    if body.model in body.fallback_models:
        raise BadRequest("A model cannot be its own fallback.", param="fallback_models")
    if unknown := [name for name in body.fallback_models if name not in names]:
        raise BadRequest(f"Invalid fallback models: {', '.join(unknown)}.", param="fallback_models")


async def _find(services: AdminServices, model: str, kind: str) -> FallbackRecord | None:
    return await services.revisions.read(FALLBACK.record, items.ROUTES_PK, items.fallback_sk(f"{kind}/{model}"))


def _file(services: AdminServices, kind: str) -> dict[str, tuple[str, ...]]:
    snapshot = services.models
    return {
        "general": snapshot.fallbacks,
        "context_window": snapshot.context_window_fallbacks,
        "content_policy": snapshot.content_policy_fallbacks,
    }[kind]


def _row(record: FallbackRecord) -> dict[str, Any]:
    return {"model": record.model, "fallback_models": list(record.fallback_models), "fallback_type": record.fallback_type}


def _missing(model: str, kind: str) -> NotFound:
    return NotFound(f"No {kind} fallbacks configured for model '{model}'", param="model")
