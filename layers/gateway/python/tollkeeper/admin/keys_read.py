"""/key/info, /key/list and their like. Everybody may read their own key; more as auth/roles.py says."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor, Target
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.keys import not_found, row_of
from tollkeeper.admin.kinds import TEAM, USER
from tollkeeper.admin.listing import LONGEST_WALK, LOOK_AHEAD, Walk, contains, in_order, page_of, pages, walk
from tollkeeper.admin.models_keys import KeyFilters, ListKeys, ManyKeys
from tollkeeper.admin.reach import reach_key, reached_team
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.views import key_info, key_status, user_row
from tollkeeper.auth.keys import same_secret
from tollkeeper.auth.records import KeyRecord
from tollkeeper.store import items

router = APIRouter(tags=["keys"], route_class=StrictRoute)
Keep = Callable[[KeyRecord], bool]
_EXACT = ("organization_id", "project_id", "team_id", "user_id", "key_alias", "key_hash")
_ALL = (items.listing("keys"), "gsi1")


@router.get("/key/info", **a.answers(a.KeyInfo))
async def info(services: Services, actor: Acting, key: Annotated[str | None, Query(max_length=512)] = None) -> dict[str, Any]:
    """Without `key`, the caller's own."""
    record = await _readable(services, actor, key or actor.principal.key_hash)
    return {"key": key or record.key_hash, "info": await _details(services, record)}


@router.post("/v2/key/info", **a.answers(a.KeyInfos))
async def infos(body: ManyKeys, services: Services, actor: Acting) -> dict[str, Any]:
    records = [await _readable(services, actor, key) for key in body.keys]
    return {"key": body.keys, "info": [await _details(services, record) for record in records]}


@router.post("/key/health", **a.answers(a.KeyHealth))
async def health(actor: Acting) -> dict[str, Any]:
    """Of the caller's own key: that it was let in is the proof. Callbacks per key there are none."""
    callbacks: dict[str, Any] = {"callbacks": [], "status": "healthy", "details": "No logger callbacks configured for this key."}
    return {"key": "healthy", "logging_callbacks": callbacks}


@router.get("/key/list", **a.answers(a.KeyPage))
async def list_keys(services: Services, actor: Acting, asked: Annotated[ListKeys, Query()]) -> dict[str, Any]:
    asked = await _within_reach(services, actor, asked)
    walked = await _select(services, actor, asked)
    records: Sequence[KeyRecord] = walked.records
    if asked.sort_by != "created_at" or asked.sort_order != "desc":
        records = in_order(records, asked.sort_by, descending=asked.sort_order == "desc")
    shown = page_of(records, asked.page, asked.size)
    rows: Sequence[Any] = [record.key_hash for record in shown]
    if asked.return_full_object or asked.expand:
        rows = await asyncio.gather(*(_full(services, record, expand=bool(asked.expand)) for record in shown))
    return _paged(walked, asked, {"keys": rows})


@router.get("/key/aliases", **a.answers(a.AliasPage))
async def aliases(services: Services, actor: Acting, asked: Annotated[KeyFilters, Query()]) -> dict[str, Any]:
    wanted = await _within_reach(services, actor, ListKeys(team_id=asked.team_id, page=asked.page, size=asked.size))

    def keep(record: KeyRecord) -> bool:
        return record.key_alias is not None and (asked.search is None or contains(asked.search, record.key_alias))

    walked = await _select(services, actor, wanted, keep)
    names = [record.key_alias for record in page_of(in_order(walked.records, "key_alias", descending=False), asked.page, asked.size)]
    return {**_paged(walked, wanted, {"aliases": names}), "size": asked.size}


async def _readable(services: AdminServices, actor: Actor, reference: str) -> KeyRecord:
    record = await Keyring(services).find(reference)
    if record is not None and same_secret(record.key_hash, actor.principal.key_hash):
        return record
    return (await reach_key(services, actor, record, not_found("key")))[0]


async def _details(services: AdminServices, record: KeyRecord) -> dict[str, Any]:
    spend = await services.spent("key", record.key_hash, record.budget_duration)
    return key_info(record, spend, services.clock.now(), await Keyring(services).budget_of(record))


async def _full(services: AdminServices, record: KeyRecord, *, expand: bool) -> dict[str, Any]:
    row = await row_of(services, record)
    if not expand:
        return row
    user = await services.revisions.find(USER, record.user_id) if record.user_id else None
    return {**row, "user": user and user_row(user, await services.spent("user", user.user_id, user.budget_duration))}


