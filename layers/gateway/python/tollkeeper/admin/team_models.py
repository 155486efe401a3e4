"""Models of one team (`model_info.team_id`): the team calls it by the name that was given, others neither see nor reach it.

As in LiteLLM the deployment gets a name of its own, and the team an alias for it (`model_info.team_public_model_name`).
"""

from typing import Any

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.kinds import TEAM
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.access import TEAM_MODEL
from tollkeeper.auth.records import TeamRecord
from tollkeeper.auth.records_models import ModelRecord
from tollkeeper.errors import BadRequest


async def belonging(services: AdminServices, model_id: str, name: str, info: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the model_info it is kept under. Raises BadRequest for a team that does not exist."""
    team_id = info.get("team_id")
    groups = [group for group in info.get("access_groups") or () if not str(group).startswith(TEAM_MODEL)]
    if team_id is None:
        plain = {each: value for each, value in info.items() if each != "team_public_model_name"}
        return name, {**plain, "access_groups": groups} if "access_groups" in info else plain
    if not isinstance(team_id, str) or await services.revisions.find(TEAM, team_id) is None:
        raise BadRequest(f"Unable to find Team: {team_id}. Create it via `/team/new`.", param="model_info.team_id")
    owned = {**info, "team_public_model_name": name, "access_groups": [*groups, f"{TEAM_MODEL}{team_id}"]}
    return f"model_name_{team_id}_{model_id}", owned


async def lend(services: AdminServices, record: ModelRecord, actor: Actor) -> None:
    """The team may call it from now on, by the public name."""
    public = str(record.model_info.get("team_public_model_name") or "")

    def with_it(team: TeamRecord) -> dict[str, Any]:
        models = (*team.models, public) if team.models and public not in team.models else team.models
        return {"model_aliases": {**team.model_aliases, public: record.model_name}, "models": models}

    if (team := await _team(services, record)) is not None:
        await services.revisions.rework(team, with_it, actor)


async def take_back(services: AdminServices, record: ModelRecord, actor: Actor) -> None:
    def without_it(team: TeamRecord) -> dict[str, Any]:
        return {"model_aliases": {name: target for name, target in team.model_aliases.items() if target != record.model_name}}

    if (team := await _team(services, record)) is not None:
        await services.revisions.rework(team, without_it, actor)


async def _team(services: AdminServices, record: ModelRecord) -> TeamRecord | None:
    team_id = record.model_info.get("team_id")
    return await services.revisions.find(TEAM, team_id) if isinstance(team_id, str) else None
