"""/tag/* and /access_group/*: names for calls that share a budget, and names for models that are given together
(https://docs.litellm.ai/docs/proxy/tag_budgets, https://docs.litellm.ai/docs/proxy/model_access_groups).
"""

from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.kinds import ACCESS_GROUP, TAG
from tollkeeper.admin.models_groups import AccessGroupFields, NewAccessGroup, OneTag, TagFields, TagNames
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, Services
from tollkeeper.admin.simple import Simple
from tollkeeper.admin.values import PathName
from tollkeeper.admin.views_groups import access_group_row, tag_row

router = APIRouter(route_class=StrictRoute)
_tags = Simple(TAG, "name", tag_row)
_groups = Simple(ACCESS_GROUP, "access_group", lambda group, _spend, _budget: access_group_row(group))


@router.post("/tag/new", tags=["tags"], **a.answers(a.TagWritten))
async def new_tag(body: TagFields, services: Services, actor: Acting) -> dict[str, Any]:
    tag = await _tags.create(services, actor, body.name, body, {})
    return {"message": f"Tag {tag.name} created successfully", "tag": await _tags.row(services, tag)}


@router.post("/tag/update", tags=["tags"], **a.answers(a.TagWritten))
async def update_tag(body: TagFields, services: Services, actor: Acting) -> dict[str, Any]:
    tag = await _tags.change(services, actor, body.name, body)
    return {"message": f"Tag {tag.name} updated successfully", "tag": await _tags.row(services, tag)}


@router.post("/tag/info", tags=["tags"], **a.answers(dict[str, a.TagRow]))
async def tag_info(body: TagNames, services: Services, actor: Acting) -> dict[str, Any]:
    found = [await _tags.existing(services, actor, name, "names") for name in dict.fromkeys(body.names)]
    return {tag.name: await _tags.row(services, tag) for tag in found}


@router.get("/tag/list", tags=["tags"], **a.answers(list[a.TagRow]))
async def list_tags(services: Services, _actor: Acting) -> list[dict[str, Any]]:
    return await _tags.rows(services, await _tags.listed(services))


@router.post("/tag/delete", tags=["tags"], **a.answers(a.Message))
async def delete_tag(body: OneTag, services: Services, actor: Acting) -> dict[str, Any]:
    await _tags.delete(services, actor, [body.name], "name")
    return {"message": f"Tag {body.name} deleted successfully"}


@router.post("/access_group/new", tags=["access groups"], **a.answers(a.AccessGroupRow))
async def new_group(body: NewAccessGroup, services: Services, actor: Acting) -> dict[str, Any]:
    return access_group_row(await _groups.create(services, actor, body.access_group, body, {}))


@router.get("/access_group/list", tags=["access groups"], **a.answers(a.AccessGroups))
async def list_groups(services: Services, _actor: Acting) -> dict[str, Any]:
    return {"access_groups": [access_group_row(group) for group in await _groups.listed(services)]}


@router.get("/access_group/{access_group}/info", tags=["access groups"], **a.answers(a.AccessGroupRow))
async def group_info(access_group: PathName, services: Services, actor: Acting) -> dict[str, Any]:
    return access_group_row(await _groups.existing(services, actor, access_group))


@router.put("/access_group/{access_group}/update", tags=["access groups"], **a.answers(a.AccessGroupRow))
async def update_group(access_group: PathName, body: AccessGroupFields, services: Services, actor: Acting) -> dict[str, Any]:
    return access_group_row(await _groups.change(services, actor, access_group, body))


@router.delete("/access_group/{access_group}/delete", tags=["access groups"], **a.answers(a.Message))
async def delete_group(access_group: PathName, services: Services, actor: Acting) -> dict[str, Any]:
    """Keys that list the group lose its models."""
    await _groups.delete(services, actor, [access_group], "access_group")
    return {"message": f"Access group {access_group} deleted successfully"}
