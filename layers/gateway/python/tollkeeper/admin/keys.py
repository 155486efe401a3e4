"""/key/*: virtual keys (https://docs.litellm.ai/docs/proxy/virtual_keys).

A key's text is in one answer only, that of the call that made it; later answers name it by its hash, or as the caller did.
"""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollkeeper.admin.keyring import Keyring
from tollkeeper.admin.listing import Walk, page_of, pages, walk
from tollkeeper.admin.models import DeleteKeys, GenerateKey, KeyFields, ListKeys, NewUser, OneKey, UpdateKey
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import AdminServices, Author, Caller, Services
from tollkeeper.admin.values import NEVER
from tollkeeper.admin.views import key_info, key_row
from tollkeeper.auth.access import ROUTES_OF_KEY_TYPE, may_administer
from tollkeeper.auth.durations import after
from tollkeeper.auth.keys import same_secret
from tollkeeper.auth.records import KeyRecord
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.store import items

router = APIRouter(prefix="/key", tags=["keys"], route_class=StrictRoute)


@router.post("/generate")
async def generate(body: GenerateKey, services: Services, author: Author) -> dict[str, Any]:
    keyring = Keyring(services)
    fields = key_changes(body, services)
    if fields.get("temp_budget_increase") and not fields.get("temp_budget_expiry"):
        raise _increase_without_end()
    text, record = await keyring.create(fields, author, text=body.key, extra=body.unread())
    return {**await row_of(services, record), "key": text, "token_id": record.key_hash}


@router.post("/update")
async def update(body: UpdateKey, services: Services, author: Author) -> dict[str, Any]:
    """A merge patch: what is not named stays, null clears. `duration` counts from now; null or "-1" lets the key live for ever."""
    keyring = Keyring(services)
    base = await _named(keyring, body)
    changes = key_changes(body, services)
    increase, expiry = (changes.get(name, getattr(base, name)) for name in ("temp_budget_increase", "temp_budget_expiry"))
    if increase and not expiry:
        raise _increase_without_end()
    record = await keyring.change(base, changes, author, extra=body.unread())
    return {**await row_of(services, record), "key": body.key or record.key_hash}


@router.post("/delete")
async def delete(body: DeleteKeys, services: Services, author: Author) -> dict[str, Any]:
    """All or nothing is looked up before the first is deleted: 404 if none of them exists, 400 if some do not."""
    keyring = Keyring(services)
    names, found = await _found(keyring, body)
    missing = [_safe(name) for name, record in zip(names, found, strict=True) if record is None]
    if not names:
        raise BadRequest("Name at least one key, in keys or key_aliases.", param="keys")
    if len(missing) == len(names):
        raise _not_found("keys" if body.keys else "key_aliases")
    if missing:
        raise BadRequest(f"Nothing was deleted, because these were not found: {', '.join(missing)}", param="keys")
    for record in {record.key_hash: record for record in found if record}.values():
        await keyring.delete(record)
    return {"deleted_keys": names}


@router.post("/block")
async def block(body: OneKey, services: Services, author: Author) -> dict[str, Any]:
    return await _set_blocked(body.key, services, author, blocked=True)


@router.post("/unblock")
async def unblock(body: OneKey, services: Services, author: Author) -> dict[str, Any]:
    return await _set_blocked(body.key, services, author, blocked=False)


@router.get("/info")
async def info(services: Services, caller: Caller, key: Annotated[str | None, Query(max_length=512)] = None) -> dict[str, Any]:
    """Without `key`, the caller's own. Anybody may read their own key, an administrator every key."""
    keyring = Keyring(services)
    record = await keyring.find(key or caller.key_hash)
    if record is None or not same_secret(record.key_hash, caller.key_hash):
        may_administer(caller, "/key/info", write=False)
    if record is None:
        raise _not_found("key")
    spend = await services.spent("key", record.key_hash, record.budget_duration)
    row = key_info(record, spend, services.clock.now(), await keyring.budget_of(record))
    return {"key": key or record.key_hash, "info": row}


