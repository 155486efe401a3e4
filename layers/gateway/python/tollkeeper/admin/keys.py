"""/key/*: making, changing and ending virtual keys (https://docs.litellm.ai/docs/proxy/virtual_keys). Reading them: keys_read.py.

A key's text is in one answer only, that of the call that made or renewed it; other answers name it by its hash, or as the caller did.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.actor import Actor
from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.models_keys import (
    BulkUpdateKeys,
    DeleteKeys,
    GenerateKey,
    KeyFields,
    OneKey,
    RegenerateKey,
    ResetSpend,
    ServiceAccountKey,
    UpdateKey,
)
from tollkeeper.admin.models_people import NewUser
from tollkeeper.admin.reach import reach_key, target_of
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.selfservice import bounded, defaulted, may_renew, own_change, own_key, own_rules
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.admin.values import NEVER, KeyPath
from tollkeeper.admin.views import key_row, moment, usd
from tollkeeper.auth.access import ROUTES_OF_KEY_TYPE
from tollkeeper.auth.durations import after
from tollkeeper.auth.records import KeyRecord
from tollkeeper.errors import BadRequest, CallerError, Forbidden, NotFound
from tollkeeper.money import NanoUSD

router = APIRouter(prefix="/key", tags=["keys"], route_class=StrictRoute)
_OWNERS = frozenset({"user_id", "team_id", "organization_id"})


@router.post("/generate", **a.answers(a.GeneratedKey))
async def generate(body: GenerateKey, services: Services, actor: Acting) -> dict[str, Any]:
    return await make_key(body, services, actor, personal=True)


@router.post("/service-account/generate", **a.answers(a.GeneratedKey))
async def generate_service_account(body: ServiceAccountKey, services: Services, actor: Acting) -> dict[str, Any]:
    """A key of a team, that outlives the people in it."""
    if body.user_id:
        raise BadRequest("A service account belongs to a team and to no user.", param="user_id")
    return await make_key(body, services, actor, personal=False)


@router.post("/update", **a.answers(a.UpdatedKey))
async def update(body: UpdateKey, services: Services, actor: Acting) -> dict[str, Any]:
    """A merge patch: what is not named stays, null clears. `duration` counts from now; null or "-1" lets the key live for ever."""
    return await change_key(body, services, actor)


@router.post("/bulk_update", **a.answers(a.BulkKeys))
async def bulk_update(body: BulkUpdateKeys, services: Services, actor: Acting) -> dict[str, Any]:
    """Each key for itself: one that cannot be changed does not keep the others from it."""
    return await change_keys(body.keys, services, actor)


@router.post("/delete", **a.answers(a.DeletedKeys))
async def delete(body: DeleteKeys, services: Services, actor: Acting) -> dict[str, Any]:
    """All or nothing is looked up before the first is deleted: 404 if none of them exists, 400 if some do not."""
    keyring = Keyring(services)
    names, found = await _found(keyring, body)
    missing = [_safe(name) for name, record in zip(names, found, strict=True) if record is None]
    if not names:
        raise BadRequest("Name at least one key, in keys or key_aliases.", param="keys")
    for record in found:
        if record is not None or not actor.everywhere:
            await reach_key(services, actor, record, not_found("keys"))
    if len(missing) == len(names):
        raise not_found("keys" if body.keys else "key_aliases")
    if missing:
        raise BadRequest(f"Nothing was deleted, because these were not found: {', '.join(missing)}", param="keys")
    for record in {record.key_hash: record for record in found if record}.values():
        await keyring.delete(record, actor)
    return {"deleted_keys": names}


@router.post("/regenerate", **a.answers(a.GeneratedKey))
async def regenerate(body: RegenerateKey, services: Services, actor: Acting) -> dict[str, Any]:
    """A new text for the same key, with whatever else the body changes. Without `key`, the caller's own."""
    return await _renew(body.key or actor.principal.key_hash, body, services, actor)


@router.post("/{key}/regenerate", **a.answers(a.GeneratedKey))
async def regenerate_named(key: KeyPath, services: Services, actor: Acting, body: RegenerateKey | None = None) -> dict[str, Any]:
    return await _renew(key, body or RegenerateKey(), services, actor)


