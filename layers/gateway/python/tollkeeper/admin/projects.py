"""/project/*: parts of a team with a budget of their own; keys join one with `project_id`."""

from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.crew import Crew
from tollkeeper.admin.kinds import PROJECT, TEAM
from tollkeeper.admin.listing import walk
from tollkeeper.admin.models_groups import DeleteProjects, NewProject, UpdateProject
from tollkeeper.admin.reach import existing, reached_team
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.simple import Simple
from tollkeeper.admin.values import QueryName
from tollkeeper.admin.views_groups import project_row
from tollkeeper.auth.records import KeyRecord
from tollkeeper.auth.records_groups import ProjectRecord
from tollkeeper.errors import BadRequest
from tollkeeper.store import items

router = APIRouter(prefix="/project", tags=["projects"], route_class=StrictRoute)
_projects = Simple(PROJECT, "project_id", lambda project, spend, _: project_row(project, spend))


@router.post("/new", **a.answers(a.ProjectRow))
async def new(body: NewProject, services: Services, actor: Acting) -> dict[str, Any]:
    await reached_team(services, actor, body.team_id)
    project_id = body.project_id or services.clock.new_id()
    return await _projects.row(services, await _projects.create(services, actor, project_id, body, {"team_id": body.team_id}))


@router.post("/update", **a.answers(a.ProjectRow))
async def update(body: UpdateProject, services: Services, actor: Acting) -> dict[str, Any]:
    base = await _reached(services, actor, body.project_id)
    if body.team_id not in (None, base.team_id):
        raise BadRequest("A project stays in its team, for its keys do; make another one there.", param="team_id")
    return await _projects.row(services, await _projects.change(services, actor, body.project_id, body))


@router.delete("/delete", **a.answers(list[a.ProjectRow]))
async def delete(body: DeleteProjects, services: Services, actor: Acting) -> list[dict[str, Any]]:
    """With their keys. Blocked first, so that a call cut off in between leaves none that works."""
    found = [await _reached(services, actor, project_id) for project_id in dict.fromkeys(body.project_ids)]
    for project in found:
        blocked = await services.revisions.change(project, {"blocked": True}, actor, action="blocked")
        await _delete_keys(services, actor, blocked)
        await services.revisions.delete(blocked, actor)
    return await _projects.rows(services, found)


@router.get("/info", **a.answers(a.ProjectRow))
async def info(services: Services, actor: Acting, project_id: QueryName) -> dict[str, Any]:
    return await _projects.row(services, await _reached(services, actor, project_id))


@router.get("/list", **a.answers(list[a.ProjectRow]))
async def list_projects(services: Services, actor: Acting, team_id: QueryName | None = None) -> list[dict[str, Any]]:
    """All, or a team's. Whoever does not see everything has to name the team."""
    if team_id is None:
        if not actor.everywhere:
            raise actor.refusal()
        return await _projects.rows(services, await _projects.listed(services))
    await reached_team(services, actor, team_id)
    walked = await walk(services.directory, ProjectRecord, f"{items.team_pk(team_id)}/projects", "gsi2")
    return await _projects.rows(services, walked.records)


async def _reached(services: AdminServices, actor: Actor, project_id: str) -> ProjectRecord:
    project = await existing(services, actor, PROJECT, project_id)
    await actor.reach(Target(team=await services.revisions.find(TEAM, project.team_id)))
    return project


async def _delete_keys(services: AdminServices, actor: Actor, project: ProjectRecord) -> None:
    partition = items.owned_keys(items.team_pk(project.team_id))
    walked = await walk(services.directory, KeyRecord, partition, "gsi2", keep=lambda key: key.project_id == project.project_id)
    for key in walked.records:
        await Crew(services, actor).delete_key(key)