@router.get("/list")
async def list_keys(services: Services, _author: Author, asked: Annotated[ListKeys, Query()]) -> dict[str, Any]:
    walked = await _select(services, asked.filters())
    shown = page_of(_sorted(walked.records, asked.sort_by, descending=asked.sort_order == "desc"), asked.page, asked.size)
    rows: Sequence[Any] = [record.key_hash for record in shown]
    if asked.return_full_object:
        rows = await asyncio.gather(*(row_of(services, record) for record in shown))
    total = len(walked.records)
    answer = {"keys": rows, "total_count": total, "current_page": asked.page, "total_pages": pages(total, asked.size)}
    return answer if walked.complete else {**answer, "total_count_is_minimum": True}


def key_changes(body: KeyFields, services: AdminServices) -> dict[str, Any]:
    """The record fields a request sets: those it names, and those that follow from `duration` and `key_type`."""
    changes = {**body.changes(KeyRecord), **expiry_of(body, services)}
    if body.key_type and not body.allowed_routes:
        changes["allowed_routes"] = ROUTES_OF_KEY_TYPE[body.key_type]
    return changes


def expiry_of(body: KeyFields | NewUser, services: AdminServices) -> dict[str, Any]:
    if "duration" not in body.model_fields_set:
        return {}
    endless = body.duration in (None, NEVER)
    return {"expires": None if endless else after(services.clock.now(), str(body.duration))}


async def row_of(services: AdminServices, record: KeyRecord) -> dict[str, Any]:
    spend = await services.spent("key", record.key_hash, record.budget_duration)
    return key_row(record, spend, await Keyring(services).budget_of(record))


async def _named(keyring: Keyring, body: UpdateKey) -> KeyRecord:
    if body.key is None and body.key_alias is None:
        raise BadRequest("Name the key, in key or key_alias.", param="key")
    record = await (keyring.find(body.key) if body.key else keyring.find_alias(str(body.key_alias)))
    if record is None:
        raise _not_found("key" if body.key else "key_alias")
    return record


async def _found(keyring: Keyring, body: DeleteKeys) -> tuple[list[str], list[KeyRecord | None]]:
    by_key = [await keyring.find(key) for key in body.keys or ()]
    by_alias = [await keyring.find_alias(alias) for alias in body.key_aliases or ()]
    return [*(body.keys or ()), *(body.key_aliases or ())], [*by_key, *by_alias]


async def _set_blocked(reference: str, services: AdminServices, author: str, *, blocked: bool) -> dict[str, Any]:
    keyring = Keyring(services)
    base = await keyring.find(reference)
    if base is None:
        raise _not_found("key")
    return await row_of(services, await keyring.change(base, {"blocked": blocked}, author))


async def _select(services: AdminServices, wanted: dict[str, str]) -> Walk[KeyRecord]:
    """The narrowest way to them: one record by name, else the index of an owner, else the list of all."""

    def keep(record: KeyRecord) -> bool:
        return all(getattr(record, name) == value for name, value in wanted.items())

    keyring = Keyring(services)
    if "key_hash" in wanted or "key_alias" in wanted:
        one = await (keyring.find(wanted["key_hash"]) if "key_hash" in wanted else keyring.find_alias(wanted["key_alias"]))
        return Walk([one] if one and keep(one) else [], complete=True)
    if "user_id" in wanted:
        partition, index = items.owned_keys(items.user_pk(wanted["user_id"])), "gsi3"
    elif "team_id" in wanted:
        partition, index = items.owned_keys(items.team_pk(wanted["team_id"])), "gsi2"
    else:
        partition, index = items.listing("keys"), "gsi1"
    return await walk(services.directory, KeyRecord, partition, index, keep=keep)


def _sorted(records: Sequence[KeyRecord], by: str, *, descending: bool) -> list[KeyRecord]:
    """Records without the field come last, whichever way."""
    value = attrgetter(by)
    having = sorted((record for record in records if value(record) is not None), key=value, reverse=descending)
    return [*having, *(record for record in records if value(record) is None)]


def _increase_without_end() -> BadRequest:
    return BadRequest("A temporary increase needs an end: set temp_budget_expiry too.", param="temp_budget_expiry")


def _not_found(param: str) -> NotFound:
    return NotFound("Key not found in database.", param=param)


def _safe(name: str) -> str:
    """An alias or a hash as it is; of a key's text only what may be shown."""
    return f"sk-...{name[-4:]}" if name.startswith("sk-") else name