@router.post("/{key}/reset_spend", **a.answers(a.ResetSpendAnswer))
async def reset_spend(key: KeyPath, body: ResetSpend, services: Services, actor: Acting) -> dict[str, Any]:
    """Sets what the key has spent in its current window. The ledger keeps every call as it was."""
    record, _ = await reach_key(services, actor, await Keyring(services).find(key), not_found("key"))
    if services.spend_writer is None:
        raise BadRequest("This installation counts no spending.", param="reset_to")
    before = await services.spent("key", record.key_hash, record.budget_duration)
    await services.spend_writer.set_spend("key", record.key_hash, record.budget_duration, NanoUSD(body.reset_to))
    return {
        "key_hash": record.key_hash,
        "spend": usd(body.reset_to),
        "previous_spend": usd(before.spent),
        "max_budget": usd(record.max_budget),
        "budget_reset_at": moment(before.resets_at),
    }


@router.post("/block", **a.answers(a.KeyRow))
async def block(body: OneKey, services: Services, actor: Acting) -> dict[str, Any]:
    return await _set_blocked(body.key, services, actor, blocked=True)


@router.post("/unblock", **a.answers(a.KeyRow))
async def unblock(body: OneKey, services: Services, actor: Acting) -> dict[str, Any]:
    return await _set_blocked(body.key, services, actor, blocked=False)


async def make_key(body: GenerateKey, services: AdminServices, actor: Actor, *, personal: bool) -> dict[str, Any]:
    fields = defaulted(key_changes(body, services), services.settings, services.clock)
    if personal and fields.get("user_id") is None and not actor.is_admin:
        fields["user_id"] = actor.user_id
    target = await target_of(services, actor, *(fields.get(name) for name in ("user_id", "team_id", "organization_id")))
    role = await actor.reach(target)
    own_rules(None, body.unread(), fields.get("metadata"), actor, role)
    fields = bounded(own_key(fields, actor, role), services.settings, services.clock, new=True)
    _check_increase(fields)
    if not personal:
        fields["metadata"] = {**(fields.get("metadata") or {}), "service_account_id": fields.get("key_alias")}
    text, record = await Keyring(services).create(fields, actor, text=body.key, extra=body.unread())
    return {**await row_of(services, record), "key": text, "token_id": record.key_hash}


async def change_key(body: UpdateKey, services: AdminServices, actor: Actor, *, only_team: str | None = None) -> dict[str, Any]:
    """`only_team`: the key has to be one of this team."""
    keyring = Keyring(services)
    if body.key is None and body.key_alias is None:
        raise BadRequest("Name the key, in key or key_alias.", param="key")
    found = await (keyring.find(body.key) if body.key else keyring.find_alias(str(body.key_alias)))
    base, _ = await reach_key(services, actor, found, not_found("key" if body.key else "key_alias"))
    if only_team is not None and base.team_id != only_team:
        raise BadRequest("This key is none of the team.", param="key")
    changes = await _permitted(base, key_changes(body, services, base), body.unread(), services, actor)
    record = await keyring.change(base, changes, actor, extra=body.unread())
    return {**await row_of(services, record), "key": body.key or record.key_hash}


async def change_keys(bodies: list[UpdateKey], services: AdminServices, actor: Actor, *, only_team: str | None = None) -> dict[str, Any]:
    """Raises Forbidden if the caller may change none of them."""
    done: list[dict[str, Any]] = []
    refused: list[tuple[UpdateKey, CallerError]] = []
    for body in bodies:
        try:
            done.append(await change_key(body, services, actor, only_team=only_team))
        except CallerError as error:
            refused.append((body, error))
    if not done and all(isinstance(error, Forbidden) for _, error in refused):
        raise refused[0][1]
    failed = [{"key": _safe(body.key or body.key_alias or ""), "failed_reason": error.message} for body, error in refused]
    return {"total_requested": len(bodies), "successful_updates": done, "failed_updates": failed}