async def _within_reach(services: AdminServices, actor: Actor, asked: ListKeys) -> ListKeys:
    """Whoever does not see everything sees a team or an organization they have a say in, or their own keys."""
    if actor.everywhere:
        return asked
    if asked.team_id:
        await reached_team(services, actor, asked.team_id)
        return asked
    if asked.organization_id:
        await actor.reach(Target(organization_id=asked.organization_id))
        return asked
    own = asked.user_id or actor.user_id
    await actor.reach(Target(user_id=own))
    return asked.model_copy(update={"user_id": own, "substring_matching": False})


async def _select(services: AdminServices, actor: Actor, asked: ListKeys, also: Keep | None = None) -> Walk[KeyRecord]:
    """The narrowest way to them: one record by name, else the index of an owner, else the list of all."""
    keyring, led = Keyring(services), await _led_teams(services, asked)
    keep = _filter(asked, services.clock.now(), led, also)
    named = asked.key_hash or (None if asked.substring_matching else asked.key_alias)
    if named:
        one = await (keyring.find(named) if asked.key_hash else keyring.find_alias(named))
        return Walk([one] if one and keep(one) else [], complete=True)
    places = _places(asked, led)
    plain = also is None and not asked.model_dump(exclude_unset=True, exclude=_NO_FILTERS) and asked.sort_by == "created_at"
    most = min(LONGEST_WALK, max(LOOK_AHEAD, asked.page * asked.size)) if plain and asked.sort_order == "desc" else LONGEST_WALK
    walks = [await walk(services.directory, KeyRecord, partition, index, keep=keep, most=most) for partition, index in places]
    if len(walks) == 1:
        return walks[0]
    merged = {record.key_hash: record for walked in walks for record in walked.records}
    return Walk(in_order(merged.values(), "created_at", descending=True), complete=all(walked.complete for walked in walks))


_NO_FILTERS = {"page", "size", "sort_by", "sort_order", "return_full_object", "expand", "user_id", "team_id"}


async def _led_teams(services: AdminServices, asked: ListKeys) -> list[str]:
    """`include_team_keys`: the teams whose admin the user is."""
    user = await services.revisions.find(USER, asked.user_id) if asked.include_team_keys and asked.user_id else None
    teams = [await services.revisions.find(TEAM, team_id) for team_id in (user.teams if user else ())]
    led = ((team, team.member(user.user_id)) for team in teams if team and user)
    return [team.team_id for team, member in led if member is not None and member.role == "admin"]


def _places(asked: ListKeys, led: Sequence[str]) -> list[tuple[str, str]]:
    """Index partitions that hold every key asked for, and their indexes."""
    if asked.user_id is None or asked.substring_matching:
        return [(items.owned_keys(items.team_pk(asked.team_id)), "gsi2") if asked.team_id else _ALL]
    if asked.include_created_by_keys:
        return [_ALL]
    return [(items.owned_keys(items.user_pk(asked.user_id)), "gsi3"), *((items.owned_keys(items.team_pk(team)), "gsi2") for team in led)]


def _filter(asked: ListKeys, now: float, led: Sequence[str], also: Keep | None) -> Keep:
    wanted = {name: value for name in _EXACT if (value := getattr(asked, name)) is not None}
    wide = asked.include_team_keys or asked.include_created_by_keys
    user_id = wanted.pop("user_id", None) if wide or asked.substring_matching else None
    alias = wanted.pop("key_alias", None) if asked.substring_matching else None

    def keep(record: KeyRecord) -> bool:
        return (
            all(getattr(record, name) == value for name, value in wanted.items())
            and (alias is None or contains(alias, record.key_alias))
            and (user_id is None or _is_of(record, user_id, asked, led))
            and (asked.agent_id is None or record.extra.get("agent_id") == asked.agent_id)
            and (asked.access_group_id is None or asked.access_group_id in (record.extra.get("access_group_ids") or ()))
            and (asked.status is None or key_status(record, now) == asked.status.replace("blocked", "revoked"))
            and (asked.expires is None or (record.expires is not None and record.expires <= asked.expires))
            and (asked.search is None or _matches(record, asked.search))
            and (also is None or also(record))
        )

    return keep


def _is_of(record: KeyRecord, user_id: str, asked: ListKeys, led: Sequence[str]) -> bool:
    if asked.substring_matching and contains(user_id, record.user_id):
        return True
    return record.user_id == user_id or (asked.include_created_by_keys and record.created_by == user_id) or record.team_id in led


def _matches(record: KeyRecord, search: str) -> bool:
    return contains(search, record.key_alias, record.key_name, record.user_id, record.team_id, record.key_hash)


def _paged(walked: Walk[KeyRecord], asked: ListKeys, shown: dict[str, Any]) -> dict[str, Any]:
    total = len(walked.records)
    last = pages(total, asked.size) + (0 if walked.complete else 1)
    answer = {**shown, "total_count": total, "current_page": asked.page, "total_pages": last}
    return answer if walked.complete else {**answer, "total_count_is_minimum": True}
