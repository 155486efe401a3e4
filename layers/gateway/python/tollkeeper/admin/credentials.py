"""/credentials: parameters that models share by `litellm_credential_name` (https://docs.litellm.ai/docs/proxy/ui_credentials).

What is secret among them goes to the secret manager and is never answered; the record says where it lies. Those of gateway.yaml's
credential_list are shown too, and changed there.
"""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from tollkeeper.admin import answers as a
from tollkeeper.admin.kinds import CREDENTIAL
from tollkeeper.admin.models import Row
from tollkeeper.admin.models_admin import existing_model, recompile, stored_models
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import Json, Name, PathName
from tollkeeper.admin.workshop import Secrets, is_reference
from tollkeeper.auth.records_models import CredentialRecord
from tollkeeper.config.litellm_keys import SECRET_KEYS
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items
from tollkeeper.store.table import ConditionFailed

router = APIRouter(tags=["credentials"], route_class=StrictRoute)
MASKED = "********"
_SOUNDS_SECRET = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
_PARTS = SECRET_KEYS | {
    "api_base", "base_url", "api_version", "organization", "custom_llm_provider", "aws_region_name", "aws_role_name", "aws_session_name",
    "aws_external_id", "vertex_project", "vertex_location", "azure_scope",
}  # fmt: skip
"""What `model_id` takes over from a model."""


class NewCredential(Row):
    """`model_id` in place of `credential_values`: those of a model that was added through this API."""

    credential_name: Name
    credential_info: Json = Field(default_factory=dict)
    credential_values: Json | None = None
    model_id: Name | None = None
    display_name: Name | None = None


class PatchCredential(Row):
    credential_name: Name | None = None
    credential_info: Json | None = None
    credential_values: Json | None = None
    display_name: Name | None = None


@router.post("/credentials", **a.answers(a.Done))
async def new(body: NewCredential, services: Services, actor: Acting) -> dict[str, Any]:
    values = body.credential_values
    if values is None and body.model_id is None:
        raise BadRequest("Give credential_values, or the model_id to take them from.", param="credential_values")
    if values is None:
        model = await existing_model(services, str(body.model_id))
        values = {name: value for name, value in model.litellm_params.items() if name in _PARTS}
    if body.credential_name in services.models.credentials:
        raise BadRequest(f"Credential {body.credential_name} is one of gateway.yaml's.", param="credential_name")
    if await _find(services, body.credential_name) is not None:
        raise _exists(body.credential_name)
    kept = await _kept(services, body.credential_name, values)
    record = CredentialRecord(
        credential_name=body.credential_name,
        credential_info=body.credential_info,
        credential_values=kept,
        display_name=body.display_name,
    )
    try:
        await services.revisions.create(record, actor)
    except ConditionFailed:
        raise _exists(body.credential_name) from None
    return {"success": True, "message": "Credential created successfully"}


@router.get("/credentials", **a.answers(a.Credentials))
async def list_all(services: Services, _actor: Acting) -> dict[str, Any]:
    page = await services.directory.query(items.ROUTES_PK, prefix=items.credential_sk(""), limit=1000)
    records = [_row(CredentialRecord.from_item(item)) for item in page.items]
    fixed = [_shown(name, values, {}) for name, values in services.models.credentials.items()]
    return {"success": True, "credentials": [*fixed, *records]}


@router.get("/credentials/by_name/{credential_name}", **a.answers(a.CredentialRow))
async def by_name(credential_name: PathName, services: Services, _actor: Acting) -> dict[str, Any]:
    if (fixed := services.models.credentials.get(credential_name)) is not None:
        return _shown(credential_name, fixed, {})
    return _row(await _existing(services, credential_name))