def key_changes(body: KeyFields, services: AdminServices, base: KeyRecord | None = None) -> dict[str, Any]:
    """The record fields a request sets: those it names, and those that follow from `duration`, `key_type` and `rotation_interval`."""
    changes = {**body.changes(KeyRecord), **expiry_of(body, services)}
    if body.key_type and not body.allowed_routes:
        changes["allowed_routes"] = ROUTES_OF_KEY_TYPE[body.key_type]
    if changes.keys() & {"auto_rotate", "rotation_interval"}:
        changes["rotate_at"] = _next_rotation(changes, services, base)
    return changes


def expiry_of(body: KeyFields | NewUser, services: AdminServices) -> dict[str, Any]:
    if "duration" not in body.model_fields_set:
        return {}
    endless = body.duration in (None, NEVER)
    return {"expires": None if endless else after(services.clock.now(), str(body.duration))}


async def row_of(services: AdminServices, record: KeyRecord) -> dict[str, Any]:
    spend = await services.spent("key", record.key_hash, record.budget_duration)
    return key_row(record, spend, await Keyring(services).budget_of(record))


def not_found(param: str) -> NotFound:
    return NotFound("Key not found in database.", param=param)


async def _renew(reference: str, body: RegenerateKey, services: AdminServices, actor: Actor) -> dict[str, Any]:
    keyring = Keyring(services)
    base, role = await reach_key(services, actor, await keyring.find(reference), not_found("key"))
    may_renew(base, actor, role)
    changes = await _permitted(base, key_changes(body, services, base), body.unread(), services, actor)
    now = services.clock.now()
    grace = after(now, body.grace_period) - int(now) if body.grace_period and body.grace_period != NEVER else 0
    text, record = await keyring.rotate(base, changes, actor, text=body.new_key, grace_seconds=grace, extra=body.unread())
    return {**await row_of(services, record), "key": text, "token_id": record.key_hash}


async def _permitted(
    base: KeyRecord, changes: dict[str, Any], extra: Mapping[str, Any], services: AdminServices, actor: Actor
) -> dict[str, Any]:
    """The changes, if the caller may make them both where the key is and where it goes."""
    for owners in ({}, {name: changes[name] for name in _OWNERS & changes.keys()}):
        whole = {**{name: getattr(base, name) for name in _OWNERS}, **owners}
        role = await actor.reach(await target_of(services, actor, whole["user_id"], whole["team_id"], whole["organization_id"]))
        own_change(base, changes, actor, role)
        own_rules(base, extra, changes["metadata"] or {} if "metadata" in changes else None, actor, role)
    _check_increase({name: changes.get(name, getattr(base, name)) for name in ("temp_budget_increase", "temp_budget_expiry")})
    return bounded(changes, services.settings, services.clock, new=False)


def _next_rotation(changes: Mapping[str, Any], services: AdminServices, base: KeyRecord | None) -> int | None:
    wanted, interval = (changes.get(name, getattr(base, name, None)) for name in ("auto_rotate", "rotation_interval"))
    if not wanted:
        return None
    if not interval or interval == NEVER:
        raise BadRequest("auto_rotate needs a rotation_interval, such as 30d.", param="rotation_interval")
    return after(services.clock.now(), interval)


def _check_increase(fields: Mapping[str, Any]) -> None:
    if fields.get("temp_budget_increase") and not fields.get("temp_budget_expiry"):
        raise BadRequest("A temporary increase needs an end: set temp_budget_expiry too.", param="temp_budget_expiry")


async def _found(keyring: Keyring, body: DeleteKeys) -> tuple[list[str], list[KeyRecord | None]]:
    by_key = [await keyring.find(key) for key in body.keys or ()]
    by_alias = [await keyring.find_alias(alias) for alias in body.key_aliases or ()]
    return [*(body.keys or ()), *(body.key_aliases or ())], [*by_key, *by_alias]


async def _set_blocked(reference: str, services: AdminServices, actor: Actor, *, blocked: bool) -> dict[str, Any]:
    keyring = Keyring(services)
    base, _ = await reach_key(services, actor, await keyring.find(reference), not_found("key"))
    action = "blocked" if blocked else "unblocked"
    return await row_of(services, await keyring.change(base, {"blocked": blocked}, actor, action=action))


def _safe(name: str) -> str:
    """An alias or a hash as it is; of a key's text only what may be shown."""
    return f"sk-...{name[-4:]}" if name.startswith("sk-") else name