@router.get("/credentials/by_model/{model_id}", **a.answers(a.CredentialRow))
async def by_model(model_id: PathName, services: Services, _actor: Acting) -> dict[str, Any]:
    """What of a model's parameters a credential would hold."""
    model = await existing_model(services, model_id)
    values = {name: value for name, value in model.litellm_params.items() if name in _PARTS}
    return _shown(f"{model.model_name}-credential-{model_id}", values, {})


@router.patch("/credentials/{credential_name}", **a.answers(a.Done))
async def patch(credential_name: PathName, body: PatchCredential, services: Services, actor: Acting) -> dict[str, Any]:
    """A merge patch of both mappings; null takes a value out. Models with this credential use it within seconds."""
    record = await _existing(services, credential_name)
    values = _merged(record.credential_values, body.credential_values)
    changes: dict[str, Any] = {"credential_values": await _kept(services, credential_name, values)}
    if "display_name" in body.model_fields_set:
        changes["display_name"] = body.display_name
    if body.credential_info is not None:
        changes["credential_info"] = _merged(record.credential_info, body.credential_info)
    fresh = await services.revisions.change(record, changes, actor)
    await recompile(services, actor, credential_name)
    await _secrets(services, credential_name).drop(record.credential_values, fresh.credential_values)
    return {"success": True, "message": "Credential updated successfully"}


@router.delete("/credentials/{credential_name}", **a.answers(a.Done))
async def delete(credential_name: PathName, services: Services, actor: Acting) -> dict[str, Any]:
    """400 while a model uses it."""
    record = await _existing(services, credential_name)
    users = [model.model_id for model in await stored_models(services) if _uses(model.litellm_params, record)]
    if users:
        raise BadRequest(f"Credential {credential_name} is used by {', '.join(users[:5])}.", param="credential_name")
    await services.revisions.delete(record, actor)
    await _secrets(services, credential_name).drop(record.credential_values)
    return {"success": True, "message": "Credential deleted successfully"}


async def _kept(services: AdminServices, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    odd = [each for each, value in values.items() if each not in SECRET_KEYS and _SOUNDS_SECRET.search(each) and not is_reference(value)]
    if odd:
        raise BadRequest(f"{odd[0]} is no parameter that is kept secret here; give it as api_key.", param=f"credential_values.{odd[0]}")
    secrets = _secrets(services, name)
    secrets.on_trial(values)
    return await secrets.kept(values)


def _secrets(services: AdminServices, name: str) -> Secrets:
    return Secrets(services.secrets, "credentials", name, "credential_values")


async def _find(services: AdminServices, name: str) -> CredentialRecord | None:
    return await services.revisions.read(CREDENTIAL.record, items.ROUTES_PK, items.credential_sk(name))


async def _existing(services: AdminServices, name: str) -> CredentialRecord:
    if (record := await _find(services, name)) is not None:
        return record
    if name in services.models.credentials:
        raise BadRequest("This credential is gateway.yaml's; change it there.", param="credential_name")
    raise NotFound(f"Credential not found. Got credential name: {name}", param="credential_name")


def _uses(params: Mapping[str, Any], record: CredentialRecord) -> bool:
    """By name, or by a secret that was taken over."""
    shared = {value for value in record.credential_values.values() if is_reference(value) and value.startswith("secret:")}
    return params.get("litellm_credential_name") == record.credential_name or any(
        value in shared for value in params.values() if isinstance(value, str)
    )


def _exists(name: str) -> BadRequest:
    return BadRequest(f"Credential {name} already exists.", param="credential_name")


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in {**old, **(patch or {})}.items() if value is not None}


def _row(record: CredentialRecord) -> dict[str, Any]:
    return _shown(record.credential_name, record.credential_values, record.credential_info, record.display_name)


def _shown(name: str, values: Mapping[str, Any], info: Mapping[str, Any], display_name: str | None = None) -> dict[str, Any]:
    masked = {each: MASKED if each in SECRET_KEYS else value for each, value in values.items()}
    return {"credential_name": name, "credential_values": masked, "credential_info": dict(info), "display_name": display_name}
